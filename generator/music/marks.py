"""What a written score says beside its notes: where pieces end, their keys and tempos."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from fractions import Fraction

from generator.music.keys import likely
from generator.music.layout import Layout
from generator.music.score import Score


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


def tempos(score: Score, layout: Layout) -> Iterator[tuple[int, Fraction, int]]:
    """Where the rounded tempo changes: the index of the bar, the place in it in quarters, and the quarters a minute."""
    starts = [bar.start for bar in layout.bars]
    shown = None
    for tempo in score.tempos:
        place = max(Fraction(tempo.start_ticks, score.ticks_per_quarter), starts[0])
        number = round(tempo.quarters_per_minute)
        if number != shown and place < layout.bars[-1].end:
            index = bisect_right(starts, place) - 1
            yield index, place - starts[index], number
            shown = number
