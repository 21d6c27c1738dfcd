"""Constraints on piano performances: the violation of each token, from the memory of the performance grammar."""

from __future__ import annotations

from typing import ClassVar

from generator.foundation.jit import compiled
from generator.foundation.options import SamplingOptions
from generator.streaming.pitch_constraints import PITCHES, key_of, pitch_violations
from generator.streaming.violations import (
    DENSITY,
    KEY,
    KEY_ASKED,
    MOST_A_SECOND,
    MOST_AT_ONCE,
    RANGES,
    TABLE,
    VOICES_AT_ONCE,
    encode_shared,
    key_violation,
    restricting,
    style_violation,
)
from generator.tokenizers.base import SILENT, Mask, Rows
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.performance_grammar import (
    FIRST,
    FLOOR,
    IS_END,
    IS_KEY,
    IS_ON,
    IS_SHIFT,
    IS_STYLE,
    IS_VELOCITY,
    KIND,
    LAST,
    PAST,
    STARTS,
    TICK,
    TICKS_PER_SECOND,
    VALUE,
    pitch_range,
    recent,
    transposition,
)
from generator.tokenizers.score_vocabulary import Part


@compiled
def write_violations(rules: Rows, encoded: Rows, row: Rows, mask: Mask, violations: Rows) -> None:
    """Write the violation of each allowed token; that of a velocity is the smallest one among the notes that may
    follow it."""
    transposed_by = transposition(row)
    low, past = pitch_range(rules, row)
    first = TABLE + rules[VALUE, rules[FIRST, IS_ON]] + transposed_by  # the violation of the lowest pitch
    sounding, best_note = 0, RANGES | KEY
    for at in range(low, past):
        if row[STARTS + at] != SILENT:
            sounding += 1
        elif at >= row[FLOOR]:
            best_note = min(best_note, encoded[first + at])
    onset, wait = 0, 0  # the violation of every note that begins now; the ticks for which `density` forbids notes
    if 0 < encoded[MOST_AT_ONCE] <= sounding:
        onset |= VOICES_AT_ONCE
    if encoded[MOST_A_SECOND]:
        wait = row[recent(rules) + encoded[MOST_A_SECOND] - 1] + TICKS_PER_SECOND - row[TICK]
        if wait > 0:
            onset |= DENSITY
    longest, kind_before = rules[PAST, IS_SHIFT] - rules[FIRST, IS_SHIFT], rules[KIND, row[LAST]]
    for token in range(len(mask)):
        if not mask[token]:
            continue
        kind, value, violation = rules[KIND, token], rules[VALUE, token], 0
        if kind == IS_ON:
            violation = onset | encoded[TABLE + value + transposed_by]
        elif kind == IS_VELOCITY:
            violation = onset | best_note
        elif kind == IS_SHIFT and sounding == 0 and value < min(wait, longest):
            violation = DENSITY  # no note could follow it, only the pedal
        elif kind == IS_KEY:
            violation = key_violation(encoded, value)
        if kind_before == IS_END:
            violation |= style_violation(encoded, token, rules[FIRST, IS_STYLE])
        violations[token] = violation


restrict = restricting("performance", write_violations)


def part_of(tokenizer: PerformanceTokenizer) -> Part:
    """The piano as the only part of a score vocabulary, with the tokenizer's range of pitches."""
    voice, table = tokenizer.voices[0], tokenizer.table
    return Part(voice.name, voice.program, voice.drum, False, table.lowest, table.highest)


class PerformanceConstraints:
    """Encodes the constraints on performances for one vocabulary."""

    names: ClassVar[tuple[str, ...]] = ("style", "key", "scale", "ranges", "voices_at_once", "density")

    def __init__(self, tokenizer: PerformanceTokenizer) -> None:
        self.size = TABLE + PITCHES
        self._part, self._styles = part_of(tokenizer), tokenizer.styles

    def encode(self, options: SamplingOptions) -> Rows:
        encoded = encode_shared(options, PITCHES, self._styles)
        encoded[KEY_ASKED] = key_of(options)
        encoded[TABLE:] = pitch_violations(options, [self._part])[0]
        return encoded
