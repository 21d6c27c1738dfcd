"""Why a token came, and what a command says of it; and the traces that `sample` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from generator.foundation.errors import CarouselError
from generator.sample import main
from generator.streaming.engine import Model
from generator.streaming.reasons import GATES
from tests.conftest import model_called


def test_a_reason_is_the_difference_that_a_clamp_makes(any_model: Model) -> None:
    """In the negative log-likelihood of the token, as a stream with that clamp finds it."""
    stream = any_model.stream(seed=3)
    stream.pull(60)
    position = 40
    found = stream.reasons(position, 12)
    assert [abs(one.nats) for one in found] == sorted((abs(one.nats) for one in found), reverse=True)
    plain = next(iter(stream.draws(position, position + 1)))
    for one in found[:3]:
        other = stream.fork()
        other.rewind(stream.position - position)
        other.set(clamp=f"{one.part} {one.layer}.{one.unit}=0")
        other.pull(1)
        draw = next(iter(other.draws(position, position + 1)))
        gain = np.log(plain.plain[plain.token]) - np.log(draw.plain[plain.token])
        assert one.nats == pytest.approx(gain, abs=1e-9)
    assert {one.part for one in stream.reasons(position, 10**6)} == set(GATES)


def test_only_what_was_drawn_has_reasons(text: Model) -> None:
    stream = text.stream("to be", seed=3)
    stream.pull(7)
    for position in (-1, 4, 12):
        with pytest.raises(CarouselError, match=f"nothing was drawn at {position}"):
            stream.reasons(position)


def test_the_command_explains_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take, trace = tmp_path / "a.take", tmp_path / "a.safetensors"
    assert main(["shakespeare", "--tokens", "50", "--save", str(take), "--trace", str(trace)]) == 0
    capsys.readouterr()
    assert main(["--resume", str(take), "--why", "30"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "What could have come at token 30, with its probability (* came):"
    assert sum(" * " in line for line in lines) == 1
    assert sum(" of unit " in line for line in lines) == 10
    assert main(["--resume", str(take), "--why", "50"]) == 2
    assert "nothing was drawn at 50 yet; give 0 to 49" in capsys.readouterr().err
    assert main(["shakespeare", "--why", "5"]) == 2
    assert "--why explains a token of a saved stream; name it with --resume" in capsys.readouterr().err
    assert main(["--resume", str(take), "--why", "5", "--tokens", "5"]) == 2
    assert "--why does not go with --tokens" in capsys.readouterr().err


def test_the_command_writes_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a new stream from its beginning, of a saved one from where it goes on."""
    take, first, second = (tmp_path / name for name in ("a.take", "a.safetensors", "b.safetensors"))
    assert main(["shakespeare", "--prime", "To", "--tokens", "50", "--save", str(take), "--trace", str(first)]) == 0
    assert main(["--resume", str(take), "--rewind", "10", "--tokens", "30", "--trace", str(second)]) == 0
    model = model_called("checkpoints/shakespeare")
    stream = model.stream("To")
    stream.pull(70)
    whole, parts = model.trace(stream), [safetensors.numpy.load_file(path) for path in (first, second)]
    assert np.array_equal(parts[0]["cell"], whole.cell[:52])
    assert np.array_equal(parts[1]["cell"], whole.cell[42:])
    for path, message in ((take, "ends in .safetensors"), (tmp_path / "none" / "a.safetensors", "does not exist")):
        assert main(["shakespeare", "--tokens", "9", "--trace", str(path)]) == 2
        assert message in capsys.readouterr().err
