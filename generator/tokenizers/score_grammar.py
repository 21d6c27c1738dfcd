"""The grammar of the score tokenizer: which tokens may follow which.

    piece    = [style] time-signature tempo bars end
    bars     = one or more of: [time-signature] [tempo] bar {position notes}
    notes    = one or more of: voice pitch duration

All bar lines of a piece contain its key. Pitches are transposed so that the tonic is the nearest C, and a cadence has
the same tokens in all keys. Drums are not transposed, as their pitches are instruments.

Positions rise within a bar, and voices at a position. For a chord, the voice is repeated with falling pitches. A note
of a monophonic voice may begin when its last note has ended, and a pitch of another voice when it does not sound
already. Each voice keeps to the range of its notes in the training split.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from generator.foundation.jit import compiled
from generator.music.keys import above_c
from generator.tokenizers.base import Grammar, Mask, Rows
from generator.tokenizers.recent import ONSETS, push
from generator.tokenizers.score_vocabulary import (
    BAR,
    DURATION,
    END,
    PITCH,
    POSITION,
    STYLE,
    TEMPO,
    TICKS_PER_QUARTER,
    TIME_SIGNATURE,
    VOICE,
    Table,
)

# The rows of `rules`, shape (9, vocab_size): each token's kind and value; each kind's first token and the one past its
# last; each metre's ticks a bar; each voice's lowest and highest pitch, whether it is monophonic, and whether it is
# drums. Rows are padded with 0. It is one array because each array argument makes a call of a compiled loop slower.
KIND, VALUE, FIRST, PAST, LENGTH, LOW, HIGH, MONOPHONIC, DRUM = range(9)

# A row of memory begins with these fields; -1 stands for a value that is not known yet.
FIELDS = (
    *("last", "bar_start", "bar_ticks", "now", "position", "key", "metre", "tempo", "voice", "pitch", "notes"),
    "clock",
)
LAST, BAR_START, BAR_TICKS, NOW, AT_POSITION, IN_KEY, IN_METRE, AT_TEMPO, IN_VOICE, AT_PITCH, NOTES = range(11)
"""`LAST` is the kind of the last token, `NOW` the current tick, `AT_PITCH` the pitch of the last note of `IN_VOICE` at
this position, and `NOTES` the number of notes of this piece so far."""
CLOCK = 11
"""The time of `NOW` in microseconds from the start of the stream. Each step of it is rounded down."""
# Then come, from RECENT on, `CLOCK` at the last onsets; at LAST_END, the tick at which the last note ends; from FREE
# on, the tick from which each voice may begin a note; for each voice the start of its last note, its pitch and the
# pitch of the note before, or -1; and for each voice and pitch the tick at which its last note ends.
RECENT = len(FIELDS)
LAST_END = RECENT + ONSETS
FREE = LAST_END + 1
LAST_NOTE_SIZE = 3
"""How many values describe a voice's last note."""
TICK_MICROSECONDS = 60_000_000 // TICKS_PER_QUARTER
"""The length of a tick at one quarter a minute."""
SECOND = 1_000_000 - 100
"""A second of `CLOCK`. The 100 µs are more than its steps can lose by rounding; a sum of ticks at one tempo that is
less than a second is less than this, too."""
ABOVE_ALL = 128
"""Stands for a pitch, and is higher than all of them."""


@compiled
def voices(rules: Rows) -> int:
    """The number of voices."""
    return int(rules[PAST, VOICE] - rules[FIRST, VOICE])


@compiled
def minimum(row: Rows, first: int, past: int) -> int:
    """The least of `row[first:past]`."""
    found = row[first]
    for place in range(first + 1, past):
        found = min(found, row[place])
    return int(found)


@compiled
def latest_of(rules: Rows, voice: int) -> int:
    """The index in a row of a voice's last note: its start, then its pitch, then the pitch of the note before."""
    return FREE + voices(rules) + LAST_NOTE_SIZE * voice


@compiled
def end_of(rules: Rows, voice: int, pitch: int) -> int:
    """The index in a row of the end of the last note of a voice and pitch."""
    pitches = rules[PAST, PITCH] - rules[FIRST, PITCH]
    first = latest_of(rules, voices(rules))
    return first + voice * int(pitches) + pitch - int(rules[VALUE, rules[FIRST, PITCH]])


@compiled
def transposition(rules: Rows, row: Rows) -> int:
    """How many semitones to add to a written pitch to get the one that sounds."""
    return 0 if rules[DRUM, row[IN_VOICE]] else int(above_c(row[IN_KEY]))


@compiled
def hold_note(rules: Rows, row: Rows, voice: int, pitch: int, end: int) -> None:
    """Remember that a note sounds until the tick `end`."""
    row[end_of(rules, voice, pitch)] = end
    row[LAST_END] = max(row[LAST_END], end)
    if rules[MONOPHONIC, voice]:
        row[FREE + voice] = max(row[FREE + voice], end)
    else:  # it may begin a note when one of its pitches is free
        first, past = end_of(rules, voice, rules[LOW, voice]), end_of(rules, voice, rules[HIGH, voice]) + 1
        row[FREE + voice] = minimum(row, first, past)


@compiled
def start_note(rules: Rows, row: Rows, voice: int, pitch: int) -> None:
    """Remember that a note starts now."""
    push(row, RECENT, ONSETS, row[CLOCK])
    latest = latest_of(rules, voice)
    row[latest] = row[NOW]
    push(row, latest + 1, 2, pitch)


@compiled
def clock_at(row: Rows, tick: int) -> int:
    """`CLOCK` at another tick, at the current tempo."""
    return int(row[CLOCK] + (tick - row[NOW]) * TICK_MICROSECONDS // max(1, row[AT_TEMPO]))


@compiled
def advance_to(row: Rows, tick: int) -> None:
    """Move `NOW` and `CLOCK` to a tick."""
    if tick != row[NOW]:
        row[CLOCK] = clock_at(row, tick)
        row[NOW] = tick


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
    """The grammar of one vocabulary."""

    loops = allowed, advance

    def __init__(self, table: Table) -> None:
        self.table = table
        parts = table.parts
        columns: tuple[Iterable[int], ...] = (
            *(table.kinds, table.values, table.first, table.past),
            map(table.bar_ticks, range(len(table.metres))),
            *zip(*((part.low, part.high, part.monophonic, part.drum) for part in parts), strict=True),
        )
        self.rules: Rows = np.zeros((9, len(table.rows)), dtype=np.int64)
        for row, column in enumerate(map(list, columns)):
            self.rules[row, : len(column)] = column
        self.size = FREE + len(parts) * (1 + LAST_NOTE_SIZE + table.past[PITCH] - table.first[PITCH])

    def begin(self) -> Rows:
        row = np.zeros(self.size, dtype=np.int64)
        row[AT_POSITION : AT_PITCH + 1] = -1
        row[RECENT : RECENT + ONSETS] = -SECOND
        voices = len(self.table.parts)
        row[FREE + voices : FREE + voices * (1 + LAST_NOTE_SIZE)] = -1
        return row
