"""Lays out a score for notation: bars, staves, and layers of chords; `note_values` has what these are written with.

If most onsets of a score are on a grid that notation can write, it keeps them exactly. Otherwise it is a performance:
its notes move to sixteenths, and a staff has one chord at a time. All times here are exact fractions of a quarter note.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from generator.music.note_values import Bar, Chord, uncut
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
    chords_of = {voice: _chords(notes, place, Fraction(1, grid)) for voice, notes in sorted(by_voice.items())}
    first = min(chords[0].start for chords in chords_of.values())
    last = max(chord.end for chords in chords_of.values() for chord in chords)
    bars = tuple(_bars(score, place, first if written else Fraction(0), last))
    cut = place(score.length_ticks) if score.length_ticks else last + 1
    for chords in chords_of.values():
        least = max(cut, chords[-1].start + Fraction(1, 2 * ROUNDING))  # what ends before another starts was not cut
        chords[:] = (uncut(chord, bars[-1]) if chord.end >= least else chord for chord in chords)
    staves = []
    for voice, chords in chords_of.items():
        keyboard = score.voices[voice].program in KEYBOARDS and not score.voices[voice].drum
        for part in _keyboard_staves(chords) if keyboard else [chords]:
            layers = _layers(part)
            if not written or len(layers) > MOST_LAYERS:
                layers = [_one_chord_at_a_time(part)]
            staves.append(Staff(voice, tuple(map(tuple, layers))))
    return Layout(tuple(staves), bars)


def is_written(score: Score) -> bool:
    """Whether most onsets are where notation can write them, so that the score is not a performance."""
    onsets = [Fraction(note.start_ticks, score.ticks_per_quarter) for note in score.notes]
    return sum(map(_on_grid, onsets)) >= WRITTEN_SHARE * len(onsets)


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
