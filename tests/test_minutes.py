"""A length in minutes is that of the whole run, on a clock that the work itself drives."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from generator import train
from generator.corpora.dataset import TokenDataset
from generator.evaluate import evaluate
from generator.foundation.recipes import TrainingOptions
from generator.model.lstm import LanguageModel
from generator.training import card, minutes, trainer
from generator.training.run_folder import METRICS, read_state

COMPILING, DRAWING, UPDATE = 15.0, 1.0, 0.5


class Clock:
    """Seconds that pass when something is done, `reading` of them for each step of reading, however many lanes."""

    def __init__(self, patch: pytest.MonkeyPatch, reading: float) -> None:
        self.seconds, self.reading, self.compiling = 1000.0, reading, COMPILING
        self._cost(patch, trainer.Trainer, "update", lambda *_, **__: UPDATE)
        self._cost(patch, card, "sample", lambda *_, **__: DRAWING + self._compile())
        self._cost(patch, LanguageModel, "negative_log_likelihood", self._read)
        for module in (trainer, minutes):
            patch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.seconds))

    def _cost(self, patch: pytest.MonkeyPatch, owner: Any, name: str, cost: Any) -> None:
        work = getattr(owner, name)

        def counted(*given: Any, **more: Any) -> Any:
            self.seconds += cost(*given, **more)
            return work(*given, **more)

        patch.setattr(owner, name, counted)

    def _compile(self) -> float:
        took, self.compiling = self.compiling, 0.0
        return took

    def _read(self, model: Any, tokens: Any, start: int, *, lanes: int = 1, **_: Any) -> float:
        return self.reading * (len(tokens) // lanes)


RECIPE: dict[str, Any] = {"hidden_size": 8, "embedding_dim": 8, "lanes": 2, "window": 8, "patience": 1000}


@pytest.mark.parametrize(
    ("reading", "asked", "lanes", "rows"),
    [(0.001, 3.0, 1, 20), (0.02, 3.0, 16, 2), (0.02, 20.0, 1, 16)],
    ids=["quick to read", "slow to read", "slow and long"],
)
def test_a_run_takes_the_minutes_it_is_given(
    novel: TokenDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    reading: float,
    asked: float,
    lanes: int,
    rows: int,
) -> None:
    clock = Clock(monkeypatch, reading)
    made = train.train(novel, tmp_path / "model", TrainingOptions(minutes=asked, **RECIPE))
    took = clock.seconds - 1000.0
    assert abs(took - 60 * asked) < 2 * DRAWING, took
    assert len((tmp_path / "model" / METRICS).read_text().splitlines()) == rows
    score = json.loads(made.card.split("```json\n")[1].split("```")[0])[0]
    assert score["convention"].startswith("one carried stream" if lanes == 1 else "16 streams side by side, each")
    assert "more than asked" not in capsys.readouterr().err


def test_half_of_it_is_for_training_and_what_comes_on_top_is_said(
    novel: TokenDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    clock = Clock(monkeypatch, 0.02)
    made = train.train(novel, tmp_path / "model", TrainingOptions(minutes=0.5, **RECIPE))
    said = " ".join(capsys.readouterr().err.split())
    counters = read_state(tmp_path / "model")[0]["counters"]
    assert counters["limit"] == 15.0 and counters["step"] == 30
    assert f"of the {len(novel.split('validation').tokens):,} tokens the first 4,096" in made.card
    over = clock.seconds - 1000.0 - 30
    told = int(said.split(" s more than asked")[0].split()[-1])
    assert "15 s of training, then about" in said and abs(over - told) < 2 * DRAWING


def test_a_resumed_run_keeps_its_plan(novel: TokenDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch, 0.02)
    train.train(novel, tmp_path / "model", TrainingOptions(minutes=2.0, **RECIPE))
    counters = read_state(tmp_path / "model")[0]["counters"]
    train.train(novel, tmp_path / "model", TrainingOptions(minutes=2.0, **RECIPE), resume=True)
    assert read_state(tmp_path / "model")[0]["counters"] == counters, "there is nothing more to do"


def test_lanes_are_scored_as_what_they_are(novel: TokenDataset, tmp_path: Path) -> None:
    options = TrainingOptions(steps=2, validations=1, **RECIPE)
    checkpoint = train.train(novel, tmp_path / "model", options)
    alone, beside = (evaluate(checkpoint, novel, "validation", lanes=lanes) for lanes in (1, 16))
    assert alone["convention"] == "one carried stream from a cold start, END tokens included"
    assert beside["convention"] == "16 streams side by side, each carried from a cold start, END tokens included"
    assert beside["tokens"] == alone["tokens"] == len(novel.split("validation").tokens)
    beginning = evaluate(checkpoint, novel, "validation", reading=1000)
    assert beginning["convention"] == f"{alone['convention']}; of the {alone['tokens']:,} tokens the first 1,000"
    assert beginning["tokens"] == 1000
    assert 0 < abs(beside["nats_per_token"] - alone["nats_per_token"]) < 0.05
