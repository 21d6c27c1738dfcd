"""A given melody as a constraint: a stream follows it note for note in one voice, while the model writes the others.

The constraint needs only the melody and the grammar's memory. The melody's voice enters where the melody has an onset,
with its pitch and duration. Time passes neither an onset that has not been written, nor a bar line before the bar's
last onset. Bar lines have the melody's key, metres are those of the melody, no voice begins before the melody does, and
the piece ends with the bar in which the melody ends. A stream that follows the melody from its start always has a token
left that meets this constraint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.foundation.jit import compiled
from generator.music.score import Note
from generator.streaming.violations import FORM, MELODY
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import Mask, Rows
from generator.tokenizers.score_memory import (
    BAR_START,
    BAR_TICKS,
    FREE,
    IN_KEY,
    IN_METRE,
    IN_VOICE,
    KIND,
    NOW,
    VALUE,
    latest_of,
    transposition,
    voices,
)

NEVER = 2**62
"""A tick later than any other."""

# A melody is encoded for compiled code as these fields and then, from `WINDOW` on, its next `EVENTS` events: (tick,
# pitch, duration) for a note and (tick, -1, index) for a metre. One job, which has `CHUNK` = 64 tokens, cannot get past
# them: a note takes four or five tokens, a metre with its bar line two.
HAS_MELODY, MELODY_VOICE, MELODY_KEY, FIRST_ONSET, END_TICK, CURRENT_METRE, WINDOW = range(7)
EVENTS = 36
SIZE = WINDOW + 3 * EVENTS


@dataclass(frozen=True)
class Melody:
    """A melody that the vocabulary can express. Voice, key and metres are indices, ticks are twelfths of a quarter."""

    voice: int
    key: int
    metres: tuple[tuple[int, int], ...]
    """(tick, metre), the first at 0."""
    notes: tuple[Note, ...]
    end_ticks: int
    """The end of the bar in which the melody ends."""
    events: Rows
    """All notes and metres in order of time, encoded as in the window, shape (events, 3)."""

    def encode(self, key: int) -> Rows:
        """The encoded melody, shape (SIZE,), without its window; in this key, or in its own if `key` is -1."""
        tune = np.zeros(SIZE, np.int64)
        tune[:WINDOW] = 1, self.voice, self.key if key < 0 else key, self.notes[0].start_ticks, self.end_ticks, 0
        return tune

    def write_window(self, tune: Rows, now: int) -> None:
        """Write the metre at the tick `now` and the events from there on into an encoded melody."""
        tune[CURRENT_METRE] = [metre for tick, metre in self.metres if tick <= now][-1]
        ticks, is_metre = self.events[:, 0], self.events[:, 1] < 0
        window = self.events[(ticks > now) | ((ticks == now) & ~is_metre)][:EVENTS]
        tune[WINDOW:] = NEVER
        tune[WINDOW : WINDOW + window.size] = window.ravel()


@compiled
def add_melody_violations(rules: Rows, tune: Rows, row: Rows, mask: Mask, violations: Rows) -> None:
    """Add `MELODY` to the violations of the allowed tokens that depart from the melody `tune`, which is encoded. The
    tokens that begin a note of the melody violate nothing else, because the melody has priority; only a form may have
    something else come first."""
    if not tune[HAS_MELODY] or row[NOW] >= tune[END_TICK]:
        return
    own, bar_end = tune[MELODY_VOICE], row[BAR_START] + row[BAR_TICKS]
    latest = row[latest_of(rules, own)]  # the onset of its last note
    onset, pitch, duration, metre = NEVER, 0, 0, tune[CURRENT_METRE]
    for event in range(WINDOW, SIZE, 3):
        tick = tune[event]
        if tune[event + 1] < 0:
            metre = tune[event + 2] if tick <= bar_end else metre
        elif onset == NEVER and tick > latest and tick >= row[NOW]:
            onset, pitch, duration = tick, tune[event + 1], tune[event + 2]
    others = NEVER  # the first tick at which another voice is free
    for voice in range(voices(rules)):
        if voice != own:
            others = min(others, row[FREE + voice])
    early = onset < bar_end or bar_end >= tune[END_TICK]  # too early for the next bar line
    for token in range(len(mask)):
        if not mask[token]:
            continue
        kind, value, departs = rules[KIND, token], rules[VALUE, token], False
        if kind == kinds.TIME_SIGNATURE:
            departs = early or value != metre
        elif kind == kinds.TEMPO:
            departs = early or row[IN_METRE] != metre
        elif kind == kinds.BAR:
            departs = early or row[IN_METRE] != metre or (row[IN_KEY] < 0 and value != tune[MELODY_KEY])
        elif kind == kinds.END:
            departs = onset < bar_end or bar_end < tune[END_TICK]
        elif kind == kinds.POSITION:
            tick = row[BAR_START] + value
            if tick == onset:
                violations[token] &= FORM
            departs = tick > onset or tick < tune[FIRST_ONSET] or (tick < onset and others > tick)
        elif kind == kinds.VOICE:
            if onset == row[NOW] and value == own:
                violations[token] &= FORM
            departs = value > own if onset == row[NOW] else value == own
        elif row[IN_VOICE] == own and kind != kinds.LOUDNESS:
            right = pitch == value + transposition(rules, row) if kind == kinds.PITCH else duration == value
            departs = onset != row[NOW] or not right
        if departs:
            violations[token] |= MELODY
