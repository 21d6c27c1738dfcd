"""The symbols that are compared to find copies: characters of text; in music the intervals from each note to the next.

Notes are in the order in which the vocabulary writes them: in a score by start, then by voice, then downward; in a
performance by start, then upward. Only intervals are compared, so a copy is found even if it is transposed, stretched
or in another metre. A run does not go beyond the end of a piece.
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

# The rules: what the compiled loops need to know of a vocabulary. They are a single array of shape (3, at least 5),
# because each array that a call passes takes time. Its rows are:
ROLE, VALUE, FIGURES = range(3)
"""The role of each token; the value of each token; the five figures below."""
INTERVALS, BREAK, ALPHABET, FIRST, LOWEST = range(5)
"""The figures: whether symbols are intervals; the symbol that no run crosses; the number of different symbols; the
first token with the role `CONTENT`, and its value. The values of the following ones rise by one."""
SILENT, CONTENT, KEY, VOICE, ENDS = range(5)
"""The roles: no meaning for copies; a character or a pitch; a key, whose value is the distance of its tonic above C in
semitones; a voice, whose value is whether it is a drum kit; the end of a piece."""

UNISON = 128
"""The symbol of the interval 0. The symbol 0, which is no interval, is that of the first note of a piece."""
NONE = -1
"""Stands for a missing symbol or pitch."""

# The memory of a stream, shape (SIZE,): what the loops know of its tokens, the run it is in, and the longest so far.
DRUM, ABOVE_C, PITCH, PIECE_LENGTH, PLACE, LENGTH, MOST, MOST_AT = range(8)
"""Whether the voice is a drum kit; the distance of the tonic above C; the pitch of the last note of this piece; the
number of notes or characters of this piece so far; the place of the run's last symbol in the training split, and the
run's length in symbols; the length of the longest run in notes or characters, and where it begins."""
SIZE = 8


def rules(tokenizer: Tokenizer) -> Rows:
    """The rules of a tokenizer's vocabulary.

    Raises:
        CarouselError: copies are not defined for this kind of tokens.
    """
    made = np.zeros((3, max(tokenizer.vocab_size, 5)), dtype=np.int64)
    if isinstance(tokenizer, CharTokenizer):
        made[ROLE] = CONTENT
        made[VALUE] = np.arange(made.shape[1])
        made[FIGURES, :5] = False, tokenizer.end, tokenizer.vocab_size, 0, 0
    elif isinstance(tokenizer, ScoreTokenizer):
        table = tokenizer.table
        drums = [part.drum for part in table.parts]
        for kind, role, values in (
            (score_vocabulary.PITCH, CONTENT, table.columns[score_vocabulary.PITCH]),
            (score_vocabulary.BAR, KEY, above_c(table.columns[score_vocabulary.BAR])),
            (score_vocabulary.VOICE, VOICE, np.array(drums)),
        ):
            made[ROLE, table.first[kind] : table.past[kind]] = role
            made[VALUE, table.first[kind] : table.past[kind]] = values
        made[FIGURES, :5] = True, 0, 2 * UNISON, table.first[score_vocabulary.PITCH], table.lowest_pitch
    elif isinstance(tokenizer, PerformanceTokenizer):
        notes = tokenizer.table.spans[NOTE_ON]
        made[ROLE, notes.start : notes.stop] = CONTENT
        made[VALUE, notes.start : notes.stop] = tokenizer.table.written
        made[FIGURES, :5] = True, 0, 2 * UNISON, notes.start, tokenizer.table.written.start
    else:
        raise CarouselError(f"copies are not looked for in {tokenizer.kind} tokens; choose another checkpoint")
    made[ROLE, tokenizer.end] = ENDS
    return made


def begin() -> Rows:
    """The memory of a stream that has no tokens yet, shape (SIZE,)."""
    row = np.zeros(SIZE, dtype=np.int64)
    row[[PITCH, MOST_AT]] = NONE
    return row


@compiled
def symbol_of(rules: Rows, row: Rows, token: int) -> int:
    """The symbol that a token adds to a stream, or `NONE`. The memory `row` is updated in place."""
    role, value = rules[ROLE, token], rules[VALUE, token]
    intervals, stop = rules[FIGURES, INTERVALS], rules[FIGURES, BREAK]
    if role == CONTENT:
        if not intervals:
            return int(value)
        before = row[PITCH]
        row[PITCH] = value if row[DRUM] else value + row[ABOVE_C]
        # Generated pitches may lie outside the 128 of MIDI; their symbols have to be in the alphabet all the same.
        return int(min(max(row[PITCH] - before + UNISON, 1), 2 * UNISON - 1) if before != NONE else stop)
    if role == KEY:
        row[ABOVE_C] = value
    elif role == VOICE:
        row[DRUM] = value
    elif role == ENDS:
        row[PITCH] = NONE
        row[PIECE_LENGTH] = row[LENGTH] = 0
        if not intervals:
            return int(stop)
    return NONE


@compiled
def _write_symbols(rules: Rows, row: Rows, tokens: npt.NDArray[Any], symbols: Symbols) -> int:
    """Write the symbols of tokens into an array of the same length; returns how many there are."""
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
        return np.asarray(tokens)  # the tokens are the symbols, and stay memory-mapped
    symbols = np.empty(len(tokens), dtype=np.uint16)
    symbols = symbols[: _write_symbols(rules, begin(), np.asarray(tokens), symbols)].copy()
    symbols.flags.writeable = False  # like memory-mapped tokens, so that the loops are compiled for one type only
    return symbols


def in_order(tokenizer: Tokenizer, events: Iterable[Event]) -> list[Note | PieceEnd]:
    """The notes and the ends of pieces among these events, in the order in which the vocabulary writes them."""
    upward = 1 if tokenizer.kind == PerformanceTokenizer.kind else -1

    def place(event: Note | PieceEnd) -> tuple[int, ...]:
        if isinstance(event, PieceEnd):
            return event.start_ticks, NONE
        return event.start_ticks, event.voice, upward * event.pitch

    return sorted((event for event in events if isinstance(event, Note | PieceEnd)), key=place)


def spelled(tokenizer: Tokenizer, rules: Rows, events: Sequence[Event]) -> list[int]:
    """Tokens that give the same symbols as these events, for an index that reads no others of this stream.

    Events of music may be passed in several calls, if none is earlier than the start of the last one of a call before.
    """
    if isinstance(tokenizer, CharTokenizer):
        text = tokenizer.collect(list(events))
        return tokenizer.encode(text)[:-1].tolist() if text else []
    lift = int(rules[FIGURES, FIRST] - rules[FIGURES, LOWEST])  # without a key, the values of pitches are MIDI pitches
    ordered = in_order(tokenizer, events)
    return [event.pitch + lift if isinstance(event, Note) else tokenizer.end for event in ordered]
