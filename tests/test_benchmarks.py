"""The benchmarks run, say what they promise, and give rivals the same work. Nothing here asserts a time."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import (
    accompaniment,
    callers,
    harmony,
    length,
    limit,
    listeners,
    measuring,
    memory,
    rivals,
    step,
)
from generator.foundation.errors import CarouselError
from generator.model.backends import BACKENDS
from generator.model.config import ModelConfig
from generator.model.lstm import LanguageModel
from generator.music import midi
from generator.music.score import Note, Score, Voice
from tests.conftest import ROOT, four_voices, tiny

INSTALL = "python -m pip install -r requirements-bench.txt"
MODEL = ["--units", "1x16", "--embedding", "8"]
TURNS = ["--rounds", "2", "--seconds", "0.001"]
SIZES = [*MODEL, "--vocabulary", "32", "--streams", "1", "3", "--threads", "1", *TURNS]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny fakes as folders."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for kind in ("char", "score"):
        tiny(kind).save(folder / kind)
    return folder


def run(name: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What a benchmark prints, which is one JSON object and nothing else."""
    status = importlib.import_module(f"benchmarks.{name}").main(list(arguments))
    printed = capsys.readouterr()
    assert status == 0, printed.err
    result: dict[str, Any] = json.loads(printed.out)
    assert result["benchmark"] == name
    assert {"cpu", "isa", "cores"} <= set(result["machine"])
    assert {"python", "torch", "numpy", "numba"} <= set(result["versions"])
    assert result["settings"] and result["rows"]
    return result


def is_ratio(found: dict[str, float]) -> bool:
    return 0 < found["low"] <= found["median"] <= found["high"]


RIVALS = {
    "nn.LSTM": (set[str](), {"nn.LSTM"}),
    "onnxruntime": (
        {"onnx", "onnxruntime"},
        {f"ONNX Runtime{kind}{how}" for kind in ("", " int8") for how in ("", step.ALONE)},
    ),
    "gpt2": ({"transformers"}, {"GPT-2 at 8", "GPT-2 at 4096"}),
}


@pytest.mark.parametrize(
    "rival", [pytest.param(name, marks=pytest.mark.slow) if name == "gpt2" else name for name in RIVALS]
)
def test_step(rival: str, capsys: pytest.CaptureFixture[str]) -> None:
    modules, names = RIVALS[rival]
    flags = ["--rivals", rival, "--contexts", "8", "4096", "--cache-gigabytes", "0.0001"]
    result = run("step", capsys, *SIZES, *flags)
    assert modules <= set(result["versions"])
    own = {name + how for name in BACKENDS for how in ("", step.ALONE)}
    for streams in (1, 3):
        rows = [row for row in result["rows"] if row["streams"] == streams]
        assert {row["who"] for row in rows} == own | names
        for row in rows:
            assert row["units"] == "1x16" and row["threads"] == 1
            if row["who"] == "GPT-2 at 4096":
                assert "GB" in row["left_out"]
                continue
            assert row["microseconds"] > 0
            assert row["tokens_per_second"] == pytest.approx(1e6 * streams / row["microseconds"], rel=1e-2)
            assert all(map(is_ratio, row["against"].values()))
    assert result["behind"] == step.behind(result["rows"])


def test_limit(capsys: pytest.CaptureFixture[str]) -> None:
    result = run("limit", capsys, *SIZES, "--megabytes", "1")
    assert [row["bytes"] for row in result["large_reads"]] == [2**20]
    for row in result["rows"]:
        # One layer of 16 units and an output layer of 32 tokens, in the backend's own bytes.
        count = 64 * 16 + 32 * 16
        assert row["weights"] == count * {"int8": 1, "fp32": 4}[row["backend"]]
        assert row["operations"] == 2 * count * row["streams"]
        assert is_ratio(row["step_share_of_products"]) and is_ratio(row["whole_share_of_products"])
        assert ("step_share_of_reading" in row) == (row["streams"] == 1)
        assert ("parts" in row) == (row["threads"] == 1)


@pytest.mark.parametrize("kind", ["char", "score"])
def test_grammar(kind: str, checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run("grammar", capsys, str(checkpoints / kind), *MODEL, *TURNS, "--streams", "1", "3")
    assert [row["streams"] for row in result["rows"]] == [1, 3]
    for row in result["rows"]:
        assert row["tokenizer"] == kind
        assert is_ratio(row["on_against_off"]) and is_ratio(row["whole_against_off"])


@pytest.mark.slow
def test_callers(checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run("callers", capsys, str(checkpoints / "score"), "--rounds", "1", "--tokens", "16")["rows"]
    assert all(row["tokens_per_second"] > 0 for row in rows)
    shares = {row["who"]: row["share"] for row in rows if "share" in row}
    assert shares.keys() == callers.AGAINST.keys()
    assert all(0 < share["low"] <= share["median"] for share in shares.values())


@pytest.mark.slow
def test_start(checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch_alone, ours = run("start", capsys, str(checkpoints / "char"), "--rounds", "1")["rows"]
    assert (torch_alone["who"], ours["who"]) == ("import torch", "char")
    assert 0 < ours["first_seconds"] <= ours["end_seconds"]
    assert is_ratio(ours["first_against_torch"])


def test_start_says_why_a_command_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert importlib.import_module("benchmarks.start").main([str(tmp_path / "none")]) == 2
    assert "no such checkpoint" in capsys.readouterr().err


LOADS = ["--seconds", "0.2", "--warm", "0.05", "--start", "2"]


def test_listeners(checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_num_threads(), os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    flags = [*LOADS, "--chunk", "1", "--most", "5"]
    easy = run("listeners", capsys, str(checkpoints / "score"), *flags, "--limit", "1e9")
    assert [row["listeners"] for row in easy["rows"]] == [2, 4, 5]
    assert easy["most"] == 5 and easy["reached_the_cap"]
    assert all(row["requests"] > 0 and row["busy"] > 0 for row in easy["rows"])
    assert before == (torch.get_num_threads(), os.sched_getaffinity(0) if before[1] else None)
    hard = run("listeners", capsys, str(checkpoints / "score"), *flags, "--limit", "1e-9")
    assert hard["most"] == 0 and not any(row["sustained"] for row in hard["rows"])


@given(st.integers(0, 3000), st.integers(1, 600), st.integers(1, 2000))
def test_listeners_find_the_largest_load(limit_: int, start: int, most: int) -> None:
    """Against a core that sustains exactly so many."""
    tried: list[int] = []

    def sustained(number: int) -> bool:
        tried.append(number)
        return number <= limit_

    found = listeners.largest(sustained, start, most, precision=0.06)
    assert found == 0 or found in tried
    assert found <= min(limit_, most) and max(tried) <= most
    assert min(limit_, most) - found <= max(1, 0.06 * found)


@pytest.mark.slow
def test_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "length.svg"
    flags = ["--longest", "200", "--context", "128", "--rounds", "2", "--picture", str(picture)]
    result = run("length", capsys, *MODEL, "--vocabulary", "32", *flags)
    assert [(row["who"], row["tokens"]) for row in result["rows"]] == [("int8", 200), ("GPT-2", 64), ("GPT-2", 128)]
    assert all(row["resident_megabytes"] > 0 for row in result["rows"])
    assert is_ratio(result["rows"][0]["against_young"])
    assert picture.read_bytes().startswith(b"<?xml")


def test_the_picture_is_a_function_of_the_figures(tmp_path: Path) -> None:
    rows = [
        {"who": who, "tokens": tokens, "microseconds": 100.0 * (1 + index), "resident_megabytes": 300.0}
        for index, who in enumerate(("int8", "GPT-2"))
        for tokens in (64, 128)
    ]
    for name in ("a.svg", "b.svg"):
        length.draw(rows, "Carousel", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("module", ["onnx", "onnxruntime", "transformers"])
def test_what_is_missing_is_said_in_one_line(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rival = next(rival for rival, packages in step.RIVALS.items() if module in packages)
    for name in RIVALS[rival][0]:
        monkeypatch.setitem(sys.modules, name, None)
    assert step.main([*SIZES, "--rivals", rival]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(INSTALL)


@pytest.mark.parametrize("threads", [1, 2])
def test_onnx_runtime_computes_the_same_model(threads: int) -> None:
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(20, 8, 24, 3)).eval()
    session = rivals.OnnxLstm(model, threads)
    theirs, ours = session.zero_state(2), model.zero_state(2)
    for tokens in np.random.default_rng(0).integers(0, 20, (12, 2)):
        logits, theirs = session.step(tokens, theirs)
        with torch.no_grad():
            expected, ours = model(torch.from_numpy(tokens)[:, None], ours)
        np.testing.assert_allclose(logits, expected[:, 0].numpy(), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["2x256", "3x512", "2x1024"])
def test_the_transformer_has_as_many_parameters(size: str) -> None:
    model = measuring.untrained(measuring.units(size), measuring.characters(256), 128)
    parameters = sum(weights.size for weights in model.checkpoint.weights.values())
    assert rivals.Gpt2(parameters, 256, 64).parameters == pytest.approx(parameters, rel=0.03)


def test_reading_reads_everything() -> None:
    words = np.random.default_rng(0).integers(-(2**60), 2**60, 1001)
    assert limit.total(words) == words.sum()


def test_everyone_has_a_turn_and_every_other_round_is_backwards() -> None:
    order: list[str] = []
    contenders = {name: lambda steps, name=name: order.append(name) for name in "abc"}
    found = measuring.timed(contenders, rounds=4, seconds=0)
    # A turn is a step that does not count, then those that do.
    turns = order[2 * len(contenders) :: 2]
    assert "".join(turns) == "abc" + "cba" + "abc" + "cba"
    assert {name: len(seconds) for name, seconds in found.items()} == dict.fromkeys("abc", 4)


@given(st.lists(st.tuples(st.floats(1e-6, 1), st.floats(1e-6, 1)), min_size=1))
def test_a_ratio_is_the_median_of_pairs(pairs: list[tuple[float, float]]) -> None:
    of, to = ([pair[side] for pair in pairs] for side in (0, 1))
    found = measuring.ratio(of, to)
    assert is_ratio(found)
    assert found["median"] == pytest.approx(float(np.median(np.divide(of, to))), rel=1e-3)


def test_who_is_behind_is_named() -> None:
    case = {"units": "2x8", "threads": 1, "streams": 1}
    fast, slow = ({"median": median, "low": median, "high": median} for median in (0.5, 2.0))
    rows = [
        case | {"who": "fp32", "against": {"int8": fast}},
        case | {"who": "nn.LSTM", "against": {"int8": slow, "fp32": fast}},
        case | {"who": "GPT-2 at 8", "left_out": "its cache would take 3 GB"},
    ]
    assert step.behind(rows) == [case | {"who": "nn.LSTM", "ours": "fp32"} | fast]


def test_memory_is_learned_where_a_window_fails(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--length", "24", "--units", "32", "--batch", "32", "--updates", "1200", "--learning-rate", "0.005"]
    found = run("memory", capsys, "adding", *flags, "--networks", "lstm")
    loss = {row["who"]: row["loss"] for row in found["rows"]}
    assert loss["lstm"] < 0.02 < 0.1 < loss["window of 16"] < loss["guessing"] == 0.1667


def test_copying_is_guessed_by_whoever_remembers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    inputs, targets = memory.copying(3, 30)
    assert inputs.shape == (3, 50, 10) and (inputs.sum(dim=2) == 1).all()
    digits = inputs[:, :10].argmax(dim=2)
    assert torch.equal(targets[:, -10:], digits) and (targets[:, :-10] == memory.BLANK).all()
    found = run("memory", capsys, "copy", "--length", "30", "--units", "8", "--updates", "3", "--networks", "rnn")
    loss = {row["who"]: row["loss"] for row in found["rows"]}
    assert loss["rnn"] > loss["window of 16"] == pytest.approx(loss["guessing"], rel=0.01)


def test_ablation_changes_one_part_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "poem.txt").write_text("a rose is a rose\n\n" * 400)
    sizes = ["--hidden-size", "8", "--embedding-dim", "4", "--lanes", "4", "--window", "16", "--dropout-embedding", "0"]
    found = run("ablation", capsys, str(tmp_path / "poem.txt"), "--steps", "6", *sizes)
    names = [row["who"] for row in found["rows"]]
    assert names[0] == "recipe" and "without moving average" in names and "with tied embedding" in names
    assert "without dropout of the embedding" not in names, "the recipe has none"
    assert all(row["updates"] == 6 and row["nats"] > 0 for row in found["rows"])
    averaged = found["rows"][names.index("without moving average")]
    assert averaged["worth"] == pytest.approx(averaged["nats"] - found["rows"][0]["nats"], abs=1e-3)


@pytest.mark.parametrize("text", ["3x", "x3", "0x4", "3x0", "3", "-1x4", "3x4x5"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        measuring.units(text)


def test_the_readme_names_every_benchmark() -> None:
    said = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    commands = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text("utf-8")]
    assert [name for name in commands if f"benchmarks.{name}" not in said] == []


def test_accompaniment() -> None:
    """On the strong beats of two bars the melody fits, does not fit, has nothing under it, and is silent."""
    notes = (
        Note(0, 12, 72, voice=0),
        Note(12, 12, 61, voice=0),  # not on a strong beat
        Note(24, 12, 74, voice=0),
        Note(96, 12, 76, voice=0),
        *(Note(0, 30, pitch, voice=1) for pitch in (48, 52, 55)),
    )
    score = Score(12, (Voice("Melody"), Voice("Piano")), notes)
    assert accompaniment.strong_beats(score)[:2] == [({0}, {0, 4, 7}), ({2}, {0, 4, 7})]
    found = accompaniment.figures([score])
    assert (found["notes"], found["fits"], found["classes"], found["silent"]) == (2, 0.5, 3, 0.3333)
    with pytest.raises(CarouselError, match="no melody"):
        accompaniment.figures([Score(12, score.voices, ())])


@pytest.mark.slow
def test_harmony(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Untrained voices under a melody; and chords, crossings and parallels of what is known."""
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    tiny("score").save(tmp_path / "score")
    (tmp_path / "songs").mkdir()
    for bars in range(2, 6):
        midi.write(four_voices(bars), tmp_path / "songs" / f"{bars}.mid")
    arguments = (str(tmp_path / "score"), str(tmp_path / "songs"), "--pieces", "1", "--best-of", "2")
    rows = run("harmony", capsys, *arguments)["rows"]
    assert [row["harmony"] for row in rows] == [
        *(f"best of {count}{strict}" for count in (1, 2) for strict in ("", ", no parallels")),
        "the composer's",
    ]
    assert {row["melody_kept"] for row in rows} == {1.0}
    assert rows[-1]["chords"] == 1.0 and rows[-1]["crossings"] == 0.0 and rows[-1]["parallels_per_100_bars"] > 100
    assert all(row["parallels_per_100_bars"] == 0 for row in rows if "no parallels" in row["harmony"])
    assert harmony.is_chord([48, 64, 67]) and harmony.is_chord([53, 55, 59, 62]) and not harmony.is_chord([60, 62, 67])
    assert harmony.crosses({0: 60, 1: 62}) and not harmony.crosses({0: 60, 1: 60})
