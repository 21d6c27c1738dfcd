"""Distillation: a model learns what its teachers expect, on pieces that they write as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import generator
from generator import train
from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.foundation.recipes import TrainingOptions
from generator.model.checkpoint import Checkpoint
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.score import ScoreTokenizer
from generator.training import teachers as distillation
from generator.training.teachers import Teachers
from generator.training.trainer import Trainer
from tests.conftest import four_voices, random_checkpoint

TOKENIZER = ScoreTokenizer.fit([four_voices()])
LONGEST_HERE = 256
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "embedding_dim": 16,
    "feature_dim": 16,
    "num_layers": 1,
    "lanes": 8,
    "window": 32,
    "steps": 60,
}


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that has learned nothing hardly ever ends a piece."""
    monkeypatch.setattr(distillation, "LONGEST", LONGEST_HERE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two teachers, which differ."""
    found = [tmp_path_factory.mktemp("teacher") / str(seed) for seed in (1, 2)]
    for seed, folder in enumerate(found):
        random_checkpoint(TOKENIZER, seed).save(folder)
    return found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> TokenDataset:
    """Thirty small chorales."""
    folder = tmp_path_factory.mktemp("chorales")
    for index in range(30):
        generator.write(four_voices(1 + index % 5), folder / f"{index}.mid")
    return prepare(open_corpus(folder), TOKENIZER, progress=False)


def run(dataset: TokenDataset, out: Path, folders: list[Path], **changes: Any) -> Trainer:
    out.mkdir(exist_ok=True)
    teachers = ",".join(map(str, folders)) or None
    return Trainer(dataset, out, TrainingOptions(**SIZES, teachers=teachers, **changes), Console(quiet=True))


def divergence(student: Checkpoint, folders: list[Path]) -> float:
    """The mean Kullback-Leibler divergence of a model from its teachers, in nats a token, on a new piece of theirs."""
    teachers = Teachers(folders, TOKENIZER)
    piece = teachers.pieces(2, seed=5, number=99)[1]
    features = torch.from_numpy(TOKENIZER.grammar.features_before(piece).astype(np.int64))[None]
    inputs = torch.from_numpy(np.concatenate([[TOKENIZER.start], piece[:-1]]).astype(np.int64))[None]
    teachers.begin(1)
    expected = teachers.expect(inputs, torch.ones(1, 1), features)
    assert expected is not None
    network = student.model().eval()
    with torch.no_grad():
        found = network(inputs, network.zero_state(1), features)[0].log_softmax(dim=-1)
    return float((expected * (expected.clamp(min=1e-30).log() - found)).sum(dim=-1).mean())


def test_a_student_comes_nearer_to_its_teachers_than_the_corpus_alone_brings_it(
    dataset: TokenDataset, folders: list[Path], tmp_path: Path
) -> None:
    found = []
    for name, teachers in (("with", folders), ("without", [])):
        trainer = run(dataset, tmp_path / name, teachers, dropout_output=0.0, dropout_embedding=0.0, validations=1)
        trainer.run()
        found.append(divergence(Checkpoint.load(tmp_path / name), folders))
    assert found[0] < 0.5 * found[1]


def test_what_is_expected_is_the_mean_from_window_to_window(folders: list[Path]) -> None:
    teachers = Teachers(folders, TOKENIZER)
    piece = teachers.pieces(4, seed=1, number=0)[0][:48].astype(np.int64)
    features = torch.from_numpy(TOKENIZER.grammar.features_before(piece.astype(np.uint16)).astype(np.int64))[None]
    inputs = torch.from_numpy(piece)[None]
    teachers.begin(1)
    warm = torch.ones(1, 1)
    halves = [teachers.expect(inputs[:, part], warm, features[:, part]) for part in (slice(0, 24), slice(24, 48))]
    whole = torch.zeros(())
    for folder in folders:
        network = Checkpoint.load(folder).model().eval()
        with torch.no_grad():
            whole = whole + network(inputs, network.zero_state(1), features)[0].softmax(dim=-1) / len(folders)
    assert torch.allclose(torch.cat(halves, dim=1), whole, atol=1e-5)  # type: ignore[arg-type]
    cold = teachers.expect(inputs[:, :1], torch.zeros(1, 1), features[:, :1])
    assert cold is not None and torch.allclose(cold, whole[:, :1], atol=1e-5)


def test_teachers_write_whole_pieces_in_equal_parts_and_others_in_each_pass(folders: list[Path]) -> None:
    teachers = Teachers(folders, TOKENIZER)
    pieces = teachers.pieces(6, seed=1, number=0)
    end = TOKENIZER.encode(four_voices())[-1]
    assert len(pieces) == 6 and all(piece[-1] == end or len(piece) == LONGEST_HERE for piece in pieces)
    again = teachers.pieces(6, seed=1, number=0)
    assert all(np.array_equal(one, other) for one, other in zip(pieces, again, strict=True))
    other = teachers.pieces(6, seed=1, number=1)
    assert any(not np.array_equal(one, other) for one, other in zip(pieces, other, strict=True))


def test_a_run_with_teachers_resumes_to_the_same_weights(
    dataset: TokenDataset, folders: list[Path], tmp_path: Path
) -> None:
    whole = run(dataset, tmp_path, folders)
    middle = len(whole.batches) + 2  # in the second pass
    for _ in range(middle):
        whole.update()
    whole.save()
    for _ in range(3):
        whole.update()
    resumed = run(dataset, tmp_path, folders)
    resumed.load()
    for _ in range(3):
        resumed.update()
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_teacher_of_another_corpus_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "words.txt"
    text.write_text("some words and more of them\n" * 200, encoding="utf-8")
    random_checkpoint(CharTokenizer.fit(["other letters"])).save(tmp_path / "teacher")
    assert train.main([str(text), "--out", str(tmp_path / "out"), "--teachers", str(tmp_path / "teacher")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "its tokenizer is not this run's" in said
    assert train.main([str(text), "--out", str(tmp_path / "out"), "--teachers", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
