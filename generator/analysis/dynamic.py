"""Dynamic evaluation: a model is trained on each segment of a text or piece right after it has been scored on it.

B. Krause, E. Kahembwe, I. Murray and S. Renals, 2018: Dynamic Evaluation of Neural Sequence Models (arXiv:1709.07432),
with their update rule of RMS gradients and decay. No token changes a weight before it has been scored.
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
from generator.foundation.recipes import DynamicOptions
from generator.model.lstm import Dropout, LanguageModel
from generator.tokenizers.base import FeatureIds, Grammar

STRETCHES, SEGMENTS = 10, 30
"""The RMS gradients are measured on this many stretches of the training split, evenly spaced, of this many segments."""
EPSILON = 1e-5
"""Bounds the step of a weight whose gradient on the training split is zero, the ε of the formula."""

Ints = npt.NDArray[np.integer[Any]]


def negative_log_likelihood(
    model: LanguageModel,
    tokens: Ints,
    start: int,
    training: Ints,
    grammar: Grammar,
    options: DynamicOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> npt.NDArray[np.float64]:
    """The negative log-likelihood of each token in nats, shape (tokens,). A copy of the model reads the tokens as one
    stream that carries its state.

    After each segment, with the mean negative log-likelihood L of its tokens and the weights w₀ before the first
    segment, each weight w becomes

        w − rate · ∂L/∂w / (r + ε) + min(1, decay · r / mean(r)) · (w₀ − w)

    where r is the root mean square of that weight's gradient over segments of the training split.

    Args:
        tokens: the tokens to score, shape (tokens,).
        start: the input before the first token.
        training: tokens that the model was trained on, for the RMS gradients; shape (training tokens,).
        grammar: that of the tokens, from which the model may read features.
        progress: called with the tokens read and the tokens in all, those of `training` that are read included.

    Raises:
        CarouselError: the weights diverged.
    """
    learner = deepcopy(model).train()  # oneDNN's LSTM has gradients in training mode only
    learner.dropout = Dropout()
    if model.config.tied:
        learner.output.weight = learner.embedding.weight
    weights = list(learner.parameters())
    told = grammar.features_before(training)
    starts = [part[: SEGMENTS * options.segment] for part in np.array_split(np.arange(len(training)), STRETCHES)]
    stretches = [part for part in starts if len(part)]
    measured = sum(map(len, stretches))
    total = measured + len(tokens)

    squares = [torch.zeros_like(weight) for weight in weights]
    count = done = 0
    for part in stretches:
        for losses in _segments(learner, training[part], told[part], start, options.segment):
            gradients = torch.autograd.grad(losses.mean(), weights)
            for square, gradient in zip(squares, gradients, strict=True):
                square.addcmul_(gradient, gradient)
            count, done = count + 1, done + len(losses)
            progress(done, total)
    rms = [(square / count).sqrt() for square in squares]
    mean = sum(float(r.sum()) for r in rms) / sum(r.numel() for r in rms)
    rates = [options.rate / (r + EPSILON) for r in rms]
    decays = [(options.decay * r / mean).clamp(max=1.0) for r in rms]

    origin = [weight.detach().clone() for weight in weights]
    found = []
    for losses in _segments(learner, tokens, grammar.features_before(tokens), start, options.segment):
        found.append(losses.detach())
        gradients = torch.autograd.grad(losses.mean(), weights)
        with torch.no_grad():
            for weight, first, gradient, rate, decay in zip(weights, origin, gradients, rates, decays, strict=True):
                weight.lerp_(first, decay).addcmul_(gradient, rate, value=-1)
        done += len(losses)
        progress(done, total)
    nats = torch.cat(found).double().numpy()
    if not np.isfinite(nats).all():
        raise CarouselError(f"the weights diverged at a rate of {options.rate:g}; give a lower ", Option("rate"))
    return nats


def _segments(model: LanguageModel, tokens: Ints, features: FeatureIds, start: int, length: int) -> Iterator[Tensor]:
    """For each segment the negative log-likelihood of its tokens, shape (at most `length`,), under the weights at the
    moment when the iterator reaches it. The state is carried to the next segment, without its gradients."""
    targets = torch.from_numpy(tokens.astype(np.int64))
    inputs = torch.cat([torch.tensor([start]), targets[:-1]])
    told = torch.from_numpy(features.astype(np.int64))
    state = model.zero_state(1)
    for left in range(0, len(targets), length):
        part = slice(left, left + length)
        logits, after = model(inputs[None, part], state, told[None, part])
        yield F.cross_entropy(logits[0], targets[part], reduction="none")
        state = [(h.detach(), c.detach()) for h, c in after]
