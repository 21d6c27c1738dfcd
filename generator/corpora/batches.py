"""Contiguous lanes for truncated back-propagation through time.

A pass puts the pieces one after another in random order (a text keeps its own), each a random variant, half of them
without their style, and cuts the result into lanes that the training loop reads in step, window by window, carrying the
state: across the ends of pieces too. At a random share of the places where a stream may begin cold, the next window
starts there from a zero state; what is left of the window before is filled up and does not count.

A pass is a pure function of (seed, number), so training resumes in the middle of one by rebuilding it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from generator.tokenizers.base import Tokenizer, Tokens

IGNORED = -100
"""The target that does not count (torch's `ignore_index`)."""
UNTOLD = 0.5
"""The share of the pieces that are read without their style."""


@dataclass(frozen=True)
class Batches:
    """One pass: `inputs` and `targets` of shape (windows, lanes, steps); before a window, `cold` lanes are zeroed.

    A whole pass is in memory, so in the smallest types that hold it; torch wants each window as int64.
    """

    inputs: Tokens
    targets: npt.NDArray[np.int32]
    cold: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.inputs)


def one_pass(
    pieces: Sequence[Tokens],
    tokenizer: Tokenizer,
    *,
    lanes: int,
    steps: int,
    seed: int,
    number: int,
    cold_share: float,
    augment: bool = True,
) -> Batches:
    """Lay out pass `number` over encoded pieces, each ending with the end token."""
    random = np.random.default_rng([seed, number])
    stream: list[Tokens] = []
    starts: list[npt.NDArray[np.int64]] = []
    length = 0
    first_style = tokenizer.vocab_size - len(tokenizer.styles)
    for index in random.permutation(len(pieces)):
        piece = np.asarray(pieces[index])
        if augment:
            piece = tokenizer.augment(piece, random)
        if piece[0] >= first_style and random.random() < UNTOLD:
            piece = piece[1:]
        candidates = tokenizer.cold_starts(piece)
        # Expected number of cold starts: the share of the pieces, or of windows where one piece is very long.
        share = cold_share * max(1.0, len(piece) / (16 * steps)) / max(1, len(candidates))
        chosen = candidates[random.random(len(candidates)) < share]
        starts.append(chosen + length)
        stream.append(piece)
        length += len(piece)
    tokens = np.concatenate(stream)
    # Everybody starts somewhere else in each pass, so that window edges fall on other tokens.
    shift = int(random.integers(length))
    tokens = np.roll(tokens, -shift)
    cuts = np.unique((np.concatenate(starts) - shift) % length)
    cuts = cuts[cuts > 0]
    return _lanes(tokens, cuts, tokenizer.start, lanes, steps)


def _lanes(tokens: Tokens, cuts: npt.NDArray[np.int64], start: int, lanes: int, steps: int) -> Batches:
    inputs: list[Tokens] = []
    targets: list[npt.NDArray[np.int32]] = []
    cold: list[npt.NDArray[np.bool_]] = []
    edges = [0, *cuts.tolist(), len(tokens)]
    for left, right in pairwise(edges):
        windows = -(-(right - left) // steps)
        before = np.full(windows * steps, start, dtype=np.uint16)
        after = np.full(windows * steps, IGNORED, dtype=np.int32)
        before[1 : right - left] = tokens[left : right - 1]
        before[0] = start if left else tokens[-1]
        after[: right - left] = tokens[left:right]
        inputs.append(before.reshape(windows, steps))
        targets.append(after.reshape(windows, steps))
        cold.append(np.arange(windows) == (0 if left else -1))
    x, y, z = np.concatenate(inputs), np.concatenate(targets), np.concatenate(cold)
    lanes = min(lanes, len(x))
    windows = len(x) // lanes
    keep = lanes * windows
    return Batches(
        x[:keep].reshape(lanes, windows, steps).swapaxes(0, 1),
        y[:keep].reshape(lanes, windows, steps).swapaxes(0, 1),
        z[:keep].reshape(lanes, windows).swapaxes(0, 1),
    )
