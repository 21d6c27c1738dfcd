"""Constraints on the form of written pieces: how long they are, which sections come back, how they end, and in which
key the next one begins.

A piece of a given length ends on its tonic's chord if the last note of each voice is one of it. So a voice may leave
the chord only while there is room left for one more note, and time may not pass the last place for it.
"""

from __future__ import annotations

import numpy as np

from generator.foundation.jit import compiled
from generator.music.keys import MAJOR, SHARPS, above_c
from generator.streaming.melody_constraint import NEVER
from generator.streaming.pitch_constraints import PITCHES
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
    TABLE,
)
from generator.tokenizers import score_memory as grammar
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import Rows
from generator.tokenizers.score_history import BARS, KEY_BEFORE, UPBEAT, history_of

_SHARPS = np.array(SHARPS)
OCTAVE = len(MAJOR)
MINOR_THIRD, MAJOR_THIRD, FIFTH = 3, 4, 7


@compiled
def form_violation(rules: Rows, encoded: Rows, row: Rows, closing: Rows, kind: int, token: int) -> int:
    """The violation of a token by which the piece gets the wrong length or form, cannot end as it should or begins in a
    distant key; of a pitch, what is in `note_violation` apart. `closing` is that of `find_last_chances`."""
    asked, value, violation = bars_asked(rules, encoded, row), rules[grammar.VALUE, token], 0
    if asked > 0 and is_wrong_length(rules, asked, row, kind, value):
        violation |= LENGTH
    if encoded[SECTION] > 0 and departs_from_form(rules, encoded, row, kind, token):
        violation |= FORM
    if encoded[CLOSES] and prevents_close(rules, row, closing, kind, value):
        violation |= CLOSE
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
def find_last_chances(rules: Rows, encoded: Rows, row: Rows, closing: Rows) -> None:
    """Fill `closing`, shape (voices + 1,), with the first tick at which each voice can begin a note that may be its
    last, `NEVER` for one that has no such pitch in its range and key, and, at its end, with the last tick at which such
    a note can begin; `NEVER` if the piece has no given length or need not close."""
    count, asked = grammar.voices(rules), bars_asked(rules, encoded, row)
    closing[:] = NEVER
    if not encoded[CLOSES] or asked == 0 or row[grammar.BAR_TICKS] == 0:
        return
    last, longest = 0, row[grammar.BAR_TICKS] - shortest_note(rules)
    for token in range(rules[grammar.FIRST, kinds.POSITION], rules[grammar.PAST, kinds.POSITION]):
        if rules[grammar.VALUE, token] <= longest:
            last = rules[grammar.VALUE, token]
    bars = row[history_of(rules) + BARS]
    closing[count] = end_of_bar(row, bars, asked) - row[grammar.BAR_TICKS] + last
    for voice in range(count):
        for pitch in range(rules[grammar.LOW, voice], rules[grammar.HIGH, voice] + 1):
            if encoded[TABLE + PITCHES * voice + pitch] == 0 and closes(rules, row, voice, pitch):
                free = max(row[grammar.FREE + voice], row[grammar.end_of(rules, voice, pitch)])
                closing[voice] = min(closing[voice], free)


@compiled
def loses_chance(rules: Rows, closing: Rows, voice: int, now: int, later: int) -> bool:
    """Whether a voice can still begin a note that may be its last if it may begin one at the tick `now`, but not if it
    has to wait until `later`."""
    last = closing[grammar.voices(rules)]
    return bool(not rules[grammar.DRUM, voice] and max(now, closing[voice]) <= last < max(later, closing[voice]))


@compiled
def cannot_close_after(rules: Rows, row: Rows, closing: Rows, voice: int, pitch: int, duration: int) -> bool:
    """Whether a note that begins now takes from its voice the last chance to end on the tonic's chord."""
    now = row[grammar.NOW]
    later = now + (duration if rules[grammar.MONOPHONIC, voice] else 1)
    return bool(loses_chance(rules, closing, voice, now, later) and not closes(rules, row, voice, pitch))


@compiled
def prevents_close(rules: Rows, row: Rows, closing: Rows, kind: int, value: int) -> bool:
    """Whether a token ends the piece elsewhere than on the tonic's chord, or takes from a voice the last chance to be
    in it."""
    now, current, later = row[grammar.NOW], row[grammar.IN_VOICE], row[grammar.NOW] + 1
    if kind == kinds.DURATION:
        return cannot_close_after(rules, row, closing, current, row[grammar.AT_PITCH], value)
    if kind == kinds.POSITION:
        later = row[grammar.BAR_START] + value
    elif kind == kinds.BAR or kind == kinds.TIME_SIGNATURE or kind == kinds.TEMPO:
        later = row[grammar.BAR_START] + row[grammar.BAR_TICKS]
    elif kind != kinds.VOICE and kind != kinds.END:
        return False
    for voice in range(grammar.voices(rules)):
        pitch = row[grammar.latest_of(rules, voice) + 1]
        if pitch < 0 or rules[grammar.DRUM, voice] or closes(rules, row, voice, pitch):
            continue
        here = now + (row[grammar.LAST] == kinds.DURATION and voice <= current)  # voices rise at a position
        if kind == kinds.END or (
            (kind != kinds.VOICE or voice < value) and loses_chance(rules, closing, voice, here, later)
        ):
            return True
    return False
