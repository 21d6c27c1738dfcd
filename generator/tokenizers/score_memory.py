"""What the grammar of the score tokenizer knows of a vocabulary, and what it remembers of a stream, as integers."""

from __future__ import annotations

from generator.foundation.jit import compiled
from generator.music.keys import above_c
from generator.tokenizers.base import Rows
from generator.tokenizers.recent import ONSETS, push
from generator.tokenizers.score_vocabulary import PITCH, TICKS_PER_QUARTER, VOICE

# The rows of `rules`: each token's kind and value; each kind's first token and the one past its last; each metre's
# ticks a bar; each voice's lowest and highest pitch, whether it is monophonic, and whether it is drums; each feature's
# first id, and the number of all ids. Rows are padded with 0. It is one array because each array argument makes a call
# of a compiled loop slower.
KIND, VALUE, FIRST, PAST, LENGTH, LOW, HIGH, MONOPHONIC, DRUM, FIRST_ID = range(10)

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
# pitch of the note before, or -1; for each voice and pitch the tick at which its last note ends; and each voice's
# velocity, or -1 before its first note of this piece and in a vocabulary without loudness. If the tokenizer has
# features, `score_history` describes the rest.
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
def loudness_of(rules: Rows, voice: int) -> int:
    """The index in a row of a voice's velocity."""
    return end_of(rules, voices(rules), int(rules[VALUE, rules[FIRST, PITCH]])) + voice


def velocities(rules: Rows, row: Rows) -> Rows:
    """Each voice's velocity or -1, (voices,), a view of `row`."""
    return row[loudness_of(rules, 0) : loudness_of(rules, voices(rules))]


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
