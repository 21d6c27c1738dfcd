"""What is said about a stream beside it: what was asked and could not be had, and where a run ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator import CarouselError, sample
from generator.music import midi
from generator.music.score import Note, Score, Tempo, Voice
from generator.streaming.engine import Model
from tests.conftest import ROOT, run, tiny

BACH = ROOT / "checkpoints" / "bach"


def test_a_tempo_that_is_not_to_be_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for, or brought by a melody."""
    tune = Score(480, (Voice("Tune"),), (Note(0, 480, 67), Note(480, 480, 69)), tempos=(Tempo(0, 150.0),))
    midi.write(tune, tmp_path / "tune.mid")
    said = "instead of {}: the nearest that this checkpoint knows"
    assert run(BACH, "--tempo", 120, "--tokens", 5) == 0 and said.format(120) in capsys.readouterr().err
    assert run(BACH, "--melody", tmp_path / "tune.mid", "-o", tmp_path / "a.mid") == 0
    assert said.format(150) in capsys.readouterr().err
    assert run(BACH, "--tempo", 72, "--tokens", 5) == 0 and "tempo" not in capsys.readouterr().err


def test_the_interval_that_is_named_brings_a_melody_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever was tried before."""
    notes = tuple(Note(480 * step, 480, pitch) for step, pitch in enumerate((92, 95, 91, 90)))
    midi.write(Score(480, (Voice("Tune"),), notes), tmp_path / "high.mid")
    for tried in ((), ("--transpose", "-12"), ("--transpose", "-60")):
        assert run(BACH, "--melody", tmp_path / "high.mid", *tried, "--tokens", 5) == 2
        interval = capsys.readouterr().err.split("--transpose ")[1].split()[0]
        assert run(BACH, "--melody", tmp_path / "high.mid", "--transpose", interval, "--tokens", 5) == 0
        capsys.readouterr()


def test_going_back_too_far_and_two_ways_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BACH, "--bars", 3, "--save", tmp_path / "a.take") == 0
    capsys.readouterr()
    assert run(BACH, "--resume", tmp_path / "a.take", "--rewind-bars", 99, "--tokens", 5) == 0
    assert "went back to the beginning" in capsys.readouterr().err
    with pytest.raises(CarouselError, match="not by both"):
        Model(tiny("score")).stream().rewind(5, bars=1)


def test_a_choice_that_is_broken_off(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "candidates", interrupted)
    assert run(BACH, "--bars", 2, "--best-of", 2) == 130
    assert "nothing to keep" in capsys.readouterr().err


def test_numbers_and_folders_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flag, value, words in (("--seed", "abc", "abc is no whole number"), ("--top-p", "much", "much is no number")):
        with pytest.raises(SystemExit):
            run(BACH, flag, value)
        assert words in capsys.readouterr().err
    assert run(tmp_path, "--tokens", 5) == 2
    assert "no checkpoint, for it has no config.json" in capsys.readouterr().err


def test_a_pull_of_less_than_nothing() -> None:
    stream = Model(tiny("char")).stream()
    with pytest.raises(CarouselError, match="no fewer tokens than 0"):
        stream.pull(-1)
