"""Batches for truncated back-propagation through time.

A pass over the corpus concatenates the pieces in random order (a single text is one piece), each in a random variant
such as a transposition, half of them without their style, and half with their length. The result is cut into lanes, the
rows of a batch. Each row is one contiguous part, which the training loop reads window by window while it carries the
recurrent state, across the ends of pieces too. At a random share of the places where a stream may begin cold, a new
window begins with a zero state; the rest of the window before is padded with targets that do not count.

A pass is a pure function of (seed, number), so a run that resumes in the middle of a pass makes the same pass again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from generator.tokenizers.base import FeatureIds, Tokenizer, Tokens

IGNORED = -100
"""A target that does not count (torch's `ignore_index`)."""
WITHOUT_STYLE = 0.5
"""The share of the pieces that are read without their style token."""
WITH_LENGTH = 0.5
"""The share of the pieces whose number of bars the features tell, where there are features."""


@dataclass(frozen=True)
class Batches:
    """One pass over the corpus, with lanes, the rows of a batch, as the second axis.

    The whole pass is in memory, so the types are small; torch needs each window as int64.
    """

    inputs: Tokens
    """Shape (windows, lanes, steps)."""
    targets: npt.NDArray[np.int32]
    """Shape (windows, lanes, steps): the token after each input, or `IGNORED`."""
    cold: npt.NDArray[np.bool_]
    """Shape (windows, lanes): whether the row's state is set to zero before the window."""
    features: FeatureIds
    """Shape (windows, lanes, steps, columns): the ids of the features after each input."""

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
    """Pass `number` over the encoded pieces.

    Args:
        pieces: each with the end token last.
        lanes: the number of rows, fewer if there are fewer windows.
        steps: the number of tokens in a window of one row.
        cold_share: the share of the pieces in which a window begins with a zero state, about; long pieces count as
            several.
        augment: whether to take random variants of the pieces.
    """
    random = np.random.default_rng([seed, number])
    stream: list[Tokens] = []
    told: list[FeatureIds] = []
    starts: list[npt.NDArray[np.int64]] = []
    length = 0
    first_style = tokenizer.vocab_size - len(tokenizer.styles)
    for index in random.permutation(len(pieces)):
        piece = np.asarray(pieces[index])
        if augment:
            piece = tokenizer.augment(piece, random)
        if piece[0] >= first_style and random.random() < WITHOUT_STYLE:
            piece = piece[1:]
        candidates = tokenizer.cold_starts(piece)
        # A piece has `cold_share` cold starts on average; one of more than 16 windows has proportionally more.
        share = cold_share * max(1.0, len(piece) / (16 * steps)) / max(1, len(candidates))
        chosen = candidates[random.random(len(candidates)) < share]
        starts.append(chosen + length)
        stream.append(piece)
        told.append(_features(piece, tokenizer, random))
        length += len(piece)
    tokens = np.concatenate(stream)
    # The tokens are rotated by another amount in each pass, so that windows begin at other tokens.
    shift = int(random.integers(length))
    tokens, features = np.roll(tokens, -shift), np.concatenate(told)
    del told
    features = np.roll(features, -shift, axis=0)
    cuts = np.unique((np.concatenate(starts) - shift) % length)
    cuts = cuts[cuts > 0]
    return _cut_into_rows(tokens, features, cuts, tokenizer.start, lanes, steps)


def _features(piece: Tokens, tokenizer: Tokenizer, random: np.random.Generator) -> FeatureIds:
    """The ids of the features before each token of a piece, (tokens, columns), whose length is told or not."""
    grammar = tokenizer.grammar
    memory = grammar.begin()
    if grammar.columns and random.random() < WITH_LENGTH:
        bars = tokenizer.bar_lines
        grammar.ask_length(memory, int(((piece >= bars.start) & (piece < bars.stop)).sum()))
    return grammar.features_before(piece, memory)


def _cut_into_rows(
    tokens: Tokens,
    features: FeatureIds,
    cuts: npt.NDArray[np.int64],
    start: int,
    lanes: int,
    steps: int,
) -> Batches:
    """Cut a sequence of tokens into windows, and these into rows.

    Args:
        features: the ids of the features before each token, (tokens, columns).
        cuts: where windows begin with a zero state, ascending, without 0.
        start: the input before the first token of a stream.
    """
    inputs: list[Tokens] = []
    targets: list[npt.NDArray[np.int32]] = []
    cold: list[npt.NDArray[np.bool_]] = []
    told: list[FeatureIds] = []
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
        known = np.zeros((windows * steps, features.shape[1]), np.uint16)
        known[: right - left] = features[left:right]
        told.append(known.reshape(windows, steps, -1))
    x, y, z, ids = np.concatenate(inputs), np.concatenate(targets), np.concatenate(cold), np.concatenate(told)
    lanes = min(lanes, len(x))
    windows = len(x) // lanes
    keep = lanes * windows
    return Batches(
        x[:keep].reshape(lanes, windows, steps).swapaxes(0, 1),
        y[:keep].reshape(lanes, windows, steps).swapaxes(0, 1),
        z[:keep].reshape(lanes, windows).swapaxes(0, 1),
        ids[:keep].reshape(lanes, windows, steps, -1).swapaxes(0, 1),
    )
