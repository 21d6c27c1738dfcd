"""Draw a token from logits, in these steps:

1. mask: tokens that the grammar forbids get probability 0;
2. temperature: logits are divided by it; at 0 the likeliest token is taken (of equal ones the lowest id);
3. top-k: keep the k likeliest tokens;
4. top-p: of these keep the fewest likeliest whose probabilities sum to p or more (Holtzman et al. 2020);
5. min-p: of these keep the ones with at least p times the largest probability (Nguyen et al. 2024);
6. draw: a uniform number picks a token from the cumulative sum of the kept probabilities, in the order of ids.

All of it is float64 with a fixed order of summation and an exponential made of IEEE operations, so that every CPU draws
the same token. The draw sums blocks of eight tokens, which a CPU can do in parallel; within the block in which the
cumulative sum passes the number it goes token by token.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled

_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 as a sum; the first part has so few digits that its product with a small integer is exact (fdlibm, e_exp.c)."""
_ROUND = np.float64(3 << 51)
"""Adding this rounds a float to an integer in its low bits; subtracting it again gives that integer as a float."""
_ONE_BITS, _ROUND_BITS = np.float64(1).view(np.int64), _ROUND.view(np.int64)
_LOWEST = -708.0
_MAGNITUDE, _LEAST_INT32 = np.int32(2**31 - 1), np.int32(-(2**31))


@compiled
def exp(x: np.float64) -> np.float64:
    """e to the power of x for x <= 0, and 0 for x below -708: the Taylor series up to the 13th power, which has a
    relative error below 1e-15, after a range reduction by powers of 2."""
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
    """Write one stream's probabilities into `weights`, scaled so that the likeliest token has 1. All arrays have the
    shape (vocab_size,); `order` is overwritten."""
    largest = np.float64(_largest(logits, allowed))
    if temperature == 0:
        weights[:] = 0.0
        for token in range(len(logits)):
            if allowed[token] and logits[token] == largest:
                weights[token] = 1.0
                break
        return
    # Subtract the largest logit before the division, so that a tiny temperature cannot overflow.
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
def _sortable(bits: np.int32) -> np.int32:
    """Map a float's bits to an integer that sorts like the float (-0.0 before 0.0; not for NaN). It is its own
    inverse."""
    return bits ^ ((bits >> np.int32(31)) & _MAGNITUDE)


@compiled
def _largest(logits: npt.NDArray[np.float32], allowed: npt.NDArray[np.bool_]) -> np.float32:
    """The largest allowed logit, compared as integers, because LLVM would not vectorise a maximum of floats."""
    bits = logits.view(np.int32)
    largest = _LEAST_INT32
    for token in range(len(bits)):
        largest = max(largest, _sortable(bits[token]) if allowed[token] else _LEAST_INT32)
    return np.int32(_sortable(largest)).view(np.float32)


@compiled
def _sift_down(weights: npt.NDArray[np.float64], heap: npt.NDArray[np.int64], at: int, size: int) -> None:
    """Restore a heap with the least likely token on top, where only the token at `at` may be out of place."""
    token = heap[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _less_likely(weights, heap[child + 1], heap[child]):
            child += 1
        if not _less_likely(weights, heap[child], token):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = token


@compiled
def _less_likely(weights: npt.NDArray[np.float64], one: int, other: int) -> bool:
    """Whether token `one` ranks below `other`; of equal ones the higher id ranks lower."""
    return bool(weights[one] < weights[other] or (weights[one] == weights[other] and one > other))


@compiled
def _sort(weights: npt.NDArray[np.float64], order: npt.NDArray[np.int64]) -> int:
    """Write the tokens with a positive weight into `order`, the likeliest first; return their number. It is heapsort
    (Williams 1964), because numba would take seconds to compile NumPy's sort."""
    size = 0
    for token in range(len(weights)):
        if weights[token] > 0:
            order[size] = token
            size += 1
    for at in range(size // 2 - 1, -1, -1):
        _sift_down(weights, order, at, size)
    for last in range(size - 1, 0, -1):
        order[0], order[last] = order[last], order[0]
        _sift_down(weights, order, 0, last)
    return size


@compiled
def _keep_likeliest(weights: npt.NDArray[np.float64], top_k: int, top_p: float, order: npt.NDArray[np.int64]) -> None:
    """Apply top-k and top-p: set the weights of all other tokens to 0."""
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
    """The sum of `weights[at : at + 8]`."""
    one, two = weights[at] + weights[at + 1], weights[at + 2] + weights[at + 3]
    three, four = weights[at + 4] + weights[at + 5], weights[at + 6] + weights[at + 7]
    return np.float64((one + two) + (three + four))


@compiled
def draw(weights: npt.NDArray[np.float64], number: float) -> int:
    """The token at which the cumulative sum of the weights exceeds their total times `number`, which is in [0, 1)."""
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
    # With a number near 1, rounding may keep the sum from exceeding it: take the last possible token.
    last = len(weights) - 1
    while last > 0 and weights[last] == 0:
        last -= 1
    return last
