"""A file made with --seconds lasts so long: no note outlasts it, silence counts. A WAV begins with its first note."""

from __future__ import annotations

import hashlib
import wave
from dataclasses import asdict, replace
from pathlib import Path

import mido
import numpy as np
import pytest

import generator
from generator import tokenizers
from generator.cli import takes
from generator.foundation.options import SamplingOptions
from generator.music import midi
from generator.music.score import Note, Score, Tempo, Voice
from generator.streaming.lengths import last_tick, until_seconds
from generator.streaming.origin import Cut
from generator.streaming.snapshot import Snapshot
from generator.tokenizers import KINDS
from tests.conftest import ROOT, music_for, run, tiny

MUSIC = [kind for kind in KINDS if kind != "char"]
BELOW = {"score": 0.6, "performance": 0.01, "frames": 0.4, "drums": 0.01}
"""Seconds by which a file may be shorter: under a tick of the decoder, at the slowest tempo."""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with checkpoints of every kind, in which commands run."""
    for kind in KINDS:
        tiny(kind).save(tmp_path / "checkpoints" / kind)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seconds(path: str) -> float:
    """How long a MIDI or WAV file lasts, as other readers have it."""
    if path.endswith(".mid"):
        return float(mido.MidiFile(path).length)
    with wave.open(path) as file:
        return file.getnframes() / file.getframerate()


def ends_of_notes(path: str) -> float:
    score = midi.read(Path(path))
    return score.clock().seconds(score.end_ticks)


def first_note(path: str) -> float:
    score = midi.read(Path(path))
    return score.clock().seconds(score.notes[0].start_ticks)


@pytest.mark.parametrize("kind", MUSIC)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_file_lasts_as_long_as_was_asked(house: Path, kind: str, seed: int) -> None:
    for suffix in ("mid", "wav"):
        assert run(f"checkpoints/{kind}", "--seed", seed, "--seconds", 7.3, "-o", f"a.{suffix}") == 0
    assert 7.3 - BELOW[kind] < seconds("a.mid") <= 7.3 + 1e-4
    assert seconds("a.wav") == pytest.approx(seconds("a.mid") - max(0.0, first_note("a.mid") - 0.05), abs=1e-2)
    assert ends_of_notes("a.mid") <= 7.3 + 1e-4
    assert run("--replay", "a.mid") == 0


@pytest.mark.parametrize("kind", MUSIC)
def test_seconds_count_from_the_end_of_the_primer_or_the_take(house: Path, kind: str) -> None:
    slow = replace(music_for(kind, 2), tempos=(Tempo(0, 60.0),))
    midi.write(slow, house / "mine.mid")
    model = generator.load(f"checkpoints/{kind}")
    primed = model.stream(slow, seed=4)
    primer = primed.history()
    clock = slow.clock() if model.tokenizer.bar_lines else primer.clock()  # a song keeps its tempo in the file
    start = clock.seconds(max(primer.end_ticks, primed.now_ticks) * clock.ticks_per_quarter // primer.ticks_per_quarter)
    command = (f"checkpoints/{kind}", "--seed", 4, "--prime", "mine.mid", "--seconds", 5)
    assert run(*command, "-o", "a.mid", "--save", "a.take") == 0
    assert start + 5 - BELOW[kind] < seconds("a.mid") <= start + 5 + 1e-3
    stream = model.resume(Snapshot.load("a.take"))
    past: Score = stream.history()
    stood = past.clock().seconds(stream.now_ticks * past.ticks_per_quarter // stream.engine.tokenizer.ticks_per_quarter)
    assert stood >= start + 5 - BELOW[kind]
    assert run("--resume", "a.take", "--seconds", 4, "-o", "b.mid") == 0
    assert stood + 4 - BELOW[kind] < seconds("b.mid") <= stood + 4 + 1e-3
    assert run("--replay", "a.mid") == run("--replay", "b.mid") == 0


def test_long_notes_are_cut_and_silence_is_kept() -> None:
    tokenizer = tiny("score").tokenizer
    origin = generator.load(ROOT / "checkpoints" / "bach").stream().snapshot()
    quarter = tokenizer.ticks_per_quarter
    events = [Tempo(0, 60.0), Note(0, 9 * quarter, 60), Note(quarter, quarter, 64), Note(6 * quarter, quarter, 67)]
    piece = takes.piece_of(tokenizer, events, origin, Cut(5 * quarter))
    assert isinstance(piece, Score)
    assert [(note.start_ticks, note.duration_ticks) for note in piece.notes] == [(0, 5 * quarter), (quarter, quarter)]
    quiet = takes.piece_of(tokenizer, events[2:3], origin, Cut(5 * quarter))
    assert isinstance(quiet, Score)
    assert quiet.end_ticks == 5 * quarter


def test_a_piece_that_ends_before_is_as_long_as_it_is(house: Path) -> None:
    """Nothing follows a melody's end, so no silence is made up after it."""
    notes = tuple(Note(480 * step, 480, pitch) for step, pitch in enumerate((67, 69, 71, 72)))
    midi.write(Score(480, (Voice("Tune"),), notes, tempos=(Tempo(0, 60.0),)), house / "tune.mid")
    bach = ROOT / "checkpoints" / "bach"
    for length, name in (((), "whole.mid"), (("--seconds", 60), "long.mid"), (("--seconds", 2), "short.mid")):
        assert run(bach, "--melody", "tune.mid", *length, "-o", name) == 0
    assert seconds("whole.mid") == pytest.approx(seconds("long.mid"), abs=1e-3)
    assert 1.8 < seconds("short.mid") <= 2


def test_the_sound_of_a_cut_piece_dies_away(tmp_path: Path) -> None:
    """Its last frames fall to nothing, and up to the last hundredth of a second it is as if it went on."""
    whole = Score(100, (Voice("Organ", 19),), (Note(0, 400, 60),), tempos=(Tempo(0, 60.0),))
    frames = []
    for name, score in (("whole", whole), ("cut", replace(whole, length_ticks=400))):
        generator.write(score, tmp_path / f"{name}.wav")
        with wave.open(str(tmp_path / f"{name}.wav")) as file:
            frames.append(np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2))
    assert len(frames[1]) == 4 * 44100 < len(frames[0])
    assert (frames[0][: 4 * 44100 - 441] == frames[1][:-441]).all()
    assert np.abs(frames[1][-1]).max() < np.abs(frames[1][-500:-441]).max() / 50


# SHA-256 of the file of `sample checkpoints/NAME --seed 3 --seconds 9`, as versions before notes were cut wrote it; of
# the bach that reads features, as they would have.
BEFORE = {
    "bach": "ac8c9e3a19142aa2452001ce7b07550aa6784751471b2360393b243392e7fd28",
    "piano": "ec4a422c50ecb886078da03fe5a3a7a426a2ccf2e275655152c4bf02039eecde",
}


@pytest.mark.parametrize("name", BEFORE)
def test_files_that_were_cut_before_come_out_as_they_were(name: str, tmp_path: Path) -> None:
    options = asdict(SamplingOptions(seed=3))
    stream = generator.load(ROOT / "checkpoints" / name).stream(**options)
    tokenizer = tokenizers.from_json(stream.engine.tokenizer.to_json())  # which has no other instruments
    clock = Score(stream.engine.tokenizer.ticks_per_quarter, (), ()).clock()
    events = list(until_seconds(stream, 9.0, clock, 1))
    cut = Cut(clock.ticks(9.0), overhangs=True)
    old = takes.piece_of(tokenizer, events, stream.snapshot(), cut, landmarks=False)
    assert isinstance(old, Score)
    midi.write(old, tmp_path / "old.mid")
    assert hashlib.sha256((tmp_path / "old.mid").read_bytes()).hexdigest() == BEFORE[name]
    assert run("--replay", tmp_path / "old.mid") == 0


def test_the_last_tick_within_a_time() -> None:
    clock = Score(10, (), (), tempos=(Tempo(0, 60.0), Tempo(20, 120.0))).clock()
    assert [last_tick(clock, seconds) for seconds in (0.0, 0.1, 0.15, 1.99, 2.0, 2.04, 2.05, 3.0)] == [
        0, 1, 1, 19, 20, 20, 21, 40,
    ]  # fmt: skip
