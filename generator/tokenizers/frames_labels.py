"""What the frames tokenizer knows before each token: the frame so far, and what sounded before it."""

from __future__ import annotations

import numpy as np

from generator.tokenizers.base import SILENT, Tokens
from generator.tokenizers.frames_grammar import (
    END,
    FRAME,
    IN_FRAME,
    KEYS,
    PITCH,
    STARTS,
    TICK,
    TRANSPOSED,
    TRANSPOSITIONS,
    FramesGrammar,
)
from generator.tokenizers.labels import Labels, ahead, before, kept


def labels(grammar: FramesGrammar, tokens: Tokens) -> Labels:
    """As `Tokenizer.labels`."""
    parts = []
    for rows in grammar.memories(tokens):
        starts, said = rows[:, STARTS:IN_FRAME], rows[:, IN_FRAME:].astype(np.bool_)
        sounds = starts != SILENT
        longest = rows[:, TICK] - np.where(sounds, starts, rows[:, TICK, None]).min(1)
        common = (said & sounds).sum(1)
        parts.append(np.stack([rows[:, TICK], said.sum(1), sounds.sum(1), longest, common], 1))
    frame, said, sounding, longest, common = np.concatenate(parts).T.astype(np.float64)
    written = np.asarray(tokens, np.int64)
    read = before(written, END).astype(np.int64)
    begins = read == END
    since = frame - kept(begins, frame)
    moved = (read >= TRANSPOSED) & (read < PITCH)
    return {
        "a frame begins": read == FRAME,
        "notes of the frame so far": said,
        "notes of the frame before": sounding,
        "notes held so far": common,
        "how long the longest note sounds": longest,
        "height of the last note": kept(read >= PITCH, read - PITCH, KEYS / 2),
        "frames since the piece began": since,
        "even frame": since % 2 == 0,
        "every fourth frame": since % 4 == 0,
        "semitones of the transposition": kept(moved, read - TRANSPOSED + TRANSPOSITIONS[0]),
        "frames until the piece ends (looks ahead)": ahead(since, written == END),
    }
