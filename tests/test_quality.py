"""Is it music? What the shipped checkpoints write holds up beside what they learned from."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.music import midi
from generator.streaming.engine import Model, load
from tests.conftest import ROOT, four_voices, tiny

benchmark = importlib.import_module("benchmarks.music")

PIECES = 200
TEMPERATURE = 0.9


def figures(name: str, corpus: str) -> dict[str, dict[str, Any]]:
    """Of a shipped checkpoint, beside its corpus."""
    model = load(ROOT / "checkpoints" / name)
    dataset = prepare(open_corpus(corpus), model.tokenizer, progress=False)
    found: dict[str, dict[str, Any]] = benchmark.compare(model, dataset, PIECES, temperature=TEMPERATURE)
    return found


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_bach_writes_chorales() -> None:
    found = figures("bach", "bach-chorales")
    written, learned = found["generated"], found["train"]
    assert written["scale_consistency"] == pytest.approx(learned["scale_consistency"], abs=0.05)
    assert written["voices_sounding"] >= 0.90
    assert written["notes_in_range"] == 1.0
    assert written["tonic_ending"] >= 0.60


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_folk_writes_tunes() -> None:
    assert figures("folk", "folk-tunes")["generated"]["whole_bars"] >= 0.95


def test_the_figures_of_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four voices that never rest, of whole bars; and a model that has learned nothing of them."""
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    for index in range(4):
        midi.write(four_voices(4 + index), tmp_path / f"{index}.mid")
    model = Model(tiny("score"))
    dataset = prepare(open_corpus(tmp_path), model.tokenizer, progress=False)
    found = benchmark.compare(model, dataset, 3, temperature=TEMPERATURE)
    perfect = {"voices_sounding": 1.0, "notes_in_range": 1.0, "whole_bars": 1.0}
    assert perfect.items() <= found["train"].items() and perfect.items() <= found["validation"].items()
    assert (found["train"]["pieces"], found["validation"]["pieces"], found["generated"]["pieces"]) == (3, 1, 3)
    assert found["generated"]["voices_sounding"] < 0.5
