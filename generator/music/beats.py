"""The beats of bars, for a metronome."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from generator.music.score import Bar, TimeSignature


def beats(
    bars: Sequence[Bar], metres: Sequence[TimeSignature], ticks_per_quarter: int, since: int, until: int
) -> Iterator[tuple[int, bool]]:
    """The beats from tick `since` to before `until`, each with whether it is the first of its bar.

    Args:
        bars: the bar lines in order, one that is not after `since` among them; before the first there are no beats.
        metres: in order; before the first it is 4/4.
    """
    lines = [bar.start_ticks for bar in bars]
    changes = [metre.start_ticks for metre in metres]
    for index in range(max(0, bisect_right(lines, since) - 1), len(lines)):
        start = lines[index]
        end = min(until, lines[index + 1] if index + 1 < len(lines) else until)
        found = bisect_right(changes, start)
        metre = metres[found - 1] if found else TimeSignature(0, 4, 4)
        beat = max(1, int(metre.beat * ticks_per_quarter))
        yield from ((at, at == start) for at in range(start, end, beat) if at >= since)
