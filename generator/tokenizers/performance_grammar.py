"""The grammar of a piano performance: its table of tokens, and what may follow what.

A piece opens with its key, before which a style may stand. Pitches are written as they would be in the nearest key
without sharps or flats, C major or A minor: so what wanders off can be heard to, however long ago the key was said.

Beside its key a score has exactly one spelling. At one tick note-offs come first, lowest pitch first, then the pedal,
then note-ons, lowest first, each after a velocity token if its velocity is new; a gap is whole seconds first, then the
rest. The grammar allows this spelling and no other: a walk over `allowed()` from end to end is what `encode` makes of
its score in that key.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.jit import compiled
from generator.music.keys import KEYS, above_plain
from generator.tokenizers.base import Grammar, Mask, Rows
from generator.tokenizers.recent import ONSETS, remember
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
"""No note is held longer, in ticks, so no sampled note can hang."""
PAUSE = TICKS_PER_SECOND
"""Silence between a piece and the next, in ticks."""

BELOW, ABOVE = 6, 5
"""How far pitches move down and up, at most, when their key moves to the nearest plain one."""
PITCHES = range(21 - BELOW, 109 + ABOVE)
"""The 88 notes of a piano, as they are written in any key."""
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
    """A vocabulary, read once: `entries[token]` is its kind and value, `spans[kind]` its tokens, one after another.
    Styles, which are optional and whose values count from 0, come last.

    Raises:
        CarouselError: the entries are not those of a performance.
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
            sound = (
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
            sound = False
        if not sound:
            raise CarouselError("the vocabulary is not that of a performance of this version; train the model anew")
        self.end = self.spans[END].start
        self.written = range(pitches[0], pitches[-1] + 1)  # in any key
        self.lowest, self.highest = pitches[0] + BELOW, pitches[-1] - ABOVE  # of the piano
        self.velocities = values[VELOCITY]


# The vocabulary as the compiled loops read it: one array, because every one that a call is given costs time. Its rows
# hold each token's kind and value, each kind's first token and the one past its last; shape (4, vocab_size), 0 where a
# row is over.
KIND, VALUE, FIRST, PAST = range(4)
IS_END, IS_ON, IS_OFF, IS_SHIFT, IS_VELOCITY, IS_PEDAL, IS_KEY, IS_STYLE = range(len(KINDS))

# A row of memory: these fields, then for each pitch as it is written the tick at which the note that sounds there
# started, then for each that note's velocity, 0 where there is none, then the ticks of the last onsets.
TICK, LAST, FLOOR, IN_VELOCITY, PEDAL_DOWN, IN_KEY, STARTS = range(7)
"""`LAST` is the last token, `FLOOR` the lowest note that may still start at this tick, as an index into the pitches,
`IN_VELOCITY` the velocity token in force, -1 until a piece's first note, `IN_KEY` the index of the key that the piece
has said, -1 until then."""
SILENT = 2**62
"""In the place of a start: later than all."""


@compiled
def transposition(row: Rows) -> int:
    """What to add to a pitch as it is written."""
    return int(above_plain(row[IN_KEY])) if row[IN_KEY] >= 0 else 0


@compiled
def recent(rules: Rows) -> int:
    """Where in a row the last onsets stand."""
    return STARTS + 2 * int(rules[PAST, IS_ON] - rules[FIRST, IS_ON])


@compiled
def advance(rules: Rows, memory: Rows, tokens: Rows) -> None:
    """`Grammar.advance`. A token that is not allowed leads nowhere, but never out of the row."""
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
            row[at], row[at + notes] = row[TICK], rules[VALUE, row[IN_VELOCITY]]
            row[FLOOR] = value - lowest + 1
            remember(row, recent(rules), ONSETS, row[TICK])
        elif kind == IS_OFF:
            at = STARTS + value - lowest
            row[at], row[at + notes] = SILENT, 0
        elif kind == IS_VELOCITY:
            row[IN_VELOCITY] = token
        elif kind == IS_PEDAL:
            row[PEDAL_DOWN] = value
        elif kind == IS_KEY:
            row[IN_KEY] = value
        elif kind == IS_END:
            row[TICK] += PAUSE
            row[IN_VELOCITY], row[IN_KEY], row[FLOOR] = -1, -1, 0


@compiled
def open_kind(rules: Rows, mask: Mask, kind: int) -> None:
    for token in range(rules[FIRST, kind], rules[PAST, kind]):
        mask[token] = True


@compiled
def pitch_range(rules: Rows, row: Rows) -> tuple[int, int]:
    """The piano's lowest note, and the one past its highest, as indices into the pitches as they are written."""
    by = transposition(row)
    return BELOW - by, int(rules[PAST, IS_ON] - rules[FIRST, IS_ON]) - ABOVE - by


@compiled
def open_ons(rules: Rows, row: Rows, mask: Mask) -> bool:
    """The notes that may start now; whether there are any."""
    first = rules[FIRST, IS_ON]
    low, past = pitch_range(rules, row)
    found = False
    for note in range(max(low, row[FLOOR]), past):
        silent = row[STARTS + note] == SILENT
        mask[first + note] = silent
        found |= silent
    return found


@compiled
def open_offs(rules: Rows, row: Rows, mask: Mask, low: int, past: int) -> None:
    """The notes that may end now, from `low` to before `past`."""
    for note in range(low, past):
        mask[rules[FIRST, IS_OFF] + note] = row[STARTS + note] != SILENT


@compiled
def open_next(rules: Rows, row: Rows, mask: Mask) -> None:
    """What may come next. Within a tick the last token tells how far the order has come."""
    kind, value = rules[KIND, row[LAST]], rules[VALUE, row[LAST]]
    first, past = rules[FIRST], rules[PAST]
    if kind == IS_VELOCITY:
        open_ons(rules, row, mask)
        return
    if row[IN_KEY] < 0:
        open_kind(rules, mask, IS_KEY)
        if kind == IS_END:
            open_kind(rules, mask, IS_STYLE)
        return
    if row[IN_VELOCITY] < 0:  # a piece has a note at its first tick
        open_kind(rules, mask, IS_VELOCITY)
        mask[first[IS_PEDAL] + 1] = kind != IS_PEDAL
        return
    notes = past[IS_ON] - first[IS_ON]
    next_off = value - rules[VALUE, first[IS_ON]] + 1 if kind == IS_OFF else 0
    oldest, due = SILENT, 0
    for note in range(notes):
        if row[STARTS + note] < oldest:
            oldest, due = row[STARTS + note], note
    left = min(oldest, row[TICK]) + HOLD_LIMIT - row[TICK]
    if left == 0:  # what has reached the limit ends now; only lower notes may end before it
        open_offs(rules, row, mask, next_off, due + 1)
        return
    if open_ons(rules, row, mask):
        open_kind(rules, mask, IS_VELOCITY)
        mask[row[IN_VELOCITY]] = False
    if kind in (IS_SHIFT, IS_OFF):
        open_offs(rules, row, mask, next_off, notes)
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
        open_next(rules, memory[stream], masks[stream])


class PerformanceGrammar(Grammar):
    """The grammar of one vocabulary, for many streams at once."""

    loops = allowed, advance

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
        row[[IN_VELOCITY, IN_KEY]] = -1
        row[STARTS : STARTS + len(self.table.written)] = SILENT
        row[-ONSETS:] = -TICKS_PER_SECOND
        return row
