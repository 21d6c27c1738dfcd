"""Constraints on written music: what each token would break, from the memory of the score grammar.

A voice or a position is judged by the best note that may follow it, so no dead end is entered: a token violates a
constraint only if all that it leads to does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np

from generator.foundation.errors import CarouselError, Option
from generator.foundation.jit import compiled
from generator.foundation.options import SamplingOptions
from generator.streaming import melody
from generator.streaming.pitch_constraints import PITCHES, key_of, pitch_violations
from generator.streaming.violations import (
    CONSTRAINED,
    DENSITY,
    KEY,
    KEY_ASKED,
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
    encode_shared,
    keep_least,
    of_key,
    of_style,
)
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import Mask, Rows
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_grammar import (
    AT_PITCH,
    AT_TEMPO,
    BAR_START,
    DRUM,
    FIRST,
    FREE,
    HIGH,
    IN_KEY,
    IN_METRE,
    IN_VOICE,
    KIND,
    LAST,
    LOW,
    MONOPHONIC,
    NOW,
    RECENT,
    SECOND,
    VALUE,
    clock_at,
    end_of,
    latest_of,
    transposition,
    voices,
)
from generator.tokenizers.score_vocabulary import Table

NEVER = 2**62
"""A tick that does not come."""


@compiled
def is_parallel(rules: Rows, row: Rows, voice: int, pitch: int) -> bool:
    """Whether this note would move with a voice that has moved now too from a fifth to a fifth, or from an octave or
    unison to one; octaves between them, crossings and directions make no difference, as in music21's
    `VoiceLeadingQuartet.parallelFifth`, `parallelOctave` and `parallelUnison`."""
    before = row[latest_of(rules, voice) + 1]
    if not rules[MONOPHONIC, voice] or rules[DRUM, voice] or before < 0 or before == pitch:
        return False
    for other in range(voices(rules)):
        latest = latest_of(rules, other)
        now, then = row[latest + 1], row[latest + 2]
        moves = row[latest] == row[NOW] and then >= 0 and then != now
        if other != voice and moves and rules[MONOPHONIC, other] and not rules[DRUM, other]:
            interval = abs(pitch - now) % 12
            if (interval == 0 or interval == 7) and interval == abs(before - then) % 12:
                return True
    return False


@compiled
def of_note(rules: Rows, asked: Rows, row: Rows, voice: int, pitch: int) -> int:
    """What this pitch of this voice breaks now."""
    violation = asked[TABLE + PITCHES * voice + pitch]
    if asked[NO_PARALLELS] and is_parallel(rules, row, voice, pitch):
        violation |= PARALLELS
    return int(violation)


@compiled
def of_voice(rules: Rows, asked: Rows, row: Rows, voice: int) -> int:
    """What the best pitch that this voice may sound now breaks."""
    least = RANGES | KEY | PARALLELS
    past = min(row[AT_PITCH], rules[HIGH, voice] + 1) if voice == row[IN_VOICE] else rules[HIGH, voice] + 1
    for pitch in range(rules[LOW, voice], past):
        if row[end_of(rules, voice, pitch)] <= row[NOW]:
            least = min(least, of_note(rules, asked, row, voice, pitch))
    return least


@compiled
def of_moment(asked: Rows, row: Rows, tick: int, full_until: int) -> int:
    """What any note that begins at a tick breaks."""
    violation = 0
    if tick < full_until:
        violation |= VOICES_AT_ONCE
    if asked[MOST_A_SECOND]:
        first = row[RECENT + asked[MOST_A_SECOND] - 1]
        if clock_at(row, tick) - first < SECOND:
            violation |= DENSITY
    return violation


@compiled
def full_until(rules: Rows, asked: Rows, row: Rows) -> int:
    """The tick from which on fewer notes sound than may."""
    if asked[MOST_AT_ONCE] == 0:
        return 0
    ends = row[end_of(rules, 0, rules[VALUE, rules[FIRST, kinds.PITCH]]) :]
    for place in range(len(ends)):
        if ends[place] > row[NOW]:
            later = 0
            for other in range(len(ends)):
                later += ends[other] > ends[place] or (ends[other] == ends[place] and other < place)
            if later == asked[MOST_AT_ONCE] - 1:
                return int(ends[place])
    return 0


@compiled
def find_free(rules: Rows, asked: Rows, row: Rows, but: int, free: Rows) -> None:
    """From which tick on some voice `but` one may begin a note that breaks of ranges and key what `free`'s index says,
    (4,)."""
    free[:] = NEVER
    for voice in range(voices(rules)):
        if voice == but:
            continue
        for pitch in range(rules[LOW, voice], rules[HIGH, voice] + 1):
            broken = asked[TABLE + PITCHES * voice + pitch] // RANGES
            free[broken] = min(free[broken], max(row[FREE + voice], row[end_of(rules, voice, pitch)]))


@compiled
def of_position(free: Rows, tick: int) -> int:
    """What the best pitch at a tick breaks of ranges and key."""
    for broken in range(len(free)):
        if free[broken] <= tick:
            return broken * RANGES
    return RANGES | KEY


@compiled
def of_tokens(rules: Rows, asked: Rows, tune: Rows, row: Rows, mask: Mask, violations: Rows, free: Rows) -> None:
    """What each open token breaks."""
    last = row[LAST]
    metre, tempo = asked[METRE_ASKED], asked[TEMPO_ASKED]
    due = 0  # what has to be said before the next bar line, and here may be
    if metre >= 0 and metre != row[IN_METRE] and last != kinds.TIME_SIGNATURE and last != kinds.TEMPO:
        due |= METRE
    if tempo > 0 and tempo != row[AT_TEMPO] and last != kinds.TEMPO:
        due |= TEMPO
    full = full_until(rules, asked, row)
    if last == kinds.BAR or last == kinds.DURATION:
        find_free(rules, asked, row, tune[melody.SINGER] if tune[melody.GIVEN] else -1, free)
    for token in range(len(mask)):
        if not mask[token]:
            continue
        kind, value, violation = rules[KIND, token], rules[VALUE, token], 0
        if kind == kinds.TIME_SIGNATURE:
            violation = METRE if metre >= 0 and value != metre else 0
        elif kind == kinds.TEMPO:
            violation = due & METRE | (TEMPO if tempo > 0 and value != tempo else 0)
        elif kind == kinds.BAR:
            violation = due | (of_key(asked, value) if row[IN_KEY] < 0 else 0)
        elif kind == kinds.END:
            violation = due
        elif kind == kinds.POSITION:
            tick = row[BAR_START] + value
            violation = of_moment(asked, row, tick, full) | of_position(free, tick)
        elif kind == kinds.VOICE:
            violation = of_moment(asked, row, row[NOW], full) | of_voice(rules, asked, row, value)
        elif kind == kinds.PITCH:
            violation = of_note(rules, asked, row, row[IN_VOICE], value + transposition(rules, row))
        if last == kinds.END:
            violation |= of_style(asked, token, rules[FIRST, kinds.STYLE])
        violations[token] = violation


@compiled
def judge(
    rules: Rows, end: int, constraints: Rows, waiting: Mask, memory: Rows, masks: Mask, violations: Rows, relaxed: Rows
) -> None:
    """`constraints.Judge`."""
    free = np.zeros(4, np.int64)
    for stream in range(len(memory)):
        asked, mask = constraints[stream], masks[stream]
        if asked[CONSTRAINED] and not waiting[stream]:
            if asked[NEVER_ENDS]:
                mask[end] = False
            tune = asked[len(asked) - melody.SIZE :]
            of_tokens(rules, asked, tune, memory[stream], mask, violations, free)
            melody.of_melody(rules, tune, memory[stream], mask, violations)
            relaxed[stream] |= keep_least(mask, violations)


def nearest_tempo(table: Table, asked: float) -> int:
    """Of those in the vocabulary."""
    tempos = table.columns[kinds.TEMPO]
    return int(tempos[np.abs(tempos - asked).argmin()])


class ScoreConstraints:
    """Those of one vocabulary."""

    names: ClassVar[tuple[str, ...]] = (
        "melody",
        "style",
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
        self._table, self._rules, self._end = tokenizer.table, tokenizer.grammar.rules, tokenizer.end
        self._tune = TABLE + PITCHES * len(self._table.parts)
        self.size = self._tune + melody.SIZE
        self._melodies = lru_cache(maxsize=256)(lambda text: melody.parse(text, tokenizer.table))

    def encode(self, options: SamplingOptions) -> Rows:
        table = self._table
        asked = encode_shared(options, self.size - TABLE, table.styles)
        asked[KEY_ASKED] = key_of(options)
        asked[TABLE : self._tune] = pitch_violations(options, table.parts).ravel()
        if options.melody:
            asked[self._tune :] = self._melodies(options.melody).begin(key_of(options))
            if options.at_end == "never":
                raise CarouselError(Option("melody"), " comes to an end; leave ", Option("at_end"), " never out")
            if options.metre:
                raise CarouselError(Option("melody"), " brings its metre; leave ", Option("metre"), " out")
        if options.metre:
            names = [f"{numerator}/{denominator}" for numerator, denominator in table.metres]
            if options.metre not in names:
                known = ", ".join(names)
                raise CarouselError(Option("metre"), f" is {options.metre!r}; this checkpoint knows {known}")
            asked[METRE_ASKED] = names.index(options.metre)
        if options.tempo is not None:
            asked[TEMPO_ASKED] = nearest_tempo(table, options.tempo)
        if not options.parallels:
            lines = sum(part.monophonic and not part.drum for part in table.parts)
            if lines < 2:
                raise CarouselError(f"parallels take two voices of single notes or more to forbid; here are {lines}")
            asked[NO_PARALLELS] = 1
        return asked

    def write_due(self, asked: Rows, text: str, memory: Rows) -> None:
        """Write into encoded constraints which notes of the melody are due within the next job."""
        self._melodies(text).write_due(asked[self._tune :], int(memory[NOW]))
