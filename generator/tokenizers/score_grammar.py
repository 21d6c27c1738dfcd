"""The grammar of the score tokenizer: what may follow what, and which events a token completes.

    piece    = [style] time-signature tempo bars end
    bars     = one or more of: [time-signature] [tempo] bar {position notes}
    notes    = one or more of: voice pitch duration

A piece's first bar line says the key, and all its bar lines repeat it. A pitch is written as it would be with the tonic
moved to the nearest C, so that a chord has one spelling in all keys; drums, whose pitches are instruments, stay.

Positions rise within a bar. At one position voices rise; a voice that may hold chords repeats with falling pitches. A
monophonic voice begins its next note when the last one has ended; no voice sounds one pitch twice at once; each voice
keeps to the range that it has in the training split.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from generator.foundation.jit import compiled
from generator.music.keys import above_c
from generator.tokenizers.base import Grammar, Mask, Rows
from generator.tokenizers.recent import ONSETS, remember
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

# The vocabulary as the compiled loops read it: one array, because every one that a call is given costs time. Its rows
# hold each token's kind and value, each kind's first token and the one past its last, each metre's ticks a bar, each
# voice's lowest and highest pitch and whether it is monophonic and drums; shape (9, vocab_size), 0 where a row is over.
KIND, VALUE, FIRST, PAST, LENGTH, LOW, HIGH, MONOPHONIC, DRUM = range(9)

# A row of memory: these fields, whose values are those of the vocabulary's rows, or -1 where there is none yet …
FIELDS = (
    *("last", "bar_start", "bar_ticks", "now", "position", "key", "metre", "tempo", "voice", "pitch", "notes"),
    "clock",
)
LAST, BAR_START, BAR_TICKS, NOW, AT_POSITION, IN_KEY, IN_METRE, AT_TEMPO, IN_VOICE, AT_PITCH, NOTES = range(11)
"""`LAST` is the kind of the last token, `AT_PITCH` the pitch of the last note of `IN_VOICE` at this position, `NOTES`
how many this piece has so far."""
CLOCK = 11
"""Microseconds from the stream's start to `NOW`, each step rounded down."""
# … then the clock at the last onsets; then ticks, of which those up to `NOW` are past: the end of the note that ends
# last; for each voice, from when on it may begin a note; for each voice, the start of its last note with its pitch and
# the pitch before, -1 where there is none yet; for each voice and pitch, the end of its last note.
RECENT = len(FIELDS)
LAST_END = RECENT + ONSETS
FREE = LAST_END + 1
LATEST = 3
"""Values in a row about a voice's last note."""
TICK_MICROSECONDS = 60_000_000 // TICKS_PER_QUARTER
"""At one quarter a minute."""
SECOND = 1_000_000 - 100
"""Of `CLOCK`: shorter by what rounding may take from its steps, and longer than any other sum of ticks below a second
at one tempo."""
ABOVE = 128
"""In the place of a pitch: above all of them."""


@compiled
def voices(rules: Rows) -> int:
    return int(rules[PAST, VOICE] - rules[FIRST, VOICE])


@compiled
def least(row: Rows, first: int, past: int) -> int:
    """The least of some values in a row."""
    found = row[first]
    for place in range(first + 1, past):
        found = min(found, row[place])
    return int(found)


@compiled
def latest_of(rules: Rows, voice: int) -> int:
    """Where in a row a voice's last note stands: its start, its pitch, the pitch before."""
    return FREE + voices(rules) + LATEST * voice


@compiled
def end_of(rules: Rows, voice: int, pitch: int) -> int:
    """Where in a row the end of a note stands."""
    pitches = rules[PAST, PITCH] - rules[FIRST, PITCH]
    first = latest_of(rules, voices(rules))
    return first + voice * int(pitches) + pitch - int(rules[VALUE, rules[FIRST, PITCH]])


@compiled
def transposition(rules: Rows, row: Rows) -> int:
    """What to add to a pitch as it is written."""
    return 0 if rules[DRUM, row[IN_VOICE]] else int(above_c(row[IN_KEY]))


@compiled
def hold(rules: Rows, row: Rows, voice: int, pitch: int, end: int) -> None:
    """Let a note sound until `end`."""
    row[end_of(rules, voice, pitch)] = end
    row[LAST_END] = max(row[LAST_END], end)
    if rules[MONOPHONIC, voice]:
        row[FREE + voice] = max(row[FREE + voice], end)
    else:  # as soon as any of its pitches is free
        first, past = end_of(rules, voice, rules[LOW, voice]), end_of(rules, voice, rules[HIGH, voice]) + 1
        row[FREE + voice] = least(row, first, past)


@compiled
def begin(rules: Rows, row: Rows, voice: int, pitch: int) -> None:
    """Remember that a note starts now."""
    remember(row, RECENT, ONSETS, row[CLOCK])
    latest = latest_of(rules, voice)
    row[latest] = row[NOW]
    remember(row, latest + 1, 2, pitch)


@compiled
def clock_at(row: Rows, tick: int) -> int:
    """`CLOCK` at another tick of this tempo."""
    return int(row[CLOCK] + (tick - row[NOW]) * TICK_MICROSECONDS // max(1, row[AT_TEMPO]))


@compiled
def go(row: Rows, tick: int) -> None:
    """Let time pass until a tick."""
    if tick != row[NOW]:
        row[CLOCK] = clock_at(row, tick)
        row[NOW] = tick


@compiled
def finish_bar(row: Rows) -> None:
    """Go to the bar's end; there is no bar then until the next bar line."""
    go(row, row[BAR_START] + row[BAR_TICKS])
    row[BAR_START], row[BAR_TICKS] = row[NOW], 0


@compiled
def finish_piece(rules: Rows, row: Rows) -> None:
    """The piece ends with the bar, or with the bar in which its last note ends."""
    finish_bar(row)
    if row[IN_METRE] >= 0:
        length = rules[LENGTH, row[IN_METRE]]
        late = max(0, row[LAST_END] - row[NOW])
        go(row, row[NOW] + (late + length - 1) // length * length)
    row[BAR_START] = row[NOW]
    row[AT_POSITION : AT_PITCH + 1] = -1
    row[NOTES] = 0


@compiled
def advance(rules: Rows, memory: Rows, tokens: Rows) -> None:
    """`Grammar.advance`. A token that is not allowed leads nowhere, but never out of the row."""
    for stream in range(len(tokens)):
        row, kind, value = memory[stream], rules[KIND, tokens[stream]], rules[VALUE, tokens[stream]]
        row[LAST] = kind
        if kind == POSITION:
            row[AT_POSITION], row[IN_VOICE] = value, -1
            go(row, row[BAR_START] + value)
        elif kind == VOICE:
            row[AT_PITCH] = row[AT_PITCH] if row[IN_VOICE] == value else ABOVE
            row[IN_VOICE] = value
        elif kind == PITCH:
            row[AT_PITCH] = value + transposition(rules, row)
        elif kind == DURATION:
            row[NOTES] += 1
            lowest, highest = rules[VALUE, rules[FIRST, PITCH]], rules[VALUE, rules[PAST, PITCH] - 1]
            if row[IN_VOICE] >= 0 and lowest <= row[AT_PITCH] <= highest:
                hold(rules, row, row[IN_VOICE], row[AT_PITCH], row[NOW] + value)
                begin(rules, row, row[IN_VOICE], row[AT_PITCH])
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
def open_all(rules: Rows, mask: Mask, kind: int, but: int) -> None:
    """All tokens of a kind, but not the one with the value that is in force; -1 for none."""
    for token in range(rules[FIRST, kind], rules[PAST, kind]):
        mask[token] = rules[VALUE, token] != but


@compiled
def open_bars(rules: Rows, row: Rows, mask: Mask) -> None:
    if row[IN_KEY] < 0:
        open_all(rules, mask, BAR, -1)
    else:
        mask[rules[FIRST, BAR] + row[IN_KEY]] = True


@compiled
def open_positions(rules: Rows, row: Rows, mask: Mask) -> None:
    """Positions later in this bar at which some voice is free."""
    free = least(row, FREE, FREE + voices(rules))
    low, past = max(row[AT_POSITION] + 1, free - row[BAR_START]), row[BAR_TICKS]
    for token in range(rules[FIRST, POSITION], rules[PAST, POSITION]):
        mask[token] = low <= rules[VALUE, token] < past


@compiled
def open_voices(rules: Rows, row: Rows, mask: Mask) -> None:
    """The voice of the last note, if it may hold a lower one too, and those after it that are free."""
    first, last = rules[FIRST, VOICE], row[IN_VOICE]
    for voice in range(last + 1, voices(rules)):
        mask[first + voice] = row[FREE + voice] <= row[NOW]
    if last >= 0 and not rules[MONOPHONIC, last]:
        for pitch in range(rules[LOW, last], min(row[AT_PITCH], rules[HIGH, last] + 1)):
            if row[end_of(rules, last, pitch)] <= row[NOW]:
                mask[first + last] = True
                break


@compiled
def open_pitches(rules: Rows, row: Rows, mask: Mask) -> None:
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
            open_all(rules, mask, STYLE, -1)
            open_all(rules, mask, TIME_SIGNATURE, -1)
        elif last == STYLE:
            open_all(rules, mask, TIME_SIGNATURE, -1)
        elif last == TIME_SIGNATURE:
            open_all(rules, mask, TEMPO, row[AT_TEMPO])
            if row[AT_TEMPO] >= 0:
                open_bars(rules, row, mask)
        elif last == TEMPO:
            open_bars(rules, row, mask)
        elif last == POSITION:
            open_voices(rules, row, mask)
        elif last == VOICE:
            open_pitches(rules, row, mask)
        elif last == PITCH:
            open_all(rules, mask, DURATION, -1)
        else:
            open_bars(rules, row, mask)
            open_all(rules, mask, TIME_SIGNATURE, row[IN_METRE])
            open_all(rules, mask, TEMPO, row[AT_TEMPO])
            mask[rules[FIRST, END]] = row[NOTES] > 0
            open_positions(rules, row, mask)
            if last == DURATION:
                open_voices(rules, row, mask)


class ScoreGrammar(Grammar):
    """The grammar of one vocabulary, for many streams at once."""

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
        self.size = FREE + len(parts) * (1 + LATEST + table.past[PITCH] - table.first[PITCH])

    def begin(self) -> Rows:
        row = np.zeros(self.size, dtype=np.int64)
        row[AT_POSITION : AT_PITCH + 1] = -1
        row[RECENT : RECENT + ONSETS] = -SECOND
        voices = len(self.table.parts)
        row[FREE + voices : FREE + voices * (1 + LATEST)] = -1
        return row
