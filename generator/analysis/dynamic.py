"""Dynamic evaluation: a model goes on learning from what it has just been scored on.

B. Krause, E. Kahembwe, I. Murray and S. Renals, 2018: Dynamic Evaluation of Neural Sequence Models (arXiv:1709.07432),
with their rule of RMS gradients and decay. No token changes a weight before it has been scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from generator.foundation.errors import CarouselError, Option
from generator.foundation.options import DynamicOptions
from generator.model.lstm import Dropout, LanguageModel

STRETCHES, SEGMENTS = 10, 30
"""The usual gradient is measured over so many stretches of the training split, evenly apart, of so many segments."""
EPSILON = 1e-5
"""Keeps a weight that training never moves from leaping when it first has a gradient."""

Ints = npt.NDArray[np.integer[Any]]


def negative_log_likelihood(
    model: LanguageModel,
    tokens: Ints,
    start: int,
    training: Ints,
    options: DynamicOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> npt.NDArray[np.float64]:
    """The negative log-likelihood of each token in nats, (tokens,), read as one carried stream; the model itself is not
    changed.

    After each segment, with the mean negative log-likelihood L of its tokens and the weights w₀ of the beginning, each
    weight w becomes

        w − rate · ∂L/∂w / (r + ε) + min(1, decay · r / mean(r)) · (w₀ − w)

    where r is the root mean square of that weight's gradient over segments of the training split.

    Args:
        training: tokens that the model was trained on.
        progress: is told tokens read and tokens in all, those of the training split included.

    Raises:
        CarouselError: the weights ran away.
    """
    learner = deepcopy(model).train()  # oneDNN's LSTM has gradients in training mode only
    learner.dropout = Dropout()
    if model.config.tied:
        learner.output.weight = learner.embedding.weight
    weights = list(learner.parameters())
    stretches = [part[: SEGMENTS * options.segment] for part in np.array_split(training, STRETCHES) if len(part)]
    measured = sum(map(len, stretches))
    total = measured + len(tokens)

    squares = [torch.zeros_like(weight) for weight in weights]
    count = done = 0
    for part in stretches:
        for losses in _segments(learner, part, start, options.segment):
            gradients = torch.autograd.grad(losses.mean(), weights)
            for square, gradient in zip(squares, gradients, strict=True):
                square.addcmul_(gradient, gradient)
            count, done = count + 1, done + len(losses)
            progress(done, total)
    usual = [(square / count).sqrt() for square in squares]
    mean = sum(float(r.sum()) for r in usual) / sum(r.numel() for r in usual)
    rates = [options.rate / (r + EPSILON) for r in usual]
    pulls = [(options.decay * r / mean).clamp(max=1.0) for r in usual]

    origin = [weight.detach().clone() for weight in weights]
    found = []
    for losses in _segments(learner, tokens, start, options.segment):
        found.append(losses.detach())
        gradients = torch.autograd.grad(losses.mean(), weights)
        with torch.no_grad():
            for weight, first, gradient, rate, pull in zip(weights, origin, gradients, rates, pulls, strict=True):
                weight.lerp_(first, pull).addcmul_(gradient, rate, value=-1)
        done += len(losses)
        progress(done, total)
    nats = torch.cat(found).double().numpy()
    if not np.isfinite(nats).all():
        raise CarouselError(f"the weights ran away at a rate of {options.rate:g}; give a lower ", Option("rate"))
    return nats


def _segments(model: LanguageModel, tokens: Ints, start: int, length: int) -> Iterator[Tensor]:
    """The negative log-likelihood of each segment's tokens, (its tokens,), under the weights as they are when it is
    asked for. The state is carried, its gradients are not."""
    targets = torch.from_numpy(tokens.astype(np.int64))
    inputs = torch.cat([torch.tensor([start]), targets[:-1]])
    state = model.zero_state(1)
    for left in range(0, len(targets), length):
        part = slice(left, left + length)
        logits, after = model(inputs[None, part], state)
        yield F.cross_entropy(logits[0], targets[part], reduction="none")
        state = [(h.detach(), c.detach()) for h, c in after]
