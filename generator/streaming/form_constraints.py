"""Constraints on the form of written pieces: how long they are, which sections come back,
how they end, and in which key the next one begins."""

from __future__ import annotations

import numpy as np

from generator.foundation.jit import compiled
from generator.music.keys import MAJOR, SHARPS, above_c
from generator.streaming.section_constraints import departs_from_form, end_of_bar, is_late, shortest_note
from generator.streaming.violations import (
    BARS_ASKED,
    CLOSE,
    CLOSES,
    FORM,
    KEY_DISTANCE,
    LENGTH,
    LONGEST_DISTANCE,
    SECTION,
    SECTIONS,
)
from generator.tokenizers import score_memory as grammar
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import Rows
from generator.tokenizers.score_history import BARS, KEY_BEFORE, UPBEAT, history_of

_SHARPS = np.array(SHARPS)
OCTAVE = len(MAJOR)
MINOR_THIRD, MAJOR_THIRD, FIFTH = 3, 4, 7


@compiled
def form_violation(rules: Rows, encoded: Rows, row: Rows, kind: int, token: int) -> int:
    """The violation of a token by which the piece gets the wrong length or form, ends wrongly or begins in a distant
    key."""
    asked, value, violation = bars_asked(rules, encoded, row), rules[grammar.VALUE, token], 0
    if asked > 0 and is_wrong_length(rules, asked, row, kind, value):
        violation |= LENGTH
    if encoded[SECTION] > 0 and departs_from_form(rules, encoded, row, kind, token):
        violation |= FORM
    if encoded[CLOSES] and (kind == kinds.END or kind == kinds.PITCH or kind == kinds.DURATION):
        violation |= close_violation(rules, asked, row, kind, value)
    if encoded[LONGEST_DISTANCE] and kind == kinds.BAR and row[grammar.IN_KEY] < 0:
        before = row[history_of(rules) + KEY_BEFORE]
        if before >= 0 and fifths_apart(before, value) >= encoded[LONGEST_DISTANCE]:
            violation |= KEY_DISTANCE
    return int(violation)


@compiled
def bars_asked(rules: Rows, encoded: Rows, row: Rows) -> int:
    """The number of bars that the piece is to have, by its length or its form; 0 if any will do."""
    if encoded[BARS_ASKED] > 0 or encoded[SECTION] == 0:
        return int(encoded[BARS_ASKED])
    return int(encoded[SECTION] * encoded[SECTIONS] + row[history_of(rules) + UPBEAT])


@compiled
def is_wrong_length(rules: Rows, asked: int, row: Rows, kind: int, value: int) -> bool:
    """Whether the piece gets less or more than `asked` bars by a token."""
    bars = row[history_of(rules) + BARS]
    if kind == kinds.END:
        return bool(bars < asked)
    if kind == kinds.BAR or kind == kinds.TIME_SIGNATURE or kind == kinds.TEMPO:
        if kind == kinds.TIME_SIGNATURE and bars > 0:  # in shorter bars a note that sounds might outlast the last one
            end = row[grammar.BAR_START] + row[grammar.BAR_TICKS] + rules[grammar.LENGTH, value] * (asked - bars)
            return bool(bars >= asked or row[grammar.LAST_END] > end)
        return bool(bars >= asked)
    return is_late(rules, row, kind, value, end_of_bar(row, bars, asked))


@compiled
def fifths_apart(one: int, other: int) -> int:
    """How many fifths the signatures of two keys are apart, 0 to 6."""
    apart = abs(_SHARPS[one] - _SHARPS[other]) % OCTAVE
    return int(min(apart, OCTAVE - apart))


@compiled
def bass_of(rules: Rows) -> int:
    """The voice that can go lowest, drums apart."""
    found = 0
    for voice in range(1, grammar.voices(rules)):
        lower = rules[grammar.LOW, voice] < rules[grammar.LOW, found]
        if not rules[grammar.DRUM, voice] and (lower or rules[grammar.DRUM, found]):
            found = voice
    return found


@compiled
def closes(rules: Rows, row: Rows, voice: int, pitch: int) -> bool:
    """Whether a note may be a voice's last: the tonic in the bass, a note of the tonic's triad elsewhere. In minor the
    third may be major, as it often is at an end."""
    degree = (pitch - above_c(row[grammar.IN_KEY])) % OCTAVE
    if degree == 0 or voice == bass_of(rules):
        return bool(degree == 0)
    return bool(degree in (FIFTH, MAJOR_THIRD) or (degree == MINOR_THIRD and row[grammar.IN_KEY] >= OCTAVE))


@compiled
def close_violation(rules: Rows, asked: int, row: Rows, kind: int, value: int) -> int:
    """The violation of an end, or of a note that has to last or lasts until the last bar's end, without the tonic's
    chord."""
    if kind != kinds.END:
        voice, end = row[grammar.IN_VOICE], end_of_bar(row, row[history_of(rules) + BARS], asked)
        if kind == kinds.PITCH:
            pitch, duration = value + grammar.transposition(rules, row), shortest_note(rules)
        else:
            pitch, duration = row[grammar.AT_PITCH], value
        free = asked == 0 or row[grammar.NOW] + duration < end or rules[grammar.DRUM, voice]
        return 0 if free or closes(rules, row, voice, pitch) else CLOSE
    for voice in range(grammar.voices(rules)):
        pitch = row[grammar.latest_of(rules, voice) + 1]
        if pitch >= 0 and not rules[grammar.DRUM, voice] and not closes(rules, row, voice, pitch):
            return CLOSE
    return 0
