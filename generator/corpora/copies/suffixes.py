"""A suffix array, read backwards: every place of a sequence, sorted by what leads up to it.

So the places whose past is most like a stream's are found by one bisection. The sequence is one of symbols, in which
a break stands before each piece but perhaps the first; no two breaks are equal, so that nothing runs across one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.corpora.copies.reading import (
    ABOVE_C,
    BREAK,
    DRUM,
    FIGURES,
    FIRST,
    INTERVALS,
    LENGTH,
    LOWEST,
    MOST,
    MOST_AT,
    NONE,
    PITCH,
    PLACE,
    ROLE,
    SAYS,
    SINCE,
    UNISON,
    Symbols,
    symbol_of,
)
from generator.foundation.jit import compiled
from generator.tokenizers.base import Mask, Rows

Suffixes = npt.NDArray[np.uint32]
Whole = Any
"""A whole number, Python's or NumPy's."""


def sort_suffixes(symbols: Symbols, stop: int, progress: Callable[[int, int], None]) -> Suffixes:
    """The places of a sequence, sorted, by prefix doubling (Manber and Myers 1990).

    Sorted by their last symbols, places are sorted by twice as many by the rank of the place before these. Only places
    that are still level with others are sorted again (Larsson and Sadakane 2007).
    """
    size = len(symbols)
    order = np.argsort(symbols, kind="stable")
    rank = np.full(size + 1, NONE, dtype=np.int64)  # the last one belongs to the place before the first
    ranks, keys, length = np.arange(size), symbols[order].astype(np.int64), 1
    keys[keys == stop] = NONE - np.arange((keys == stop).sum())
    while len(ranks):
        new = np.append(True, keys[1:] != keys[:-1])
        rank[order[ranks]] = np.maximum.accumulate(np.where(new, ranks, 0))
        ranks = ranks[~(new & np.append(new[1:], True))]
        progress(size - len(ranks), size)
        level = order[ranks]
        keys = rank[level] * (size + 1) + rank[np.maximum(level - length, -1)] + 1
        by_key = np.argsort(keys)
        order[ranks], keys = level[by_key], keys[by_key]
        length *= 2
    return order.astype(np.uint32)


@compiled
def is_sorted(symbols: Symbols, suffixes: Suffixes, stop: int) -> bool:
    """Whether these are a sequence's places as `sort_suffixes` sorts them: each is there, and belongs after the one
    before (Burkhardt and Kärkkäinen 2003)."""
    size = len(symbols)
    rank = np.full(size + 1, NONE, dtype=np.int64)
    for index in range(len(suffixes)):
        if suffixes[index] >= size:
            return False
        rank[suffixes[index]] = index
    for place in range(size):
        if rank[place] == NONE:
            return False
    for index in range(1, size):
        lower, higher = np.int64(suffixes[index - 1]), np.int64(suffixes[index])
        if symbols[lower] > symbols[higher]:
            return False
        if symbols[lower] == symbols[higher]:
            rises = lower < higher if symbols[lower] == stop else rank[lower - 1] < rank[higher - 1]
            if not rises:
                return False
    return True


@compiled
def _lengthen(symbols: Symbols, suffixes: Suffixes, buckets: Rows, row: Rows, symbol: int) -> None:
    """Make the run in a row the longest one that ends with `symbol`.

    It may go on where it stands. Else it is looked for, `symbol` first and then backwards: whatever shares most with
    it lies next to where it would be sorted in, and the bisection that leads there meets it. The run itself is read
    where it stands, so nothing else of the stream has to be remembered.
    """
    end, most = row[PLACE], row[LENGTH] + 1
    if most > 1 and end + 1 < len(symbols) and symbols[end + 1] == symbol:
        row[PLACE], row[LENGTH] = end + 1, most
        return
    low, past = buckets[symbol], buckets[symbol + 1]
    row[LENGTH] = 0
    shared_low = shared_past = 1  # what a suffix between two others shares with both, it shares with the run
    while low < past and row[LENGTH] < most:
        middle = (low + past) // 2
        place = np.int64(suffixes[middle])
        shared = min(shared_low, shared_past)
        while shared < most and shared <= place and symbols[place - shared] == symbols[end + 1 - shared]:
            shared += 1
        if shared > row[LENGTH]:
            row[PLACE], row[LENGTH] = place, shared
        if shared < most and (shared > place or symbols[place - shared] < symbols[end + 1 - shared]):
            low, shared_low = middle + 1, shared
        else:
            past, shared_past = middle, shared


@compiled
def begins(rules: Rows, row: Rows) -> int:
    """Where a stream's run begins: notes begin with the one before the first interval. `NONE` where nothing runs."""
    return int(row[PLACE] - row[LENGTH] + 1 - rules[FIGURES, INTERVALS]) if row[LENGTH] > 0 else NONE


@compiled
def _hear(rules: Rows, symbols: Symbols, suffixes: Suffixes, buckets: Rows, row: Rows, token: int) -> bool:
    """Read a stream's next token; `row` changes in place. Returns whether a note or a character was said."""
    intervals, stop = rules[FIGURES, INTERVALS], rules[FIGURES, BREAK]
    symbol = symbol_of(rules, row, token)
    if symbol == NONE or (symbol == stop and not intervals):
        return False
    if symbol != stop:
        _lengthen(symbols, suffixes, buckets, row, symbol)
    row[SINCE] += 1
    if row[LENGTH] + intervals > row[MOST]:
        row[MOST], row[MOST_AT] = row[LENGTH] + intervals, begins(rules, row)
    return True


@compiled
def advance(rules: Rows, symbols: Symbols, suffixes: Suffixes, buckets: Rows, memory: Rows, tokens: Rows) -> None:
    """Read one token a stream, shape (n,); `memory`, shape (n, SIZE), changes in place."""
    for stream in range(len(tokens)):
        _hear(rules, symbols, suffixes, buckets, memory[stream], tokens[stream])


RUN, AT, HEARD = range(3)


@compiled
def follow(
    rules: Rows,
    symbols: Symbols,
    suffixes: Suffixes,
    buckets: Rows,
    row: Rows,
    tokens: npt.NDArray[np.int64],
    said: Rows,
) -> int:
    """Read a stream's next tokens; `row` changes in place. Returns how many notes or characters they said.

    Each has a row in `said`, of shape (at least as many as tokens, 3): how long the run is that ends with it, in notes
    or characters; where that begins, or `NONE`; how many notes or characters its piece has so far.
    """
    count = 0
    for token in tokens:
        if _hear(rules, symbols, suffixes, buckets, row, token):
            said[count, RUN] = row[LENGTH] + rules[FIGURES, INTERVALS]
            said[count, AT] = begins(rules, row)
            said[count, HEARD] = row[SINCE]
            count += 1
    return count


@compiled
def _compare(symbols: Symbols, place: Whole, end: Whole, length: Whole) -> int:
    """Whether what leads up to `place` sorts below (below 0) or above the `length` symbols up to `end`, or ends with
    them (0)."""
    for back in range(length):
        if back > place:
            return -1
        difference = np.int64(symbols[place - back]) - np.int64(symbols[end - back])
        if difference != 0:
            return int(difference)
    return 0


@compiled
def copying(rules: Rows, symbols: Symbols, suffixes: Suffixes, memory: Rows, limits: Rows, masks: Mask) -> None:
    """Write into `masks`, shape (n, vocab_size), which tokens would make a stream's run longer than its limit, in notes
    or characters, shape (n,); 0 is none. `memory` has shape (n, SIZE).

    These are what follows its last `limit` notes or characters wherever they stand, which may be in more places than
    the whole run. There are none where the run is shorter.
    """
    figures = rules[FIGURES]
    masks[:] = False
    for stream in range(len(memory)):
        row = memory[stream]
        end, length = row[PLACE], limits[stream] - figures[INTERVALS]
        if limits[stream] == 0 or row[LENGTH] < length or (figures[INTERVALS] and row[PITCH] == NONE):
            continue
        low, past = 0, len(suffixes)
        while low < past:
            middle = (low + past) // 2
            if _compare(symbols, np.int64(suffixes[middle]), end, length) < 0:
                low = middle + 1
            else:
                past = middle
        while low < len(suffixes) and _compare(symbols, np.int64(suffixes[low]), end, length) == 0:
            following = np.int64(suffixes[low]) + 1
            low += 1
            if following == len(symbols) or symbols[following] == figures[BREAK]:
                continue
            value = np.int64(symbols[following])
            if figures[INTERVALS]:
                value += row[PITCH] - UNISON - (0 if row[DRUM] else row[ABOVE_C])
            token = value - figures[LOWEST] + figures[FIRST]
            if 0 <= token < masks.shape[1] and rules[ROLE, token] == SAYS:
                masks[stream, token] = True
