"""What the score tokenizer knows before each token: bars, beats, voices, degrees of the scale."""

from __future__ import annotations

import numpy as np

from generator.music.keys import above_c
from generator.tokenizers.base import Rows, Tokens
from generator.tokenizers.labels import Flags, Labels, ahead, before, counted, kept, styles
from generator.tokenizers.score_grammar import ScoreGrammar
from generator.tokenizers.score_memory import (
    AT_PITCH,
    BAR_START,
    FREE,
    IN_KEY,
    IN_METRE,
    IN_VOICE,
    LAST,
    LAST_NOTE_SIZE,
    NOTES,
    NOW,
    loudness_of,
)
from generator.tokenizers.score_vocabulary import (
    BAR,
    DURATION,
    END,
    LOUDNESS,
    PITCH,
    POSITION,
    STYLE,
    TICKS_PER_QUARTER,
    VOICE,
)

MOST_BEATS, MOST_VOICES = 6, 4
"""How many beats and voices have labels of their own."""
DEGREES = {"tonic": (0,), "third": (3, 4), "fifth": (7,), "leading tone": (11,)}
"""In semitones above the tonic."""


def labels(grammar: ScoreGrammar, tokens: Tokens) -> Labels:
    """As `Tokenizer.labels`."""
    table, parts = grammar.table, grammar.table.parts
    voices, first_end = len(parts), FREE + len(parts) * (1 + LAST_NOTE_SIZE)
    first_loudness = loudness_of(grammar.rules, 0)
    fields, latest, sounding, loudness = [], [], [], []
    for rows in grammar.memories(tokens):
        fields.append(rows[:, :FREE].copy())
        latest.append(rows[:, FREE + voices : first_end].reshape(len(rows), voices, LAST_NOTE_SIZE).copy())
        ends = rows[:, first_end:first_loudness].reshape(len(rows), voices, -1)
        sounding.append((ends > rows[:, NOW, None, None]).sum((1, 2)))
        loudness.append(rows[np.arange(len(rows)), first_loudness + rows[:, IN_VOICE]])  # of no voice, -1, any
    memory, notes = np.concatenate(fields), np.concatenate(latest)
    last, in_key, written = memory[:, LAST], memory[:, IN_KEY], np.asarray(tokens, np.int64)
    metres = np.array(table.metres)[memory[:, IN_METRE]]
    beat_ticks = 4 * TICKS_PER_QUARTER / metres[:, 1]
    ticks = memory[:, NOW] - memory[:, BAR_START]
    beat = ticks // beat_ticks
    begins = last == END
    bars = counted(last == BAR, begins)
    read = before(written).astype(np.int64)
    tonic = np.where(in_key < 0, 0, above_c(np.maximum(in_key, 0)))
    degree = kept(last == PITCH, memory[:, AT_PITCH] - tonic) % 12
    found: Labels = {
        "position in the bar": ticks / (beat_ticks * metres[:, 0]),
        "on the downbeat": (ticks == 0) & np.isin(last, (POSITION, VOICE, LOUDNESS, PITCH, DURATION)),
        "between the beats": ticks % beat_ticks > 0,
    }
    beats = min(MOST_BEATS, max(numerator for numerator, _ in table.metres))
    found |= {f"on beat {number + 1} or just after": beat == number for number in range(beats)}
    found |= {
        "bars since the piece began": bars,
        "notes since the piece began": memory[:, NOTES].astype(np.float64),
        "notes since the bar began": counted(last == DURATION, last == BAR),
        "bars until the piece ends (looks ahead)": ahead(bars, written == table.first[END]),
        "a bar line comes next (looks ahead)": np.isin(written, np.arange(table.first[BAR], table.past[BAR])),
        "a position was read": last == POSITION,
        "a voice was read": last == VOICE,
        "a pitch was read": last == PITCH,
        "length of the last note": kept(last == DURATION, np.array(table.values)[read]),
        "notes that sound": np.concatenate(sounding).astype(np.float64),
        "three beats in a bar": metres[:, 0] == 3,
        "the beat is an eighth": metres[:, 1] == 8,
        "the key is minor": in_key >= 12,
        "height of the last note": kept(last == PITCH, memory[:, AT_PITCH]),
        "semitones above the tonic": degree,
    }
    found |= {f"the last note is the {name}": np.isin(degree, steps) for name, steps in DEGREES.items()}
    if table.velocities.size:
        found["a loudness was read"] = last == LOUDNESS
        found["loudness of the last note"] = kept(last == DURATION, np.concatenate(loudness))
        loud = np.arange(table.first[LOUDNESS], table.past[LOUDNESS])
        found["a loudness comes next (looks ahead)"] = np.isin(written, loud)
    for voice, part in enumerate(parts[:MOST_VOICES] if voices > 1 else ()):
        found[f"{part.name} is being written"] = (memory[:, IN_VOICE] == voice) & (last != POSITION) & (last != BAR)
        found |= _line(part.name, notes[:, voice], tonic)
    if voices == 1:
        found["the line rises"] = _rises(notes[:, 0])
    return found | styles(written, table.styles, table.first[STYLE], begins)


def _rises(notes: Rows) -> Flags:
    return (notes[:, 1] > notes[:, 2]) & (notes[:, 2] >= 0)


def _line(name: str, notes: Rows, tonic: Rows) -> Labels:
    """The labels of one voice, from its last note: the start, the pitch and the pitch before, (tokens, 3)."""
    degree = np.where(notes[:, 1] < 0, 1, notes[:, 1] - tonic) % 12
    return {
        f"{name} has the tonic": degree == 0,
        f"{name} has the fifth": degree == 7,
        f"height of {name}": notes[:, 1].astype(np.float64),
        f"{name} rose": _rises(notes),
    }
