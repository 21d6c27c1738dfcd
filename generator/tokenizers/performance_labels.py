"""What the performance tokenizer knows before each token: time, loudness, pedal, what sounds."""

from __future__ import annotations

import numpy as np

from generator.tokenizers.base import SILENT, Tokens
from generator.tokenizers.labels import Labels, ahead, before, kept, since, styles
from generator.tokenizers.performance_grammar import (
    IS_END,
    IS_OFF,
    IS_ON,
    IS_PEDAL,
    IS_SHIFT,
    IS_VELOCITY,
    KEY_INDEX,
    KIND,
    PEDAL_DOWN,
    STARTS,
    STYLE,
    TICK,
    TICKS_PER_SECOND,
    VALUE,
    VELOCITY_TOKEN,
    PerformanceGrammar,
)
from generator.tokenizers.recent import ONSETS

MIDDLE_C = 60
LONG_AGO = TICKS_PER_SECOND * 10


def labels(grammar: PerformanceGrammar, tokens: Tokens) -> Labels:
    """As `Tokenizer.labels`."""
    table, notes = grammar.table, len(grammar.table.written)
    fields, onsets, sounding = [], [], []
    for rows in grammar.memories(tokens):
        fields.append(rows[:, :STARTS].copy())
        onsets.append(rows[:, TICK, None] - rows[:, -ONSETS:])
        starts = rows[:, STARTS : STARTS + notes]
        sounds = starts != SILENT
        longest = rows[:, TICK] - np.where(sounds, starts, rows[:, TICK, None]).min(1)
        highest = np.where(sounds, np.arange(notes), -1).max(1)
        lowest = np.where(sounds, np.arange(notes), notes).min(1)
        sounding.append(np.stack([sounds.sum(1), longest, highest, lowest], 1))
    memory, ago, now = np.concatenate(fields), np.concatenate(onsets), np.concatenate(sounding).astype(np.float64)
    written = np.asarray(tokens, np.int64)
    read = before(written, table.end).astype(np.int64)
    kinds, values = grammar.rules[KIND][read], grammar.rules[VALUE][read]
    is_on, is_minor = kinds == IS_ON, memory[:, KEY_INDEX] >= 12
    seconds = memory[:, TICK] / TICKS_PER_SECOND
    begins = kinds == IS_END
    height = kept(is_on, values)
    degree = (height - np.where(is_minor, 9, 0)) % 12
    found: Labels = {
        "time since the last onset": np.minimum(ago[:, 0], LONG_AGO).astype(np.float64),
        "onsets in the last second": (ago < TICKS_PER_SECOND).sum(1).astype(np.float64),
        "onsets in the last quarter of a second": (ago < TICKS_PER_SECOND // 4).sum(1).astype(np.float64),
        "two notes began together": (ago[:, 0] == ago[:, 1]) & is_on,
        "notes that sound": now[:, 0],
        "nothing sounds": now[:, 0] == 0,
        "how long the longest note sounds": now[:, 1],
        "the highest note that sounds": np.where(now[:, 0] > 0, now[:, 2], kept(now[:, 0] > 0, now[:, 2])),
        "the lowest note that sounds": np.where(now[:, 0] > 0, now[:, 3], kept(now[:, 0] > 0, now[:, 3])),
        "the pedal is down": memory[:, PEDAL_DOWN] > 0,
        "tokens since the pedal moved": since(kinds == IS_PEDAL),
        "loudness": np.where(memory[:, VELOCITY_TOKEN] < 0, 0, grammar.rules[VALUE][memory[:, VELOCITY_TOKEN]]) * 1.0,
        "height of the last note": height,
        "height of the note before": kept(is_on, before(height)),
        "the last note is below middle C": height < MIDDLE_C,
        "the last note is the tonic": degree == 0,
        "the last note is the fifth": degree == 7,
        "the key is minor": is_minor,
        "a note began": is_on,
        "a note ended": kinds == IS_OFF,
        "time passed": kinds == IS_SHIFT,
        "the loudness was read": kinds == IS_VELOCITY,
        "the pedal moved": kinds == IS_PEDAL,
        "length of the last wait": kept(kinds == IS_SHIFT, values),
        "seconds since the piece began": seconds - kept(begins, seconds),
        "seconds until the piece ends (looks ahead)": ahead(seconds - kept(begins, seconds), written == table.end),
    }
    return found | styles(written, table.styles, table.spans[STYLE].start, begins)
