"""Constraints on piano performances: what each token would break, from the memory of the performance grammar."""

from __future__ import annotations

from typing import ClassVar

from generator.foundation.jit import compiled
from generator.foundation.options import SamplingOptions
from generator.streaming.pitch_constraints import PITCHES, key_of, pitch_violations
from generator.streaming.violations import (
    CONSTRAINED,
    DENSITY,
    KEY,
    KEY_ASKED,
    MOST_A_SECOND,
    MOST_AT_ONCE,
    NEVER_ENDS,
    RANGES,
    TABLE,
    VOICES_AT_ONCE,
    encode_shared,
    keep_least,
    of_key,
    of_style,
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
def of_tokens(rules: Rows, asked: Rows, row: Rows, mask: Mask, violations: Rows) -> None:
    """What each open token breaks. A velocity is judged by the best note that may follow it."""
    by = transposition(row)
    low, past = pitch_range(rules, row)
    first = TABLE + rules[VALUE, rules[FIRST, IS_ON]] + by  # in `asked`, the pitch that is written lowest
    sounding, note = 0, RANGES | KEY
    for at in range(low, past):
        if row[STARTS + at] != SILENT:
            sounding += 1
        elif at >= row[FLOOR]:
            note = min(note, asked[first + at])
    now, wait = 0, 0  # what any note that begins now breaks; ticks until the next one may
    if 0 < asked[MOST_AT_ONCE] <= sounding:
        now |= VOICES_AT_ONCE
    if asked[MOST_A_SECOND]:
        wait = row[recent(rules) + asked[MOST_A_SECOND] - 1] + TICKS_PER_SECOND - row[TICK]
        if wait > 0:
            now |= DENSITY
    longest, kind_before = rules[PAST, IS_SHIFT] - rules[FIRST, IS_SHIFT], rules[KIND, row[LAST]]
    for token in range(len(mask)):
        if not mask[token]:
            continue
        kind, value, violation = rules[KIND, token], rules[VALUE, token], 0
        if kind == IS_ON:
            violation = now | asked[TABLE + value + by]
        elif kind == IS_VELOCITY:
            violation = now | note
        elif kind == IS_SHIFT and sounding == 0 and value < min(wait, longest):
            violation = DENSITY  # nothing but the pedal could follow
        elif kind == IS_KEY:
            violation = of_key(asked, value)
        if kind_before == IS_END:
            violation |= of_style(asked, token, rules[FIRST, IS_STYLE])
        violations[token] = violation


@compiled
def judge(
    rules: Rows, end: int, constraints: Rows, waiting: Mask, memory: Rows, masks: Mask, violations: Rows, relaxed: Rows
) -> None:
    """`constraints.Judge`."""
    for stream in range(len(memory)):
        asked, mask = constraints[stream], masks[stream]
        if asked[CONSTRAINED] and not waiting[stream]:
            if asked[NEVER_ENDS]:
                mask[end] = False
            of_tokens(rules, asked, memory[stream], mask, violations)
            relaxed[stream] |= keep_least(mask, violations)


def part_of(tokenizer: PerformanceTokenizer) -> Part:
    """The piano as the one voice of a vocabulary."""
    voice, table = tokenizer.voices[0], tokenizer.table
    return Part(voice.name, voice.program, voice.drum, False, table.lowest, table.highest)


class PerformanceConstraints:
    """Those of one vocabulary."""

    names: ClassVar[tuple[str, ...]] = ("style", "key", "scale", "ranges", "voices_at_once", "density")

    def __init__(self, tokenizer: PerformanceTokenizer) -> None:
        self.size = TABLE + PITCHES
        self._rules, self._end, self._styles = tokenizer.grammar.rules, tokenizer.end, tokenizer.styles
        self._part = part_of(tokenizer)

    def encode(self, options: SamplingOptions) -> Rows:
        asked = encode_shared(options, PITCHES, self._styles)
        asked[KEY_ASKED] = key_of(options)
        asked[TABLE:] = pitch_violations(options, [self._part])[0]
        return asked
