"""Lead sheets: the melody as it was, and chords that a musician would write above it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import generator
from generator.foundation.errors import CarouselError
from generator.music import engraving, files, names
from generator.music.abc import to_abc
from generator.music.chords import KINDS, chords
from generator.music.lead_sheet import lead_sheet
from generator.music.score import Note, Score, TimeSignature, Voice
from generator.music.symbols import ChordSymbol
from tests.conftest import four_voices
from tests.test_abc import read_by_abc2midi, written
from tests.test_engraving import line, score, sounding


def named(piece: Score, sharps: int = 0) -> str:
    """The chords of a piece: the beat of each, and its name."""
    words = []
    for symbol in chords(piece):
        (root, sign), (bass, low) = names.chord_spelling(symbol, sharps)
        name = root + "♯♭"[sign < 0] * abs(sign) + names.CHORD_SUFFIXES[symbol.kind]
        if symbol.bass != symbol.root:
            name += f"/{bass}{'♯♭'[low < 0] * abs(low)}"
        words.append(f"{symbol.start_ticks // piece.ticks_per_quarter}:{name}")
    return " ".join(words)


def test_the_bass_of_a_chord_is_spelt_from_its_root() -> None:
    basses = [names.chord_spelling(ChordSymbol(0, 0, "minor", bass), 0)[1] for bass in range(12)]
    assert " ".join(letter + "♭♮♯"[1 + sign] for letter, sign in basses) == "C♮ C♯ D♮ E♭ E♮ F♮ G♭ G♮ G♯ A♮ B♭ B♮"


def block(*chord_of_each_bar: str) -> Score:
    """A bar of four quarters for each chord, whose pitches are given."""
    notes = [
        Note(48 * bar + 12 * beat, 12, int(pitch), voice=voice)
        for bar, pitches in enumerate(chord_of_each_bar)
        for beat in range(4)
        for voice, pitch in enumerate(pitches.split())
    ]
    return score(*notes, TimeSignature(0, 4, 4))


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        (("72 67 64 48", "72 69 65 53", "71 67 65 55", "72 67 64 48"), "0:C 4:F 8:G7 12:C"),
        (("72 67 64 52", "74 69 65 50", "74 71 67 59"), "0:C/E 4:Dm 8:G/B"),
        (("69 64 60 45", "68 64 62 52", "69 65 62 50"), "0:Am 4:E7 8:Dm"),
        (("72 67 65 48", "72 67 64 48"), "0:Csus4 4:C"),
        (("71 68 65 62", "72 67 64 60"), "0:Ddim7 4:C"),
        (("71 68 65 62", "72 67 64 60"), "0:Ddim7 4:C"),
        (("72 68 64 48", "72 67 63 58"), "0:Caug 4:Cm7/B♭"),
    ],
)
def test_plain_chords_are_named(bars: tuple[str, ...], expected: str) -> None:
    assert named(block(*bars)) == expected


def test_notes_that_pass_and_drums_change_no_chord() -> None:
    notes = [
        *line("64:4 67:4", 1),
        *line("60:4 62:4", 2),
        *line("48:4 55:4", 3),
        *line("72:1 74:1/2 76:1/2 79:2 79:3 77:1"),
    ]
    piece = score(*notes, TimeSignature(0, 4, 4))
    assert named(replace(piece, notes=tuple(note for note in piece.notes if note.voice != 2))).startswith("0:C 4:G")
    drums = tuple(Note(at, 12, 37) for at in range(0, 96, 12))
    beaten = Score(12, (Voice("Kit", drum=True), *piece.voices), tuple(
        sorted((*drums, *(replace(note, voice=note.voice + 1) for note in piece.notes)), key=lambda n: n.start_ticks)
    ), piece.time_signatures)  # fmt: skip
    assert chords(beaten) == chords(piece)


def test_a_single_line_has_chords_too() -> None:
    piece = score(*line("60:1 64:1 67:1 64:1 59:1 62:1 67:1 62:1 60:4"), TimeSignature(0, 4, 4), programs=(73,))
    assert named(piece) == "0:C 4:G 8:C"


@pytest.mark.parametrize("semitones", range(12))
def test_chords_move_with_the_music(semitones: int) -> None:
    piece = block("72 67 64 48", "72 69 65 53", "71 67 65 55")
    moved = replace(piece, notes=tuple(replace(note, pitch=note.pitch + semitones) for note in piece.notes))
    assert chords(moved) == tuple(
        replace(symbol, root=(symbol.root + semitones) % 12, bass=(symbol.bass + semitones) % 12)
        for symbol in chords(piece)
    )


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 90), st.integers(0, 127)), min_size=1, max_size=40))
def test_any_music_has_a_lead_sheet(notes: list[tuple[int, int, int]]) -> None:
    piece = Score.from_events((Note(*note) for note in notes), ticks_per_quarter=12, voices=(Voice("Piano"),))
    sheet = lead_sheet(piece)
    line_of = sheet.notes
    assert sheet.chords and all(symbol.kind in KINDS and 0 <= symbol.root < 12 for symbol in sheet.chords)
    assert all(a.end_ticks <= b.start_ticks for a, b in pairwise(line_of)), "one note at a time"
    assert {(note.start_ticks, note.pitch) for note in line_of} <= {
        (note.start_ticks, note.pitch) for note in piece.notes
    }


def test_the_melody_stays_as_it_was(tmp_path: Path) -> None:
    piece = four_voices(8)
    sheet = generator.lead_sheet(piece)
    assert sheet.voices == piece.voices[:1] and {note[2:] for note in sounding(sheet)} == {
        note[2:] for note in sounding(piece) if note[0] == 0
    }
    assert generator.lead_sheet(piece, "Bass").notes == tuple(
        replace(note, voice=0) for note in piece.notes if piece.voices[note.voice].name == "Bass"
    )
    for suffix in (".musicxml", ".abc"):
        generator.write(sheet, tmp_path / f"a{suffix}")
        [again] = files.read(tmp_path / f"a{suffix}")
        assert {(n[1:]) for n in sounding(again)} == {n[1:] for n in sounding(sheet)}
        assert any("chord symbol" in str(one) for one in again.omissions)


TWO_BARS = replace(
    score(*line("67:4 67:2 67:2"), TimeSignature(0, 4, 4), programs=(73,)),
    chords=(ChordSymbol(0, 0, "major", 0), ChordSymbol(24, 7, "dominant", 11), ChordSymbol(48, 8, "major", 0)),
)


def test_symbols_stand_where_their_chords_begin() -> None:
    piece = TWO_BARS
    body = to_abc(piece).decode().splitlines()[-1]
    assert body == '"C"G4- "G7/B"G4 | "Ab/C"G4 G4 |]'
    root = ET.fromstring(engraving.to_musicxml(piece))
    found = [
        (harmony.findtext("root/root-step"), harmony.findtext("root/root-alter"), harmony.findtext("kind"),
         harmony.findtext("bass/bass-step"))
        for harmony in root.iter("harmony")
    ]  # fmt: skip
    assert found == [("C", None, "major", None), ("G", None, "dominant", "B"), ("A", "-1", "major", "C")]
    assert b"<harmony>" not in engraving.to_musicxml(replace(piece, chords=()))


def test_abc2midi_plays_the_melody(tmp_path: Path) -> None:
    silent = to_abc(TWO_BARS).replace(b"K:", b"%%MIDI gchordoff\nK:", 1)
    assert read_by_abc2midi(silent, tmp_path) == written(TWO_BARS)


def test_what_has_no_melody_is_refused() -> None:
    kit = Score(12, (Voice("Kit", drum=True),), (Note(0, 12, 36),))
    with pytest.raises(CarouselError, match=r"^there are no notes with a pitch"):
        lead_sheet(kit)
    with pytest.raises(CarouselError, match=r"^no voice 'Oboe' has notes; choose one of Soprano, Alto, Tenor, Bass$"):
        lead_sheet(four_voices(1), "Oboe")
