"""MIDI files: what is written comes back tick by tick, and no bytes whatever break the reader."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mido
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import omitted
from generator.music import midi
from generator.music.score import Note, Pedal, Score, Tempo, TimeSignature, Voice
from generator.music.voices import one_at_a_time, without_overlaps

ticks = st.integers(0, 5000)
notes = st.builds(
    Note, ticks, st.integers(1, 400), st.integers(0, 127), velocity=st.integers(1, 127), voice=st.integers(0, 2)
)


@st.composite
def scores(draw: st.DrawFn) -> Score:
    voices = tuple(
        Voice(draw(st.sampled_from(["Flöte", "Bass", "笛"])), draw(st.integers(0, 127)), drum)
        for drum in (False, True, False)
    )
    found = without_overlaps([*draw(st.lists(notes, max_size=40)), *(Note(9000, 10, 60, voice=v) for v in range(3))])
    metres = {
        t: TimeSignature(t, n, 2**d)
        for t, n, d in draw(st.lists(st.tuples(ticks, st.integers(1, 16), st.integers(0, 5))))
    }
    tempos = {t: Tempo(t, 60e6 / m) for t, m in draw(st.lists(st.tuples(ticks, st.integers(60_000, 4_000_000))))}
    downs = sorted(draw(st.sets(st.integers(0, 4000), max_size=6)))
    pedals = [Pedal(tick, index % 2 == 0, 0) for index, tick in enumerate(downs[: len(downs) // 2 * 2])]
    return Score.from_events(
        [*found, *metres.values(), *tempos.values(), *pedals],
        ticks_per_quarter=draw(st.sampled_from([1, 12, 50, 96, 480, 960, 10080])),
        voices=voices,
        title="a title",
    )


@given(scores())
def test_what_is_written_comes_back(score: Score) -> None:
    data = midi.to_bytes(score)
    assert data == midi.to_bytes(score)
    back = midi.read(data, "a title.mid")
    scale = back.ticks_per_quarter // score.ticks_per_quarter
    assert back.ticks_per_quarter == scale * score.ticks_per_quarter >= 480
    assert back.voices == score.voices
    assert back.title == score.title
    assert back.notes == tuple(
        Note(n.start_ticks * scale, n.duration_ticks * scale, n.pitch, n.velocity, n.voice) for n in score.notes
    )
    assert back.pedals == tuple(Pedal(p.start_ticks * scale, p.down, p.voice) for p in score.pedals)
    assert back.time_signatures == tuple(
        TimeSignature(m.start_ticks * scale, m.numerator, m.denominator) for m in score.time_signatures
    )
    assert [t.start_ticks for t in back.tempos] == [t.start_ticks * scale for t in score.tempos]
    for before, after in zip(score.tempos, back.tempos, strict=True):
        assert after.quarters_per_minute == pytest.approx(before.quarters_per_minute, rel=1e-5)


def piece(voices: int = 3, drum: int = 1) -> Score:
    names = tuple(Voice(f"Voice {index}", 40 + index, index == drum) for index in range(voices))
    found = tuple(Note(480 * index, 240, 60 + index, voice=index) for index in range(voices))
    return Score(480, names, found, (TimeSignature(0, 3, 4),), (Tempo(0, 90.0), Tempo(960, 60.0)))


def test_a_track_a_voice_and_a_conductor() -> None:
    file = mido.MidiFile(file=io.BytesIO(midi.to_bytes(piece())))
    assert file.type == 1
    assert [message.type for message in file.tracks[0]] == ["time_signature", "set_tempo", "set_tempo", "end_of_track"]
    assert [track.name for track in file.tracks[1:]] == ["Voice 0", "Voice 1", "Voice 2"]
    instruments = [m.name for track in file.tracks for m in track if m.type == "instrument_name"]
    assert instruments == ["Violin", "Drums", "Cello"], "General MIDI's names of programs 40 and 42"
    assert [{m.channel for m in track if not m.is_meta} for track in file.tracks[1:]] == [{0}, {9}, {1}]
    assert file.length == pytest.approx(2 * 60 / 90 + 0.5 * 60 / 60)


def test_pretty_midi_reads_it() -> None:
    read = pretty_midi.PrettyMIDI(io.BytesIO(midi.to_bytes(piece())))
    assert [(i.program, i.is_drum, i.name) for i in read.instruments] == [
        (40, False, "Voice 0"),
        (41, True, "Voice 1"),
        (42, False, "Voice 2"),
    ]
    assert read.instruments[2].notes[0].start == pytest.approx(2 * 60 / 90)


def test_channel_nine_is_left_to_the_drums() -> None:
    file = mido.MidiFile(file=io.BytesIO(midi.to_bytes(piece(voices=15, drum=-1))))
    assert [track[2].channel for track in file.tracks[1:]] == [*range(9), *range(10, 16)]
    with pytest.raises(CarouselError, match="more than 15 pitched voices"):
        midi.to_bytes(piece(voices=16, drum=-1))


def test_a_note_ends_before_the_next_of_its_pitch_begins() -> None:
    score = Score(480, (Voice("Piano"),), (Note(0, 480, 60), Note(480, 480, 60)))
    kinds = [m.type for m in mido.MidiFile(file=io.BytesIO(midi.to_bytes(score))).tracks[1]]
    assert kinds[3:-1] == ["note_on", "note_off", "note_on", "note_off"]


def test_writing_needs_a_folder(tmp_path: Path) -> None:
    midi.write(piece(), tmp_path / "a.mid")
    assert midi.read(tmp_path / "a.mid").title == "a"
    with pytest.raises(CarouselError, match="does not exist"):
        midi.write(piece(), tmp_path / "none" / "a.mid")


HEADER = b"MThd\0\0\0\6\0\1\0\1\1\xe0"


def track(body: bytes) -> bytes:
    return HEADER + b"MTrk" + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"MThd", "damaged"),
        (b"garbage" * 100, "not a MIDI file"),
        (midi.to_bytes(piece())[:-20], "damaged"),
        (HEADER[:10] + b"\0\0\1\xe0", "no notes"),
        (track(b"\0\xff\x2f\0"), "no notes"),
        (HEADER[:12] + b"\0\0" + track(b"\0\x90\x3c\x40\x40\x80\x3c\0\0\xff\x2f\0")[14:], "damaged|out of range"),
        (track(b"\xff\xff\xff\x7f\x90\x3c\x40\x40\x80\x3c\0\0\xff\x2f\0"), "out of range"),
        (bytes(midi.MAX_BYTES + 1), "too large"),
    ],
    ids=["empty", "head", "garbage", "truncated", "0 tracks", "no notes", "0 ticks", "far", "large"],
)
def test_bad_files_are_refused_in_a_line(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.mid"
    path.write_bytes(data)
    with pytest.raises(CarouselError, match=words) as caught:
        midi.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value) and "()" not in str(caught.value)
    with pytest.raises(CarouselError, match=r"upload\.mid"):
        midi.read(data, "upload.mid")


NOTE, LATER, END = b"\0\x90\x3c\x40\x60\x80\x3c\x40", b"\x10\x90\x40\x40\x60\x80\x40\x40", b"\0\xff\x2f\0"


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        (b"\0\xb0\x07\xc8", ["1 value above 127 taken for 127"]),
        (b"\0\xb0\x07\x40\0\x07\xff", ["1 value above 127 taken for 127"]),
        (b"\0\xb0\xc8\x07", ["1 damaged message passed over"]),
        (b"\0\xc0\x90\0\xf4\0\xf5", ["3 damaged messages passed over"]),
        (b"\0\x90\xbc\x40", ["1 damaged message passed over"]),
        (b"\0\xf1\x05\0\xf2\x05\x06\0\xf6\0\xf3\x05\0\x90\xbc\x40", ["1 damaged message passed over"]),
        (b"\0\xff\x51\2\4\2", ["1 damaged message passed over"]),
        (b"\0\xff\x51\0\0\xb0\x07\xc8", ["1 damaged message passed over", "1 value above 127 taken for 127"]),
        (b"\0\xff\x58\2\4\2", ["1 damaged message passed over"]),
        (b"\0\xf0\3\x7e\x7f\xf7\0\xb0\x07\xc8", ["1 value above 127 taken for 127"]),
        (b"\0\xff\x58\4\4\xc8\x18\x08", ["1 time signature left out: invalid, or at the same time as another one"]),
        (b"\0\xff\x51\3\0\0\0", ["1 tempo left out: invalid, or at the same time as another one"]),
        (b"\0\xff\x51\3\4\0\0\0\xff\x51\3\4\0\0", []),
        (b"\0\xff\1\2\xff\x51", []),
        (b"\0\xe0\0\x50", ["1 pitch bend left out"]),
        (b"\0\xb0\x40\x40", ["1 pedal left out: it is never lifted"]),
        (b"\0\xb0\x40\x7f\0\xb0\x40\x3f\0\xb0\x07\x7f", []),
    ],
)
def test_a_slip_does_not_refuse_a_song(slip: bytes, said: list[str]) -> None:
    """As a player plays on; and it is said."""
    score = midi.read(track(NOTE + slip + LATER + END))
    assert score.notes == (Note(0, 96, 60, 64), Note(112, 96, 64, 64))
    assert [str(sentence).removeprefix("WARNING: ") for sentence in omitted(score.omissions, 2)] == said
    assert all(tempo.quarters_per_minute == 60e6 / 0x40000 for tempo in score.tempos) and not score.time_signatures


def test_a_note_that_is_too_loud_is_played() -> None:
    [note] = midi.read(track(b"\0\x90\x3c\xc0\x60\x80\x3c\x40" + END)).notes
    assert note == Note(0, 96, 60, 127)


@pytest.mark.parametrize("body", [NOTE + b"\0\xb0\x07\xc8", NOTE + b"\0\xb0\x07\xc8\0\xff\1\x70"])
def test_more_than_a_slip_is_refused(body: bytes) -> None:
    with pytest.raises(CarouselError, match="damaged"):
        midi.read(track(body))


def test_200_megabytes_are_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "large.mid"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(CarouselError, match="191 MB is too large for MIDI"):
        midi.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mid", tmp_path):
        with pytest.raises(CarouselError, match="cannot be read"):
            midi.read(path)


def test_a_name_in_an_older_encoding_does_no_harm() -> None:
    data = track(b"\0\xff\x03\4Fl\xf6t\0\x90\x3c\x40\x40\x80\x3c\0\0\xff\x2f\0")
    score = midi.read(data)
    assert score.notes == (Note(0, 64, 60, 64),)


def test_broken_bytes_give_a_score_or_a_line() -> None:
    source = random.Random(5)
    original = midi.to_bytes(piece(voices=15))
    read = 0
    for _ in range(2000):
        data = bytearray(original[: source.choice([None, source.randrange(len(original))])])
        for _ in range(source.choice([0, 1, 3, 20])):
            if data:
                data[source.randrange(len(data))] = source.randrange(256)
        try:
            score = midi.read(bytes(data))
        except CarouselError:
            continue
        read += bool(score.notes)
        assert all(
            note.duration_ticks > 0 and 0 <= note.pitch < 128 and 0 < note.velocity < 128 for note in score.notes
        )
        midi.to_bytes(score)
    assert 200 < read < 1800


def test_real_performances_come_back(asap: list[Path]) -> None:
    pedals = 0
    for path in asap[::80]:
        score = midi.read(path)
        back = midi.read(midi.to_bytes(score), path.name)
        scale = back.ticks_per_quarter // score.ticks_per_quarter
        assert back.notes == tuple(
            replace(note, start_ticks=note.start_ticks * scale, duration_ticks=note.duration_ticks * scale)
            for note in score.notes
        )
        assert back.pedals == tuple(replace(pedal, start_ticks=pedal.start_ticks * scale) for pedal in score.pedals)
        pedals += len(score.pedals)
    assert pedals > 1000


@given(st.lists(notes, max_size=60))
def test_no_pitch_sounds_twice_at_once(found: list[Note]) -> None:
    kept = without_overlaps(found)
    assert {(n.voice, n.pitch, n.start_ticks) for n in kept} == {(n.voice, n.pitch, n.start_ticks) for n in found}
    ends: dict[tuple[int, int], int] = {}
    for note in kept:
        assert note.duration_ticks > 0
        assert ends.get((note.voice, note.pitch), 0) <= note.start_ticks
        ends[note.voice, note.pitch] = note.end_ticks


@given(st.lists(notes, max_size=60), st.sampled_from(["highest", "lowest"]))
def test_a_line_has_one_note_at_a_time(found: list[Note], keep: str) -> None:
    line = one_at_a_time(found, "highest" if keep == "highest" else "lowest")
    chosen = max if keep == "highest" else min
    assert [note.pitch for note in line] == [
        chosen(note.pitch for note in found if note.start_ticks == start)
        for start in sorted({n.start_ticks for n in found})
    ]
    assert all(first.end_ticks <= second.start_ticks for first, second in pairwise(line))


def test_a_tempo_beyond_what_a_file_can_say_is_the_nearest() -> None:
    for quarters_per_minute, microseconds in ((1.0, b"\xff\xff\xff"), (1e9, b"\x00\x00\x01"), (120.0, b"\x07\xa1\x20")):
        score = Score(480, (Voice("Piano"),), (Note(0, 480, 60),), tempos=(Tempo(0, quarters_per_minute),))
        assert b"\xff\x51\x03" + microseconds in midi.to_bytes(score)
