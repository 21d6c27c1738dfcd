"""A suffix array of the reversed sequence: all places in a sequence of symbols, sorted by the symbols that lead up to
them, from the last one back.

So one bisection finds the places with the longest past in common with a stream. There is a break symbol between pieces.
No two breaks count as equal, so no match goes across one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.corpora.copies.reading import (
    ABOVE_C,
    BREAK,
    CONTENT,
    DRUM,
    FIGURES,
    FIRST,
    INTERVALS,
    LENGTH,
    LOWEST,
    MOST,
    MOST_AT,
    NONE,
    PIECE_LENGTH,
    PITCH,
    PLACE,
    ROLE,
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
    """The sorted places of a sequence, shape (symbols,), by prefix doubling (Manber and Myers 1990).

    Places that are sorted by their last k symbols are then sorted by 2k symbols: by their own rank and that of the
    place k before. Only places that are still tied with others are sorted again (Larsson and Sadakane 2007).

    Args:
        stop: the break symbol.
        progress: called with the places that are in their final order, and all places.
    """
    size = len(symbols)
    order = np.argsort(symbols, kind="stable")
    rank = np.full(size + 1, NONE, dtype=np.int64)  # the last element is that of index -1, before the first place
    ranks, keys, length = np.arange(size), symbols[order].astype(np.int64), 1
    keys[keys == stop] = NONE - np.arange((keys == stop).sum())
    while len(ranks):
        new = np.append(True, keys[1:] != keys[:-1])
        rank[order[ranks]] = np.maximum.accumulate(np.where(new, ranks, 0))
        ranks = ranks[~(new & np.append(new[1:], True))]
        progress(size - len(ranks), size)
        tied = order[ranks]
        keys = rank[tied] * (size + 1) + rank[np.maximum(tied - length, -1)] + 1
        by_key = np.argsort(keys)
        order[ranks], keys = tied[by_key], keys[by_key]
        length *= 2
    return order.astype(np.uint32)


@compiled
def is_sorted(symbols: Symbols, suffixes: Suffixes, stop: int) -> bool:
    """Whether `suffixes` are all places of a sequence in the order of `sort_suffixes`: each place occurs, and each is
    greater than the one before it (Burkhardt and Kärkkäinen 2003)."""
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
def _extend_run(symbols: Symbols, suffixes: Suffixes, buckets: Rows, row: Rows, symbol: int) -> None:
    """Update the run in a memory to the longest one that ends with `symbol`.

    If the symbol also follows the run at its place in the training split, the run goes on there. Otherwise a bisection
    looks for the place where the past of the stream would be sorted in; the place with the most symbols in common is
    next to that, and the bisection meets it. The past of the stream is read from the training split, at the place of
    the old run, so it need not be stored.
    """
    end, most = row[PLACE], row[LENGTH] + 1
    if most > 1 and end + 1 < len(symbols) and symbols[end + 1] == symbol:
        row[PLACE], row[LENGTH] = end + 1, most
        return
    low, past = buckets[symbol], buckets[symbol + 1]
    row[LENGTH] = 0
    # The number of symbols that each bound shares with the run; every suffix between shares at least the smaller one.
    shared_low = shared_past = 1
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
    """The place where a stream's run begins, `NONE` without a run. For notes it is that of the note before the first
    interval."""
    return int(row[PLACE] - row[LENGTH] + 1 - rules[FIGURES, INTERVALS]) if row[LENGTH] > 0 else NONE


@compiled
def _read_token(rules: Rows, symbols: Symbols, suffixes: Suffixes, buckets: Rows, row: Rows, token: int) -> bool:
    """Read the next token of a stream; its memory `row` is updated in place. Returns whether the token is a note or a
    character."""
    intervals, stop = rules[FIGURES, INTERVALS], rules[FIGURES, BREAK]
    symbol = symbol_of(rules, row, token)
    if symbol == NONE or (symbol == stop and not intervals):
        return False
    if symbol != stop:
        _extend_run(symbols, suffixes, buckets, row, symbol)
    row[PIECE_LENGTH] += 1
    if row[LENGTH] + intervals > row[MOST]:
        row[MOST], row[MOST_AT] = row[LENGTH] + intervals, begins(rules, row)
    return True


@compiled
def advance(rules: Rows, symbols: Symbols, suffixes: Suffixes, buckets: Rows, memory: Rows, tokens: Rows) -> None:
    """Read the next token of each of n streams, shape (n,); `memory`, shape (n, SIZE), is updated in place."""
    for stream in range(len(tokens)):
        _read_token(rules, symbols, suffixes, buckets, memory[stream], tokens[stream])


RUN, AT, SO_FAR = range(3)
"""The columns of the result of `follow`."""


@compiled
def follow(
    rules: Rows,
    symbols: Symbols,
    suffixes: Suffixes,
    buckets: Rows,
    row: Rows,
    tokens: npt.NDArray[np.int64],
    found: Rows,
) -> int:
    """Read the next tokens of a stream; its memory `row` is updated in place. Returns how many are notes or characters.

    For each of these a row of `found`, shape (at least as many as tokens, 3), is written: the length of the run that
    ends with it, in notes or characters; where that run begins, or `NONE`; the notes or characters of its piece so far.
    """
    count = 0
    for token in tokens:
        if _read_token(rules, symbols, suffixes, buckets, row, token):
            found[count, RUN] = row[LENGTH] + rules[FIGURES, INTERVALS]
            found[count, AT] = begins(rules, row)
            found[count, SO_FAR] = row[PIECE_LENGTH]
            count += 1
    return count


@compiled
def _compare(symbols: Symbols, place: Whole, end: Whole, length: Whole) -> int:
    """Compare the symbols up to `place` with the `length` symbols up to `end`: below 0 if they are sorted before these,
    above 0 if after, and 0 if they end with these."""
    for back in range(length):
        if back > place:
            return -1
        difference = np.int64(symbols[place - back]) - np.int64(symbols[end - back])
        if difference != 0:
            return int(difference)
    return 0


@compiled
def copying(rules: Rows, symbols: Symbols, suffixes: Suffixes, memory: Rows, limits: Rows, masks: Mask) -> None:
    """Find the tokens that would make a stream's run longer than its limit: those that follow its last `limit` notes or
    characters anywhere in the training split, which may be in more places than the whole run. If the run is shorter,
    there are none.

    Args:
        memory: shape (n, SIZE).
        limits: in notes or characters, shape (n,); 0 for no limit.
        masks: where the result is written, shape (n, vocab_size).
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
            if 0 <= token < masks.shape[1] and rules[ROLE, token] == CONTENT:
                masks[stream, token] = True
