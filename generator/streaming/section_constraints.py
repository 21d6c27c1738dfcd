"""The option `form`: a piece of sections that have equal length and a letter each, in which a letter that came before
brings its section back.

A piece has one metre, and no note sounds from one section into the next, so that each can follow any other. An upbeat,
which is a first bar that begins with silence, stands before the first section. While a section comes back, a note may
only be the one to which the history points at the right distance, in its position, voice, pitch and duration; its
loudness is free. Where sections have some bars, the last one of each is free too, because endings differ: one leads
back, one leads on, and one ends the piece.
"""

from __future__ import annotations

import string

from generator.foundation.errors import CarouselError, Option
from generator.foundation.jit import compiled
from generator.foundation.options import SECTION_BARS
from generator.streaming.violations import (
    FREE_UPBEAT,
    MOST_SECTIONS,
    NO_UPBEAT,
    RETURNS,
    SECTION,
    SECTIONS,
    UPBEAT_ASKED,
    WITH_UPBEAT,
)
from generator.tokenizers import score_memory as grammar
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import Rows
from generator.tokenizers.score_history import BARS, BARS_BEFORE, UPBEAT, history_of, pointed_to

SHORTEST_WITH_ENDING = 4
"""In a section of at least so many bars the last bar does not return with it."""
KEPT = BARS_BEFORE.tolist()


def encode_form(form: str, encoded: Rows, bars: int | None, upbeat: bool | None = None) -> None:
    """Encode the option `form`.

    Args:
        bars: of the piece, an upbeat's included; None for sections of `SECTION_BARS`.
        upbeat: whether it begins with an upbeat; None if that follows from its bars or is free.

    Raises:
        CarouselError: the form is malformed, or such a piece cannot have it.
    """
    letters, count = form.upper(), len(form)
    if not set(letters) <= set(string.ascii_uppercase) or count > MOST_SECTIONS:
        raise CarouselError(
            Option("form"), f" is {form[:40]!r}; give a letter for each section, {MOST_SECTIONS} at most, as in AABB"
        )
    if bars and upbeat is None:
        upbeat = bars % count == 1
    section, left = divmod(bars - bool(upbeat), count) if bars else (SECTION_BARS, 0)
    returns = _returns(letters, section)
    if not section or left or -1 in returns:
        sections = [size for size in KEPT if -1 not in _returns(letters, size)]
        if not sections:
            remedy = f" cannot be, because bars return after {_either(KEPT)}; give one such as AABB, AABA or ABAC"
            raise CarouselError(Option("form"), f" {letters}", remedy)
        possible = f"; it can have {_either([size * count for size in sections])}, or one more with an upbeat"
        raise CarouselError(Option("form"), f" {letters} cannot have {bars or section * count} bars", possible)
    encoded[SECTION], encoded[SECTIONS] = section, count
    encoded[UPBEAT_ASKED] = FREE_UPBEAT if upbeat is None else WITH_UPBEAT if upbeat else NO_UPBEAT
    encoded[RETURNS : RETURNS + count] = returns


def _returns(letters: str, section: int) -> list[int]:
    """What is encoded for each of these sections of so many bars; -1 for one that came before, but not at a distance
    that is kept."""
    found = []
    for place, letter in enumerate(letters):
        ago = [section * (place - at) for at in range(place) if letters[at] == letter]
        kept = [1 + KEPT.index(bars) for bars in ago if bars in KEPT]
        found.append(min(kept) if kept else -1 if ago else 0)
    return found


def _either(numbers: list[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last


@compiled
def shortest_note(rules: Rows) -> int:
    """The shortest duration of the vocabulary, in ticks."""
    return int(rules[grammar.VALUE, rules[grammar.FIRST, kinds.DURATION]])


@compiled
def end_of_bar(row: Rows, bars: int, last: int) -> int:
    """The end in ticks of the bar number `last`, if the metre of the present one, number `bars`, stays; no earlier than
    that of the present bar."""
    return int(row[grammar.BAR_START] + row[grammar.BAR_TICKS] * (1 + max(0, last - bars)))


@compiled
def is_late(rules: Rows, row: Rows, kind: int, value: int, end: int) -> bool:
    """Whether a duration, or any note at a position, would last beyond the tick `end`."""
    if kind == kinds.DURATION:
        return bool(row[grammar.NOW] + value > end)
    return bool(kind == kinds.POSITION and row[grammar.BAR_START] + value + shortest_note(rules) > end)


@compiled
def departs_from_form(rules: Rows, encoded: Rows, row: Rows, kind: int, token: int) -> bool:
    """Whether a token gives a piece with a form an upbeat or none against what is asked, another metre, a note that
    sounds into the next section, or something else where a section comes back."""
    history, value = row[history_of(rules) :], rules[grammar.VALUE, token]
    bars, upbeat, section = history[BARS], history[UPBEAT], encoded[SECTION]
    if bars == 0 or kind == kinds.LOUDNESS:
        return False
    if kind == kinds.TIME_SIGNATURE:
        return True
    if bars == 1 and row[grammar.NOTES] == 0 and row[grammar.AT_POSITION] < 0:
        if kind != kinds.POSITION:
            return True
        upbeat = value > 0
        if encoded[UPBEAT_ASKED] == (NO_UPBEAT if upbeat else WITH_UPBEAT):
            return True
    place = (bars - upbeat - 1) // section  # of the section; -1 in the bar of an upbeat
    last = upbeat + (place + 1) * section
    if is_late(rules, row, kind, value, end_of_bar(row, bars, last)):
        return True
    if not 0 <= place < encoded[SECTIONS] or encoded[RETURNS + place] == 0:
        return False
    if bars == last and section >= SHORTEST_WITH_ENDING:
        return False
    distance = encoded[RETURNS + place] - 1
    wanted = pointed_to(history, distance)
    if wanted >= 0 and rules[grammar.KIND, wanted] == kinds.LOUDNESS:
        wanted = pointed_to(history, distance, 1)
    if wanted >= 0 and rules[grammar.KIND, wanted] < kinds.POSITION:  # the bar is complete
        return bool(kind >= kinds.POSITION)
    return bool(token != wanted)
