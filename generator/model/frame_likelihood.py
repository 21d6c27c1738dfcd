"""The log-likelihood of frames of a piano roll (Boulanger-Lewandowski et al. 2012), with a zero state for each piece.

The probability of a frame given the past is the product of its tokens' probabilities. Each of these is renormalised
over the tokens that the grammar allows, without the end of the piece, which is not part of a frame. So the
probabilities of all 2^88 possible frames sum to 1. The tokens before the first frame (the piece is not transposed) and
the end of the piece are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from generator.model.lstm import LanguageModel
from generator.tokenizers.base import Tokens
from generator.tokenizers.frames import FramesTokenizer
from generator.tokenizers.frames_grammar import FRAME

CONVENTION = "nats a frame, over all frames; each piece from a zero state; masked by the grammar, without the END token"
LANES = 128
"""Pieces in a batch."""
WINDOW = 128
"""Steps that are computed at a time."""

Nats = npt.NDArray[np.float64]


def frame_scores(model: LanguageModel, tokenizer: FramesTokenizer, pieces: Sequence[Tokens]) -> dict[str, Any]:
    """The scores of encoded pieces, as `summed`."""
    return summed(frame_nats(model, tokenizer, pieces))


def summed(pieces: Sequence[Nats]) -> dict[str, Any]:
    """`frames`, `nats_per_frame` and `nats_per_frame_without_first` over all pieces together.

    Args:
        pieces: the negative log-likelihood of each frame of each piece in nats, shape (frames,).

    Returns:
        Means over all frames, and over all frames but the first of each piece (None if there are no others).
    """
    first = sum(float(piece[0]) for piece in pieces)
    nats = sum(float(piece.sum()) for piece in pieces)
    frames = sum(map(len, pieces))
    later = frames - len(pieces)
    return {
        "frames": frames,
        "nats_per_frame": nats / frames,
        "nats_per_frame_without_first": (nats - first) / later if later else None,
    }


def frame_nats(model: LanguageModel, tokenizer: FramesTokenizer, pieces: Sequence[Tokens]) -> list[Nats]:
    """The negative log-likelihood of each frame in nats: for each encoded piece an array of shape (frames,)."""
    # Sort the pieces, so that those of a batch have similar lengths.
    order = sorted(range(len(pieces)), key=lambda index: len(pieces[index]))
    found: dict[int, Nats] = {}
    for left in range(0, len(order), LANES):
        lanes = order[left : left + LANES]
        for index, nats in zip(lanes, _token_nats(model, tokenizer, [pieces[i] for i in lanes]), strict=True):
            ends = np.flatnonzero(pieces[index][1:-1] == FRAME)
            found[index] = np.add.reduceat(nats[: ends[-1] + 1], np.append(0, ends[:-1] + 1))
    return [found[index] for index in range(len(pieces))]


@torch.no_grad()
def _token_nats(model: LanguageModel, tokenizer: FramesTokenizer, pieces: Sequence[Tokens]) -> Nats:
    """The negative log-likelihood of each token of each piece except the first and the last one, padded with zeros,
    shape (pieces, longest - 2)."""
    count, steps = len(pieces), max(map(len, pieces)) - 2
    tokens = np.full((count, steps + 1), FRAME, dtype=np.int64)
    for row, piece in zip(tokens, pieces, strict=True):
        row[: len(piece) - 1] = piece[:-1]
    inside = np.arange(steps) < np.array([[len(piece) - 2] for piece in pieces])
    grammar = tokenizer.grammar
    memory = np.tile(grammar.begin(), (count, 1))
    grammar.advance(memory, np.ascontiguousarray(tokens[:, 0]))
    _, state = model(torch.full((count, 1), tokenizer.start), model.zero_state(count))
    nats = np.zeros((count, steps))
    for left in range(0, steps, WINDOW):
        window = range(left, min(left + WINDOW, steps))
        masks = np.empty((len(window), count, tokenizer.vocab_size), dtype=np.bool_)
        for mask, step in zip(masks, window, strict=True):
            grammar.allowed(memory, mask)
            grammar.advance(memory, np.ascontiguousarray(tokens[:, step + 1]))
        masks[:, :, tokenizer.end] = False
        part = torch.from_numpy(tokens[:, window.start : window.stop + 1])
        logits, state = model(part[:, :-1], state)
        allowed = torch.from_numpy(masks).transpose(0, 1)
        log = torch.log_softmax(logits.double().masked_fill(~allowed, -torch.inf), dim=-1)
        nats[:, window.start : window.stop] = -log.gather(2, part[:, 1:, None])[:, :, 0].numpy()
    return np.where(inside, nats, 0.0)
