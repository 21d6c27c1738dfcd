"""What counts as the same: characters in text; in music the interval from each note to the next, whatever their rhythm.

Notes follow each other as the vocabulary writes them: in a score by start, then voice, then from the top down; in a
performance by start, then from the bottom up. Only pitches are compared, and only with the note before, so a copy that
is transposed, stretched or played in another metre is a copy still. Nothing runs across the end of a piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.foundation.jit import compiled
from generator.music.keys import above_c
from generator.music.score import Note, PieceEnd
from generator.tokenizers import score_vocabulary
from generator.tokenizers.base import Event, Rows, Tokenizer, Tokens
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.performance_grammar import NOTE_ON
from generator.tokenizers.score import ScoreTokenizer

Symbols = npt.NDArray[np.uint16]

# A vocabulary as the compiled loops read it: one array, because every one that a call is given costs time. Its rows
# hold each token's role and value, and then, in this order, the figures named below; shape (3, at least 5).
ROLE, VALUE, FIGURES = range(3)
INTERVALS, BREAK, ALPHABET, FIRST, LOWEST = range(5)
"""Whether symbols are intervals; the symbol that no run crosses; how many symbols there are; the first of the tokens
that say something, and its value: their values rise by one."""
SILENT, SAYS, KEY, VOICE, ENDS = range(5)
"""Roles. A token may say a character or a pitch, or how far the tonic lies above C, or whether the voice is drums."""

UNISON = 128
"""The symbol of two notes of one pitch; 0, which is no interval, stands for the first note of a piece."""
NONE = -1
"""In the place of a symbol or a pitch."""

# A row of memory: what a reader knows of the stream, then the run that it is in, then the longest so far.
DRUM, ABOVE_C, PITCH, SINCE, PLACE, LENGTH, MOST, MOST_AT = range(8)
"""`PITCH` is that of the last note of this piece, `SINCE` how many notes or characters the piece has so far; the run
has `LENGTH` symbols, and its last one stands at `PLACE`; the longest has `MOST` notes or characters from `MOST_AT`."""
SIZE = 8


def rules(tokenizer: Tokenizer) -> Rows:
    """A tokenizer's vocabulary for the compiled loops.

    Raises:
        CarouselError: nobody has said what a copy is in this kind of tokens.
    """
    made = np.zeros((3, max(tokenizer.vocab_size, 5)), dtype=np.int64)
    if isinstance(tokenizer, CharTokenizer):
        made[ROLE] = SAYS
        made[VALUE] = np.arange(made.shape[1])
        made[FIGURES, :5] = False, tokenizer.end, tokenizer.vocab_size, 0, 0
    elif isinstance(tokenizer, ScoreTokenizer):
        table = tokenizer.table
        drums = [part.drum for part in table.parts]
        for kind, role, values in (
            (score_vocabulary.PITCH, SAYS, table.columns[score_vocabulary.PITCH]),
            (score_vocabulary.BAR, KEY, above_c(table.columns[score_vocabulary.BAR])),
            (score_vocabulary.VOICE, VOICE, np.array(drums)),
        ):
            made[ROLE, table.first[kind] : table.past[kind]] = role
            made[VALUE, table.first[kind] : table.past[kind]] = values
        made[FIGURES, :5] = True, 0, 2 * UNISON, table.first[score_vocabulary.PITCH], table.lowest_pitch
    elif isinstance(tokenizer, PerformanceTokenizer):
        notes = tokenizer.table.spans[NOTE_ON]
        made[ROLE, notes.start : notes.stop] = SAYS
        made[VALUE, notes.start : notes.stop] = tokenizer.table.written
        made[FIGURES, :5] = True, 0, 2 * UNISON, notes.start, tokenizer.table.written.start
    else:
        raise CarouselError(f"copies are not looked for in {tokenizer.kind} tokens; choose another checkpoint")
    made[ROLE, tokenizer.end] = ENDS
    return made


def begin() -> Rows:
    """The memory of a stream that has said nothing, shape (SIZE,)."""
    row = np.zeros(SIZE, dtype=np.int64)
    row[[PITCH, MOST_AT]] = NONE
    return row


@compiled
def symbol_of(rules: Rows, row: Rows, token: int) -> int:
    """The symbol that a token adds to what was said, or `NONE`."""
    role, value = rules[ROLE, token], rules[VALUE, token]
    intervals, stop = rules[FIGURES, INTERVALS], rules[FIGURES, BREAK]
    if role == SAYS:
        if not intervals:
            return int(value)
        before = row[PITCH]
        row[PITCH] = value if row[DRUM] else value + row[ABOVE_C]
        # Notes of a piece lie within MIDI's 128 pitches; what does not has to stay within the alphabet all the same.
        return int(min(max(row[PITCH] - before + UNISON, 1), 2 * UNISON - 1) if before != NONE else stop)
    if role == KEY:
        row[ABOVE_C] = value
    elif role == VOICE:
        row[DRUM] = value
    elif role == ENDS:
        row[PITCH] = NONE
        row[SINCE] = row[LENGTH] = 0
        if not intervals:
            return int(stop)
    return NONE


@compiled
def _symbols(rules: Rows, row: Rows, tokens: npt.NDArray[Any], symbols: Symbols) -> int:
    count = 0
    for token in tokens:
        symbol = symbol_of(rules, row, token)
        if symbol != NONE:
            symbols[count] = symbol
            count += 1
    return count


def symbols_of(rules: Rows, tokens: Tokens) -> Symbols:
    """The symbols of whole pieces, one after another, shape (symbols,)."""
    if not rules[FIGURES, INTERVALS]:
        return np.asarray(tokens)  # the tokens themselves, and what is mapped from disk stays there
    symbols = np.empty(len(tokens), dtype=np.uint16)
    symbols = symbols[: _symbols(rules, begin(), np.asarray(tokens), symbols)].copy()
    symbols.flags.writeable = False  # as what is mapped: a loop is compiled for one of the two
    return symbols


def in_order(tokenizer: Tokenizer, events: Iterable[Event]) -> list[Note | PieceEnd]:
    """Notes and ends of pieces, out of other events, in the order in which the vocabulary writes them."""
    upward = 1 if tokenizer.kind == PerformanceTokenizer.kind else -1

    def place(event: Note | PieceEnd) -> tuple[int, ...]:
        if isinstance(event, PieceEnd):
            return event.start_ticks, NONE
        return event.start_ticks, event.voice, upward * event.pitch

    return sorted((event for event in events if isinstance(event, Note | PieceEnd)), key=place)


def spelled(tokenizer: Tokenizer, rules: Rows, events: Sequence[Event]) -> list[int]:
    """Tokens that say the same notes or characters as these events, for a reader that is given no others.

    Music comes in portions of which none holds an event from before the start of the last one in an earlier portion.
    """
    if isinstance(tokenizer, CharTokenizer):
        text = tokenizer.collect(list(events))
        return tokenizer.encode(text)[:-1].tolist() if text else []
    lift = int(rules[FIGURES, FIRST] - rules[FIGURES, LOWEST])  # without a key, pitches are written as they sound
    ordered = in_order(tokenizer, events)
    return [event.pitch + lift if isinstance(event, Note) else tokenizer.end for event in ordered]
