"""The benchmark of polyphony: the probabilities of all frames sum to 1, and any dataset is measured or refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from benchmarks import polyphony
from generator.corpora.dataset import prepare
from generator.model.frame_likelihood import frame_nats, frame_scores
from generator.model.lstm import LanguageModel
from generator.tokenizers.base import Tokens
from generator.tokenizers.frames_grammar import (
    END,
    FRAME,
    HIGHEST,
    LOWEST,
    NOT_TRANSPOSED,
    PITCH,
    TRANSPOSITIONS,
)
from tests.conftest import random_checkpoint
from tests.process import python
from tests.test_frames import PIANO, TOKENIZER, Frame, rolled, struck

# The likelihood


def rolls(count: int, seed: int = 0) -> list[list[list[int]]]:
    random = np.random.default_rng(seed)
    return [
        [sorted(random.choice(PIANO, size, replace=False).tolist()) for size in random.integers(0, 5, length)]
        for length in random.integers(1, 90, count)
    ]


def encoded(rolls: Sequence[Sequence[Frame]]) -> list[Tokens]:
    return [TOKENIZER.encode(struck(roll)) for roll in rolls]


@torch.no_grad()
def read_alone(model: LanguageModel, tokens: Tokens) -> list[float]:
    """The nats of each frame, token by token from a decoder's masks."""
    decoder = TOKENIZER.decoder()
    logits, state = model(torch.tensor([[TOKENIZER.start]]), model.zero_state(1))
    found = [0.0]
    for index, token in enumerate(tokens[:-1].tolist()):
        if index:
            mask = torch.tensor(decoder.allowed())
            mask[END] = False
            found[-1] -= float(torch.log_softmax(logits[0, -1].masked_fill(~mask, -torch.inf), 0)[token])
            found += [0.0] * (token == FRAME)
        decoder.feed(token)
        logits, state = model(torch.tensor([[token]]), state)
    return found[:-1]


def test_a_frames_likelihood_is_the_sum_of_its_tokens() -> None:
    model = random_checkpoint(TOKENIZER).model()
    pieces = encoded(rolls(7))
    found = frame_nats(model, TOKENIZER, pieces)
    for piece, nats in zip(pieces, found, strict=True):
        np.testing.assert_allclose(nats, read_alone(model, piece), rtol=1e-3)
    scores = frame_scores(model, TOKENIZER, pieces)
    assert scores["frames"] == sum(map(len, found))
    assert scores["nats_per_frame"] == pytest.approx(np.concatenate(found).mean())
    later = np.concatenate([nats[1:] for nats in found])
    assert scores["nats_per_frame_without_first"] == pytest.approx(later.mean())
    assert frame_scores(model, TOKENIZER, encoded([[[60]]]))["nats_per_frame_without_first"] is None


class OneVoice:
    """A model under which a frame has at most one pitch, so that all frames can be asked for."""

    def __init__(self) -> None:
        self.model = random_checkpoint(TOKENIZER).model()
        self.zero_state = self.model.zero_state

    def __call__(self, tokens: torch.Tensor, state: Any) -> Any:
        logits, state = self.model(tokens, state)
        logits[..., FRAME] += 1000.0 * (tokens >= PITCH)
        logits[..., END] += 1000.0  # what the end would take is not missing
        return logits, state


ONE_VOICE: Any = OneVoice()
EVERY_FRAME: list[list[int]] = [[], *([pitch] for pitch in PIANO)]


@given(st.lists(st.sampled_from(EVERY_FRAME), max_size=5))
@settings(max_examples=10)
def test_the_probabilities_of_all_frames_sum_to_1(past: list[list[int]]) -> None:
    pieces = encoded([[*past, frame] for frame in EVERY_FRAME])
    last = [nats[-1] for nats in frame_nats(ONE_VOICE, TOKENIZER, pieces)]
    assert np.exp(np.negative(last)).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("past", [[], [[60], [], [62]], [[LOWEST + 1], [60]], [[HIGHEST]]])
def test_the_mixtures_sum_to_at_most_1(past: list[list[int]]) -> None:
    """To less where a component leaves the keyboard with the frame; never to more, for it has left with the past."""
    pieces = encoded([[*past, frame] for frame in EVERY_FRAME])
    last = np.array([nats[-1] for nats in polyphony.mixture_nats(ONE_VOICE, TOKENIZER, pieces)])
    total, lost = 0.0, 0.0
    pitches = [pitch for frame in past for pitch in frame]
    components = [by for by in TRANSPOSITIONS if all(pitch + by in PIANO for pitch in pitches)]
    for by in components:
        # What this component says of the frames that are on the keyboard, and of those that would lie beyond it.
        there = [[pitch + by for pitch in frame] for frame in EVERY_FRAME]
        moved = [[[pitch + by for pitch in frame] for frame in past] + [frame] for frame in EVERY_FRAME]
        tokens = [TOKENIZER.transposed(TOKENIZER.encode(struck(roll)), 0) for roll in moved]
        for piece in tokens:
            piece[0] = NOT_TRANSPOSED + by
        says = np.exp([-nats[-1] for nats in frame_nats(ONE_VOICE, TOKENIZER, tokens)])
        reached = [frame in there for frame in EVERY_FRAME]
        total += says[reached].sum() / len(components)
        lost += says[np.logical_not(reached)].sum() / len(components)
    assert np.exp(-last).sum() == pytest.approx(total, abs=1e-5)
    assert total + lost == pytest.approx(1, abs=1e-5)
    assert (lost > 1e-9) == (components != [0])


# The benchmark

TINY = ["--hidden-size", "16", "--embedding-dim", "8", "--steps", "4", "--window", "16", "--validations", "2"]


def to_mat(path: Path, **cells: Any) -> Path:
    savemat(path, cells)
    return path


def cell(pieces: Sequence[Any]) -> Any:
    """A cell of matrices, as MATLAB has it."""
    made = np.empty((1, len(pieces)), dtype=object)
    made[0] = [None] * len(pieces)
    for number, piece in enumerate(pieces):
        made[0, number] = piece
    return made


def matrix(roll: Sequence[Frame]) -> Any:
    found = np.zeros((len(roll), len(PIANO)), dtype=np.uint8)
    for row, frame in zip(found, roll, strict=True):
        row[[pitch - LOWEST for pitch in frame]] = 1
    return found


@pytest.mark.slow
def test_the_command_on_a_matlab_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a second process. Here the same data as JSON is the same dataset, and what was kept is measured alike."""
    data = {"train": rolls(12), "valid": rolls(3, 1), "test": [*rolls(2, 2), [list(range(50, 65)), [], [21], [108]]]}
    mat = to_mat(tmp_path / "made.mat", **{f"{name}data": cell(list(map(matrix, data[name]))) for name in data})
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "model"
    done = python("-m", "benchmarks.polyphony", mat, "--out", out, "--seed", "3", *TINY)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    assert (found["dataset"], found["seed"], found["published"]) == ("made.mat", 3, {})
    assert found["training"]["hidden_size"] == 16 and found["training"]["passes"] is None
    frames = {split: sum(map(len, data[name])) for name, split in (("test", "test"), ("valid", "validation"))}
    assert [(row["what"], row["split"], row["frames"]) for row in found["rows"]] == [
        (what, split, frames[split]) for split in frames for what in ("model", "transposed_mixture")
    ]
    assert "nats_per_frame" in (out / "card.md").read_text()
    assert polyphony.main([str(write(tmp_path, data)), "--checkpoint", str(out)]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["parameters"] == found["parameters"]
    for name in ("nats_per_frame", "nats_per_frame_without_first"):
        nats, others = ([row[name] for row in rows] for rows in (found["rows"], again["rows"]))
        assert nats == pytest.approx(others, rel=1e-5)


def said(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """The one line that a command says when it refuses."""
    assert polyphony.main(list(map(str, arguments))) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    return line


GOOD: dict[str, Any] = {"train": [[[60]]], "valid": [[[60]]], "test": [[[60], []]]}
WRONG_JSON = [
    *("", "[", "[]", "3", '"train"', "{}", "\ufeff", "[" * 100_000),
    *({**GOOD, "train": value} for value in (3, None, [3], [[3]], "abc", [["a"]], [[[60.5]]], [[[[60]]]], [[[True]]])),
    *({**GOOD, "test": value} for value in ([], [[]], [[[20]]], [[[109]]], [[[-1]]], [[[float("nan")]]], [[[2**70]]])),
    {"train": [[[60]]], "test": [[[60]]]},
]


@pytest.mark.parametrize("data", WRONG_JSON, ids=lambda data: str(data)[:50])
def test_a_wrong_json_is_told_in_a_line(data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "data.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    assert str(path) in said(capsys, path)


ONE = matrix([[60]])
WRONG_CELLS: list[tuple[Any, str]] = [
    (cell([ONE.astype(float) / 2]), "values other than 0 and 1"),
    (cell([ONE.astype(float) * np.nan]), "values other than 0 and 1"),
    (cell([ONE[:, :87]]), "shape is"),
    (cell(["text"]), "not a matrix"),
    (cell([cell([ONE])]), "not a matrix"),
    (ONE, "no cell of matrices"),
    (cell([np.zeros((0, 88))]), "no pieces to train"),
]


@pytest.mark.parametrize(("cells", "why"), WRONG_CELLS, ids=[why for _, why in WRONG_CELLS])
def test_a_wrong_matrix_is_told(cells: Any, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = to_mat(tmp_path / "data.mat", traindata=cells, validdata=cell([ONE]), testdata=cell([ONE]))
    line = said(capsys, path)
    assert why in line and str(path) in line


def test_other_files_and_flags_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "data.mat"
    for data in (b"", b"\0" * 200, b"MATLAB 7.3 MAT-file" + b" " * 105 + b"\0\2IM", bytes(range(256)) * 4):
        path.write_bytes(data)
        assert "not a MATLAB file" in said(capsys, path)
    assert "no such file" in said(capsys, tmp_path / "none.mat")
    assert "no such file" in said(capsys, tmp_path)
    assert "--out" in said(capsys, "--resume")
    assert "measured as it is" in said(capsys, "--checkpoint", tmp_path, "--steps", 3)
    assert "--lanes is 0" in said(capsys, write(tmp_path, GOOD), "--lanes", 0)


def write(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "good.json"
    path.write_text(json.dumps(data))
    return path


def test_pieces_without_frames_are_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    path = write(tmp_path, {**GOOD, "test": [[], [[60, 60, 64.0], []]]})
    dataset = prepare(polyphony.FramesFile(path), progress=False)
    assert dataset.skipped == (("test 0", "it has no frames"),)
    assert [rolled(dataset.tokenizer.decode(piece)) for piece in dataset.split("test")] == [[[60, 64], []]]
