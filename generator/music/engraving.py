"""Writes scores as notation: MusicXML through music21, and SVG pictures of it through Verovio.

`layout` decides about bars, staves and note values; this module adds keys, note names, clefs and instruments. The same
score always gives the same bytes, without a date and without random identifiers.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from itertools import accumulate, count, groupby
from statistics import median
from typing import Any

import music21
import pretty_midi
import verovio

from generator.foundation.errors import CarouselError
from generator.music.keys import SHARPS, likely
from generator.music.layout import Layout, Staff, Value, lay_out, values
from generator.music.origin import FIELD, NAME
from generator.music.score import Score

m21: Any = music21  # its type annotations are incomplete

PROLOGUE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC '
    '"-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">\n'
)
STEPS = "FCGDAEB"
"""The note names in order of fifths."""
VEROVIO: dict[str, Any] = {
    "pageWidth": 2100,
    "pageHeight": 60000,
    "adjustPageHeight": True,
    "breaks": "auto",
    "header": "auto",
    "footer": "none",
    "xmlIdSeed": 1,
    "scale": 50,
}
"""A page is as wide as A4, in 0.1 mm, and as high as the music, up to Verovio's limit."""


@dataclass(frozen=True)
class Whole:
    """What an excerpt takes from its piece: the key, an index into `KEYS`, and a middle pitch of each voice, by which
    its clef is chosen."""

    key: int
    centres: tuple[float, ...]


def to_musicxml(score: Score, whole: Whole | None = None) -> bytes:
    """A score with notes as MusicXML 4.0, with a part for each voice that has notes.

    Args:
        whole: for an excerpt, which has a final bar line only if its piece ends.
    """
    root = m21.musicxml.m21ToXml.ScoreExporter(_stream(score, whole)).parse()
    unwanted = {"encoding-date", "creator"} | ({"work", "movement-title"} if not score.title else set())
    for parent in [root, *root.iterfind("identification"), *root.iter("encoding")]:
        for child in [child for child in parent if child.tag in unwanted]:
            parent.remove(child)
    if score.origin:
        notes = ET.SubElement(root.find("identification"), "miscellaneous")
        ET.SubElement(notes, FIELD, name=NAME).text = score.origin
    ET.indent(root)
    return f"{PROLOGUE}{ET.tostring(root, encoding='unicode')}\n".encode()


def to_svg(score: Score) -> bytes:
    """A score with notes as one SVG picture, with all pages below each other.

    Raises:
        CarouselError: Verovio cannot read it.
    """
    toolkit = verovio.toolkit(False)
    toolkit.setResourcePath(str(files("verovio") / "data"))  # only set by default in the thread that imported verovio
    toolkit.setOptions(VEROVIO)
    if not toolkit.loadData(to_musicxml(score).decode()):
        raise CarouselError("verovio cannot draw this score; write it as .musicxml")
    pages = [toolkit.renderToSVG(page + 1) for page in range(toolkit.getPageCount())]
    sizes = [re.match(r'<svg width="(\d+)px" height="(\d+)px"', page) for page in pages]
    heights = [int(size[2]) for size in sizes if size]
    tops = accumulate(heights, initial=0)
    below = "".join(page.replace("<svg", f'<svg y="{top}"', 1) for page, top in zip(pages, tops, strict=False))
    frame = f'width="{VEROVIO["pageWidth"] * VEROVIO["scale"] // 100}" height="{sum(heights)}"'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>\n<rect {frame} fill="white"/>\n{below}</svg>\n').encode()


def _stream(score: Score, whole: Whole | None = None) -> Any:
    """The score as a music21 stream with measures, ready for export."""
    layout = lay_out(score)
    keys, ends = _keys(score, layout), _ends(score, layout)
    if whole is not None:
        keys, ends = {0: SHARPS[whole.key]}, ends if score.piece_ends else set()
    stream = m21.stream.Score()
    stream.metadata = m21.metadata.Metadata(title=score.title, composer="")
    channels = (channel for channel in count() if channel % 16 != 9)
    by_voice = [(score.voices[voice], list(staves)) for voice, staves in groupby(layout.staves, lambda s: s.voice)]
    for number, (voice, staves) in enumerate(by_voice, start=1):
        name = "Drums" if voice.drum else pretty_midi.program_to_instrument_name(voice.program)
        channel = 9 if voice.drum else next(channels) % 16
        parts = []
        for staff in staves:
            part = m21.stream.Part() if len(staves) == 1 else m21.stream.PartStaff()
            part.partName = voice.name or name
            part.insert(0, _instrument(name, voice.program, number, channel))
            centre = median(staff.pitches) if whole is None or len(staves) > 1 else whole.centres[staff.voice]
            clef = _clef(staff, centre)
            for bar, measure in zip(layout.bars, _measures(staff, layout, keys, ends, clef), strict=True):
                part.insert(bar.start - layout.bars[0].start, measure)
            parts.append(part)
            stream.insert(0, part)
        if len(parts) > 1:
            stream.insert(0, m21.layout.StaffGroup(parts, name=parts[0].partName, symbol="brace"))
    if len(stream.parts) == len(by_voice) > 1:
        stream.insert(0, m21.layout.StaffGroup(list(stream.parts), symbol="bracket"))
    _add_tempos(stream.parts[0], score, layout)
    return stream


def _instrument(name: str, program: int, number: int, channel: int) -> Any:
    instrument = m21.instrument.Instrument(name)
    # Otherwise music21 chooses random identifiers.
    instrument.partId, instrument.instrumentId = f"P{number}", f"I{number}"
    instrument.midiProgram, instrument.midiChannel = program, channel
    return instrument


def _measures(staff: Staff, layout: Layout, keys: dict[int, int], ends: set[int], clef: Any) -> Iterator[Any]:
    """The bars of one staff. `keys` and `ends` are those of `_keys` and `_ends`."""
    sharps = 0
    metre: tuple[int, int] | None = None
    pickup = layout.bars[0].origin < layout.bars[0].start
    for index, bar in enumerate(layout.bars):
        measure = m21.stream.Measure(number=index if pickup else index + 1)
        measure.paddingLeft = bar.start - bar.origin
        if index == 0:
            measure.clef = clef
            if pickup:
                measure.showNumber = m21.stream.enums.ShowNumber.NEVER
        if index in keys:
            sharps = keys[index]
            measure.keySignature = m21.key.KeySignature(sharps)
        if metre != (metre := (bar.metre.numerator, bar.metre.denominator)):
            measure.timeSignature = m21.meter.TimeSignature(f"{metre[0]}/{metre[1]}")
        if index in ends:
            measure.rightBarline = m21.bar.Barline("final")
        layers = [values(layer, bar) for layer in staff.layers]
        sounding = [number for number, layer in enumerate(layers) if any(value.pitches for value in layer)]
        if not sounding and bar.whole:
            measure.insert(0, m21.note.Rest(quarterLength=bar.end - bar.start, fullMeasure=True))
        elif sounding in ([], [0]):
            _fill(measure, layers[0], sharps, hide_rests=False)
        else:
            for number in sounding:
                voice = m21.stream.Voice(id=number + 1)
                _fill(voice, layers[number], sharps, hide_rests=number > 0)
                measure.insert(0, voice)
        yield measure


def _fill(stream: Any, layer: list[Value], sharps: int, *, hide_rests: bool) -> None:
    """Put the notes and rests of one layer into a measure or a music21 voice."""
    place = Fraction(0)
    for value in layer:
        scale = Fraction(value.tuplet, 1 << (value.tuplet.bit_length() - 1))
        duration = m21.duration.Duration(value.length * scale)
        if value.tuplet > 1:
            duration.appendTuplet(m21.duration.Tuplet(scale.numerator, scale.denominator, duration.type))
        notes = [m21.note.Note(spelled(pitch, sharps)) for pitch in value.pitches]
        for note in notes:
            if value.tied_before or value.tied_after:
                both = value.tied_before and value.tied_after
                note.tie = m21.tie.Tie("continue" if both else "stop" if value.tied_before else "start")
        element = m21.chord.Chord(notes) if len(notes) > 1 else notes[0] if notes else m21.note.Rest()
        element.duration = duration
        if not notes and hide_rests:
            element.style.hideObjectOnPrint = True
        stream.insert(place, element)
        place += value.length


def spelled(pitch: int, sharps: int) -> Any:
    """The music21 pitch of a MIDI pitch, with its likely name in a key with so many sharps (flats are negative).

    The names are from three fifths below to eight above the tonic of the major key. So C major and A minor have E flat,
    B flat, F sharp, C sharp and G sharp.
    """
    fifths = sharps - 3 + (7 * pitch - (sharps - 3)) % 12
    letter, alteration = STEPS[(fifths + 1) % 7], (fifths + 1) // 7
    result = m21.pitch.Pitch(step=letter, octave=(pitch - alteration) // 12 - 1)
    if alteration:
        result.accidental = m21.pitch.Accidental(alteration)
    return result


def _clef(staff: Staff, centre: float) -> Any:
    """The clef in which the notes around a pitch need no ledger lines."""
    one_line = len(staff.layers) == 1 and all(len(chord.pitches) == 1 for chord in staff.layers[0])
    if one_line and 54 <= centre < 62:
        return m21.clef.Treble8vbClef()
    return m21.clef.TrebleClef() if centre >= 60 else m21.clef.BassClef()


def _ends(score: Score, layout: Layout) -> set[int]:
    """The indices of the bars with which pieces end; the last bar is one of them."""
    starts = [bar.start for bar in layout.bars]
    ends = [Fraction(end.start_ticks, score.ticks_per_quarter) for end in score.piece_ends]
    return {len(starts) - 1, *(max(0, bisect_left(starts, end) - 1) for end in ends)}


def _keys(score: Score, layout: Layout) -> dict[int, int]:
    """The number of sharps (flats are negative) of the key of each piece, by the index of its first bar."""
    keys: dict[int, int] = {}
    first = 0
    for end in sorted(_ends(score, layout)):
        start_ticks, end_ticks = (
            edge * score.ticks_per_quarter for edge in (layout.bars[first].start, layout.bars[end].end)
        )
        notes = [
            note
            for note in score.notes
            if start_ticks <= note.start_ticks < end_ticks and not score.voices[note.voice].drum
        ]
        if notes:
            keys[first] = SHARPS[likely(notes)]
        first = end + 1
    return keys


def _add_tempos(part: Any, score: Score, layout: Layout) -> None:
    """Add metronome marks where the rounded tempo changes."""
    measures = list(part.getElementsByClass("Measure"))
    starts = [bar.start for bar in layout.bars]
    shown = None
    for tempo in score.tempos:
        place = max(Fraction(tempo.start_ticks, score.ticks_per_quarter), starts[0])
        number = round(tempo.quarters_per_minute)
        if number != shown and place < layout.bars[-1].end:
            index = bisect_right(starts, place) - 1
            measures[index].insert(place - starts[index], m21.tempo.MetronomeMark(number=number))
            shown = number
