"""Written music as scores: MusicXML, ABC and Humdrum files, read through music21.

A written piece has bars; a `Score` has time signatures that predict them. A short first bar is a pickup and is moved to
the end of a whole first bar; a bar that a repeat cuts in two is put together again; any other irregular bar gets a time
signature of its own, or is refused where the caller wants `regular` bars only.

Left out: grace notes, chord symbols, unpitched percussion, fermatas, dynamics.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import music21 as m21

from generator.errors import CarouselError
from generator.music.score import MusicEvent, Note, Score, Tempo, TimeSignature, Voice
from generator.music.voices import without_overlaps

TICKS_PER_QUARTER = 10_080
"""2^5 · 3^2 · 5 · 7: exact for 128th notes and for tuplets of 3, 5, 6, 7 and 9."""
MAX_BYTES = 64 * 2**20
"""Larger files, packed or unpacked, are not scores that anyone wrote."""
FORMATS = {".xml": "musicxml", ".musicxml": "musicxml", ".mxl": "musicxml", ".abc": "abc", ".krn": "humdrum"}
NAMES = {"musicxml": "MusicXML", "abc": "ABC", "humdrum": "Humdrum"}


def read(path: str | Path, *, regular: bool = False, expand_repeats: bool = False) -> list[Score]:
    """Every piece of a file that can be read; an ABC file may hold many.

    Raises:
        CarouselError: the file cannot be read, is not of its suffix's format, or holds no piece that can be read.
    """
    pieces = list(read_each(path, regular=regular, expand_repeats=expand_repeats))
    scores = [piece for piece in pieces if isinstance(piece, Score)]
    for piece in pieces:
        if isinstance(piece, CarouselError) and not scores:
            raise piece
    return scores


def read_each(
    path: str | Path, *, regular: bool = False, expand_repeats: bool = False
) -> Iterator[Score | CarouselError]:
    """Each piece of a file, or the reason why that one cannot be read, so that one bad tune does not hide the others.

    Args:
        regular: refuse a piece whose bars are not those that its time signatures predict.
        expand_repeats: write repeats out where the bars stay regular; otherwise the piece stays as it is written.

    Raises:
        CarouselError: the file as a whole cannot be read.
    """
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise CarouselError(f"{path}: not written music; use one of {' '.join(FORMATS)}")
    _check_size(path)
    sources = _tunes(path) if form == "abc" else [path]
    for source in sources:
        tune = re.search(r"^X: *(\d+)", source, re.MULTILINE) if isinstance(source, str) else None
        name = f"{path}, tune {tune[1]}" if tune else str(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # music21 warns of much that is of no use to a listener
                yield _convert(_parse(source, form), regular=regular, expand_repeats=expand_repeats)
        except _IrregularBars as error:
            yield CarouselError(f"{name}: {error}")
        except Exception as error:  # music21 raises anything at all on a damaged file
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            yield CarouselError(f"{name}: cannot be read as {NAMES[form]} ({reason}); repair it or take it out")


class _IrregularBars(Exception):
    """The written bars are not those that the time signatures predict."""


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise CarouselError(f"{path}: cannot be read ({error}); check the path and the file") from error
    if size == 0:
        raise CarouselError(f"{path}: the file is empty; take it out")
    if size > MAX_BYTES:
        raise CarouselError(f"{path}: {size / 2**20:.0f} MB is too large for a score; the limit is {MAX_BYTES >> 20} MB")


def _tunes(path: Path) -> list[str]:
    """The tunes of an ABC file, each under the header lines that come before the first one."""
    text = path.read_text(encoding="utf-8", errors="replace")
    head, *tunes = re.split(r"^(?=X:)", text, flags=re.MULTILINE)
    if not tunes:
        return [text]
    shared = "".join(line for line in head.splitlines(keepends=True) if re.match(r"[A-Z]:", line))
    return [re.sub(r"^(X:.*\n)", lambda match: match[1] + shared, tune, count=1) for tune in tunes]


def _parse(source: str | Path, form: str) -> Any:
    """A music21 stream. Never through music21's cache: its files are pickles."""
    converter = m21.converter.Converter()
    if isinstance(source, Path):
        converter.parseFileNoPickle(source, format=form)
    else:
        converter.parseData(source, format=form)
    return converter.stream


@dataclass(frozen=True)
class _Measure:
    """A written bar: its metre, and where it starts and how long it is, in quarters."""

    start: Fraction
    length: Fraction
    metre: tuple[int, int]

    @property
    def full(self) -> Fraction:
        return Fraction(4 * self.metre[0], self.metre[1])


def _convert(stream: Any, *, regular: bool, expand_repeats: bool) -> Score:
    if expand_repeats:
        try:
            return _convert(stream.expandRepeats(), regular=True, expand_repeats=False)
        except Exception:  # repeats that lead nowhere, or bars that do not fit: then as it is written
            pass
    parts = list(stream.parts) or [stream]
    if any(instrument.transposition for instrument in stream.recurse().getElementsByClass("Instrument")):
        stream.toSoundingPitch(inPlace=True)
    measures = _measures(parts)
    pickup, metres = _metres(measures, regular=regular)

    def ticks(quarters: Any) -> int:
        return round((Fraction(quarters) + pickup) * TICKS_PER_QUARTER)

    events: list[MusicEvent] = [TimeSignature(round(start * TICKS_PER_QUARTER), *metre) for start, metre in metres]
    for mark in stream.flatten().getElementsByClass("MetronomeMark"):
        if mark.number and not mark.numberImplicit and mark.getQuarterBPM():
            start = 0 if mark.offset == 0 else ticks(mark.offset)
            events.append(Tempo(start, float(mark.getQuarterBPM())))
    voices: list[Voice] = []
    notes: list[Note] = []
    for part in parts:
        found = _notes(part, len(voices), ticks)
        if found:
            notes += found
            voices.append(_voice(part, len(voices)))
    if not notes:
        raise ValueError("it has no notes")
    title = (stream.metadata.bestTitle if stream.metadata else None) or ""
    events += without_overlaps(notes)
    return Score.from_events(
        dict.fromkeys(events), ticks_per_quarter=TICKS_PER_QUARTER, voices=tuple(voices), title=" ".join(title.split())
    )


def _voice(part: Any, index: int) -> Voice:
    instrument = part.getInstrument(returnDefault=True)
    name = " ".join(str(part.partName or instrument.instrumentName or f"Voice {index + 1}").split())
    return Voice(name, min(127, max(0, instrument.midiProgram or 0)))


def _notes(part: Any, voice: int, ticks: Any) -> list[Note]:
    """The pitched notes of one part in ticks, tied ones as one."""
    notes: list[Note] = []
    tied: dict[int, int] = {}
    for element in part.flatten().notes:
        if element.duration.isGrace or isinstance(element, m21.harmony.Harmony):
            continue
        start, end = ticks(element.offset), ticks(Fraction(element.offset) + Fraction(element.quarterLength))
        if end <= start:
            continue
        for member in element.notes if element.isChord else [element]:
            if not isinstance(member, m21.note.Note):
                continue
            pitch = min(127, max(0, round(member.pitch.ps)))
            tie = member.tie.type if member.tie else None
            before = tied.pop(pitch, None) if tie in ("stop", "continue") else None
            if before is not None and notes[before].end_ticks == start:
                notes[before] = replace(notes[before], duration_ticks=end - notes[before].start_ticks)
            else:
                before = len(notes)
                velocity = {"velocity": min(127, max(1, member.volume.velocity))} if member.volume.velocity else {}
                notes.append(Note(start, end - start, pitch, voice=voice, **velocity))
            if tie in ("start", "continue"):
                tied[pitch] = before
    return notes


def _measures(parts: list[Any]) -> list[_Measure]:
    """The bars of the first part that has any; empty ones (a doubled bar line) are no bars."""
    written = next((found for part in parts if (found := list(part.getElementsByClass("Measure")))), [])
    measures: list[_Measure] = []
    metre = (4, 4)
    for index, measure in enumerate(written):
        if measure.timeSignature is not None:
            metre = (measure.timeSignature.numerator, measure.timeSignature.denominator)
        start = Fraction(measure.offset)
        is_last = index + 1 == len(written)
        length = Fraction(measure.duration.quarterLength if is_last else written[index + 1].offset) - (
            0 if is_last else start
        )
        if length > 0:
            measures.append(_Measure(start, length, metre))
    return measures


def _metres(measures: list[_Measure], *, regular: bool) -> tuple[Fraction, list[tuple[Fraction, tuple[int, int]]]]:
    """How far everything moves for a pickup, and each change of metre: (start after the move, metre), in quarters."""
    pickup = Fraction(0)
    changes: list[tuple[Fraction, tuple[int, int]]] = []

    def bar(start: Fraction, metre: tuple[int, int]) -> None:
        if not changes or changes[-1][1] != metre:
            changes.append((start, metre))

    index = 0
    while index < len(measures):
        first = measures[index]
        start, length, count = first.start + pickup, first.length, 1
        # A bar cut by a repeat sign: its pieces add up to a whole one.
        while length < first.full and index + count < len(measures):
            following = measures[index + count]
            if following.metre != first.metre or length + following.length > first.full:
                break
            length += following.length
            count += 1
        is_last = index + count == len(measures)
        if length == first.full or (is_last and index > 0 and length < first.full):
            bar(start, first.metre)
            index += count
        elif index == 0 and first.length < first.full:
            pickup = first.full - first.length
            bar(Fraction(0), first.metre)
            index += 1
        elif regular:
            raise _IrregularBars(f"bar {index + 1} is {first.length} quarters long where its metre has {first.full}")
        else:
            bar(start, _metre_of(first.length))
            index += 1
    return pickup, changes


def _metre_of(length: Fraction) -> tuple[int, int]:
    """A metre whose bar has this many quarters."""
    whole = length / 4
    scale = max(1, 4 // whole.denominator)
    numerator, denominator = whole.numerator * scale, whole.denominator * scale
    if denominator & (denominator - 1) or denominator > 64:
        raise _IrregularBars(f"a bar of {length} quarters has no time signature")
    return numerator, denominator
