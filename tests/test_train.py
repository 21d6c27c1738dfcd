"""Training: lanes hold every token, a killed run resumes to the same weights, and small data teaches."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from generator import train
from generator.corpora import open_corpus
from generator.corpora.batches import IGNORED, Batches, one_pass
from generator.corpora.dataset import prepare
from generator.foundation.errors import CarouselError
from generator.foundation.recipes import PRESETS, TrainingOptions
from generator.model.checkpoint import Checkpoint
from generator.streaming.engine import load
from generator.tokenizers.base import Tokenizer
from generator.tokenizers.score import ScoreTokenizer
from generator.training import trainer
from tests.conftest import four_voices, tiny
from tests.process import Python


def lay_out(tokenizer: Tokenizer, pieces: list[np.ndarray], **changes: object) -> Batches:
    options = {"lanes": 4, "steps": 16, "seed": 3, "number": 0, "cold_share": 0.5, "augment": False, **changes}
    return one_pass(pieces, tokenizer, **options)  # type: ignore[arg-type]


def pieces_of(tokenizer: ScoreTokenizer, count: int = 30) -> list[np.ndarray]:
    return [tokenizer.encode(four_voices(1 + index % 5)) for index in range(count)]


def test_lanes_read_on_from_window_to_window() -> None:
    tokenizer = ScoreTokenizer.fit([four_voices()])
    batches = lay_out(tokenizer, pieces_of(tokenizer))
    assert batches.inputs.shape == batches.targets.shape
    cold = 0
    for lane in range(batches.inputs.shape[1]):
        inputs, targets = batches.inputs[:, lane].ravel(), batches.targets[:, lane].ravel()
        for at in range(1, len(inputs)):
            if at % 16 == 0 and batches.cold[at // 16, lane]:
                cold += 1
                assert inputs[at] == tokenizer.start
            elif targets[at] != IGNORED:
                assert inputs[at] == targets[at - 1]
    assert cold > 3


def test_every_token_is_a_target_once_but_for_the_last_windows() -> None:
    tokenizer = ScoreTokenizer.fit([four_voices()])
    pieces = pieces_of(tokenizer)
    batches = lay_out(tokenizer, pieces)
    targets = batches.targets[batches.targets != IGNORED]
    total = sum(map(len, pieces))
    assert total - 4 * 16 < len(targets) <= total
    expected = np.bincount(np.concatenate(pieces), minlength=tokenizer.vocab_size)
    assert (np.bincount(targets, minlength=tokenizer.vocab_size) <= expected).all()


def test_a_pass_is_held_in_small_types() -> None:
    tokenizer = ScoreTokenizer.fit([four_voices()])
    batches = lay_out(tokenizer, pieces_of(tokenizer), augment=True)
    assert (batches.inputs.dtype, batches.targets.dtype) == (np.uint16, np.int32)
    last = np.array([2**16 - 1], dtype=np.uint16)
    whole = lay_out(tokenizer, [np.concatenate([pieces_of(tokenizer)[0], last])] * 9)
    assert whole.inputs.max() == whole.targets.max() == 2**16 - 1


def test_a_pass_is_a_function_of_seed_and_number() -> None:
    tokenizer = ScoreTokenizer.fit([four_voices()])
    pieces = pieces_of(tokenizer)
    one, two, other = (lay_out(tokenizer, pieces, augment=True, number=n) for n in (1, 1, 2))
    assert np.array_equal(one.inputs, two.inputs)
    assert one.inputs.shape != other.inputs.shape or not np.array_equal(one.inputs, other.inputs)


def test_a_cold_start_in_text_is_a_paragraph() -> None:
    tokenizer = tiny("char").tokenizer
    tokens = tokenizer.encode("one\ntwo\n\nthree\nfour\n\nfive\n")
    text = tokenizer.decode(tokens)
    starts = tokenizer.cold_starts(tokens)
    assert [text[at:].split("\n")[0] for at in starts] == ["three", "five"]


@pytest.fixture
def novel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "novel.txt"
    path.write_text("".join(f"On day {day} we made {day * 37 % 90} miles.\n" for day in range(1200)))
    return path


RECIPE = ["--hidden-size", "48", "--embedding-dim", "16", "--lanes", "8", "--window", "32", "--steps", "60"]


def command(novel: Path, out: Path, *more: str) -> list[str]:
    return [str(novel), "--out", str(out), *RECIPE, *more]


def test_training_learns_and_writes_a_whole_checkpoint(novel: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert train.main([str(novel), "--out", str(out), *RECIPE, "--validations", "3"]) == 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    assert rows[-1]["validation"] < rows[0]["validation"] < 4
    model = load(out)
    for expected in ("novel.txt", "python -m generator.train", "nats_per_character", "--hidden-size 48"):
        assert expected in model.card
    assert len("".join(map(str, model.stream(seed=1).take(100)))) == 100


QUICK = """
import sys
from generator import train
from generator.training import trainer

trainer.SAVE_SECONDS = 0
sys.exit(train.main(sys.argv[1:]))
"""


def start(novel: Path, out: Path, *more: str) -> Python:
    """A run in a process of its own that saves whenever it can."""
    return Python("-c", QUICK, *command(novel, out, "--validations", "4", *more))


def logged(out: Path) -> list[dict[str, float]]:
    """The validations of a run so far."""
    log = out / trainer.METRICS
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_stopped_run_resumes_to_the_same_weights(novel: Path, tmp_path: Path) -> None:
    """What counts is what lies on the disk, after SIGKILL as after Ctrl-C."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train.main(command(novel, whole, "--validations", "4")) == 0
    for by, more in ((signal.SIGKILL, ()), (signal.SIGINT, ("--resume",))):
        process = start(novel, stopped, *more)
        validations, deadline = len(logged(stopped)), time.monotonic() + 120
        while len(logged(stopped)) == validations:
            assert process.returncode is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(by)
        assert process.wait().returncode == (130 if by == signal.SIGINT else -signal.SIGKILL)
        assert 0 < trainer.read_state(stopped)[0]["counters"]["step"] < 60
    assert train.main(command(novel, stopped, "--validations", "4", "--resume")) == 0
    assert Checkpoint.load(stopped).fingerprint == Checkpoint.load(whole).fingerprint
    one, two = trainer.read_state(whole)[1], trainer.read_state(stopped)[1]
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name].numpy(), two[name].numpy()) for name in one)
    assert one["averaged"] == 60 and one["average.output.bias"].shape == one["model.output.bias"].shape
    first, second = (
        [{key: row[key] for key in ("step", "loss", "validation")} for row in logged(out)] for out in (whole, stopped)
    )
    assert first == second


def run_of(novel: Path, out: Path, **changes: Any) -> trainer.Trainer:
    """A run that is ready to begin."""
    recipe = {"hidden_size": 24, "embedding_dim": 8, "lanes": 4, "window": 16, "steps": 40, **changes}
    dataset = prepare(open_corpus(novel), progress=False)
    return trainer.Trainer(dataset, out, TrainingOptions(**recipe), Console(quiet=True))


@pytest.mark.parametrize("tied", [False, True])
def test_what_is_kept_is_the_moving_average(novel: Path, tmp_path: Path, tied: bool) -> None:
    """Every update draws it towards the weights, at first much, and never further than the option says."""
    run = run_of(novel, tmp_path / "model", averaging=0.5, embedding_dim=24 if tied else 8)
    expected: dict[str, np.ndarray] = {}
    for update in range(20):
        run.update()
        decay = min(0.5, (1 + update) / (10 + update)) if update else 0.0
        for name, value in run.model.state_dict().items():
            now = value.double().numpy()
            expected[name] = decay * expected.get(name, now) + (1 - decay) * now
    kept = run.averaged.state_dict()
    assert kept.keys() == expected.keys()
    for name, value in kept.items():
        assert np.allclose(value.numpy(), expected[name], atol=1e-6), name
    assert not np.allclose(kept["output.bias"].numpy(), run.model.output.bias.detach().numpy(), atol=1e-6)
    run.report(1.0)
    weights = Checkpoint.load(run.out).weights
    assert all(np.array_equal(weights[name], kept[name].numpy()) for name in kept)
    run.save()
    other = run_of(novel, run.out, averaging=0.5, embedding_dim=24 if tied else 8)
    other.load()
    assert other.average.n_averaged == 20
    assert all(np.array_equal(other.averaged.state_dict()[name], value) for name, value in kept.items())


def test_penalties_keep_h_small_and_smooth(novel: Path, tmp_path: Path) -> None:
    found = {}
    for name in ("none", "activation_penalty", "jump_penalty"):
        penalties = {"activation_penalty": 0.0, "jump_penalty": 0.0} | ({} if name == "none" else {name: 20.0})
        run = run_of(novel, tmp_path / name, averaging=0.0, learning_rate=0.03, warm_up=1, **penalties)
        for _ in range(40):
            run.update()
        inputs = torch.from_numpy(run.batches.inputs[0].astype(np.int64))
        hidden, _ = run.averaged.read(inputs, run.model.zero_state(len(inputs)))
        found[name] = hidden.square().mean().item(), hidden.diff(dim=1).square().mean().item()
    assert found["activation_penalty"][0] < 0.5 * found["none"][0]
    assert found["jump_penalty"][1] < 0.5 * found["none"][1]


def test_without_averaging_the_last_weights_are_kept(novel: Path, tmp_path: Path) -> None:
    run = run_of(novel, tmp_path / "model", averaging=0.0)
    for _ in range(5):
        run.update()
        kept = run.averaged.state_dict()
        assert all(np.array_equal(kept[name], value) for name, value in run.model.state_dict().items())


@pytest.mark.parametrize("averaging", [-0.1, 1.0, float("nan"), "0.5"])
def test_an_average_forgets(averaging: Any) -> None:
    with pytest.raises(CarouselError, match=r"^averaging is "):
        TrainingOptions(averaging=averaging)


def test_a_run_that_gets_no_better_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The more it learns of this text the less it expects the last tenth; the best weights are the first ones."""
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    path, out = tmp_path / "text.txt", tmp_path / "model"
    path.write_text("b" + "a" * 8999 + "b" * 1000)
    command = [str(path), "--out", str(out), *RECIPE, "--validations", "20", "--patience", "3"]
    assert train.main(command) == 0
    counters = trainer.read_state(out)[0]["counters"]
    rows = [json.loads(line) for line in (out / trainer.METRICS).read_text().splitlines()]
    nats = [row["validation"] for row in rows]
    assert len(rows) == counters["validated"] == 4 and counters["worse"] == 3
    assert counters["step"] == rows[-1]["step"] < 60
    assert counters["best"] == nats[0] == min(nats)
    said = " ".join(capsys.readouterr().err.split())
    assert f"stopped at step {counters['step']}: no better validation in the last 3; the best is kept" in said
    checkpoint = Checkpoint.load(out)
    dataset = prepare(open_corpus(path), checkpoint.tokenizer, progress=False)
    tokens = dataset.split("validation").tokens
    lanes = min(trainer.VALIDATION_LANES, len(tokens) // 64)
    kept = checkpoint.model().negative_log_likelihood(tokens, checkpoint.tokenizer.start, lanes=lanes).mean()
    assert kept == pytest.approx(nats[0], abs=1e-5)
    assert train.main([*command, "--resume"]) == 0
    assert trainer.read_state(out)[0]["counters"] == counters, "there is nothing more to do"


def test_a_run_of_seconds_warms_up_and_validates_seldom(novel: Path, tmp_path: Path) -> None:
    run = run_of(novel, tmp_path / "short", steps=None, minutes=0.2, warm_up=1000)
    assert run.validations == 2
    run.seconds = 6.0  # half of it
    run.update()
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(run.options.learning_rate / 2)


def test_ctrl_c_saves_and_exits(novel: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    arguments = command(novel, out, "--validations", "10000")
    arguments[arguments.index("60")] = "100000"
    process = Python("-m", "generator.train", *arguments)
    process.until(out / trainer.METRICS)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    done = process.wait(60)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "--resume" in done.stderr
    assert trainer.read_state(out)[0]["counters"]["step"] > 0


def test_resuming_nothing_or_something_else_is_refused(novel: Path, tmp_path: Path) -> None:
    with pytest.raises(CarouselError, match="nothing to resume"):
        trainer.read_state(tmp_path)
    (tmp_path / trainer.STATE).write_bytes(b"\x00" * 100)
    with pytest.raises(CarouselError, match="not a training state"):
        trainer.read_state(tmp_path)
    out = tmp_path / "model"
    assert train.main([str(novel), "--out", str(out), *RECIPE]) == 0
    novel.write_text(novel.read_text() + "And one day more.\n")
    assert train.main([str(novel), "--out", str(out), "--resume"]) == 2


def test_presets_are_valid_and_a_given_length_replaces_theirs() -> None:
    for preset in PRESETS:
        train.options_of(preset, {})
    assert train.options_of("quick", {"steps": 5}).minutes is None
    assert train.options_of("standard", {}).passes is not None
    assert train.options_of("standard", {"steps": 5}).passes is None


def test_music_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of MIDI files becomes a checkpoint that streams."""
    from generator.music import midi

    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "songs"
    folder.mkdir()
    for index in range(6):
        midi.write(four_voices(2 + index), folder / f"{index}.mid")
    dataset = prepare(open_corpus(str(folder)), progress=False)
    options = TrainingOptions(hidden_size=32, embedding_dim=16, lanes=2, window=32, steps=20, validations=2)
    train.train(dataset, tmp_path / "model", options)
    events = list(load(tmp_path / "model").stream(seed=1).take(100))
    assert events
