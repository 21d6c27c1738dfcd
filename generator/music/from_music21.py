"""Converts music21 streams to scores.

A music21 stream has written bars; a `Score` has time signatures that predict its bars. A short first bar is a pickup,
and moves to the end of a whole first bar. A bar that a repeat sign divides is joined again. Any other irregular bar
gets its own time signature, or is refused if the caller wants `regular` bars only.

Grace notes, chord symbols and unpitched percussion are left out and counted; fermatas and dynamics are ignored.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from generator.foundation.omissions import omissions_of
from generator.music import bars
from generator.music.bars import IrregularBars, Measure
from generator.music.score import DEFAULT_VELOCITY, MusicEvent, Note, Score, Tempo, TimeSignature, Voice
from generator.music.voices import OVERLAPPED, without_overlaps

TICKS_PER_QUARTER = 10_080
"""2^5 · 3^2 · 5 · 7: exact for 128th notes and for tuplets of 3, 5, 6, 7 and 9."""
MAX_QUARTERS = 100_000
"""About a day of music."""
METRES = frozenset((beats, unit) for beats in range(1, 256) for unit in (1, 2, 4, 8, 16, 32, 64))


@dataclass(frozen=True)
class Sound:
    """A written note: its start and end in quarters; `tied` if it continues the note before it."""

    start: Fraction
    end: Fraction
    pitch: int
    velocity: int
    tied: bool


def to_score(stream: Any, stated: frozenset[tuple[int, int]], regular: bool, expand_repeats: bool) -> Score:
    """Convert a music21 stream.

    Args:
        stated: if not empty, refuse the piece if it has other metres than these.
        regular: refuse the piece if its bars are not those that its time signatures predict.
        expand_repeats: write repeats out, unless that would make the bars irregular.

    Raises:
        IrregularBars: the bars are refused, or the length of a bar has no time signature.
        ValueError: there are no notes, the piece is too long, or it has an unsupported metre.
    """
    parts = list(stream.parts) or [stream]
    if any(instrument.transposition for instrument in stream.recurse().getElementsByClass("Instrument")):
        stream.toSoundingPitch(inPlace=True)
    measures = written = _measures(parts)
    if stated and any(measure.metre not in stated for measure in measures):
        raise IrregularBars("a bar is longer than its metre")
    if expand_repeats and (played := bars.played(written)) != written:
        try:
            bars.metres(bars.without_gaps(played), regular=True)
            measures = played
        except IrregularBars:
            pass  # keep the bars as they are written
    joined = bars.without_gaps(measures)
    pickup, metres = bars.metres(joined, regular=regular)

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
                for source, target in zip(measures, joined, strict=True)
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
    """The tempos that are given as numbers. Words such as Allegro are ignored."""
    tempos: dict[int, Tempo] = {}
    for mark in stream.flatten().getElementsByClass("MetronomeMark"):
        if mark.number and not mark.numberImplicit and mark.getQuarterBPM():
            start = ticks(_quarters(mark.offset)) if mark.offset else 0
            tempos[start] = Tempo(start, float(mark.getQuarterBPM()))
    return list(tempos.values())


def _voice(part: Any, index: int) -> Voice:
    """The name and program of a part, which becomes the voice `index`."""
    instrument = part.getInstrument(returnDefault=True)
    name = " ".join(str(part.partName or instrument.instrumentName or f"Voice {index + 1}").split())
    return Voice(name, min(127, max(0, instrument.midiProgram or 0)))


def _sounds(part: Any, left_out: Counter[tuple[str, str]]) -> list[Sound]:
    """The pitched notes of a part in order of their start. Other elements are counted in `left_out`."""
    sounds: list[Sound] = []
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
                sounds.append(Sound(start, end, pitch, velocity, tied))
            else:
                left_out["unpitched note", "left out"] += 1
    return sounds


def _between(sounds: list[Sound], start: Fraction, end: Fraction) -> list[Sound]:
    """The sounds that start from `start` to before `end`."""
    first, last = (bisect_left(sounds, edge, key=lambda sound: sound.start) for edge in (start, end))
    return sounds[first:last]


def _notes(sounds: list[Sound], voice: int, ticks: Callable[[Fraction], int]) -> list[Note]:
    """The sounds of one part as notes in ticks; tied sounds become one note."""
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
    """The bars of the first part that has any, without empty ones, which come from doubled bar lines."""
    part, written = next(
        ((part, found) for part in parts if (found := list(part.getElementsByClass("Measure")))), (None, [])
    )
    endings: dict[int, frozenset[int]] = {}
    for bracket in part.recurse().getElementsByClass("RepeatBracket") if part else ():
        # For a longer ending music21 may list the first and the last bar only.
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
        opens = opens or _is_repeat(left, "start")
        times = (right.times or 2) if _is_repeat(right, "end") else 1
        if end > start:
            measures.append(Measure(start, end - start, metre, opens, times, endings.get(index, frozenset())))
            opens = False
        elif times > 1 and measures:
            measures[-1] = replace(measures[-1], times=times)
        # A section that has no sign at its start is repeated from the last double bar.
        opens = opens or (right is not None and right.type in ("double", "final") and times == 1)
    return measures


def _quarters(value: Any) -> Fraction:
    """An offset or length in music21, which is a fraction or a float, as an exact fraction."""
    return Fraction(value).limit_denominator(TICKS_PER_QUARTER)


def _is_repeat(line: Any, direction: str) -> bool:
    """Whether a bar line is a repeat sign of this direction."""
    return line is not None and "Repeat" in line.classSet and bool(line.direction == direction)
