"""What the last bars of a piece consist of, token by token, and where in them a stream would be if it repeated them.

This is the end of a row of the score grammar's memory, where the vocabulary has features. For each distance of
`BARS_BEFORE` a pointer goes through the bar so many bars before, to the token that stands where the next one will.
Written pitches are relative to the tonic, so a bar that returns has the same tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from generator.foundation.jit import compiled
from generator.music.keys import KEYS
from generator.tokenizers.base import LARGEST_COUNT, Rows, whole
from generator.tokenizers.score_memory import KIND, NOTES, VALUE, latest_of, loudness_of, voices
from generator.tokenizers.score_vocabulary import BAR, DURATION, END, LOUDNESS, PITCH, POSITION, STYLE, VOICE, Table

BARS_BEFORE = np.array([1, 2, 4, 8, 16])
DISTANCES = len(BARS_BEFORE)
MOST_BARS = 17
"""Bars whose beginnings are remembered: this one and 16 before it."""
MOST_TOKENS = 2048
"""Tokens that are remembered: 16 bars of chorales and more; of dense music these are fewer."""

# The fields, from `history_of` on: bars begun in this piece, tokens of this piece, its style or -1, what
# `Grammar.ask_length` was told, the key of the last bar line, which may be of the piece before, or -1; whether the
# piece began with silence, so that its first bar is an upbeat; the pointers, and for each the number of tokens in a row
# that came as it pointed to; the first token of each bar; the tokens. Tokens are counted from the start of the piece,
# and so are bars, from 1; both have their places modulo the number of those that
# are remembered. A pointer is -1 if the piece has no such bar.
BARS, WRITTEN, IN_STYLE, LENGTH_ASKED, KEY_BEFORE, UPBEAT, POINTERS = range(7)
RUNS = POINTERS + DISTANCES
STARTS = RUNS + DISTANCES
TOKENS = STARTS + MOST_BARS
SIZE = TOKENS + MOST_TOKENS


@compiled
def history_of(rules: Rows) -> int:
    """The index in a row of the first field."""
    return loudness_of(rules, voices(rules))


@compiled
def pointed_to(history: Rows, distance: int, later: int = 0) -> int:
    """The token that a pointer points to, or one so many tokens later; -1 if it is not remembered."""
    pointer = history[POINTERS + distance] + later
    if pointer < max(0, history[WRITTEN] - MOST_TOKENS) or pointer >= history[WRITTEN]:
        return -1
    return int(history[TOKENS + pointer % MOST_TOKENS])


@compiled
def _follow(rules: Rows, history: Rows, distance: int, kind: int, value: int) -> None:
    """Move a pointer past what corresponds to a token of this bar, or to where that would be."""
    while True:
        other = pointed_to(history, distance)
        if other < 0:
            return
        there, other_value = rules[KIND, other], rules[VALUE, other]
        if kind in (POSITION, VOICE):
            if there == kind and other_value >= value:
                history[POINTERS + distance] += other_value == value
                return
            if not (POSITION <= there <= DURATION or there == LOUDNESS) or (kind == VOICE and there == POSITION):
                return
        elif not (kind == PITCH and there == LOUDNESS):
            history[POINTERS + distance] += there == kind
            return
        history[POINTERS + distance] += 1


@compiled
def remember(rules: Rows, row: Rows, token: int) -> None:
    """Add a token. The end of a piece also lets go of the voices' last notes, which are none of the next piece."""
    history, kind, value = row[history_of(rules) :], rules[KIND, token], rules[VALUE, token]
    if kind == END:
        forget(history)
        row[latest_of(rules, 0) : latest_of(rules, voices(rules))] = -1
        return
    for distance in range(DISTANCES):
        history[RUNS + distance] = history[RUNS + distance] + 1 if pointed_to(history, distance) == token else 0
    history[TOKENS + history[WRITTEN] % MOST_TOKENS] = token
    history[WRITTEN] += 1
    if kind == STYLE:
        history[IN_STYLE] = value
    elif kind == BAR:
        history[BARS] += 1
        history[KEY_BEFORE] = value
        history[STARTS + history[BARS] % MOST_BARS] = history[WRITTEN]
        for distance in range(DISTANCES):
            bar = history[BARS] - BARS_BEFORE[distance]
            history[POINTERS + distance] = history[STARTS + bar % MOST_BARS] if bar > 0 else -1
    else:
        if kind == POSITION and row[NOTES] == 0:
            history[UPBEAT] = history[BARS] > 1 or value > 0
        for distance in range(DISTANCES):
            _follow(rules, history, distance, kind, value)


@compiled
def forget(history: Rows) -> None:
    """Begin a piece; the length that is asked and the key of the piece before stay."""
    history[BARS] = history[WRITTEN] = history[UPBEAT] = 0
    history[IN_STYLE] = -1
    history[POINTERS:] = 0
    history[POINTERS:RUNS] = -1


def to_json(history: Rows) -> dict[str, Any]:
    """A history as a JSON value. The tokens are those that are remembered, the oldest first."""
    written = int(history[WRITTEN])
    kept = np.arange(max(0, written - MOST_TOKENS), written) % MOST_TOKENS
    return {
        "bars": int(history[BARS]),
        "written": written,
        "style": int(history[IN_STYLE]),
        "key": int(history[KEY_BEFORE]),
        "upbeat": int(history[UPBEAT]),
        "pointers": history[POINTERS:RUNS].tolist(),
        "runs": history[RUNS:STARTS].tolist(),
        "starts": history[STARTS:TOKENS].tolist(),
        "tokens": history[TOKENS + kept].tolist(),
    }


def from_json(data: dict[str, Any], table: Table) -> Rows:
    """The history of which `to_json` made a JSON value, shape (SIZE,).

    Raises:
        AttributeError, LookupError, TypeError, ValueError: it is not valid.
    """
    history = np.zeros(SIZE, np.int64)
    written = whole(data["written"], 0, LARGEST_COUNT)
    style = whole(data["style"], -1, len(table.styles) - 1)
    history[:LENGTH_ASKED] = whole(data["bars"], 0, written), written, style
    history[KEY_BEFORE] = whole(data["key"], -1, len(KEYS) - 1)
    history[UPBEAT] = whole(data.get("upbeat", 0), 0, 1)  # older takes lack it
    for first, past, name in ((POINTERS, RUNS, "pointers"), (RUNS, STARTS, "runs"), (STARTS, TOKENS, "starts")):
        least = -1 if name == "pointers" else 0
        history[first:past] = np.array([whole(value, least, written) for value in data[name]]).reshape(past - first)
    kept = np.arange(max(0, written - MOST_TOKENS), written) % MOST_TOKENS
    history[TOKENS + kept] = np.array([whole(token, 0, len(table.rows) - 1) for token in data["tokens"]]).reshape(
        len(kept)
    )
    return history
