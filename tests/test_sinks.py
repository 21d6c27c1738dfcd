"""Sinks: the suffix chooses, files are whole, and a WAV file sounds what the score says."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import time
import tracemalloc
import wave
from importlib import resources
from pathlib import Path
from typing import Any

import mido
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from generator import sinks
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.instruments import general_midi
from generator.music.score import Note, Pedal, Score, Tempo, TimeSignature, Voice
from generator.sinks import sound as sound_file
from generator.sinks import synthesis

TICKS = 500
"""A quarter, so half a second: a tick is a millisecond."""


def music(*notes: Note, program: int = 0, drum: bool = False, pedals: tuple[Pedal, ...] = ()) -> Score:
    return Score(TICKS, (Voice("Player", program, drum),), notes, pedals=pedals)


def chorale(seconds: int, program: int = 0) -> Score:
    notes = tuple(
        Note(500 * beat, 500, pitch + (0, 2, 4, 5, 7)[beat % 5], 80, voice)
        for beat in range(2 * seconds)
        for voice, pitch in enumerate((72, 67, 60, 48))
    )
    voices = tuple(Voice(name, program) for name in ("Soprano", "Alto", "Tenor", "Bass"))
    return Score(TICKS, voices, notes, (TimeSignature(0, 4, 4),), (Tempo(0, 120.0),), title="Chorale")


def sound(score: Score, block_frames: int = synthesis.BLOCK_FRAMES) -> npt.NDArray[np.float32]:
    return np.concatenate(list(synthesis.render(score, block_frames=block_frames)))


def level(samples: npt.NDArray[np.float32], start: float, end: float) -> float:
    """Root mean square between two times in seconds, in dB."""
    part = samples[int(start * synthesis.SAMPLE_RATE) : int(end * synthesis.SAMPLE_RATE)].astype(np.float64)
    return float(10 * np.log10(np.sum(part**2) / ((end - start) * synthesis.SAMPLE_RATE * 2) + 1e-20))


# The table.


def test_each_suffix_writes_its_kind_of_file(tmp_path: Path) -> None:
    starts = {
        ".txt": b"To be",
        ".mid": b"MThd",
        ".MIDI": b"MThd",
        ".wav": b"RIFF",
        ".ogg": b"OggS",
        ".flac": b"fLaC",
        ".musicxml": b"<?xml",
        ".xml": b"<?xml",
        ".svg": b"<svg",
        ".pdf": b"%PDF",
        ".abc": b"%abc",
    }
    assert {suffix.lower() for suffix in starts} == set(sinks.SINKS)
    score = chorale(2)
    for suffix, start in starts.items():
        path = tmp_path / f"out{suffix}"
        sinks.write("To be, or not" if suffix == ".txt" else score, str(path))
        assert path.read_bytes().startswith(start), suffix
        first = path.read_bytes()
        sinks.write("To be, or not" if suffix == ".txt" else score, path)
        assert path.read_bytes() == first, "the same piece gives the same bytes"
    assert len(list(tmp_path.iterdir())) == len(starts), "nothing else is left behind"


@pytest.mark.parametrize(
    ("piece", "name", "words"),
    [
        ("text", "out.mid", r"out\.mid: text cannot be written as \.mid; use \.txt$"),
        ("text", "out", r"a file without a suffix; use \.txt"),
        (chorale(1), "out.txt", r"\.txt; use \.mid \.midi \.wav \.ogg \.flac \.musicxml \.xml \.abc \.svg \.pdf$"),
        (chorale(1), "out.mp3", r"music cannot be written as \.mp3; use \.mid"),
        (music(), "out.mid", "there are no notes"),
        (music(), "out.wav", "there are no notes"),
        (chorale(1), "nowhere/out.svg", "the folder .*nowhere does not exist"),
        ("half \ud83d", "out.txt", "character 6 is half of a surrogate pair"),
    ],
)
def test_what_cannot_be_written_is_refused_in_words(tmp_path: Path, piece: str | Score, name: str, words: str) -> None:
    with pytest.raises(CarouselError, match=words) as caught:
        sinks.write(piece, tmp_path / name)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("piece", "suffix"), [("a text", ".txt"), (chorale(2), ".mid"), (chorale(2), ".WAV")])
def test_an_open_file_gets_the_same_bytes(tmp_path: Path, piece: str | Score, suffix: str) -> None:
    sinks.write(piece, tmp_path / f"a{suffix}")
    expected = (tmp_path / f"a{suffix}").read_bytes()
    held = io.BytesIO(b"before")
    held.seek(0, io.SEEK_END)
    sinks.write(piece, held, suffix)
    assert held.getvalue() == b"before" + expected
    with (tmp_path / "b").open("wb") as file:
        sinks.write(piece, file, suffix)
        file.write(b"after")
    assert (tmp_path / "b").read_bytes() == expected + b"after"


def test_an_open_file_that_takes_no_more_is_a_line() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if len(data):
                raise OSError(28, "No space left on device")
            return 0

    with pytest.raises(CarouselError, match=r"^piece\.txt: cannot write: No space left on device; "):
        sinks.write("text", Full(), ".txt")


def closed() -> io.BytesIO:
    file = io.BytesIO()
    file.close()
    return file


@pytest.mark.parametrize(
    ("file", "suffix", "words"),
    [
        (io.BytesIO(), "", r"^an open file does not say what it is to hold; give a suffix, such as \.mid$"),
        (io.BytesIO(), ".mid", r"^piece\.mid: text cannot be written as \.mid; use \.txt$"),
        (io.StringIO(), ".txt", "^cannot write to StringIO; give a path, or a file that is open to write bytes$"),
        (closed(), ".txt", "^cannot write to BytesIO; "),
        (7, ".txt", "^cannot write to int; "),
    ],
)
def test_a_file_that_is_none_or_of_another_kind(file: Any, suffix: str, words: str) -> None:
    with pytest.raises(CarouselError, match=words):
        sinks.write("text", file, suffix)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.wav"
    path.write_text("old")

    def fail(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        raise RuntimeError("the power is cut")

    monkeypatch.setattr(sound_file, "limit", fail)
    with pytest.raises(RuntimeError):
        sinks.write(chorale(1), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_untouched(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "text.txt"
    sinks.write(text, path)
    assert path.read_bytes() == text.encode()


def test_a_midi_file_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "out.mid"
    score = chorale(4, program=52)
    sinks.write(score, path)
    assert midi.read(path).notes == score.notes
    assert mido.MidiFile(path).length == pytest.approx(4.0)


# Sound.


def test_a_wav_file_is_16_bit_stereo_and_ends_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    sinks.write(chorale(2), path)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 44100)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert 2.0 < len(samples) / 44100 < 5.0
    assert np.abs(samples).max() > 3000
    assert np.abs(samples[-100:]).max() <= 1


@pytest.mark.parametrize("program", [0, 6, 11, 40, 42, 70, 71])
@pytest.mark.parametrize("pitch", [48, 57, 60, 72])
def test_notes_are_in_tune(program: int, pitch: int) -> None:
    """The strongest partial is within 10 cents of where the pitch puts it."""
    samples = sound(music(Note(0, 1500, pitch, 100), program=program))[8820 : 8820 + 2**15].mean(axis=1)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 2**19))
    frequencies = np.fft.rfftfreq(2**19, 1 / synthesis.SAMPLE_RATE)
    peak = frequencies[np.argmax(spectrum)]
    fundamental = 440 * 2 ** ((pitch - 69) / 12)
    partial = round(peak / fundamental)
    assert 1 <= partial <= 8
    assert abs(1200 * np.log2(peak / (partial * fundamental))) < 10


def test_velocity_is_loudness() -> None:
    levels = [level(sound(music(Note(0, 500, 60, velocity))), 0, 0.5) for velocity in (20, 40, 80, 127)]
    # 40 log10 of the velocity's ratio, in dB.
    assert np.diff(levels) == pytest.approx([12.04, 12.04, 8.03], abs=0.1)


def test_a_held_note_sounds_on_and_ends_after_its_release() -> None:
    """A clarinet's recording is 30 ms long; it loops for as long as the key is down."""
    samples = sound(music(Note(0, 6000, 60, 100), program=71))
    assert max(len(zone.samples) for zone in general_midi().zones_for(71)) < 3000
    assert level(samples, 5.5, 6.0) == pytest.approx(level(samples, 0.5, 1.0), abs=1.0)
    assert level(samples, 6.25, 6.35) < level(samples, 5.5, 6.0) - 60
    assert len(samples) / synthesis.SAMPLE_RATE < 7.5


def test_the_pedal_holds_and_the_next_strike_lets_go() -> None:
    short, held = Note(0, 250, 60, 100), (Pedal(0, True), Pedal(2000, False))
    dry, wet = sound(music(short)), sound(music(short, pedals=held))
    assert level(wet, 1.5, 2.0) > level(dry, 1.5, 2.0) + 40
    assert level(wet, 2.8, 3.0) < level(wet, 1.5, 2.0) - 40, "up, the dampers fall"
    struck = sorted(
        synthesis.zone_notes(music(short, Note(1000, 250, 60, 100), pedals=held), general_midi()),
        key=lambda s: s.start_seconds,
    )
    assert [strike.stop_seconds for strike in struck] == [1.0, 2.0]
    forgotten = synthesis.zone_notes(music(short, Note(500, 250, 62), pedals=held[:1]), general_midi())
    assert {strike.stop_seconds for strike in forgotten} == {0.75}, "a pedal that is never lifted ends with the piece"


def test_the_end_of_a_piece_is_looked_for_once_not_for_each_note(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    end_ticks = Score.end_ticks.fget
    monkeypatch.setattr(Score, "end_ticks", property(lambda score: asked.append(score) or end_ticks(score)))
    assert len(synthesis.zone_notes(chorale(20), general_midi())) >= 160
    assert len(asked) == 1


def test_a_closed_hi_hat_cuts_an_open_one_off() -> None:
    opened, closed = Note(0, 100, 46, 100), Note(500, 100, 42, 100)
    alone = sound(music(opened, drum=True))
    both = sound(music(opened, closed, drum=True))
    only = sound(music(Note(500, 100, 42, 100), drum=True))
    assert level(alone, 1.5, 2.0) > level(only, 1.5, 2.0) + 10
    assert level(both, 1.5, 2.0) == pytest.approx(level(only, 1.5, 2.0), abs=0.1)


@pytest.mark.parametrize("program", [0, 48, 127])
def test_blocks_do_not_matter(program: int) -> None:
    score = chorale(1, program)
    whole, pieces = sound(score), sound(score, block_frames=1000)
    frames = min(len(whole), len(pieces))
    assert np.array_equal(whole[:frames], pieces[:frames])
    assert not whole[frames:].any() and not pieces[frames:].any()


@given(arrays(np.float32, (50, 2), elements=st.floats(-100, 100, width=32)))
def test_the_limiter_never_clips_and_leaves_quiet_music_alone(block: npt.NDArray[np.float32]) -> None:
    limited = sound_file.limit(block)
    assert np.abs(limited).max() <= 1.0
    quiet = np.abs(block) <= sound_file.KNEE
    assert np.array_equal(limited[quiet], block[quiet])
    order = np.argsort(block, axis=None)
    assert (np.diff(limited.ravel()[order]) >= 0).all()


def test_memory_does_not_grow_with_the_music() -> None:
    def peak(minutes: int) -> int:
        notes = tuple(Note(60_000 * minute, 400, 60, 80) for minute in range(minutes))
        tracemalloc.start()
        for _ in synthesis.render(music(*notes)):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    next(synthesis.render(music(Note(0, 10, 60))))  # the kernel is compiled and the soundfont read
    assert peak(60) < peak(1) + 2**18 < 2**22


@pytest.mark.parametrize("begin", [0, 40, 2500])
@pytest.mark.parametrize("length_ticks", [0, 4000])
def test_a_wav_file_begins_with_its_first_note(tmp_path: Path, begin: int, length_ticks: int) -> None:
    """A pickup does not wait for the bar that it leads to; MIDI keeps the bar."""
    path, organ = tmp_path / "out.wav", Voice("Organ", 19)
    score = Score(TICKS, (organ,), (Note(begin, 500, 60),), length_ticks=length_ticks)
    sinks.write(score, path)
    with wave.open(str(path)) as file:
        samples = np.abs(np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)).max(axis=1)
    assert np.argmax(samples > 30) <= 0.1 * 44100
    if length_ticks:
        assert len(samples) == round((4.0 - max(0.0, begin / 1000 - 0.05)) * 44100)
    sinks.write(score, tmp_path / "out.mid")
    assert midi.read(tmp_path / "out.mid").notes[0].start_ticks == begin


def test_too_long_for_a_wav_file(tmp_path: Path) -> None:
    with pytest.raises(CarouselError, match=r"holds 6\.7 hours, not 10\.0"):
        sinks.write(music(Note(0, 36_000_000, 60)), tmp_path / "long.wav")


def test_a_chorale_renders_at_least_20_times_as_fast_as_it_plays() -> None:
    score = chorale(20)
    next(synthesis.render(score))
    began = time.process_time()
    samples = sound(score)
    assert time.process_time() - began < 1.0
    assert np.abs(samples).max() < sound_file.KNEE, "four voices need no limiter"


@pytest.mark.skipif(not (shutil.which("fluidsynth") or os.environ.get("CI")), reason="fluidsynth is not installed")
@pytest.mark.parametrize("program", [0, 6, 24, 40, 73])
def test_fluidsynth_agrees(tmp_path: Path, program: int) -> None:
    """The same spectrum, octave by octave, and the same course over time, but for one common gain."""
    score = music(Note(0, 2000, 60, 100), program=program)
    sinks.write(score, tmp_path / "note.mid")
    font = str(resources.files("pretty_midi") / "TimGM6mb.sf2")
    options = ["-ni", "-R", "0", "-C", "0", "-g", "1", "-r", "44100", "-T", "wav", "-F", str(tmp_path / "note.wav")]
    subprocess.run(["fluidsynth", *options, font, str(tmp_path / "note.mid")], check=True, capture_output=True)
    with wave.open(str(tmp_path / "note.wav")) as file:
        theirs = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768
    ours = sound(score)

    def bands(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        power = np.abs(np.fft.rfft(samples[:66150].mean(axis=1))) ** 2
        frequencies = np.fft.rfftfreq(66150, 1 / 44100)
        edges = 180 * 2.0 ** np.arange(7)
        return np.array([power[(frequencies >= low) & (frequencies < 2 * low)].sum() for low in edges])

    one, other = 10 * np.log10(bands(ours)), 10 * np.log10(bands(theirs))
    heard = other > other.max() - 40
    assert np.ptp((one - other)[heard]) < 1.5
    times = [level(ours, at, at + 0.5) - level(theirs, at, at + 0.5) for at in (0.0, 0.5, 1.0)]
    assert np.ptp(times) < 1.5
