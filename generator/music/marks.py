"""What a written score says beside its notes: where pieces end, their keys, tempos and chord symbols."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from fractions import Fraction

from generator.music.keys import likely
from generator.music.layout import Layout
from generator.music.score import ChordSymbol, Score


def ends(score: Score, layout: Layout) -> set[int]:
    """The indices of the bars with which pieces end; the last bar is one of them."""
    starts = [bar.start for bar in layout.bars]
    found = [Fraction(end.start_ticks, score.ticks_per_quarter) for end in score.piece_ends]
    return {len(starts) - 1, *(max(0, bisect_left(starts, end) - 1) for end in found)}


def keys(score: Score, layout: Layout) -> dict[int, int]:
    """The likeliest key of each piece, as an index into `KEYS`, by the index of the piece's first bar."""
    found: dict[int, int] = {}
    first = 0
    for end in sorted(ends(score, layout)):
        start_ticks, end_ticks = (
            edge * score.ticks_per_quarter for edge in (layout.bars[first].start, layout.bars[end].end)
        )
        notes = [
            note
            for note in score.notes
            if start_ticks <= note.start_ticks < end_ticks and not score.voices[note.voice].drum
        ]
        if notes:
            found[first] = likely(notes)
        first = end + 1
    return found


def key_at(keys: dict[int, int], index: int) -> int:
    """The key in force in a bar, where keys begin as `keys` says."""
    return keys[max((bar for bar in keys if bar <= index), default=0)] if keys else 0


def tempos(score: Score, layout: Layout) -> Iterator[tuple[int, Fraction, int]]:
    """Where the rounded tempo changes: the index of the bar, the place in it in quarters, and the quarters a minute."""
    shown = None
    for tempo in score.tempos:
        number = round(tempo.quarters_per_minute)
        if number != shown:
            for index, place in _place(tempo.start_ticks, score, layout):
                yield index, place, number
                shown = number


def chords(score: Score, layout: Layout) -> Iterator[tuple[int, Fraction, ChordSymbol]]:
    """Where chord symbols stand: the index of the bar, the place in it in quarters, and the symbol."""
    for symbol in score.chords:
        for index, place in _place(symbol.start_ticks, score, layout):
            yield index, place, symbol


def _place(ticks: int, score: Score, layout: Layout) -> Iterator[tuple[int, Fraction]]:
    """The index of the bar in which a tick is, and its place there in quarters; that of the first note before it, and
    nothing behind the last bar."""
    starts = [bar.start for bar in layout.bars]
    place = max(Fraction(ticks, score.ticks_per_quarter), starts[0])
    if place < layout.bars[-1].end:
        index = bisect_right(starts, place) - 1
        yield index, place - starts[index]
