"""The formulas of an update: loss, learning rate, penalties on the hidden state, moving average of the weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from generator.corpora.batches import IGNORED
from generator.foundation.recipes import TrainingOptions

WARM_SHARE = 0.05
"""The warm-up ends after this share of the run, even if it was meant to take more updates."""


def learning_rate(options: TrainingOptions, step: int, progress: float) -> float:
    """The learning rate of update `step`, counted from 0: a linear warm-up times half a cosine over the run.

    Args:
        progress: the share of the run that is done, 0 to 1.
    """
    rate = options.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    return rate * min(1.0, max((step + 1) / max(1, options.warm_up), progress / WARM_SHARE))


def cross_entropy(logits: Tensor, targets: Tensor, expected: Tensor | None) -> Tensor:
    """The mean cross-entropy in nats a token with the tokens that come, or with the distributions that teachers expect.

    Args:
        logits: shape (rows, steps, vocab_size).
        targets: the tokens, or `IGNORED` where none counts, (rows, steps).
        expected: distributions, shaped as the logits.
    """
    if expected is None:
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    counts = targets != IGNORED
    return F.cross_entropy(logits[counts], expected[counts])


def penalty(options: TrainingOptions, hidden: Tensor) -> Tensor | float:
    """The part of the loss that keeps the last layer's output small and slow: AR and TAR in Merity, McCann and Socher
    2017 (arXiv:1708.01009).

    Args:
        hidden: shape (rows, steps, units).
    """
    found: Tensor | float = 0.0
    if options.activation_penalty:
        found = found + options.activation_penalty * hidden.square().mean()
    if options.jump_penalty:
        found = found + options.jump_penalty * hidden.diff(dim=1).square().mean()
    return found


def update_average(largest_decay: float, average: Any, current: Any, updates: int | Tensor) -> None:
    """Update an exponential moving average of the weights in place (after Polyak and Juditsky 1992).

    The decay rises with the number of updates, so that the untrained weights are soon forgotten. The last three
    arguments are those of `AveragedModel`'s `multi_avg_fn`.
    """
    decay = min(largest_decay, (1 + int(updates)) / (10 + int(updates)))
    torch._foreach_lerp_(average, current, 1 - decay)
