"""The features of the score tokenizer: what a model is told besides the last token, from the grammar's memory.

Each column is one feature, a number from 0 up; 0 often means that there is none. Pitches are written ones, relative to
the tonic, and `current` is the voice that played last at this position, or whose pitch comes next. All features are
about the piece alone, so they are the same wherever a stream has begun.

That a model reads what stood some bars before is from E. Waite, Lookback RNN (Magenta, 2016).
"""

from __future__ import annotations

from generator.foundation.jit import compiled
from generator.music.keys import MAJOR, above_c
from generator.tokenizers.base import Rows
from generator.tokenizers.score_history import (
    BARS,
    DISTANCES,
    IN_STYLE,
    LENGTH_ASKED,
    RUNS,
    UPBEAT,
    history_of,
    pointed_to,
)
from generator.tokenizers.score_memory import (
    BAR_START,
    BAR_TICKS,
    DRUM,
    FIRST,
    FIRST_ID,
    HIGH,
    IN_KEY,
    IN_METRE,
    IN_VOICE,
    LAST,
    LOW,
    MONOPHONIC,
    NOW,
    PAST,
    VALUE,
    end_of,
    latest_of,
    loudness_of,
    voices,
)
from generator.tokenizers.score_vocabulary import (
    KINDS,
    LOUDNESS,
    PITCH,
    VOICE,
    Table,
)

WIDEST = 25
"""Intervals are clipped to so many semitones."""
LONGEST = 48
"""Times until a note ends are clipped to so many ticks."""
BEATS = 192
"""Positions in the bar are clipped to so many ticks."""
RUN_CLASSES = 8
FIFTH, OCTAVE = 7, 12
BY_VOICE = 4
"""Columns for each voice: the pitch that sounds, its interval to the last pitch of `current`, the time until it ends,
and the pitch that would make a parallel with it."""
STEP, OWN_PITCH, PITCH_BEFORE, POSITION, METRE, BAR, BARS_LEFT, MODE, STYLE, VELOCITY = range(10)
"""Columns that stand alone, after those of the pitch classes: the kind of the last token and `current`; the last two
pitches of `current`, where its pitch comes next; place in the bar; metre; bar; bars to the length that is asked, this
one included; major or minor; style; the velocity of `current`, where its loudness may come next."""
SINGLES = VELOCITY + 1


def sizes(table: Table, counted_bars: int) -> list[int]:
    """How many values each column has. Bars are counted up to `counted_bars`, which many pieces have to reach."""
    count, pitches = len(table.parts), table.past[PITCH] - table.first[PITCH] + 1
    by_voice = (pitches, 2 * WIDEST + 2, LONGEST + 1, pitches) * count
    bars = counted_bars + 1
    singles = (
        *(len(KINDS) * (count + 1), pitches, pitches, BEATS + 1, len(table.metres) + 1, bars, bars),
        *(3, len(table.styles) + 1, len(table.velocities) + 1),
    )
    return [*by_voice, *([2] * OCTAVE), *singles, *([len(table.rows) + 1, RUN_CLASSES] * DISTANCES)]


@compiled
def _written(rules: Rows, pitch: int, above: int) -> int:
    """1 for the lowest written pitch, or 0 if the vocabulary lacks this one."""
    lowest = rules[VALUE, rules[FIRST, PITCH]]
    place = pitch - above - lowest + 1
    return int(place) if 0 < place <= rules[PAST, PITCH] - rules[FIRST, PITCH] else 0


@compiled
def _run_class(run: int) -> int:
    """0, 1, 2, then a class for each doubling."""
    found = min(run, 2)
    while run > 2 and found < RUN_CLASSES - 1:
        run = (run + 1) // 2
        found += 1
    return int(found)


@compiled
def features(rules: Rows, memory: Rows, ids: Rows) -> None:
    """`Grammar.features`."""
    count = voices(rules)
    for stream in range(len(memory)):
        row, found = memory[stream], ids[stream]
        found[:] = 0
        classes = BY_VOICE * count
        single = classes + OCTAVE
        current, now = row[IN_VOICE], row[NOW]
        above = int(above_c(row[IN_KEY])) if row[IN_KEY] >= 0 else 0
        comes = row[LAST] == VOICE or row[LAST] == LOUDNESS  # a pitch of `current`
        own = own_before = -1
        if current >= 0 and not rules[DRUM, current]:
            latest = latest_of(rules, current)
            own, own_before = row[latest + 1], row[latest + 2]
        for voice in range(count):
            at, latest = BY_VOICE * voice, latest_of(rules, voice)
            start, pitch, before = row[latest], row[latest + 1], row[latest + 2]
            if not rules[LOW, voice] <= pitch <= rules[HIGH, voice]:  # no note yet
                continue
            if rules[DRUM, voice]:
                if start == now:
                    found[at] = _written(rules, pitch, 0)
                continue
            left = row[end_of(rules, voice, pitch)] - now
            if left > 0:
                found[at] = _written(rules, pitch, above)
                found[at + 2] = left
                if own >= 0:
                    found[at + 1] = 1 + WIDEST + min(max(pitch - own, -WIDEST), WIDEST)
            if comes and voice != current and start == now and own >= 0 and before >= 0 and before != pitch:
                apart = abs(own - before) % OCTAVE
                if apart == 0 or apart == FIFTH:
                    found[at + 3] = _written(rules, pitch + own - before, above)
            if rules[MONOPHONIC, voice]:
                if left > 0:
                    found[classes + (pitch - above) % OCTAVE] = 1
            else:
                first = end_of(rules, voice, 0)
                for other in range(rules[LOW, voice], rules[HIGH, voice] + 1):
                    if row[first + other] > now:
                        found[classes + (other - above) % OCTAVE] = 1
        found[single + STEP] = row[LAST] * (count + 1) + current + 1
        if comes and own >= 0:
            found[single + OWN_PITCH] = _written(rules, own, above)
            found[single + PITCH_BEFORE] = _written(rules, own_before, above) if own_before >= 0 else 0
        if row[BAR_TICKS] > 0:
            found[single + POSITION] = 1 + now - row[BAR_START]
        history = row[history_of(rules) :]
        if history[BARS] > 0:
            found[single + METRE] = row[IN_METRE] + 1
        found[single + BAR] = history[BARS]
        asked = history[LENGTH_ASKED]
        if asked != 0:
            found[single + BARS_LEFT] = 1 + max(0, (asked if asked > 0 else history[UPBEAT] - asked) - history[BARS])
        if row[IN_KEY] >= 0:
            found[single + MODE] = 1 + row[IN_KEY] // len(MAJOR)
        found[single + STYLE] = history[IN_STYLE] + 1
        if row[LAST] == VOICE:
            velocity = row[loudness_of(rules, current)]
            for token in range(rules[FIRST, LOUDNESS], rules[PAST, LOUDNESS]):
                if rules[VALUE, token] == velocity:
                    found[single + VELOCITY] = 1 + token - rules[FIRST, LOUDNESS]
        for distance in range(DISTANCES):
            at = single + SINGLES + 2 * distance
            found[at] = pointed_to(history, distance) + 1
            found[at + 1] = _run_class(history[RUNS + distance])
        for column in range(len(found)):
            first, past = rules[FIRST_ID, column], rules[FIRST_ID, column + 1]
            found[column] = min(first + found[column], past - 1)
