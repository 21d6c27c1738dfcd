"""Written bars: in which order they are played, and which time signatures predict where they fall."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction


class IrregularBars(Exception):
    """The written bars are not those that the time signatures predict."""


@dataclass(frozen=True)
class Measure:
    """A written bar: its metre, where it starts and how long it is (in quarters), and its repeat signs."""

    start: Fraction
    length: Fraction
    metre: tuple[int, int]
    repeat_starts: bool = False
    times: int = 1
    """How often the section that ends here is played."""
    endings: frozenset[int] = frozenset()
    """In which rounds this bar is played; empty for all."""

    @property
    def full(self) -> Fraction:
        return Fraction(4 * self.metre[0], self.metre[1])


def played(measures: list[Measure]) -> list[Measure]:
    """The bars in the order in which they are played: repeated sections written out, with their endings."""
    order: list[Measure] = []
    section = index = 0
    turn = 1
    while index < len(measures):
        measure = measures[index]
        if measure.repeat_starts and index != section:
            section, turn = index, 1
        if not measure.endings or turn in measure.endings:
            order.append(measure)
            if turn < measure.times:
                turn, index = turn + 1, section
                continue
            following = measures[index + 1].endings if index + 1 < len(measures) else frozenset()
            if measure.times > 1 or (measure.endings and not following):
                section, turn = index + 1, 1
        index += 1
    return order


def laid_out(measures: list[Measure]) -> list[Measure]:
    """The same bars, each starting where the one before it ends."""
    row: list[Measure] = []
    start = Fraction(0)
    for measure in measures:
        row.append(replace(measure, start=start))
        start += measure.length
    return row


def metres(measures: list[Measure], *, regular: bool) -> tuple[Fraction, list[tuple[Fraction, tuple[int, int]]]]:
    """How far everything moves for a pickup, and each change of metre: (start after the move, metre), in quarters."""
    pickup = Fraction(0)
    changes: list[tuple[Fraction, tuple[int, int]]] = []

    def bar(start: Fraction, metre: tuple[int, int]) -> None:
        if not changes or changes[-1][1] != metre:
            changes.append((start, metre))

    index = 0
    while index < len(measures):
        first = measures[index]
        start, length, count = first.start + pickup, first.length, 1
        # A bar cut by a repeat sign: its pieces add up to a whole one.
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
    """A metre whose bar has this many quarters."""
    whole = length / 4
    scale = max(1, 4 // whole.denominator)
    numerator, denominator = whole.numerator * scale, whole.denominator * scale
    if denominator & (denominator - 1) or denominator > 64:
        raise IrregularBars(f"a bar of {length} quarters has no time signature")
    return numerator, denominator
