"""Constraints on written music: the violation of each token, computed from the memory of the score grammar.

The violation of a voice or a position token is the smallest one among the notes that may follow it. So a token violates
a constraint only if every continuation does, and the stream cannot enter a dead end.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import compress
from typing import ClassVar

import numpy as np

from generator.foundation.errors import CarouselError, Option
from generator.foundation.jit import compiled
from generator.foundation.options import SamplingOptions
from generator.streaming import melody, melody_constraint
from generator.streaming.form_constraints import cannot_close_after, find_last_chances, form_violation
from generator.streaming.melody_constraint import HAS_MELODY, MELODY_VOICE, NEVER, add_melody_violations
from generator.streaming.pitch_constraints import PITCHES, key_of, pitch_violations
from generator.streaming.section_constraints import encode_form, shortest_note
from generator.streaming.violations import (
    BARS_ASKED,
    CLOSE,
    CLOSES,
    CONSTRAINED,
    DENSITY,
    KEY,
    KEY_ASKED,
    LONGEST_DISTANCE,
    METRE,
    METRE_ASKED,
    MOST_A_SECOND,
    MOST_AT_ONCE,
    NEVER_ENDS,
    NO_PARALLELS,
    PARALLELS,
    RANGES,
    TABLE,
    TEMPO,
    TEMPO_ASKED,
    VOICES_AT_ONCE,
    close_violating,
    encode_shared,
    key_violation,
    style_violation,
)
from generator.tokenizers import score_memory as grammar
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import Mask, Rows
from generator.tokenizers.score import ScoreTokenizer


@compiled
def is_parallel(rules: Rows, row: Rows, voice: int, pitch: int) -> bool:
    """Whether this note makes parallel fifths, octaves or unisons with another voice that has moved at the same tick.

    Intervals count modulo the octave, and crossings and directions do not matter, as in music21's
    `VoiceLeadingQuartet.parallelFifth`, `parallelOctave` and `parallelUnison`.
    """
    before = row[grammar.latest_of(rules, voice) + 1]
    if not rules[grammar.MONOPHONIC, voice] or rules[grammar.DRUM, voice] or before < 0 or before == pitch:
        return False
    for other in range(grammar.voices(rules)):
        latest = grammar.latest_of(rules, other)
        now, then = row[latest + 1], row[latest + 2]
        moves = row[latest] == row[grammar.NOW] and then >= 0 and then != now
        if other != voice and moves and rules[grammar.MONOPHONIC, other] and not rules[grammar.DRUM, other]:
            interval = abs(pitch - now) % 12
            if (interval == 0 or interval == 7) and interval == abs(before - then) % 12:
                return True
    return False


@compiled
def note_violation(rules: Rows, encoded: Rows, row: Rows, closing: Rows, voice: int, pitch: int) -> int:
    """The violation of a note with this voice and pitch at the current tick."""
    violation = encoded[TABLE + PITCHES * voice + pitch]
    if encoded[NO_PARALLELS] and is_parallel(rules, row, voice, pitch):
        violation |= PARALLELS
    if encoded[CLOSES] and cannot_close_after(rules, row, closing, voice, pitch, shortest_note(rules)):
        violation |= CLOSE
    return int(violation)


@compiled
def voice_violation(rules: Rows, encoded: Rows, row: Rows, closing: Rows, voice: int) -> int:
    """The smallest violation among the notes that this voice may begin at the current tick."""
    least = RANGES | KEY | CLOSE | PARALLELS
    past = rules[grammar.HIGH, voice] + 1
    if voice == row[grammar.IN_VOICE]:  # the pitches of a chord fall
        past = min(row[grammar.AT_PITCH], past)
    for pitch in range(rules[grammar.LOW, voice], past):
        if row[grammar.end_of(rules, voice, pitch)] <= row[grammar.NOW]:
            least = min(least, note_violation(rules, encoded, row, closing, voice, pitch))
    return least


@compiled
def onset_violation(encoded: Rows, row: Rows, tick: int, full_until: int) -> int:
    """The violation that every note which starts at `tick` has: of `voices_at_once` and `density`."""
    violation = 0
    if tick < full_until:
        violation |= VOICES_AT_ONCE
    if encoded[MOST_A_SECOND]:
        first = row[grammar.RECENT + encoded[MOST_A_SECOND] - 1]
        if grammar.clock_at(row, tick) - first < grammar.SECOND:
            violation |= DENSITY
    return violation


@compiled
def full_until(rules: Rows, encoded: Rows, row: Rows) -> int:
    """The first tick at which fewer notes sound than `voices_at_once` allows."""
    if encoded[MOST_AT_ONCE] == 0:
        return 0
    first = grammar.end_of(rules, 0, rules[grammar.VALUE, rules[grammar.FIRST, kinds.PITCH]])
    ends = row[first : grammar.loudness_of(rules, 0)]
    for place in range(len(ends)):
        if ends[place] > row[grammar.NOW]:
            later = 0
            for other in range(len(ends)):
                later += ends[other] > ends[place] or (ends[other] == ends[place] and other < place)
            if later == encoded[MOST_AT_ONCE] - 1:
                return int(ends[place])
    return 0


@compiled
def find_earliest_onsets(rules: Rows, encoded: Rows, row: Rows, excluded: int, free: Rows) -> None:
    """Fill `free[mask]` with the earliest tick at which any voice except `excluded` can start a note that violates
    exactly `mask` (bit 0: ranges, bit 1: key); shape (4,)."""
    free[:] = NEVER
    for voice in range(grammar.voices(rules)):
        if voice == excluded:
            continue
        for pitch in range(rules[grammar.LOW, voice], rules[grammar.HIGH, voice] + 1):
            violated = encoded[TABLE + PITCHES * voice + pitch] // RANGES
            earliest = max(row[grammar.FREE + voice], row[grammar.end_of(rules, voice, pitch)])
            free[violated] = min(free[violated], earliest)


@compiled
def position_violation(free: Rows, tick: int) -> int:
    """The smallest violation of ranges and key among the notes that can start at `tick`."""
    for violated in range(len(free)):
        if free[violated] <= tick:
            return violated * RANGES
    return RANGES | KEY


@compiled
def write_violations(
    rules: Rows, encoded: Rows, tune: Rows, row: Rows, mask: Mask, violations: Rows, free: Rows, closing: Rows
) -> None:
    """Write the violation of each allowed token; `free`, of shape (4,), and `closing`, of shape (voices + 1,), are
    overwritten."""
    last = row[grammar.LAST]
    metre, tempo = encoded[METRE_ASKED], encoded[TEMPO_ASKED]
    due = 0  # the metre or tempo changes that have to come before the next bar line, and may come here
    if metre >= 0 and metre != row[grammar.IN_METRE] and last != kinds.TIME_SIGNATURE and last != kinds.TEMPO:
        due |= METRE
    if tempo > 0 and tempo != row[grammar.AT_TEMPO] and last != kinds.TEMPO:
        due |= TEMPO
    full = full_until(rules, encoded, row)
    if last == kinds.BAR or last == kinds.DURATION:
        find_earliest_onsets(rules, encoded, row, tune[MELODY_VOICE] if tune[HAS_MELODY] else -1, free)
    find_last_chances(rules, encoded, row, closing)
    for token in range(len(mask)):
        if not mask[token]:
            continue
        kind, value, violation = rules[grammar.KIND, token], rules[grammar.VALUE, token], 0
        if kind == kinds.TIME_SIGNATURE:
            violation = METRE if metre >= 0 and value != metre else 0
        elif kind == kinds.TEMPO:
            violation = due & METRE | (TEMPO if tempo > 0 and value != tempo else 0)
        elif kind == kinds.BAR:
            violation = due | (key_violation(encoded, value) if row[grammar.IN_KEY] < 0 else 0)
        elif kind == kinds.END:
            violation = due
        elif kind == kinds.POSITION:
            tick = row[grammar.BAR_START] + value
            violation = onset_violation(encoded, row, tick, full) | position_violation(free, tick)
        elif kind == kinds.VOICE:
            violation = onset_violation(encoded, row, row[grammar.NOW], full) | voice_violation(
                rules, encoded, row, closing, value
            )
        elif kind == kinds.PITCH:
            pitch = value + grammar.transposition(rules, row)
            violation = note_violation(rules, encoded, row, closing, row[grammar.IN_VOICE], pitch)
        if last == kinds.END:
            violation |= style_violation(encoded, token, rules[grammar.FIRST, kinds.STYLE])
        violations[token] = violation | form_violation(rules, encoded, row, closing, kind, token)


@compiled
def level_loudness(rules: Rows, mask: Mask, violations: Rows) -> None:
    """Give the allowed tokens of loudness the smallest violation among the pitches that may follow, if these are open
    themselves."""
    least = NEVER
    for token in range(rules[grammar.FIRST, kinds.PITCH], rules[grammar.PAST, kinds.PITCH]):
        if mask[token]:
            least = min(least, violations[token])
    if least < NEVER:
        violations[rules[grammar.FIRST, kinds.LOUDNESS] : rules[grammar.PAST, kinds.LOUDNESS]] = least


@compiled
def restrict(
    rules: Rows, end: int, constraints: Rows, given: Mask, memory: Rows, masks: Mask, violations: Rows, relaxed: Rows
) -> None:
    """See `constraints.Restrict`."""
    free, closing = np.zeros(4, np.int64), np.zeros(grammar.voices(rules) + 1, np.int64)
    for stream in range(len(memory)):
        encoded, mask = constraints[stream], masks[stream]
        if encoded[CONSTRAINED] and not given[stream]:
            if encoded[NEVER_ENDS]:
                mask[end] = False
            tune = encoded[len(encoded) - melody_constraint.SIZE :]
            write_violations(rules, encoded, tune, memory[stream], mask, violations, free, closing)
            add_melody_violations(rules, tune, memory[stream], mask, violations)
            level_loudness(rules, mask, violations)
            relaxed[stream] |= close_violating(mask, violations)


class ScoreConstraints:
    """Encodes the constraints on written music for one vocabulary."""

    names: ClassVar[tuple[str, ...]] = (
        "melody",
        "style",
        "length",
        "form",
        "close",
        "key_distance",
        "metre",
        "tempo",
        "key",
        "scale",
        "ranges",
        "parallels",
        "voices_at_once",
        "density",
    )

    def __init__(self, tokenizer: ScoreTokenizer) -> None:
        self._table, self._counts_bars = tokenizer.table, tokenizer.counted_bars > 0
        self._melody_at = TABLE + PITCHES * len(self._table.parts)
        self.size = self._melody_at + melody_constraint.SIZE
        self._melodies = lru_cache(maxsize=256)(lambda text: melody.parse(text, tokenizer.table))

    def encode(self, options: SamplingOptions) -> Rows:
        table = self._table
        encoded = encode_shared(options, self.size - TABLE, table.styles, table.metres, table.tempos)
        encoded[KEY_ASKED] = key_of(options)
        encoded[TABLE : self._melody_at] = pitch_violations(options, table.parts).ravel()
        self._encode_form(options, encoded)
        if options.melody:
            encoded[self._melody_at :] = self._melodies(options.melody).encode(key_of(options))
            if options.at_end == "never":
                raise CarouselError(Option("melody"), " comes to an end; leave ", Option("at_end"), " never out")
            for name in ("metre", "length", "close"):
                if getattr(options, name):
                    raise CarouselError(Option("melody"), " brings its metre and its end; leave ", Option(name), " out")
        if not options.parallels:
            lines = sum(part.monophonic and not part.drum for part in table.parts)
            if lines < 2:
                raise CarouselError(f"parallels take two voices of single notes or more to forbid; here are {lines}")
            encoded[NO_PARALLELS] = 1
        return encoded

    def _encode_form(self, options: SamplingOptions, encoded: Rows) -> None:
        given = (options.length is not None, options.form, options.close, options.key_distance is not None)
        for name in compress(("length", "form", "close", "key_distance"), given):
            if not self._counts_bars:
                raise CarouselError(Option(name), " needs a checkpoint that counts bars; train this one anew")
            if options.at_end == "never":
                raise CarouselError(Option(name), " is for pieces that end; leave ", Option("at_end"), " never out")
        encoded[BARS_ASKED], encoded[CLOSES] = options.length or 0, options.close
        encoded[LONGEST_DISTANCE] = 0 if options.key_distance is None else options.key_distance + 1
        if options.form and options.melody:
            tune = self._melodies(options.melody)
            encode_form(options.form, encoded, melody.bars_of(tune, self._table), tune.notes[0].start_ticks > 0)
        elif options.form:
            encode_form(options.form, encoded, options.length)

    def write_melody_window(self, encoded: Rows, text: str, memory: Rows) -> None:
        """Write the next events of the melody `text` into encoded constraints, as many as one job can reach."""
        self._melodies(text).write_window(encoded[self._melody_at :], int(memory[grammar.NOW]))
