"""Logits to a token, in this order:

1. mask: what the grammar forbids has probability 0;
2. temperature: logits are divided by it; at 0 the likeliest token is taken (the lowest id among equals);
3. top-k: the k likeliest stay;
4. top-p: of these the likeliest that together reach p (Holtzman et al. 2020); the first to reach it stays;
5. min-p: of these those of at least p times the largest probability (Nguyen et al. 2024);
6. a uniform number draws from the cumulative sum of what stays, in the order of ids.

In float64, each sum in one order, with an exponential made of IEEE operations: the same token on every CPU. The
cumulative sum goes by eights, which do not wait for one another, and token by token from the eight that passes the
number on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled

_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts, the first of which has room for being multiplied exactly (as in Sun's fdlibm, e_exp.c)."""
_ROUND = np.float64(3 << 51)
"""Added to a float it leaves the nearest whole number in the last bits; taken off again, that number as a float."""
_ONE_BITS, _ROUND_BITS = np.float64(1).view(np.int64), _ROUND.view(np.int64)
_LOWEST = -708.0
_MAGNITUDE, _LEAST_INT32 = np.int32(2**31 - 1), np.int32(-(2**31))


@compiled
def exp(x: np.float64) -> np.float64:
    """e to the power of x, for x of at most 0; 0 below -708. The series to the thirteenth power, within 1e-15."""
    low = x < _LOWEST
    x = max(x, np.float64(_LOWEST))
    rounded = x * _LOG2_E + _ROUND
    k = rounded - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    y = 1 / 479001600 + r * (1 / 6227020800)
    y = 1 / 3628800 + r * (1 / 39916800 + r * y)
    y = 1 / 40320 + r * (1 / 362880 + r * y)
    y = 1 / 720 + r * (1 / 5040 + r * y)
    y = 1 / 24 + r * (1 / 120 + r * y)
    y = 1.0 + r * (1.0 + r * (0.5 + r * (1 / 6 + r * y)))
    exponent = (np.float64(rounded).view(np.int64) - _ROUND_BITS) << 52
    power = np.int64(exponent + _ONE_BITS).view(np.float64)
    return np.float64(0.0) if low else y * power


@compiled
def weigh(
    logits: npt.NDArray[np.float32],
    allowed: npt.NDArray[np.bool_],
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    weights: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
) -> None:
    """One stream's probabilities into `weights`, in proportion: the likeliest token has 1. `order` is for work; each
    has the shape (vocab_size,)."""
    largest = np.float64(_largest(logits, allowed))
    if temperature == 0:
        weights[:] = 0.0
        for token in range(len(logits)):
            if allowed[token] and logits[token] == largest:
                weights[token] = 1.0
                break
        return
    # The largest logit is taken off before the division, so that a tiny temperature cannot overflow.
    divisor = max(temperature, 1e-6)
    count = 0
    for token in range(len(logits)):
        weight = exp((np.float64(logits[token]) - largest) / divisor)
        weights[token] = weight if allowed[token] else np.float64(0.0)
        count += allowed[token]
    if 0 < top_k < count or top_p < 1:
        _keep_likeliest(weights, top_k, top_p, order)
    if min_p > 0:
        for token in range(len(weights)):
            if weights[token] < min_p:
                weights[token] = 0.0


@compiled
def _ordered(bits: np.int32) -> np.int32:
    """A float's bits as a whole number that is the larger the larger the float is; applied again, the bits. -0.0 comes
    before 0.0, and NaN has no place."""
    return bits ^ ((bits >> np.int32(31)) & _MAGNITUDE)


@compiled
def _largest(logits: npt.NDArray[np.float32], allowed: npt.NDArray[np.bool_]) -> np.float32:
    """The largest logit that is allowed, found as a whole number: a search among floats would not vectorise."""
    bits = logits.view(np.int32)
    largest = _LEAST_INT32
    for token in range(len(bits)):
        largest = max(largest, _ordered(bits[token]) if allowed[token] else _LEAST_INT32)
    return np.int32(_ordered(largest)).view(np.float32)


@compiled
def _sift(weights: npt.NDArray[np.float64], heap: npt.NDArray[np.int64], at: int, size: int) -> None:
    """Let a token sink in a heap with the least likely one on top; of equals the higher id counts as less likely."""
    token = heap[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _less(weights, heap[child + 1], heap[child]):
            child += 1
        if not _less(weights, heap[child], token):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = token


@compiled
def _less(weights: npt.NDArray[np.float64], one: int, other: int) -> bool:
    return bool(weights[one] < weights[other] or (weights[one] == weights[other] and one > other))


@compiled
def _sort(weights: npt.NDArray[np.float64], order: npt.NDArray[np.int64]) -> int:
    """Write the possible tokens into `order`, the likeliest first, of equals the lower id; returns how many there are.
    By heapsort (Williams 1964): numba would compile NumPy's for seconds."""
    size = 0
    for token in range(len(weights)):
        if weights[token] > 0:
            order[size] = token
            size += 1
    for at in range(size // 2 - 1, -1, -1):
        _sift(weights, order, at, size)
    for last in range(size - 1, 0, -1):
        order[0], order[last] = order[last], order[0]
        _sift(weights, order, 0, last)
    return size


@compiled
def _keep_likeliest(weights: npt.NDArray[np.float64], top_k: int, top_p: float, order: npt.NDArray[np.int64]) -> None:
    """Top-k and top-p: what does not stay gets weight 0."""
    size = _sort(weights, order)
    most = min(top_k, size) if top_k else size
    total = 0.0
    for rank in range(most):
        total += weights[order[rank]]
    before, kept = 0.0, 0
    while kept < most and (kept == 0 or top_p >= 1 or before < top_p * total):
        before += weights[order[kept]]
        kept += 1
    for rank in range(kept, size):
        weights[order[rank]] = 0.0


@compiled
def _sum_of_eight(weights: npt.NDArray[np.float64], at: int) -> np.float64:
    """Of eight weights, from there on."""
    one, two = weights[at] + weights[at + 1], weights[at + 2] + weights[at + 3]
    three, four = weights[at + 4] + weights[at + 5], weights[at + 6] + weights[at + 7]
    return np.float64((one + two) + (three + four))


@compiled
def draw(weights: npt.NDArray[np.float64], number: float) -> int:
    """The token at which the cumulative sum of weights passes `number`, in [0, 1), times their total."""
    eights = len(weights) // 8 * 8
    total = 0.0
    for at in range(0, eights, 8):
        total += _sum_of_eight(weights, at)
    for token in range(eights, len(weights)):
        total += weights[token]
    reached, at = 0.0, 0
    while at < eights and reached + _sum_of_eight(weights, at) <= number * total:
        reached += _sum_of_eight(weights, at)
        at += 8
    for token in range(at, len(weights)):
        reached += weights[token]
        if weights[token] > 0 and reached > number * total:
            return token
    # Rounding may carry a number near 1 past the last possible token.
    last = len(weights) - 1
    while last > 0 and weights[last] == 0:
        last -= 1
    return last
