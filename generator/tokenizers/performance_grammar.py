"""The vocabulary of the performance tokenizer, and its grammar.

A piece begins with its key, or with a style and then its key. All pitches are transposed to the nearest key without
sharps or flats, C major or A minor. So the model can recognise a modulation however far back the key token is.

In a given key, a score has exactly one encoding. At each tick note-offs come first, then the pedal, then note-ons; both
kinds of notes are in order of rising pitch, and a velocity token precedes each note-on whose velocity is new. A gap in
time is as many shifts of a whole second as fit, then one for the rest. The grammar allows no other order: tokens drawn
from `allowed()` between two end tokens are equal to the encoding of the score that they decode to.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.jit import compiled
from generator.music.keys import KEYS, above_plain
from generator.tokenizers.base import SILENT, Grammar, Loops, Mask, Rows
from generator.tokenizers.recent import ONSETS, push
from generator.tokenizers.styles import check

KINDS = (END, NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY, PEDAL, KEY, STYLE) = (
    "end",
    "note_on",
    "note_off",
    "time_shift",
    "velocity",
    "pedal",
    "key",
    "style",
)

TICKS_PER_SECOND = 100
HOLD_LIMIT = 10 * TICKS_PER_SECOND
"""The longest note in ticks; so no sampled note can hang."""
PAUSE = TICKS_PER_SECOND
"""The silence between two pieces, in ticks."""

BELOW, ABOVE = 6, 5
"""How many semitones down and up pitches are transposed at most, to the nearest key without sharps or flats."""
PITCHES = range(21 - BELOW, 109 + ABOVE)
"""The 88 pitches of a piano, transposed from any key."""
VELOCITIES = (*range(4, 125, 4), 127)

VOCABULARY = (
    END,
    *(f"{NOTE_ON} {pitch}" for pitch in PITCHES),
    *(f"{NOTE_OFF} {pitch}" for pitch in PITCHES),
    *(f"{TIME_SHIFT} {ticks}" for ticks in range(1, TICKS_PER_SECOND + 1)),
    *(f"{VELOCITY} {velocity}" for velocity in VELOCITIES),
    *(f"{PEDAL} {down}" for down in (0, 1)),
    *(f"{KEY} {key}" for key in KEYS),
)


class Table:
    """A vocabulary: `entries[token]` is the token's kind and value, and `spans[kind]` the range of a kind's tokens.

    The value of a key is an index into `KEYS`, that of a style an index into `styles`. Styles are optional and come
    last.

    Raises:
        CarouselError: the vocabulary is not that of a performance tokenizer.
    """

    def __init__(self, vocabulary: Iterable[str] = VOCABULARY) -> None:
        self.vocabulary = tuple(vocabulary)
        try:
            parts = [entry.partition(" ") for entry in self.vocabulary]
            self.styles = tuple(value for kind, _, value in parts if kind == STYLE)
            check(self.styles)
            names = {KEY: KEYS, STYLE: self.styles}
            self.entries = [(kind, names[kind].index(of) if kind in names else int(of or 0)) for kind, _, of in parts]
            ids = {kind: [index for index, entry in enumerate(self.entries) if entry[0] == kind] for kind in KINDS}
            self.spans = {kind: range(ids[kind][0], ids[kind][-1] + 1) for kind in KINDS if kind != STYLE}
            self.spans[STYLE] = range(len(self.entries) - len(self.styles), len(self.entries))
            values = {kind: [self.entries[index][1] for index in ids[kind]] for kind in KINDS}
            pitches = values[NOTE_ON]
            valid = (
                all(ids[kind] == list(self.spans[kind]) for kind in KINDS)
                and sum(map(len, ids.values())) == len(self.entries)
                and values[END] == [0]
                and values[PEDAL] == [0, 1]
                and values[KEY] == list(range(len(KEYS)))
                and values[NOTE_OFF] == pitches == list(range(pitches[0], pitches[-1] + 1))
                and 0 <= pitches[0] < pitches[-1] - BELOW - ABOVE
                and pitches[-1] <= 127
                and all(1 <= velocity <= 127 for velocity in values[VELOCITY])
                and values[TIME_SHIFT] == list(range(1, len(values[TIME_SHIFT]) + 1))
            )
        except (AttributeError, IndexError, TypeError, ValueError):
            valid = False
        if not valid:
            raise CarouselError("the vocabulary is not that of a performance of this version; train the model anew")
        self.end = self.spans[END].start
        self.written = range(pitches[0], pitches[-1] + 1)  # pitches as written, after the transposition
        self.lowest, self.highest = pitches[0] + BELOW, pitches[-1] - ABOVE  # pitches of the piano
        self.velocities = values[VELOCITY]


# The rows of `rules`, shape (4, vocab_size): each token's kind and value, then each kind's first token and the one past
# its last, padded with 0. It is one array because each array argument makes a call of a compiled loop slower.
KIND, VALUE, FIRST, PAST = range(4)
IS_END, IS_ON, IS_OFF, IS_SHIFT, IS_VELOCITY, IS_PEDAL, IS_KEY, IS_STYLE = range(len(KINDS))

# A row of memory has these fields; then from STARTS on, for each written pitch, the start of its note in ticks, or
# SILENT; then for each written pitch the velocity of its note, or 0; then the ticks of the last onsets.
TICK, LAST, FLOOR, VELOCITY_TOKEN, PEDAL_DOWN, KEY_INDEX, STARTS = range(7)
"""`TICK` is the current tick, `LAST` the last token, and `FLOOR` the lowest note that may still start at this tick, as
an index into the written pitches. `VELOCITY_TOKEN` is the last velocity token of the piece, or -1. `KEY_INDEX` is the
key of the piece as an index into `KEYS`, or -1 before its key token."""


@compiled
def transposition(row: Rows) -> int:
    """How many semitones to add to a written pitch to get the one that sounds."""
    return int(above_plain(row[KEY_INDEX])) if row[KEY_INDEX] >= 0 else 0


@compiled
def recent(rules: Rows) -> int:
    """The index in a row of memory where the last onsets begin."""
    return STARTS + 2 * int(rules[PAST, IS_ON] - rules[FIRST, IS_ON])


@compiled
def advance(rules: Rows, memory: Rows, tokens: Rows) -> None:
    """`Grammar.advance`. A token that is not allowed gives a meaningless row, but nothing is written outside it."""
    notes, lowest = rules[PAST, IS_ON] - rules[FIRST, IS_ON], rules[VALUE, rules[FIRST, IS_ON]]
    for stream in range(len(tokens)):
        row, token = memory[stream], tokens[stream]
        kind, value = rules[KIND, token], rules[VALUE, token]
        row[LAST] = token
        if kind == IS_SHIFT:
            row[TICK] += value
            row[FLOOR] = 0
        elif kind == IS_ON:
            at = STARTS + value - lowest
            row[at], row[at + notes] = row[TICK], rules[VALUE, row[VELOCITY_TOKEN]]
            row[FLOOR] = value - lowest + 1
            push(row, recent(rules), ONSETS, row[TICK])
        elif kind == IS_OFF:
            at = STARTS + value - lowest
            row[at], row[at + notes] = SILENT, 0
        elif kind == IS_VELOCITY:
            row[VELOCITY_TOKEN] = token
        elif kind == IS_PEDAL:
            row[PEDAL_DOWN] = value
        elif kind == IS_KEY:
            row[KEY_INDEX] = value
        elif kind == IS_END:
            row[TICK] += PAUSE
            row[VELOCITY_TOKEN], row[KEY_INDEX], row[FLOOR] = -1, -1, 0


@compiled
def allow_kind(rules: Rows, mask: Mask, kind: int) -> None:
    """Allow all tokens of a kind."""
    for token in range(rules[FIRST, kind], rules[PAST, kind]):
        mask[token] = True


@compiled
def pitch_range(rules: Rows, row: Rows) -> tuple[int, int]:
    """The piano's lowest note and the one past its highest in this key, as indices into the written pitches."""
    by = transposition(row)
    return BELOW - by, int(rules[PAST, IS_ON] - rules[FIRST, IS_ON]) - ABOVE - by


@compiled
def allow_note_ons(rules: Rows, row: Rows, mask: Mask) -> bool:
    """Allow the notes that may start now, and return whether there are any."""
    first = rules[FIRST, IS_ON]
    low, past = pitch_range(rules, row)
    found = False
    for note in range(max(low, row[FLOOR]), past):
        silent = row[STARTS + note] == SILENT
        mask[first + note] = silent
        found |= silent
    return found


@compiled
def allow_note_offs(rules: Rows, row: Rows, mask: Mask, low: int, past: int) -> None:
    """Allow the note-offs of sounding notes, from index `low` to before `past`."""
    for note in range(low, past):
        mask[rules[FIRST, IS_OFF] + note] = row[STARTS + note] != SILENT


@compiled
def allow_next(rules: Rows, row: Rows, mask: Mask) -> None:
    """Allow the tokens that may come next. Within a tick, the last token determines what the order still permits."""
    kind, value = rules[KIND, row[LAST]], rules[VALUE, row[LAST]]
    first, past = rules[FIRST], rules[PAST]
    if kind == IS_VELOCITY:
        allow_note_ons(rules, row, mask)
        return
    if row[KEY_INDEX] < 0:
        allow_kind(rules, mask, IS_KEY)
        if kind == IS_END:
            allow_kind(rules, mask, IS_STYLE)
        return
    if row[VELOCITY_TOKEN] < 0:  # a piece begins with a note, before which the pedal may go down
        allow_kind(rules, mask, IS_VELOCITY)
        mask[first[IS_PEDAL] + 1] = kind != IS_PEDAL
        return
    notes = past[IS_ON] - first[IS_ON]
    next_off = value - rules[VALUE, first[IS_ON]] + 1 if kind == IS_OFF else 0
    oldest, due = SILENT, 0
    for note in range(notes):
        if row[STARTS + note] < oldest:
            oldest, due = row[STARTS + note], note
    left = min(oldest, row[TICK]) + HOLD_LIMIT - row[TICK]
    if left == 0:  # a note has reached HOLD_LIMIT and ends now; only lower notes may end before it
        allow_note_offs(rules, row, mask, next_off, due + 1)
        return
    if allow_note_ons(rules, row, mask):
        allow_kind(rules, mask, IS_VELOCITY)
        mask[row[VELOCITY_TOKEN]] = False
    if kind in (IS_SHIFT, IS_OFF):
        allow_note_offs(rules, row, mask, next_off, notes)
        mask[first[IS_PEDAL] + 1 - row[PEDAL_DOWN]] = True
    if kind != IS_SHIFT or value == past[IS_SHIFT] - first[IS_SHIFT]:
        for token in range(first[IS_SHIFT], min(past[IS_SHIFT], first[IS_SHIFT] + left)):
            mask[token] = True
    if kind in (IS_OFF, IS_PEDAL) and oldest == SILENT and row[PEDAL_DOWN] == 0:
        mask[first[IS_END]] = True


@compiled
def allowed(rules: Rows, memory: Rows, masks: Mask) -> None:
    """`Grammar.allowed`."""
    masks[:] = False
    for stream in range(len(memory)):
        allow_next(rules, memory[stream], masks[stream])


class PerformanceGrammar(Grammar):
    """The grammar of one vocabulary."""

    loops = Loops(allowed, advance)

    def __init__(self, table: Table) -> None:
        self.table = table
        self.size = STARTS + 2 * len(table.written) + ONSETS
        self.rules: Rows = np.zeros((4, len(table.entries)), dtype=np.int64)
        self.rules[KIND] = [KINDS.index(kind) for kind, _ in table.entries]
        self.rules[VALUE] = [value for _, value in table.entries]
        self.rules[FIRST, : len(KINDS)] = [table.spans[kind].start for kind in KINDS]
        self.rules[PAST, : len(KINDS)] = [table.spans[kind].stop for kind in KINDS]

    def begin(self) -> Rows:
        row = np.zeros(self.size, dtype=np.int64)
        row[LAST] = self.table.end
        row[[VELOCITY_TOKEN, KEY_INDEX]] = -1
        row[STARTS : STARTS + len(self.table.written)] = SILENT
        row[-ONSETS:] = -TICKS_PER_SECOND
        return row
