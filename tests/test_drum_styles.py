"""The guesses about drummers' styles: what is in the notes is found there, and what is in the split is called so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import styles
from generator.corpora.base import Piece
from generator.music.score import Note, Score, Tempo, Voice

DRUMS = {"rock": (36, 38), "jazz": (51, 44), "jazz fill": (47, 43)}


def piece(style: str, session: str, tempo: int, number: int) -> Piece:
    """Two drums of a style in turn, on the quarters of two bars; of twenty, if the number is odd."""
    drums = DRUMS[style]
    notes = tuple(Note(96 * at, 1, drums[at % 2], 90) for at in range(4 * (20 if number % 2 else 2)))
    score = Score(96, (Voice("Drums", 0, drum=True),), notes, tempos=(Tempo(0, tempo),))
    return Piece(f"{session}/{number}.mid", replace(score, style=style))


CORPUS = [
    *(("train", piece("rock", "one", 90, at)) for at in range(4)),
    *(("train", piece("jazz", "one", 180, at)) for at in range(3)),
    *(("train", piece("jazz", "two", 90, at)) for at in range(2)),
    ("validation", piece("rock", "one", 180, 7)),
    ("test", piece("jazz", "two", 90, 8)),
    ("test", piece("jazz fill", "three", 77, 10)),
]


@pytest.mark.slow
def test_guesses_by_notes_and_by_sessions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(styles, "open_corpus", lambda name: SimpleNamespace(read=lambda: iter(CORPUS)))
    assert styles.main(["fake"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["training"], found["performances"], found["beats"], found["long"]) == (9, 3, 2, 1)
    guesses = found["guesses"]
    # Of two styles jazz has more training pieces. The tempo of its session misleads about the rock beat alone.
    assert guesses["commonest"] == {"share": 0.6667, "beats": 0.5, "fills": 1.0, "long": 0.0}
    assert guesses["tempo_of_session"] == guesses["commonest"]
    for guess in (guesses["nearest"], guesses["regression"], *guesses["without_tempo"].values()):
        assert guess["beats"] == guess["long"] == 1
    # No other session has rock: from them it cannot be known.
    assert guesses["other_sessions"]["nearest"]["long"] == 0


def test_a_tempo_is_looked_up_in_its_own_session() -> None:
    known = [styles.performance(split, one.name, one.content) for split, one in CORPUS if split == "train"]  # type: ignore[arg-type]
    asked = [
        replace(known[0], session=session, tempo=tempo) for session, tempo in (("one", 90.4), ("two", 90), ("", 90))
    ]
    assert styles.tempo_of_session(known, asked) == ["rock", "jazz", "jazz"]


def test_a_corpus_without_styles_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("no drums " * 300)
    assert styles.main([str(text)]) == 2
    assert "no held-out pieces of two styles" in capsys.readouterr().err
