"""Written bars: the order in which repeats play them, and the time signatures that predict where they start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction


class IrregularBars(Exception):
    """Bars are not those that the time signatures predict, or no time signature has the length of a bar."""


@dataclass(frozen=True)
class Measure:
    """A written bar: its start and length in quarters, its metre, and its repeat signs."""

    start: Fraction
    length: Fraction
    metre: tuple[int, int]
    repeat_starts: bool = False
    times: int = 1
    """How often the section is played that ends with this bar."""
    endings: frozenset[int] = frozenset()
    """The repetitions in which this bar is played, counted from 1; empty for all of them."""

    @property
    def full(self) -> Fraction:
        """The length of a full bar of this metre, in quarters."""
        return Fraction(4 * self.metre[0], self.metre[1])


def played(measures: list[Measure]) -> list[Measure]:
    """The bars in the order in which they are played, with repeats and endings written out."""
    order: list[Measure] = []
    section = index = 0
    turn = 1
    while index < len(measures):
        measure = measures[index]
        if measure.repeat_starts and index != section:
            section, turn = index, 1
        if not measure.endings or turn in measure.endings:
            order.append(measure)
            if measure.times > 1 and turn < max(measure.times, _last_turn(measures, index)):
                turn, index = turn + 1, section
                continue
            following = measures[index + 1].endings if index + 1 < len(measures) else frozenset()
            if measure.times > 1 or (measure.endings and not following):
                section, turn = index + 1, 1
        index += 1
    return order


def _last_turn(measures: list[Measure], index: int) -> int:
    """The last repetition that has an ending, of those that the bar at `index` and the following ones are endings for.

    A bar with none, or another ending for the first repetition, is behind them.
    """
    last = 0
    for at in range(index, len(measures)):
        endings = measures[at].endings
        if not endings or (1 in endings and endings != measures[index].endings):
            break
        last = max(last, *endings)
    return last


def without_gaps(measures: list[Measure]) -> list[Measure]:
    """The same bars, each starting where the one before it ends."""
    row: list[Measure] = []
    start = Fraction(0)
    for measure in measures:
        row.append(replace(measure, start=start))
        start += measure.length
    return row


def metres(measures: list[Measure], *, regular: bool) -> tuple[Fraction, list[tuple[Fraction, tuple[int, int]]]]:
    """The time signatures that predict these bars.

    Args:
        regular: refuse bars that are not as long as their metre, other than a pickup, the last bar, and the parts of a
            bar that a repeat sign divides.

    Returns:
        By how many quarters all bars move later so that a pickup ends a full bar, and each change of metre as (start in
        quarters after that move, metre).

    Raises:
        IrregularBars: a bar is refused, or no time signature has its length.
    """
    pickup = Fraction(0)
    changes: list[tuple[Fraction, tuple[int, int]]] = []

    def bar(start: Fraction, metre: tuple[int, int]) -> None:
        if not changes or changes[-1][1] != metre:
            changes.append((start, metre))

    index = 0
    while index < len(measures):
        first = measures[index]
        start, length, count = first.start + pickup, first.length, 1
        # A repeat sign may divide a bar; the lengths of its parts add up to a full one.
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
            raise IrregularBars(f"bar {index + 1} is {first.length} quarters long where its metre has {first.full}")
        else:
            bar(start, _metre_of(first.length))
            index += 1
    return pickup, changes


def _metre_of(length: Fraction) -> tuple[int, int]:
    """A metre whose bar has this length in quarters."""
    whole = length / 4
    scale = max(1, 4 // whole.denominator)
    numerator, denominator = whole.numerator * scale, whole.denominator * scale
    if denominator & (denominator - 1) or denominator > 64:
        raise IrregularBars(f"a bar of {length} quarters has no time signature")
    return numerator, denominator
