"""Writes scores as notation: MusicXML through music21; through Verovio pictures of it as SVG, and a PDF to print.

`layout` decides about bars, staves and note values; this module adds keys, note names, clefs and instruments. The same
score always gives the same bytes, without a date and without random identifiers.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from itertools import count, groupby
from statistics import median
from typing import Any

import music21
import pretty_midi
import verovio

from generator.foundation.errors import CarouselError
from generator.music import marks, names
from generator.music.keys import SHARPS
from generator.music.layout import Layout, Staff, lay_out
from generator.music.note_values import Value, values
from generator.music.origin import FIELD, NAME
from generator.music.score import Score
from generator.music.symbols import ChordSymbol

m21: Any = music21  # its type annotations are incomplete
for prefix, namespace in (("", "http://www.w3.org/2000/svg"), ("xlink", "http://www.w3.org/1999/xlink")):
    ET.register_namespace(prefix, namespace)

PROLOGUE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC '
    '"-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">\n'
)
VEROVIO: dict[str, Any] = {
    "pageWidth": 2100,
    "pageHeight": 60000,
    "adjustPageHeight": True,
    "breaks": "auto",
    "header": "auto",
    "footer": "none",
    "xmlIdSeed": 1,
    "smuflTextFont": "none",
    "scale": 50,
}
"""A page is as wide as A4, in 0.1 mm, and as high as the music, up to Verovio's limit."""
PRINTED: dict[str, Any] = {
    "pageHeight": 2970,
    "adjustPageHeight": False,
    "scale": 100,
    "unit": 7,
    **dict.fromkeys(("pageMarginTop", "pageMarginBottom", "pageMarginLeft", "pageMarginRight"), 130),
}
"""What is different on pages of A4 to print: a staff is 5.6 mm high."""
Steps = Callable[[float], None]
"""Called during the work with the share of it that is done, 0 to 1."""
BUILT, WRITTEN = 0.3, 0.8
"""The share of the whole work that is done when the bars are built, and when they are written as MusicXML."""


def quiet(share: float) -> None:
    """Say nothing about how far the work is."""


@dataclass(frozen=True)
class Whole:
    """What an excerpt takes from its piece: the key, an index into `KEYS`, and a middle pitch of each voice, by which
    its clef is chosen."""

    key: int
    centres: tuple[float, ...]


def to_musicxml(score: Score, step: Steps = quiet, whole: Whole | None = None) -> bytes:
    """A score with notes as MusicXML 4.0, with a part for each voice that has notes.

    Args:
        step: told how far the work is.
        whole: for an excerpt, which has a final bar line only if its piece ends.
    """
    exporter = _Exporter(_stream(score, lambda share: step(BUILT * share), whole))
    exporter.step = lambda share: step(BUILT + (1 - BUILT) * share)
    root = exporter.parse()
    unwanted = {"encoding-date", "creator", "inversion"} | ({"work", "movement-title"} if not score.title else set())
    for parent in [root, *root.iterfind("identification"), *root.iter("encoding"), *root.iter("harmony")]:
        for child in [child for child in parent if child.tag in unwanted]:
            parent.remove(child)
    if score.origin:
        notes = ET.SubElement(root.find("identification"), "miscellaneous")
        ET.SubElement(notes, FIELD, name=NAME).text = score.origin
    ET.indent(root)
    return f"{PROLOGUE}{ET.tostring(root, encoding='unicode')}\n".encode()


class _Exporter(m21.musicxml.m21ToXml.ScoreExporter):  # type: ignore[misc]
    """Says after each part how far it is."""

    step: Steps

    def parsePartlikeScore(self) -> None:
        if not self.partExporterList:
            self._populatePartExporterList()
        for done, part in enumerate(self.partExporterList, start=1):
            part.parse()
            self.step(done / len(self.partExporterList))


def to_svg(score: Score, step: Steps = quiet) -> bytes:
    """A score with notes as one SVG picture, with all pages below each other.

    Raises:
        CarouselError: Verovio cannot read it.
    """
    from generator.music import lettering  # imports fontTools, which MusicXML does not need

    width, height = VEROVIO["pageWidth"] * VEROVIO["scale"] // 100, 0
    picture = ET.Element(f"{lettering.SVG}svg")
    background = ET.SubElement(picture, f"{lettering.SVG}rect", fill="white")
    for page in map(ET.fromstring, _pages(score, VEROVIO, step)):
        lettering.flatten(page)
        page.set("y", str(height))
        height += int(page.get("height", "0").removesuffix("px"))
        picture.append(page)
    for frame in (picture, background):
        frame.attrib.update(width=str(width), height=str(height))
    return ET.tostring(picture) + b"\n"


def to_pdf(score: Score, step: Steps = quiet) -> bytes:
    """A score with notes as a PDF, on pages of A4.

    Raises:
        CarouselError: Verovio cannot read it.
    """
    from generator.music import pdf  # other formats do not need it, and it takes a while

    return pdf.to_pdf(_pages(score, VEROVIO | PRINTED, step), score.title)


def _pages(score: Score, options: dict[str, Any], step: Steps) -> Iterator[str]:
    """The pages that Verovio engraves, each as SVG."""
    toolkit = verovio.toolkit(False)
    toolkit.setResourcePath(str(files("verovio") / "data"))  # only set by default in the thread that imported verovio
    toolkit.setOptions(options)
    if not toolkit.loadData(to_musicxml(score, lambda share: step(WRITTEN * share)).decode()):
        raise CarouselError("verovio cannot draw this score; write it as .musicxml")
    for page in range(1, toolkit.getPageCount() + 1):
        yield toolkit.renderToSVG(page)
        step(WRITTEN + (1 - WRITTEN) * page / toolkit.getPageCount())


def _stream(score: Score, step: Steps, whole: Whole | None) -> Any:
    """The score as a music21 stream with measures, ready for export."""
    layout = lay_out(score)
    keys, ends = marks.keys(score, layout), marks.ends(score, layout)
    if whole is not None:
        keys, ends = {0: whole.key}, ends if score.piece_ends else set()
    built = 0
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
            built += 1
            step(built / len(layout.staves))
        if len(parts) > 1:
            stream.insert(0, m21.layout.StaffGroup(parts, name=parts[0].partName, symbol="brace"))
    if len(stream.parts) == len(by_voice) > 1:
        stream.insert(0, m21.layout.StaffGroup(list(stream.parts), symbol="bracket"))
    measures = list(stream.parts[0].getElementsByClass("Measure"))
    for index, place, number in marks.tempos(score, layout):
        measures[index].insert(place, m21.tempo.MetronomeMark(number=number))
    for index, place, symbol in marks.chords(score, layout):
        measures[index].insert(place, _chord_symbol(symbol, SHARPS[marks.key_at(keys, index)]))
    return stream


def _chord_symbol(symbol: ChordSymbol, sharps: int) -> Any:
    """A chord symbol in a key with so many sharps, with the suffix that musicians write behind its root."""
    root, bass = (
        letter + ("#" * alteration or "-" * -alteration) for letter, alteration in names.chord_spelling(symbol, sharps)
    )
    shown = m21.harmony.ChordSymbol(
        root=root,
        bass=bass if symbol.bass != symbol.root else None,
        kind=m21.harmony.CHORD_ALIASES.get(symbol.kind, symbol.kind),
        kindStr=names.CHORD_SUFFIXES[symbol.kind],
    )
    shown.notes = ()  # else music21 writes accidentals as if the notes of the chord were played
    return shown


def _instrument(name: str, program: int, number: int, channel: int) -> Any:
    instrument = m21.instrument.Instrument(name)
    # Otherwise music21 chooses random identifiers.
    instrument.partId, instrument.instrumentId = f"P{number}", f"I{number}"
    instrument.midiProgram, instrument.midiChannel = program, channel
    return instrument


def _measures(staff: Staff, layout: Layout, keys: dict[int, int], ends: set[int], clef: Any) -> Iterator[Any]:
    """The bars of one staff. `keys` and `ends` are those of `marks`."""
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
            sharps = SHARPS[keys[index]]
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
    """The music21 pitch of a MIDI pitch, spelled as `names.spelling` has it."""
    letter, alteration, octave = names.spelling(pitch, sharps)
    result = m21.pitch.Pitch(step=letter, octave=octave)
    if alteration:
        result.accidental = m21.pitch.Accidental(alteration)
    return result


def _clef(staff: Staff, centre: float) -> Any:
    """The clef in which the notes around a pitch need no ledger lines."""
    one_line = len(staff.layers) == 1 and all(len(chord.pitches) == 1 for chord in staff.layers[0])
    if one_line and 54 <= centre < 62:
        return m21.clef.Treble8vbClef()
    return m21.clef.TrebleClef() if centre >= 60 else m21.clef.BassClef()
