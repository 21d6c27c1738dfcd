"""Notation: it reads back as it was, looks as a musician expects, and does not differ between runs."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import music21
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.music import engraving, notation
from generator.music.layout import lay_out
from generator.music.note_values import values
from generator.music.score import Note, PieceEnd, Score, Tempo, TimeSignature, Voice

m21: Any = music21
CHORALES = ("bach/bwv269.mxl", "bach/bwv66.6.mxl")
SVG = "{http://www.w3.org/2000/svg}"

Sounding = set[tuple[int, Fraction, Fraction, int]]
"""Part, start and length in quarters, pitch."""


def score(*items: Any, quarter: int = 12, programs: tuple[int, ...] = (52, 52, 52, 52), title: str = "") -> Score:
    voices = tuple(Voice(f"Voice {number}", program) for number, program in enumerate(programs, start=1))
    return Score.from_events(items, ticks_per_quarter=quarter, voices=voices, title=title)


def line(text: str, voice: int = 0, quarter: int = 12) -> list[Note]:
    """Notes one after another, as "pitch:length" with the length in quarters; pitch 0 is a rest."""
    at, notes = Fraction(0), []
    for item in text.split():
        pitch, length = item.split(":")
        if pitch != "0":
            notes.append(Note(int(at * quarter), int(Fraction(length) * quarter), int(pitch), 80, voice))
        at += Fraction(length)
    return notes


def sounding(piece: Score) -> Sounding:
    quarter = piece.ticks_per_quarter
    return {
        (note.voice, Fraction(note.start_ticks, quarter), Fraction(note.duration_ticks, quarter), note.pitch)
        for note in piece.notes
    }


def parsed(data: bytes) -> Any:
    """What music21 itself reads, past its cache."""
    converter = m21.converter.Converter()
    converter.parseData(data.decode(), format="musicxml")
    return converter.stream


def tied_together(part: Any) -> Iterator[tuple[Fraction, Fraction, int]]:
    """Start, length and pitch of the notes of a part that music21 has read, ties taken together.

    music21's own `stripTies` loses ties between bars with different numbers of layers.
    """
    tied: dict[int, Fraction] = {}
    for element in part.flatten().notes:
        start = Fraction(element.offset)
        for note in element.notes if element.isChord else [element]:
            pitch, kind = int(note.pitch.ps), note.tie.type if note.tie else ""
            first = tied.pop(pitch) if kind in ("stop", "continue") else start
            if kind in ("start", "continue"):
                tied[pitch] = first
            else:
                yield first, start + Fraction(element.quarterLength) - first, pitch
    assert not tied


def read_by_music21(data: bytes, pickup: Fraction = Fraction(0)) -> Sounding:
    """All notes that music21 finds, ties taken together, moved by the pickup's silence."""
    return {
        (index, first + pickup, length, pitch)
        for index, part in enumerate(parsed(data).parts)
        for first, length, pitch in tied_together(part)
    }


@pytest.mark.parametrize("name", CHORALES)
def test_a_chorale_reads_back_as_it_was(name: str, tmp_path: Path) -> None:
    (chorale,) = notation.read(m21.corpus.getWork(name))
    written = engraving.to_musicxml(chorale)
    pickup = lay_out(chorale).bars[0].start
    assert pickup > 0, "both begin with an upbeat"
    assert read_by_music21(written, pickup) == sounding(chorale)
    path = tmp_path / "again.musicxml"
    path.write_bytes(written)
    (again,) = notation.read(path)
    assert again == chorale


def monophonic(random: Random, voice: int) -> list[Note]:
    """Notes and rests on a grid of 12 to the quarter."""
    at, notes = 0, []
    for _ in range(random.randint(1, 8)):
        at += random.choice([0, 0, 0, 3, 4, 6, 12, 48])
        notes.append(
            Note(at, random.choice([1, 2, 3, 4, 6, 8, 9, 12, 18, 24, 30, 36, 48, 60]), random.randint(24, 100))
        )
        at = notes[-1].end_ticks
    return [replace(note, voice=voice) for note in notes]


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (6, 8), (2, 2), (9, 8), (5, 4), (7, 8)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_four_voices_on_the_grid_read_back_exactly(metre: tuple[int, int], seed: int) -> None:
    """Random music; not by hypothesis, whose tracing makes music21 fifty times as slow."""
    random = Random(f"{metre} {seed}")
    notes = [note for voice in range(4) for note in monophonic(random, voice)]
    piece = score(*notes, TimeSignature(0, *metre))
    first = lay_out(piece).bars[0].start
    assert read_by_music21(engraving.to_musicxml(piece), first) == sounding(piece)


@pytest.mark.parametrize("seed", range(12))
def test_chords_and_overlapping_notes_read_back(seed: int) -> None:
    """At most four at once, so nothing has to give way."""
    random = Random(seed)
    notes: list[Note] = []
    for start in sorted(random.randint(0, 40) * 3 for _ in range(20)):
        note = Note(start, random.choice([3, 6, 12, 18, 36]), random.randint(48, 80))
        sounding_now = [other for other in notes if other.end_ticks > start]
        if len(sounding_now) < 4 and note.pitch not in {other.pitch for other in sounding_now}:
            notes.append(note)
    piece = score(*notes, programs=(52,))
    first = lay_out(piece).bars[0].start
    assert read_by_music21(engraving.to_musicxml(piece), first) == sounding(piece)


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 400), st.integers(21, 108)), min_size=1, max_size=60),
    st.sampled_from([12, 50, 480]),
)
def test_note_values_fill_every_bar(notes: list[tuple[int, int, int]], quarter: int) -> None:
    piece = score(*(Note(*note) for note in notes), quarter=quarter, programs=(0,))
    layout = lay_out(piece)
    assert all(before.end == after.start for before, after in pairwise(layout.bars))
    for staff in layout.staves:
        for layer in staff.layers:
            for bar in layout.bars:
                lengths = [value.length for value in values(layer, bar)]
                assert sum(lengths) == bar.end - bar.start


def written_values(text: str, metre: tuple[int, int] = (4, 4)) -> str:
    """A line's note values, a bar to a bar; tied ones joined by +."""
    layout = lay_out(score(*line(text, quarter=840), TimeSignature(0, *metre), quarter=840, programs=(73,)))
    bars = []
    for bar in layout.bars:
        words = ""
        for value in values(layout.staves[0].layers[0], bar):
            length = str(value.length) if value.pitches else f"({value.length})"
            words += f"+{length}" if value.tied_before else f" {length}"
        bars.append(words.strip())
    return " | ".join(bars)


@pytest.mark.parametrize(
    ("text", "metre", "expected"),
    [
        ("60:1 60:2 60:1", (4, 4), "1 2 1"),
        ("60:1/2 60:1 60:1/2 60:3/2 60:1/2", (4, 4), "1/2 1 1/2 3/2 1/2"),
        ("60:5/2 60:3/2", (4, 4), "2+1/2 3/2"),
        ("60:3 60:2 60:3", (4, 4), "3 1 | +1 3"),
        ("60:1/2 0:1 60:5/2", (4, 4), "1/2 (1/2) (1/2) 3/2+1"),
        ("60:1 0:3 60:4", (4, 4), "1 (1) (2) | 4"),
        ("60:1/3 60:1/3 60:1/3 60:2/3 60:1/3 60:2", (4, 4), "1/3 1/3 1/3 2/3 1/3 2"),
        ("60:2/3 60:2/3 60:2/3 60:2", (4, 4), "2/3 1/3+1/3 2/3 2"),
        ("60:1/5 60:2/5 60:2/5 60:3", (4, 4), "1/5 2/5 2/5 3"),
        ("60:3/2 60:1/2 60:1", (6, 8), "3/2 1/2 1"),
        ("60:2 60:1", (6, 8), "3/2+1/2 1"),
        ("60:1 60:1 60:1", (6, 8), "1 1/2+1/2 1"),
        ("60:1 60:1 60:1", (3, 4), "1 1 1"),
        ("60:9/2", (9, 8), "3+3/2"),
        ("60:7/2", (7, 8), "3+1/2"),
    ],
)
def test_note_values_show_the_beat(text: str, metre: tuple[int, int], expected: str) -> None:
    assert written_values(text, metre) == expected


def test_keys_spellings_clefs_names_tempo_and_bar_lines() -> None:
    e_flat = line("63:1 65:1 67:1 68:1 70:1 72:1 74:1 75:1")
    a_minor = [
        replace(note, start_ticks=note.start_ticks + 96) for note in line("57:1 59:1 60:1 62:1 64:1 68:1 64:1 57:1")
    ]
    low = [replace(note, pitch=note.pitch - 24, voice=1) for note in e_flat]
    piece = score(
        *e_flat, *a_minor, *low, TimeSignature(0, 4, 4), TimeSignature(96, 2, 4), PieceEnd(96),
        Tempo(0, 90.2), Tempo(48, 90.4), Tempo(96, 120), programs=(73, 70), title="Two <small> pieces",
    )  # fmt: skip
    root = ET.fromstring(engraving.to_musicxml(piece))
    assert root.findtext("movement-title") == "Two <small> pieces"
    assert [name.text for name in root.iter("part-name")] == ["Voice 1", "Voice 2"]
    assert [program.text for program in root.iter("midi-program")] == ["74", "71"]
    upper, lower = root.findall("part")
    measures = upper.findall("measure")
    assert [measure.get("number") for measure in measures] == ["1", "2", "3", "4", "5", "6"]
    assert [(m.get("number"), m.findtext(".//fifths")) for m in measures if m.find(".//fifths") is not None] == [
        ("1", "-3"),
        ("3", "0"),
    ]
    assert [(m.get("number"), m.findtext(".//beats")) for m in measures if m.find(".//beats") is not None] == [
        ("1", "4"),
        ("3", "2"),
    ]
    assert [(m.get("number"), m.findtext(".//per-minute")) for m in measures if m.find(".//metronome") is not None] == [
        ("1", "90"),
        ("3", "120"),
    ]
    assert [m.get("number") for m in measures if m.findtext("barline/bar-style") == "light-heavy"] == ["2", "6"]
    spelled = [(n.findtext("pitch/step"), n.findtext("pitch/alter")) for n in upper.iter("note")]
    assert spelled[:4] == [("E", "-1"), ("F", None), ("G", None), ("A", "-1")]
    assert ("G", "1") in spelled[8:], "A minor's leading note is no A flat"
    assert [part.findtext("measure/attributes/clef/sign") for part in (upper, lower)] == ["G", "F"]


@pytest.mark.parametrize("sharps", range(-7, 8))
@pytest.mark.parametrize("pitch", [0, 21, 59, 60, 61, 71, 72, 127])
def test_spelling_keeps_the_pitch(sharps: int, pitch: int) -> None:
    assert engraving.spelled(pitch, sharps).midi == pitch


def test_a_pickup_and_the_last_bar_make_a_whole_one() -> None:
    piece = score(*line("0:3 67:1 72:4 71:3"), TimeSignature(0, 4, 4))
    root = ET.fromstring(engraving.to_musicxml(piece))
    measures = root.findall("part/measure")
    assert [(m.get("number"), m.get("implicit")) for m in measures] == [("0", "yes"), ("1", "no"), ("2", "no")]
    assert root.find(".//rest") is None


def test_a_performance_becomes_readable() -> None:
    """Ten-millisecond ticks: sixteenths on two staves, one chord at a time on each."""
    played = [Note(3 + 27 * step + (step * 7) % 5, 31, 36 + (step * 11) % 50) for step in range(80)]
    piece = score(*played, quarter=50, programs=(0,))
    layout = lay_out(piece)
    assert len(layout.staves) == 2
    for staff in layout.staves:
        assert len(staff.layers) == 1
        assert all(4 % chord.start.denominator == 0 and chord.end > chord.start for chord in staff.layers[0])
    assert {chord.start for staff in layout.staves for chord in staff.layers[0]} == {
        Fraction(round(Fraction(note.start_ticks, 50) * 4), 4) for note in played
    }
    root = ET.fromstring(engraving.to_musicxml(piece))
    assert len(root.findall("part")) == 1 and root.findtext(".//staves") == "2"
    assert sum(1 for _ in root.iter("pitch")) >= len(played)


def test_a_recording_of_a_pianist_is_engraved(asap: list[Path]) -> None:
    from generator.music import midi

    piece = midi.read(asap[0])
    short = replace(piece, notes=piece.notes[:200])
    assert notes_in(engraving.to_svg(short)) >= 190


def test_short_notes_and_late_changes_are_no_trouble() -> None:
    piece = score(
        Note(0, 1, 60), Note(1, 1, 61), Note(5, 200, 62),
        TimeSignature(0, 4, 4), TimeSignature(20, 3, 8), Tempo(10_000, 60), quarter=24,
    )  # fmt: skip
    assert sounding(piece) == read_by_music21(engraving.to_musicxml(piece))


def test_the_same_score_gives_the_same_bytes_in_another_process(root: Path) -> None:
    program = (
        "import sys, hashlib; from generator.music import engraving, notation; import music21\n"
        "(piece,) = notation.read(music21.corpus.getWork('bach/bwv269.mxl'))\n"
        "for data in (engraving.to_musicxml(piece), engraving.to_svg(piece)): print(hashlib.sha256(data).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    there = subprocess.run([sys.executable, "-c", program], cwd=root, env=environment, check=True, capture_output=True)
    (piece,) = notation.read(m21.corpus.getWork("bach/bwv269.mxl"))
    here = [sha256(data).hexdigest() for data in (engraving.to_musicxml(piece), engraving.to_svg(piece))]
    assert there.stdout.decode().split() == here
    assert b"encoding-date" not in engraving.to_musicxml(piece)


def notes_in(svg: bytes) -> int:
    return sum(1 for group in ET.fromstring(svg).iter(f"{SVG}g") if group.get("class") == "note")


def heights(svg: bytes) -> Iterator[tuple[int, int]]:
    for page in ET.fromstring(svg).findall(f"{SVG}svg"):
        yield int(page.get("y", "0")), int(page.get("height", "").removesuffix("px"))


def test_a_thread_draws_the_same_picture() -> None:
    piece = score(*line("60:1 62:1 64:1 65:1"))
    with ThreadPoolExecutor(1) as pool:
        picture = pool.submit(engraving.to_svg, piece).result()
    assert picture == engraving.to_svg(piece)
    [(_, height)] = heights(picture)
    assert notes_in(picture) == 4 and height > 0


def test_what_verovio_cannot_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engraving, "to_musicxml", lambda *_: b"<broken/>")
    with pytest.raises(CarouselError, match=r"^verovio cannot draw this score; write it as \.musicxml$"):
        engraving.to_svg(score(*line("60:1")))


def test_the_picture_shows_every_note_on_one_page_or_on_pages_one_below_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piece = score(*(note for voice in range(2) for note in line("60:1 62:1 64:1 65:1 " * 30, voice)), title="Scales")
    picture = engraving.to_svg(piece)
    assert notes_in(picture) == 240
    assert len(list(heights(picture))) == 1
    assert b"Scales" in picture
    monkeypatch.setitem(engraving.VEROVIO, "pageHeight", 1500)
    stacked = engraving.to_svg(piece)
    assert notes_in(stacked) == 240
    pages = list(heights(stacked))
    assert len(pages) > 1
    assert all(top + height == following for (top, height), (following, _) in pairwise(pages))
    assert ET.fromstring(stacked).get("height") == str(sum(pages[-1]))


def test_one_of_two_voices_that_rests_is_written() -> None:
    """Also where the other one comes back: all its notes are there, and a bar of rest is a sign of its own."""
    upper, lower = line("72:1 74:1 76:1 77:1 0:4 79:4 72:4"), line("60:4 0:4 0:4 0:2 64:2")
    piece = score(*upper, *lower, TimeSignature(0, 4, 4), programs=(0,))
    found = m21.converter.parse(engraving.to_musicxml(piece).decode(), format="musicxml")
    heard = sorted(pitch.midi for note in found.flatten().notes for pitch in note.pitches)
    assert heard == sorted(note.pitch for note in piece.notes)
    assert engraving.to_musicxml(piece).count(b'<rest measure="yes"') == 1
