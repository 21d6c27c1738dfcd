"""Lays out a score for notation: bars, staves, layers of chords, and note values that can be written.

If most onsets of a score are on a grid that notation can write, it keeps them exactly. Otherwise it is a performance:
its notes move to sixteenths, and a staff has one chord at a time. All times here are exact fractions of a quarter note.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import lcm

from generator.music.score import Note, Score, TimeSignature

EXACT_GRIDS = (48, 20, 28)
"""Divisions of a quarter that can be written: 64ths, 32nd triplets, sixteenth quintuplets and septuplets."""
WRITTEN_SHARE = 0.9
"""A score with a smaller share of onsets on these grids is a performance."""
ROUNDING = 12
"""In a written piece, times off the grids move to the nearest of this many parts of a quarter."""
PERFORMANCE_GRID = 4
"""In a performance, all times move to the nearest of this many parts of a quarter."""
MOST_LAYERS = 4
"""A staff that needs more layers than this gets one chord at a time."""
SPLIT_PITCH = 60
"""The lowest pitch of a keyboard's upper staff."""
KEYBOARD_RANGE = 24
"""A keyboard part with a larger range than this, in semitones, gets two staves."""
KEYBOARDS = {*range(24), 46}
"""General MIDI programs that are written on two staves: pianos, mallets, organs, accordions, and the harp."""

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


@dataclass(frozen=True, slots=True)
class Staff:
    """One staff of a voice; a keyboard may have two, the upper one first. The chords of a layer do not overlap."""

    voice: int
    layers: tuple[tuple[Chord, ...], ...]

    @property
    def pitches(self) -> list[int]:
        return [pitch for layer in self.layers for chord in layer for pitch in chord.pitches]


@dataclass(frozen=True, slots=True)
class Layout:
    """The staves of a piece in order of voices, and its bars, which have no gaps between them."""

    staves: tuple[Staff, ...]
    bars: tuple[Bar, ...]


def lay_out(score: Score) -> Layout:
    """Lay out a score with notes."""
    written = is_written(score)
    grid = ROUNDING if written else PERFORMANCE_GRID

    def place(ticks: int) -> Fraction:
        exact = Fraction(ticks, score.ticks_per_quarter)
        return exact if written and _on_grid(exact) else Fraction(round(exact * grid), grid)

    by_voice: dict[int, list[Note]] = defaultdict(list)
    for note in score.notes:
        by_voice[note.voice].append(note)
    staves = []
    for voice, notes in sorted(by_voice.items()):
        chords = _chords(notes, place, Fraction(1, grid))
        keyboard = score.voices[voice].program in KEYBOARDS and not score.voices[voice].drum
        for part in _keyboard_staves(chords) if keyboard else [chords]:
            layers = _layers(part)
            if not written or len(layers) > MOST_LAYERS:
                layers = [_one_chord_at_a_time(part)]
            staves.append(Staff(voice, tuple(map(tuple, layers))))
    first = min(layer[0].start for staff in staves for layer in staff.layers)
    last = max(layer[-1].end for staff in staves for layer in staff.layers)
    return Layout(tuple(staves), tuple(_bars(score, place, first if written else Fraction(0), last)))


def is_written(score: Score) -> bool:
    """Whether most onsets are where notation can write them, so that the score is not a performance."""
    onsets = [Fraction(note.start_ticks, score.ticks_per_quarter) for note in score.notes]
    return sum(map(_on_grid, onsets)) >= WRITTEN_SHARE * len(onsets)


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


def _on_grid(quarters: Fraction) -> bool:
    return any(grid % quarters.denominator == 0 for grid in EXACT_GRIDS)


def _chords(notes: list[Note], place: Callable[[int], Fraction], shortest: Fraction) -> list[Chord]:
    """The chords of notes that start and end together, by start; of chords with equal starts, the highest first."""
    together: dict[tuple[Fraction, Fraction], set[int]] = defaultdict(set)
    for note in notes:
        start, end = place(note.start_ticks), place(note.end_ticks)
        together[start, end if end > start else start + shortest].add(note.pitch)
    chords = [Chord(start, end, tuple(sorted(pitches))) for (start, end), pitches in together.items()]
    return sorted(chords, key=lambda chord: (chord.start, -chord.pitches[-1], chord.end))


def _keyboard_staves(chords: list[Chord]) -> list[list[Chord]]:
    """Divide a keyboard's chords into upper and lower staff. A single line or a narrow range stays on one staff."""
    pitches = [pitch for chord in chords for pitch in chord.pitches]
    one_line = all(len(chord.pitches) == 1 for chord in chords) and len(_layers(chords)) == 1
    if one_line or max(pitches) - min(pitches) <= KEYBOARD_RANGE:
        return [chords]
    halves: list[list[Chord]] = [[], []]
    for chord in chords:
        for half, pitches_of_half in (
            (halves[0], [pitch for pitch in chord.pitches if pitch >= SPLIT_PITCH]),
            (halves[1], [pitch for pitch in chord.pitches if pitch < SPLIT_PITCH]),
        ):
            if pitches_of_half:
                half.append(Chord(chord.start, chord.end, tuple(pitches_of_half)))
    return [half for half in halves if half]


def _layers(chords: list[Chord]) -> list[list[Chord]]:
    """Distribute chords over as few layers as possible, so that none overlaps the one before it in its layer."""
    layers: list[list[Chord]] = []
    for chord in chords:
        free = next((layer for layer in layers if layer[-1].end <= chord.start), None)
        if free is None:
            layers.append([chord])
        else:
            free.append(chord)
    return layers


def _one_chord_at_a_time(chords: list[Chord]) -> list[Chord]:
    """Join all chords that start together, and cut each where the next one starts."""
    starts: dict[Fraction, list[Chord]] = defaultdict(list)
    for chord in chords:
        starts[chord.start].append(chord)
    following = [*sorted(starts)[1:], None]
    line = []
    for (start, group), then in zip(sorted(starts.items()), following, strict=True):
        end = max(chord.end for chord in group)
        pitches = {pitch for chord in group for pitch in chord.pitches}
        line.append(Chord(start, end if then is None else min(end, then), tuple(sorted(pitches))))
    return line


def _bars(score: Score, place: Callable[[int], Fraction], first: Fraction, last: Fraction) -> Iterator[Bar]:
    """The bars up to `last`, from the score's bar lines and metres, with missing bar lines added. The first note starts
    at `first`."""
    metres = {place(metre.start_ticks): metre for metre in score.time_signatures}
    edges = {Fraction(0), *metres, *(place(bar.start_ticks) for bar in score.bars)}
    lines = [*sorted(edge for edge in edges if edge < last), last]
    metre = TimeSignature(0, 4, 4)
    missing = Fraction(0)
    for line, following in pairwise(lines):
        metre = metres.get(line, metre)
        length = Fraction(4 * metre.numerator, metre.denominator)
        start = line
        while start < following:
            end = start + length
            if following < last:
                end = min(end, following)
            if start == 0 and start < first < end < last:
                missing = end - first
                yield Bar(first, end, start, metre)
            else:
                # A pickup and the last bar add up to a full bar.
                yield Bar(start, last if end == last + missing else end, start, metre)
            start = end


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
