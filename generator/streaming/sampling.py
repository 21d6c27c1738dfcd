"""Logits to a token, in this order:

1. mask: what the grammar forbids has probability 0;
2. temperature: logits are divided by it; at 0 the likeliest token is taken (the lowest id among equals);
3. top-k: the k likeliest stay;
4. top-p: of these the likeliest that together reach p (Holtzman et al. 2020); the first to reach it stays;
5. min-p: of these those of at least p times the largest probability (Nguyen et al. 2024);
6. what stays is renormalised, and a uniform number draws from its cumulative sum in the order of ids.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from generator.options import SamplingOptions
from generator.tokenizers.base import Mask


def distribution(logits: npt.NDArray[np.float32], allowed: Mask, options: SamplingOptions) -> npt.NDArray[np.float64]:
    """The probabilities to draw from, shape (vocab_size,), summing to 1. `logits` and `allowed` have that shape too."""
    masked = np.where(allowed, logits.astype(np.float64), -np.inf)
    if options.temperature == 0:
        return np.asarray(np.arange(len(masked)) == masked.argmax(), dtype=np.float64)
    # The largest logit is taken off before the division, so that a tiny temperature cannot overflow.
    p = np.exp((masked - masked.max()) / max(options.temperature, 1e-6))
    p /= p.sum()
    if 0 < options.top_k < len(p) or options.top_p < 1:
        order = np.argsort(-p, kind="stable")
        ranked = p[order]
        keep = np.ones(len(p), dtype=np.bool_)
        if options.top_k:
            keep[options.top_k :] = False
        if options.top_p < 1:
            total = ranked[keep].sum()
            before = np.cumsum(ranked) - ranked
            keep &= before < options.top_p * total
            keep[0] = True
        p[order[~keep]] = 0.0
    if options.min_p > 0:
        p[p < options.min_p * p.max()] = 0.0
    return np.asarray(p / p.sum())


def draw(probabilities: npt.NDArray[np.float64], uniform: float) -> int:
    """The token at which the cumulative sum passes `uniform`, a number in [0, 1)."""
    cumulative = np.cumsum(probabilities)
    token = int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
    if token < len(probabilities) and probabilities[token] > 0:
        return token
    # Rounding may carry a number near 1 past the last possible token.
    return int(np.flatnonzero(probabilities)[-1])
