"""Clamped units: they hold what they are told, the rest follows the equations, and a take knows of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generator.foundation.errors import CarouselError
from generator.model.state import PARTS
from generator.model.trace import Trace
from generator.streaming.clamps import BOUNDS
from generator.streaming.engine import Model
from tests.process import python

VALUES = {"input_gate": 1, "forget_gate": 0, "candidate": -1, "output_gate": 0.25, "cell": -2.5, "hidden": 0.5}
ROUNDED = 0.5 / 127 + 1e-5
"""By how much h of int8 differs from what is computed."""


def tracks(trace: Trace, layer: int, unit: int) -> dict[str, np.ndarray]:
    return {name: getattr(trace, name)[:, layer, unit].astype(np.float64) for name in PARTS}


@pytest.mark.parametrize("backend", ["int8", "fp32"])
@pytest.mark.parametrize("part", PARTS)
def test_a_clamped_part_is_held_and_the_rest_follows(text: Model, part: str, backend: str) -> None:
    stream = text.engine(backend).stream(seed=3)
    stream.pull(20)
    free = text.trace(stream)
    stream.rewind(10)
    stream.set(clamp=f"{part} 0.2={VALUES[part]}")
    stream.pull(30)
    found = text.trace(stream)
    one = tracks(found, 0, 2)
    assert np.abs(one[part][10:] - VALUES[part]).max() < (ROUNDED if part == "hidden" else 1e-7)
    assert all(np.array_equal(one[name][:10], tracks(free, 0, 2)[name][:10]) for name in PARTS)
    if part != "cell":
        kept = one["forget_gate"][10:] * one["cell"][9:-1]
        assert np.abs(one["cell"][10:] - kept - one["input_gate"][10:] * one["candidate"][10:]).max() < 1e-5
    if part != "hidden":
        assert np.abs(one["hidden"] - one["output_gate"] * np.tanh(one["cell"])).max() < ROUNDED
    # In its first step a clamp changes nothing else of its layer.
    assert np.array_equal(np.delete(found.cell[10, 0], 2), np.delete(free.cell[10, 0], 2))


def test_a_layer_is_silenced(music: Model) -> None:
    last = music.config.num_layers - 1
    stream = music.stream(seed=3, clamp=f"hidden {last}=0")
    stream.pull(30)
    assert not music.trace(stream).hidden[:, last].any()
    assert music.trace(stream).cell[:, last].any()


def test_the_later_clamp_holds(text: Model) -> None:
    stream = text.stream(seed=3, clamp="cell 0=0.5, cell 0.1=0.75")
    stream.pull(5)
    cell = text.trace(stream).cell[:, 0]
    assert (cell[:, 1] == 0.75).all() and (np.delete(cell, 1, axis=1) == 0.5).all()


def test_rewinding_past_a_clamp_undoes_it(any_model: Model) -> None:
    """To the byte, as if it had never been there; and letting go does not bring back what was forgotten meanwhile."""
    stream, plain = any_model.stream(seed=5), any_model.stream(seed=5)
    stream.pull(50)
    stream.set(clamp="cell 0=0.9")
    stream.pull(70)
    stream.set(clamp=None)
    stream.pull(7)
    assert stream.tokens() != any_model.stream(seed=5).tokens()
    stream.rewind(80)
    stream.pull(103)
    plain.pull(150)
    assert stream.snapshot().to_bytes() == plain.snapshot().to_bytes()


AGAIN = """
import sys
from generator.streaming.engine import load
from generator.streaming.snapshot import Snapshot
take = Snapshot.load(sys.argv[2])
stream = load(sys.argv[1]).engine(take.backend).replay(take)
assert (stream.snapshot().state.c == take.state.c).all()
stream.pull(50)
print(stream.history())
"""


def test_a_take_with_clamps_is_drawn_again_in_another_process(text: Model, tmp_path: Path) -> None:
    text.checkpoint.save(tmp_path / "model")
    stream = text.stream(seed=5, temperature=0.9)
    for clamp in ("hidden 0.3=0", "forget_gate 0=1", None, "cell 0.1=2"):
        stream.pull(33)
        stream.set(clamp=clamp)
    stream.pull(33)
    stream.snapshot().save(tmp_path / "a.take")
    done = python("-c", AGAIN, str(tmp_path / "model"), str(tmp_path / "a.take"))
    done.check_returncode()
    stream.pull(50)
    assert done.stdout == f"{stream.history()}\n"


@pytest.mark.parametrize(
    ("clamp", "message"),
    [
        ("cell", "clamp has 'cell'; write PART LAYER.UNIT=VALUE, as in forget_gate 0.37=1"),
        ("cell 0.1=1,", "clamp has ''; write PART LAYER.UNIT=VALUE, as in forget_gate 0.37=1"),
        ("cell 0.-1=1", "clamp has 'cell 0.-1=1'; write"),
        (
            "gate 0.1=1",
            "clamp has no part 'gate'; a unit has input_gate, forget_gate, candidate, output_gate, cell, hidden",
        ),
        ("cell 9.1=1", "clamp has 'cell 9.1=1'; the layers are 0 to "),
        ("cell 0.99999=1", "clamp has 'cell 0.99999=1'; the layers are 0 to "),
        ("cell 0.1=nan", "clamp holds cell at nan; give a number from -100 to 100"),
        ("cell 0.1=inf", "clamp holds cell at inf; give a number from -100 to 100"),
        ("forget_gate 0.1=1.5", "clamp holds forget_gate at 1.5; give a number from 0 to 1"),
        (", ".join(["cell 0.1=1"] * 6000), "clamp has 71,998 characters; give at most 65,536"),
        ("hidden 0.1=much", "clamp holds hidden at much; give a number from -1 to 1"),
    ],
)
def test_a_clamp_that_cannot_be_is_refused(text: Model, clamp: str, message: str) -> None:
    stream = text.stream(seed=3)
    stream.pull(5)
    before = stream.snapshot().to_bytes()
    for attempt in (
        lambda: stream.set(clamp=clamp),
        lambda: text.stream(clamp=clamp),
        lambda: stream.fork(clamp=clamp),
    ):
        with pytest.raises(CarouselError) as caught:
            attempt()
        assert str(caught.value).startswith(message)
    assert stream.snapshot().to_bytes() == before


def test_every_bound_can_be_reached(text: Model) -> None:
    for part, bounds in BOUNDS.items():
        for value in bounds:
            text.stream(clamp=f"{part} 0.1={value}").pull(3)


def test_a_primer_is_read_again_as_it_was_read(text: Model) -> None:
    """Under the options that held then, not under a clamp that came later."""
    stream = text.stream("to be", seed=3)
    stream.set(clamp="cell 0=0.5")
    stream.pull(20)
    again = text.engine().replay(stream.snapshot())
    assert again.snapshot().to_bytes() == stream.snapshot().to_bytes()
