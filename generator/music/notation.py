"""Written music as scores: MusicXML, ABC and Humdrum files, read through music21.

A written piece has bars; a `Score` has time signatures that predict them. A short first bar is a pickup and is moved to
the end of a whole first bar; a bar that a repeat cuts in two is put together again; any other irregular bar gets a time
signature of its own, or is refused where the caller wants `regular` bars only.

Left out: grace notes, chord symbols, unpitched percussion, all of which are counted; fermatas, dynamics.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import omissions_of
from generator.music import bars
from generator.music.bars import IrregularBars, Measure
from generator.music.score import (
    DEFAULT_VELOCITY,
    MusicEvent,
    Note,
    Score,
    Tempo,
    TimeSignature,
    Voice,
    style_name,
)
from generator.music.voices import OVERLAPPED, without_overlaps

TICKS_PER_QUARTER = 10_080
"""2^5 · 3^2 · 5 · 7: exact for 128th notes and for tuplets of 3, 5, 6, 7 and 9."""
MAX_BYTES = 64 * 2**20
"""Larger files, packed or unpacked, are not scores that anyone wrote."""
MAX_QUARTERS = 100_000
"""A day of music."""
METRES = frozenset((beats, unit) for beats in range(1, 256) for unit in (1, 2, 4, 8, 16, 32, 64))
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
                stream = _parse(source, form)
                stated = _stated_metres(source) if isinstance(source, str) else frozenset()
                score = _convert(stream, stated if regular else frozenset(), regular, expand_repeats)
                yield replace(score, style=_stated_style(source)) if isinstance(source, str) else score
        except IrregularBars as error:
            yield CarouselError(f"{name}: {error}")
        except Exception as error:  # music21 raises anything at all on a damaged file
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            yield CarouselError(f"{name}: cannot be read as {NAMES[form]} ({reason}); repair it or take it out")


def _check_size(path: Path) -> None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise CarouselError(f"{path}: cannot be read ({error}); check the path and the file") from error
    if size == 0:
        raise CarouselError(f"{path}: the file is empty; take it out")
    if size > MAX_BYTES:
        raise CarouselError(
            f"{path}: {size / 2**20:.0f} MB is too large for a score; the limit is {MAX_BYTES >> 20} MB"
        )


def _tunes(path: Path) -> list[str]:
    """The tunes of an ABC file, each under the header lines that come before the first one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:  # older tunes come in Latin-1, where every byte is a character
        text = path.read_text(encoding="latin-1")
    head, *tunes = re.split(r"^(?=X:)", text, flags=re.MULTILINE)
    if not tunes:
        return [text]
    shared = "".join(line for line in head.splitlines(keepends=True) if re.match(r"[A-Z]:", line))
    return [re.sub(r"^(X:.*\n)", lambda match: match[1] + shared, tune, count=1) for tune in tunes]


def _stated_metres(tune: str) -> frozenset[tuple[int, int]]:
    """The metres that an ABC tune names. music21 adds others of its own, for bars that are too long."""
    common = {"C": (4, 4), "C|": (2, 2)}
    fractions = re.findall(r"^M: *(\d+)/(\d+)|\[M: *(\d+)/(\d+)", tune, re.MULTILINE)
    letters = re.findall(r"^M: *(C\|?)|\[M: *(C\|?)", tune, re.MULTILINE)
    return frozenset(
        [(int(a or c), int(b or d)) for a, b, c, d in fractions] + [common[line or inline] for line, inline in letters]
    )


def _stated_style(tune: str) -> str:
    """The rhythm that an ABC tune names: reel, jig …"""
    stated = re.search(r"^R:[ \t]*(\S.*)", tune, re.MULTILINE)
    return style_name(stated[1]) if stated else ""


def _parse(source: str | Path, form: str) -> Any:
    """A music21 stream. Never through music21's cache: its files are pickles."""
    import music21  # slow to import, and not needed by those who only look at suffixes

    converter = music21.converter.Converter()
    if isinstance(source, Path):
        converter.parseFileNoPickle(source, format=form)
    else:
        converter.parseData(source, format=form)
    return converter.stream


@dataclass(frozen=True)
class _Sound:
    """A written note: start and end in quarters."""

    start: Fraction
    end: Fraction
    pitch: int
    velocity: int
    tied: bool


def _convert(stream: Any, stated: frozenset[tuple[int, int]], regular: bool, expand_repeats: bool) -> Score:
    """A music21 stream as a score; of `stated` metres alone, where any are given."""
    parts = list(stream.parts) or [stream]
    if any(instrument.transposition for instrument in stream.recurse().getElementsByClass("Instrument")):
        stream.toSoundingPitch(inPlace=True)
    measures = written = _measures(parts)
    if stated and any(measure.metre not in stated for measure in measures):
        raise IrregularBars("a bar is longer than its metre has it")
    if expand_repeats and (played := bars.played(written)) != written:
        try:
            bars.metres(bars.laid_out(played), regular=True)
            measures = played
        except IrregularBars:
            pass  # then as it is written
    laid_out = bars.laid_out(measures)
    pickup, metres = bars.metres(laid_out, regular=regular)

    def ticks(quarters: Fraction) -> int:
        return round((quarters + pickup) * TICKS_PER_QUARTER)

    events: list[MusicEvent] = [TimeSignature(round(start * TICKS_PER_QUARTER), *metre) for start, metre in metres]
    events += _tempos(stream, ticks)
    voices: list[Voice] = []
    notes: list[Note] = []
    left_out: Counter[tuple[str, str]] = Counter()
    for part in parts:
        sounds = _sounds(part, left_out)
        if measures:
            sounds = [
                replace(sound, start=sound.start + move, end=sound.end + move)
                for source, target in zip(measures, laid_out, strict=True)
                for move in [target.start - source.start]
                for sound in _between(sounds, source.start, source.start + source.length)
            ]
        if sounds:
            notes += _notes(sounds, len(voices), ticks)
            voices.append(_voice(part, len(voices)))
    if not notes:
        raise ValueError("it has no notes")
    if max(note.end_ticks for note in notes) > MAX_QUARTERS * TICKS_PER_QUARTER:
        raise ValueError("it lasts longer than a day")
    if strange := [metre for _, metre in metres if metre not in METRES]:
        raise ValueError("it has a metre of {}/{}".format(*strange[0]))
    title = (stream.metadata.bestTitle if stream.metadata else None) or ""
    kept = without_overlaps(notes)
    left_out[OVERLAPPED] = len(notes) - len(kept)
    score = Score.from_events(
        [*events, *kept], ticks_per_quarter=TICKS_PER_QUARTER, voices=tuple(voices), title=" ".join(title.split())
    )
    return replace(score, omissions=omissions_of(left_out))


def _tempos(stream: Any, ticks: Callable[[Fraction], int]) -> list[Tempo]:
    """Tempos that are given in numbers; what a word like Allegro may mean is not invented."""
    tempos: dict[int, Tempo] = {}
    for mark in stream.flatten().getElementsByClass("MetronomeMark"):
        if mark.number and not mark.numberImplicit and mark.getQuarterBPM():
            start = ticks(_quarters(mark.offset)) if mark.offset else 0
            tempos[start] = Tempo(start, float(mark.getQuarterBPM()))
    return list(tempos.values())


def _voice(part: Any, index: int) -> Voice:
    instrument = part.getInstrument(returnDefault=True)
    name = " ".join(str(part.partName or instrument.instrumentName or f"Voice {index + 1}").split())
    return Voice(name, min(127, max(0, instrument.midiProgram or 0)))


def _sounds(part: Any, left_out: Counter[tuple[str, str]]) -> list[_Sound]:
    """The pitched notes of a part, in order of their start; what is no such note is counted."""
    sounds: list[_Sound] = []
    for element in part.flatten().notes:
        if "Harmony" in element.classSet:
            left_out["chord symbol", "left out"] += 1
            continue
        if element.duration.isGrace or not element.quarterLength:
            left_out["grace note", "left out"] += 1
            continue
        start = _quarters(element.offset)
        end = start + _quarters(element.quarterLength)
        for member in element.notes if element.isChord else [element]:
            if member.isNote:
                pitch = min(127, max(0, round(member.pitch.ps)))
                velocity = min(127, member.volume.velocity or DEFAULT_VELOCITY)
                tied = member.tie is not None and member.tie.type in ("stop", "continue")
                sounds.append(_Sound(start, end, pitch, velocity, tied))
            else:
                left_out["unpitched note", "left out"] += 1
    return sounds


def _between(sounds: list[_Sound], start: Fraction, end: Fraction) -> list[_Sound]:
    first, last = (bisect_left(sounds, edge, key=lambda sound: sound.start) for edge in (start, end))
    return sounds[first:last]


def _notes(sounds: list[_Sound], voice: int, ticks: Callable[[Fraction], int]) -> list[Note]:
    """Sounds of one part in ticks, tied ones as one note."""
    notes: list[Note] = []
    latest: dict[int, int] = {}
    for sound in sounds:
        start, end = ticks(sound.start), ticks(sound.end)
        if end <= start:
            continue
        before = latest.get(sound.pitch)
        if sound.tied and before is not None and notes[before].end_ticks == start:
            notes[before] = replace(notes[before], duration_ticks=end - notes[before].start_ticks)
        else:
            latest[sound.pitch] = len(notes)
            notes.append(Note(start, end - start, sound.pitch, sound.velocity, voice))
    return notes


def _measures(parts: list[Any]) -> list[Measure]:
    """The bars of the first part that has any; empty ones (a doubled bar line) are no bars."""
    part, written = next(
        ((part, found) for part in parts if (found := list(part.getElementsByClass("Measure")))), (None, [])
    )
    endings: dict[int, frozenset[int]] = {}
    for bracket in part.recurse().getElementsByClass("RepeatBracket") if part else ():
        # Of a longer ending music21 may name the first and the last bar alone.
        spanned = [index for index, measure in enumerate(written) if bracket.hasSpannedElement(measure)]
        for index in range(min(spanned, default=0), max(spanned, default=-1) + 1):
            endings[index] = frozenset(bracket.numberRange)
    starts = [_quarters(measure.offset) for measure in written]
    ends = [*starts[1:], *(_quarters(measure.offset + measure.quarterLength) for measure in written[-1:])]
    measures: list[Measure] = []
    metre = (4, 4)
    opens = False
    for index, (measure, start, end) in enumerate(zip(written, starts, ends, strict=True)):
        if measure.timeSignature is not None:
            metre = (measure.timeSignature.numerator, measure.timeSignature.denominator)
        left, right = measure.leftBarline, measure.rightBarline
        opens = opens or _is(left, "start")
        times = (right.times or 2) if _is(right, "end") else 1
        if end > start:
            measures.append(Measure(start, end - start, metre, opens, times, endings.get(index, frozenset())))
            opens = False
        elif times > 1 and measures:
            measures[-1] = replace(measures[-1], times=times)
        # A repeat sign without a partner goes back to the double bar.
        opens = opens or (right is not None and right.type in ("double", "final") and times == 1)
    return measures


def _quarters(value: Any) -> Fraction:
    """An offset or a length of music21's: a fraction, or a float that stands for one."""
    return Fraction(value).limit_denominator(TICKS_PER_QUARTER)


def _is(line: Any, direction: str) -> bool:
    """Whether a bar line is a repeat sign of this direction."""
    return line is not None and "Repeat" in line.classSet and bool(line.direction == direction)
