"""Which notes and rests a span of time is written with, in a bar: plain or dotted ones, tuplets, and ties between them.

All times here are exact fractions of a quarter note.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from generator.music.score import TimeSignature

FINEST_CUT = 4
"""A note that is cut off ends on one of this many parts of a quarter."""
PLAIN = sorted((Fraction(2) ** power * dots for power in range(-8, 4) for dots in (1, Fraction(3, 2))), reverse=True)
"""The lengths that one note can have, in quarters: 1024th notes to breves, dotted or not."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from `start` to `end`. Beats count from `origin`, which is before `start` in a pickup."""

    start: Fraction
    end: Fraction
    origin: Fraction
    metre: TimeSignature

    @property
    def whole(self) -> bool:
        """Whether it has the full length of its metre."""
        return self.end - self.start == Fraction(4 * self.metre.numerator, self.metre.denominator)


@dataclass(frozen=True, slots=True)
class Chord:
    """Notes that start and end together; `pitches` are rising."""

    start: Fraction
    end: Fraction
    pitches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """One written note, chord or rest.

    In a tuplet, `tuplet` is the number of units that take the time of the power of two below it; else it is 1.
    """

    length: Fraction
    tuplet: int
    pitches: tuple[int, ...]
    tied_before: bool
    tied_after: bool


def values(layer: tuple[Chord, ...], bar: Bar) -> list[Value]:
    """The note values, with rests, that fill one bar of a layer."""
    spans: list[tuple[Fraction, Fraction, Chord | None]] = []
    at = bar.start
    for chord in layer[bisect_left(layer, bar.start, key=lambda chord: chord.end) :]:
        if chord.start >= bar.end:
            break
        start, end = max(chord.start, bar.start), min(chord.end, bar.end)
        if start >= end:
            continue
        if start > at:
            spans.append((at, start, None))
        spans.append((start, end, chord))
        at = end
    if at < bar.end:
        spans.append((at, bar.end, None))
    tuplets = _tuplets({edge - bar.origin for start, end, _ in spans for edge in (start, end)})
    written = []
    for start, end, span in spans:
        place = start
        for length, tuplet in _split(start - bar.origin, end - bar.origin, tuplets, bar.metre, rest=span is None):
            before, place = place, place + length
            if span is None:
                written.append(Value(length, tuplet, (), False, False))
            else:
                written.append(Value(length, tuplet, span.pitches, before > span.start, place < span.end))
    return written


def uncut(chord: Chord, bar: Bar) -> Chord:
    """A chord that was cut off in its last bar. If that is where no note would end, it gets the shortest length from
    there on that one note can have, or else lasts until the end of the bar."""
    if (chord.end * FINEST_CUT).denominator == 1:
        return chord
    start, cut, last = (place - bar.origin for place in (max(chord.start, bar.start), chord.end, bar.end))
    is_tuplet = start.denominator & (start.denominator - 1)
    parts = start.denominator if is_tuplet else max(FINEST_CUT, start.denominator)
    end = start
    while end < last:
        end = min(end + Fraction(1, parts), last)
        if end >= cut and len(list(_split(start, end, _tuplets({start, end}), bar.metre, rest=False))) == 1:
            break
    return Chord(chord.start, bar.origin + end, chord.pitches)


def _tuplets(edges: set[Fraction]) -> dict[int, int]:
    """The tuplets that these times need: the number of units (an odd one) by the index of the quarter in the bar."""
    denominators: dict[int, int] = defaultdict(lambda: 1)
    for edge in edges:
        denominators[int(edge)] = lcm(denominators[int(edge)], edge.denominator)
    odd = {beat: whole // (whole & -whole) for beat, whole in denominators.items()}
    return {beat: parts for beat, parts in odd.items() if parts > 1}


def _split(
    start: Fraction, end: Fraction, tuplets: dict[int, int], metre: TimeSignature, *, rest: bool
) -> Iterator[tuple[Fraction, int]]:
    """Split a span of a bar into lengths that single notes can have, each with its tuplet or 1."""
    while start < end:
        beat = int(start)
        if beat in tuplets:
            parts = tuplets[beat]
            # The units of a tuplet are written like those of the power of two below it.
            scale = Fraction(parts, 1 << (parts.bit_length() - 1))
            room = min(end, Fraction(beat + 1)) - start
            length = next(plain for plain in PLAIN if plain <= room * scale) / scale
            yield length, parts
        else:
            stop = min([end, *(Fraction(other) for other in tuplets if beat < other < end)])
            length = next(
                plain for plain in PLAIN if plain <= stop - start and _readable(start, plain, stop, metre, rest)
            )
            yield length, 1
        start += length


def _readable(start: Fraction, length: Fraction, stop: Fraction, metre: TimeSignature, rest: bool) -> bool:
    """Whether a note of this length at this place leaves the beat readable. A rest may not be syncopated."""
    beat = metre.beat
    dotted = length.numerator % 3 == 0
    base = length * Fraction(2, 3) if dotted else length
    end = start + length
    if start % (base if rest else base / 2) or (dotted and end != stop and end % min(beat, Fraction(3, 2))):
        return False
    in_one_beat = start // beat == (end - PLAIN[-1]) // beat
    return not metre.is_compound or in_one_beat or (start % beat == 0 and length % beat == 0)
