"""Staves and clefs: as many as a musician expects, and those that keep the notes on the lines."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from generator.music import engraving
from generator.music.layout import lay_out
from generator.music.score import Note, Score, Voice
from tests.test_engraving import line, score


def test_a_single_line_stays_on_one_staff_however_far_it_leaps() -> None:
    leaping, together = line("36:1 84:1 38:1 86:1"), [Note(0, 48, 36), Note(0, 48, 84)]
    assert len(lay_out(score(*leaping, programs=(0,))).staves) == 1
    assert len(lay_out(score(*together, programs=(0,))).staves) == 2
    assert len(lay_out(score(*leaping, Note(6, 12, 90), programs=(0,))).staves) == 2


def test_a_keyboard_beside_other_voices_has_two_staves_and_one_part() -> None:
    flute = line("72:1 74:1 76:1 77:1", 0)
    chords = [Note(0, 48, pitch, 80, 1) for pitch in (36, 52, 60, 67)]
    drums = line("36:1/2 42:1/2 38:1/2 42:1/2 36:1/2 42:1/2 38:1/2 42:1/2", 2)
    voices = (Voice("Flute", 73), Voice("", 0), Voice("", 0, drum=True))
    piece = Score.from_events([*flute, *chords, *drums], ticks_per_quarter=12, voices=voices)
    root = ET.fromstring(engraving.to_musicxml(piece))
    assert [name.text for name in root.iter("part-name")] == ["Flute", "Acoustic Grand Piano", "Drums"]
    assert [channel.text for channel in root.iter("midi-channel")] == ["1", "2", "10"]
    assert [part.findtext(".//staves") for part in root.findall("part")] == [None, "2", None]


def test_a_tenor_alone_has_a_clef_of_his_own_and_chords_have_not() -> None:
    def clefs(*notes: Note) -> list[tuple[str | None, str | None]]:
        root = ET.fromstring(engraving.to_musicxml(score(*notes, programs=(52,))))
        return [(clef.findtext("sign"), clef.findtext("clef-octave-change")) for clef in root.iter("clef")]

    tenor = line("55:1 57:1 59:1 60:1")
    assert clefs(*tenor) == [("G", "-1")]
    assert clefs(*tenor, *line("52:1 53:1 55:1 57:1")) == [("F", None)]
    assert clefs(*line("60:4"), *line("55:2 57:2")) == [("F", None)]


def test_notes_around_middle_c_are_in_the_treble_and_below_it_in_the_bass() -> None:
    def sign(*pitches: int) -> str | None:
        chord = [Note(0, 48, pitch) for pitch in pitches]
        root = ET.fromstring(engraving.to_musicxml(score(*chord, programs=(40,))))
        return root.findtext(".//clef/sign")

    assert sign(57, 60, 64) == "G"
    assert sign(57, 59, 64) == "F"
