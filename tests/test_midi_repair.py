"""Files that are valid but unusual, or that players tolerate: they are read, and what was changed is said."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.foundation.omissions import omitted
from generator.music import midi, repair
from generator.music.midi_scan import is_plain
from generator.music.score import Note, Score, Tempo
from tests.test_midi import END, NOTE, track


def said(score: Score) -> list[str]:
    return [str(sentence).removeprefix("WARNING: ") for sentence in omitted(score.omissions, 2)]


def chunk(body: bytes) -> bytes:
    return b"MTrk" + len(body).to_bytes(4, "big") + body


def test_a_plain_file_is_left_as_it_is() -> None:
    data = track(NOTE + END)
    assert is_plain(data)
    assert repair.repaired(data) == (data, ())


def test_patterns_of_a_type_2_file_follow_each_other() -> None:
    data = b"MThd\0\0\0\6\0\2\0\2\1\xe0" + chunk(NOTE + b"\x10\xff\x2f\0") + chunk(NOTE + END)
    score = midi.read(data)
    assert score.notes == (Note(0, 96, 60, 64, 0), Note(112, 96, 60, 64, 1))
    assert said(score) == []


def test_a_status_runs_on_after_a_system_message() -> None:
    body = b"\0\x90\x3c\x40\0\xf0\2\x7e\xf7\x60\x3c\0\0\x40\x40\0\xff\1\2hi\x60\x40\0" + END
    assert midi.read(track(body)).notes == (Note(0, 96, 60, 64), Note(96, 96, 64, 64))


@pytest.mark.parametrize(("division", "seconds"), [(b"\xe7\x28", 0.096), (b"\xe2\x50", 0.04), (b"\xe3\x50", 0.04004)])
def test_ticks_can_be_parts_of_frames(division: bytes, seconds: float) -> None:
    """25 frames of 40 parts; 30 of 80; 29.97 of 80."""
    body = b"\0\xff\x51\3\1\0\0" + NOTE + END
    score = midi.read(b"MThd\0\0\0\6\0\1\0\1" + division + chunk(body))
    [note] = score.notes
    assert score.clock().seconds(note.end_ticks) == pytest.approx(seconds, rel=1e-5)
    assert said(score) == ["1 tempo passed over: the file's ticks are parts of a second"]


def test_a_riff_file_is_unwrapped(tmp_path: Path) -> None:
    data = track(NOTE + END)
    path = tmp_path / "a.rmi"
    path.write_bytes(
        b"RIFF" + (len(data) + 12).to_bytes(4, "little") + b"RMIDdata" + len(data).to_bytes(4, "little") + data
    )
    assert midi.read(path).notes == (Note(0, 96, 60, 64),)


def test_a_header_may_be_longer() -> None:
    data = track(NOTE + END)
    assert midi.read(b"MThd\0\0\0\x08" + data[8:14] + b"\1\2" + data[14:]).notes == (Note(0, 96, 60, 64),)


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        (b"\0\x90\x3c\x40\x60\x90\x40\x40\x20\x80\x40\0" + END, [(0, 128), (96, 128)]),
        (b"\0\x90\x3c\x40\x60\x90\x3c\x40\x20\x80\x3c\0\x20\xff\x2f\0", [(0, 96), (96, 128)]),
        (b"\0\x90\x3c\x40\x60\x3c\x40\x20\x3c\x40\x20\xff\x2f\0", [(0, 96), (96, 128), (128, 160)]),
    ],
    ids=["with its track", "where its pitch is released", "where its pitch is struck"],
)
def test_a_note_that_never_ends_is_ended(body: bytes, ends: list[tuple[int, int]]) -> None:
    score = midi.read(track(body))
    assert [(note.start_ticks, note.end_ticks) for note in score.notes] == ends
    assert any("without an end: " in sentence for sentence in said(score))


@pytest.mark.parametrize(
    ("name", "encoding"), [("ピアノ 右手", "cp932"), ("Flöte", "cp1252"), ("Flöte", "utf-8"), ("二胡", "cp932")]
)
def test_names_are_read_in_the_encoding_they_have(name: str, encoding: str) -> None:
    raw = name.encode(encoding)
    score = midi.read(track(b"\0\xff\x03" + bytes((len(raw),)) + raw + NOTE + END))
    assert score.voices[0].name == name


def test_a_key_of_eighteen_flats_is_left_out() -> None:
    score = midi.read(track(b"\0\xff\x59\2\xee\0" + NOTE + END))
    assert said(score) == ["1 key signature left out: it has more than seven signs"]


messages = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.sampled_from(["note_on", "note_off", "control_change", "sysex", "set_tempo", "marker"]),
        st.integers(60, 62),
        st.integers(0, 127),
    ),
    max_size=40,
)


@given(tracks=st.lists(messages, min_size=1, max_size=3), kind=st.sampled_from([0, 1, 2]))
def test_every_struck_note_is_read(tracks: list[list[tuple[int, str, int, int]]], kind: int) -> None:
    """As mido counts them; one that starts at the same tick as another of its pitch is that note again."""
    file = mido.MidiFile(type=kind, ticks_per_beat=480)
    struck = set()
    start = 0
    for number, given_ in enumerate(tracks[:1] if kind == 0 else tracks):
        made = mido.MidiTrack()
        ticks = start
        for time, name, pitch, value in given_:
            ticks += time
            if name == "sysex":
                made.append(mido.Message("sysex", data=[value], time=time))
            elif name == "set_tempo":
                made.append(mido.MetaMessage("set_tempo", tempo=1 + value, time=time))
            elif name == "marker":
                made.append(mido.MetaMessage("marker", text=str(value), time=time))
            elif name == "control_change":
                made.append(mido.Message(name, control=pitch, value=value, time=time))
            else:
                made.append(mido.Message(name, note=pitch, velocity=value, time=time))
                if name == "note_on" and value:
                    struck.add((number, ticks, pitch))
        made.append(mido.MetaMessage("end_of_track", time=1))
        file.tracks.append(made)
        start = ticks + 1 if kind == 2 else 0
    buffer = io.BytesIO()
    file.save(file=buffer)
    if not struck:
        return
    score = midi.read(buffer.getvalue())
    voices = {note.voice for note in score.notes}
    assert len(voices) == len({number for number, *_ in struck})
    order = {
        voice: number for voice, number in zip(sorted(voices), sorted({number for number, *_ in struck}), strict=True)
    }
    assert {(order[note.voice], note.start_ticks, note.pitch) for note in score.notes} == struck


def test_a_tempo_before_the_notes_still_holds_after_a_repair() -> None:
    score = midi.read(track(b"\0\xff\x51\3\7\xa1\x20" + b"\0\x90\x3c\x40\x60\x90\x40\x40\x20\x80\x40\0" + END))
    assert score.tempos == (Tempo(0, 120.0),)
