"""Finds the written music in music21 streams.

Grace notes, chord symbols and unpitched percussion are left out and counted; fermatas and dynamics are ignored.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import zip_longest
from typing import Any

from generator.music.bars import Measure
from generator.music.score import DEFAULT_VELOCITY, Voice
from generator.music.written import TICKS_PER_QUARTER, Sound, Written


def written(stream: Any) -> Written:
    """The written music of a music21 stream."""
    parts = list(stream.parts) or [stream]
    if any(instrument.transposition for instrument in stream.recurse().getElementsByClass("Instrument")):
        stream.toSoundingPitch(inPlace=True)
    edges = _aligned(parts)
    left_out: Counter[tuple[str, str]] = Counter()
    found = [(_voice(part), _sounds(part, left_out)) for part in parts]
    title = (stream.metadata.bestTitle if stream.metadata else None) or ""
    return Written(found, _measures(parts, edges), _tempos(stream), title, left_out=left_out)


def _tempos(stream: Any) -> dict[Fraction, float]:
    """The tempos that are given as numbers. Words such as Allegro are ignored."""
    return {
        _quarters(mark.offset): float(mark.getQuarterBPM())
        for mark in stream.flatten().getElementsByClass("MetronomeMark")
        if mark.number and not mark.numberImplicit and mark.getQuarterBPM()
    }


def _voice(part: Any) -> Voice:
    """The name and program of a part."""
    instrument = part.getInstrument(returnDefault=True)
    name = " ".join(str(part.partName or instrument.instrumentName or "").split())
    return Voice(name, min(127, max(0, instrument.midiProgram or 0)))


def _sounds(part: Any, left_out: Counter[tuple[str, str]]) -> list[Sound]:
    """The pitched notes of a part in order of their start. Other elements are counted in `left_out`."""
    sounds: list[Sound] = []
    for element in part.flatten().notes:
        if "Harmony" in element.classSet:
            left_out["chord symbol", "left out"] += 1
            continue
        if element.duration.isGrace or not element.quarterLength:
            thing = "grace note" if element.duration.isGrace else "note without a length"
            left_out[thing, "left out"] += len(element.notes) if element.isChord else 1
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


def _aligned(parts: list[Any]) -> list[Fraction]:
    """Let each bar start together in all parts. Returns where each starts, and where the last one ends.

    Files may have bars that are longer in one part than in others. Their notes keep their places in the bar; rests do
    not make it longer than its metre.
    """
    rows = list(zip_longest(*(part.getElementsByClass("Measure") for part in parts)))
    edges = [Fraction(0)]
    for row, following in zip(rows, [*rows[1:], (None,) * len(parts)], strict=True):
        lengths = [
            _quarters(measure.quarterLength if then is None else then.offset - measure.offset)
            for measure, then in zip(row, following, strict=True)
            if measure is not None
        ]
        length = max(lengths)
        if length != min(lengths):
            ends = [note.offset + note.quarterLength for measure in row if measure for note in measure.flatten().notes]
            full = next(measure for measure in row if measure).barDuration.quarterLength
            length = max(_quarters(max(ends, default=0)), min(_quarters(full), length))
        edges.append(edges[-1] + length)
    for row, start in zip(rows, edges, strict=False):
        for part, measure in zip(parts, row, strict=True):
            if measure is not None and measure.offset != start:
                part.setElementOffset(measure, start)
    return edges


def _measures(parts: list[Any], edges: list[Fraction]) -> list[Measure]:
    """The bars of the first part that has any, without empty ones, which come from doubled bar lines. `edges` is from
    `_aligned`."""
    part, written = next(
        ((part, found) for part in parts if (found := list(part.getElementsByClass("Measure")))), (None, [])
    )
    endings: dict[int, frozenset[int]] = {}
    for bracket in part.recurse().getElementsByClass("RepeatBracket") if part else ():
        # For a longer ending music21 may list the first and the last bar only.
        spanned = [index for index, measure in enumerate(written) if bracket.hasSpannedElement(measure)]
        for index in range(min(spanned, default=0), max(spanned, default=-1) + 1):
            endings[index] = frozenset(bracket.numberRange)
    measures: list[Measure] = []
    metre = (4, 4)
    opens = False
    for index, (measure, start, end) in enumerate(zip(written, edges, edges[1:], strict=False)):
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
