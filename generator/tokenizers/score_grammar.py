"""The grammar of the score tokenizer: which tokens may follow which.

    piece    = [style] time-signature tempo bars end
    bars     = one or more of: [time-signature] [tempo] bar {position notes}
    notes    = one or more of: voice [loudness] pitch duration

All bar lines of a piece contain its key. Pitches are transposed so that the tonic is the nearest C, and a cadence has
the same tokens in all keys. Drums are not transposed, as their pitches are instruments.

Positions rise within a bar, and voices at a position. For a chord, the voice is repeated with falling pitches. A note
of a monophonic voice may begin when its last note has ended, and a pitch of another voice when it does not sound
already. Each voice keeps to the range of its notes in the training split.

If the vocabulary has loudness, it stands at the first note of a voice in a piece, and at later ones where it changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import numpy as np

from generator.foundation.jit import compiled
from generator.tokenizers import score_features
from generator.tokenizers.base import Grammar, Loops, Mask, Rows
from generator.tokenizers.recent import ONSETS
from generator.tokenizers.score_history import KEY_BEFORE, LENGTH_ASKED, SIZE, forget, history_of, remember
from generator.tokenizers.score_memory import (
    ABOVE_ALL,
    AT_PITCH,
    AT_POSITION,
    AT_TEMPO,
    BAR_START,
    BAR_TICKS,
    FIRST,
    FREE,
    HIGH,
    IN_KEY,
    IN_METRE,
    IN_VOICE,
    KIND,
    LAST,
    LAST_END,
    LAST_NOTE_SIZE,
    LENGTH,
    LOW,
    MONOPHONIC,
    NOTES,
    NOW,
    PAST,
    RECENT,
    SECOND,
    VALUE,
    advance_to,
    end_of,
    hold_note,
    loudness_of,
    minimum,
    start_note,
    transposition,
    voices,
)
from generator.tokenizers.score_vocabulary import (
    BAR,
    DURATION,
    END,
    LOUDNESS,
    PITCH,
    POSITION,
    STYLE,
    TEMPO,
    TIME_SIGNATURE,
    VOICE,
    Table,
)


@compiled
def finish_bar(row: Rows) -> None:
    """Move to the end of the bar. Until the next bar line there is no current bar."""
    advance_to(row, row[BAR_START] + row[BAR_TICKS])
    row[BAR_START], row[BAR_TICKS] = row[NOW], 0


@compiled
def finish_piece(rules: Rows, row: Rows) -> None:
    """Move to the end of the bar, or of the bar in which the last note ends, and reset the fields of the piece."""
    finish_bar(row)
    if row[IN_METRE] >= 0:
        length = rules[LENGTH, row[IN_METRE]]
        late = max(0, row[LAST_END] - row[NOW])
        advance_to(row, row[NOW] + (late + length - 1) // length * length)
    row[BAR_START] = row[NOW]
    row[AT_POSITION : AT_PITCH + 1] = -1
    row[NOTES] = 0
    row[loudness_of(rules, 0) : loudness_of(rules, voices(rules))] = -1


@compiled
def advance(rules: Rows, memory: Rows, tokens: Rows) -> None:
    """`Grammar.advance`. A token that is not allowed gives a meaningless row, but nothing is written outside it."""
    for stream in range(len(tokens)):
        row, kind, value = memory[stream], rules[KIND, tokens[stream]], rules[VALUE, tokens[stream]]
        row[LAST] = kind
        if kind == POSITION:
            row[AT_POSITION], row[IN_VOICE] = value, -1
            advance_to(row, row[BAR_START] + value)
        elif kind == VOICE:
            row[AT_PITCH] = row[AT_PITCH] if row[IN_VOICE] == value else ABOVE_ALL
            row[IN_VOICE] = value
        elif kind == LOUDNESS:
            if row[IN_VOICE] >= 0:
                row[loudness_of(rules, row[IN_VOICE])] = value
        elif kind == PITCH:
            row[AT_PITCH] = value + transposition(rules, row)
        elif kind == DURATION:
            row[NOTES] += 1
            lowest, highest = rules[VALUE, rules[FIRST, PITCH]], rules[VALUE, rules[PAST, PITCH] - 1]
            if row[IN_VOICE] >= 0 and lowest <= row[AT_PITCH] <= highest:
                hold_note(rules, row, row[IN_VOICE], row[AT_PITCH], row[NOW] + value)
                start_note(rules, row, row[IN_VOICE], row[AT_PITCH])
        elif kind == TIME_SIGNATURE:
            finish_bar(row)
            row[IN_METRE] = value
        elif kind == TEMPO:
            finish_bar(row)
            row[AT_TEMPO] = value
        elif kind == BAR:
            finish_bar(row)
            row[BAR_TICKS] = rules[LENGTH, row[IN_METRE]]
            row[AT_POSITION], row[IN_KEY] = -1, value
        elif kind == END:
            finish_piece(rules, row)
        if len(row) > history_of(rules):
            remember(rules, row, tokens[stream])


@compiled
def allow_kind(rules: Rows, mask: Mask, kind: int, current: int) -> None:
    """Allow all tokens of a kind, except the one whose value is current already; -1 for none."""
    for token in range(rules[FIRST, kind], rules[PAST, kind]):
        mask[token] = rules[VALUE, token] != current


@compiled
def allow_bars(rules: Rows, row: Rows, mask: Mask) -> None:
    """Allow the bar line in the key of the piece; at its start, in all keys."""
    if row[IN_KEY] < 0:
        allow_kind(rules, mask, BAR, -1)
    else:
        mask[rules[FIRST, BAR] + row[IN_KEY]] = True


@compiled
def allow_positions(rules: Rows, row: Rows, mask: Mask) -> None:
    """Allow later positions in this bar at which some voice may begin a note."""
    free = minimum(row, FREE, FREE + voices(rules))
    low, past = max(row[AT_POSITION] + 1, free - row[BAR_START]), row[BAR_TICKS]
    for token in range(rules[FIRST, POSITION], rules[PAST, POSITION]):
        mask[token] = low <= rules[VALUE, token] < past


@compiled
def allow_voices(rules: Rows, row: Rows, mask: Mask) -> None:
    """Allow the voice of the last note, if a lower note can join the chord, and the free voices after it."""
    first, last = rules[FIRST, VOICE], row[IN_VOICE]
    for voice in range(last + 1, voices(rules)):
        mask[first + voice] = row[FREE + voice] <= row[NOW]
    if last >= 0 and not rules[MONOPHONIC, last]:
        for pitch in range(rules[LOW, last], min(row[AT_PITCH], rules[HIGH, last] + 1)):
            if row[end_of(rules, last, pitch)] <= row[NOW]:
                mask[first + last] = True
                break


@compiled
def allow_pitches(rules: Rows, row: Rows, mask: Mask) -> None:
    """Allow the pitches of the voice that are free and, in a chord, lower than the last one."""
    voice = row[IN_VOICE]
    base = rules[FIRST, PITCH] - rules[VALUE, rules[FIRST, PITCH]] - transposition(rules, row)
    for pitch in range(rules[LOW, voice], min(row[AT_PITCH], rules[HIGH, voice] + 1)):
        mask[base + pitch] = row[end_of(rules, voice, pitch)] <= row[NOW]


@compiled
def allowed(rules: Rows, memory: Rows, masks: Mask) -> None:
    """`Grammar.allowed`."""
    masks[:] = False
    for stream in range(len(memory)):
        row, mask = memory[stream], masks[stream]
        last = row[LAST]
        if last == END:
            allow_kind(rules, mask, STYLE, -1)
            allow_kind(rules, mask, TIME_SIGNATURE, -1)
        elif last == STYLE:
            allow_kind(rules, mask, TIME_SIGNATURE, -1)
        elif last == TIME_SIGNATURE:
            allow_kind(rules, mask, TEMPO, row[AT_TEMPO])
            if row[AT_TEMPO] >= 0:
                allow_bars(rules, row, mask)
        elif last == TEMPO:
            allow_bars(rules, row, mask)
        elif last == POSITION:
            allow_voices(rules, row, mask)
        elif last == VOICE:
            loudness = row[loudness_of(rules, row[IN_VOICE])]
            allow_kind(rules, mask, LOUDNESS, loudness)
            if loudness >= 0 or rules[FIRST, LOUDNESS] == rules[PAST, LOUDNESS]:
                allow_pitches(rules, row, mask)
        elif last == LOUDNESS:
            allow_pitches(rules, row, mask)
        elif last == PITCH:
            allow_kind(rules, mask, DURATION, -1)
        else:
            allow_bars(rules, row, mask)
            allow_kind(rules, mask, TIME_SIGNATURE, row[IN_METRE])
            allow_kind(rules, mask, TEMPO, row[AT_TEMPO])
            mask[rules[FIRST, END]] = row[NOTES] > 0
            allow_positions(rules, row, mask)
            if last == DURATION:
                allow_voices(rules, row, mask)


class ScoreGrammar(Grammar):
    """The grammar of one vocabulary, with features that count bars up to `counted_bars`, or without features."""

    loops = Loops(allowed, advance, score_features.features)

    def __init__(self, table: Table, counted_bars: int = 0) -> None:
        self.table = table
        sizes = score_features.sizes(table, counted_bars) if counted_bars else []
        self.columns, self.feature_rows = len(sizes), sum(sizes)
        parts = table.parts
        columns: tuple[Iterable[int], ...] = (
            *(table.kinds, table.values, table.first, table.past),
            map(table.bar_ticks, range(len(table.metres))),
            *zip(*((part.low, part.high, part.monophonic, part.drum) for part in parts), strict=True),
            accumulate(sizes, initial=0),
        )
        self.rules: Rows = np.zeros((len(columns), max(len(table.rows), len(sizes) + 1)), dtype=np.int64)
        for row, column in enumerate(map(list, columns)):
            self.rules[row, : len(column)] = column
        self._history = int(history_of(self.rules))
        self.size = self._history + (SIZE if counted_bars else 0)

    def begin(self) -> Rows:
        row = np.zeros(self.size, dtype=np.int64)
        row[AT_POSITION : AT_PITCH + 1] = -1
        row[RECENT : RECENT + ONSETS] = -SECOND
        voices = len(self.table.parts)
        row[FREE + voices : FREE + voices * (1 + LAST_NOTE_SIZE)] = -1
        row[self._history - voices : self._history] = -1
        if self.columns:
            forget(row[self._history :])
            row[self._history + KEY_BEFORE] = -1
        return row

    def ask_length(self, memory: Rows, bars: int) -> None:
        if self.columns:
            memory[self._history + LENGTH_ASKED] = bars
