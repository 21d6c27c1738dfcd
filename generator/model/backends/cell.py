"""The LSTM cell of many streams, after the matrix products: gates, c, and h in the type that is multiplied next.

    i, f, o = sigmoid(…), g = tanh(…), c = f·c + i·g, h = o·tanh(c)        (Gers, Schmidhuber and Cummins 2000)

with gates in the order of torch's `nn.LSTM`. tanh is the ninth convergent of Lambert's continued fraction (1768), with
its argument held between ±6.2: within 6e-6 everywhere, below 1, and made of operations whose results IEEE 754 fixes.
sigmoid(x) = (1 + tanh(x/2)) / 2. Divisions are slow, so fractions are added and multiplied first: two divisions a unit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from generator.jit import compiled
from generator.model.backends.memory import ROUND, Memory
from generator.model.backends.threads import PARALLEL, prange, shares

_ONE, _HALF, _BOUND = np.float32(1), np.float32(0.5), np.float32(6.2)
_P1, _P2, _P3, _P4 = (np.float32(term / 34459425) for term in (4729725, 135135, 990, 1))
_Q1, _Q2, _Q3, _Q4 = (np.float32(term / 34459425) for term in (16216200, 945945, 13860, 45))


@compiled
def _held(x: np.float32) -> np.float32:
    return min(max(x, -_BOUND), _BOUND)


@compiled
def _over(x: np.float32) -> np.float32:
    """The numerator of tanh."""
    s = x * x
    return x * (_ONE + s * (_P1 + s * (_P2 + s * (_P3 + s * _P4))))


@compiled
def _under(x: np.float32) -> np.float32:
    """The denominator of tanh, 1 or more."""
    s = x * x
    return _ONE + s * (_Q1 + s * (_Q2 + s * (_Q3 + s * _Q4)))


@compiled
def cell(
    sums: npt.NDArray[Any],
    scales: npt.NDArray[np.float32],
    added: npt.NDArray[np.float32],
    which: npt.NDArray[np.int64],
    c: npt.NDArray[np.float32],
    own: npt.NDArray[Any],
    up: npt.NDArray[Any],
    h: npt.NDArray[np.float32],
    h_scale: np.float32,
) -> None:
    """One layer's step, for every row of `sums`.

    Args:
        sums: the matrix product, (streams, 4·hidden), int32 or fp32; a gate is its sum times its scale plus what is
            added to it.
        scales: (4·hidden,).
        added: (any, 4·hidden), of which each stream takes row `which[stream]`: a bias, or a token's table row.
        c: (streams, hidden), changed in place.
        own: (streams, hidden), where the layer itself reads h at the next step: as fp32, or times `h_scale` as int8.
        up: the same, where the next layer reads it in this step.
        h: (hidden,), for work.
        h_scale: 0 for fp32.
    """
    hidden = c.shape[1]
    for stream in range(len(sums)):
        row, add, cells = sums[stream], added[which[stream]], c[stream]
        for unit in range(hidden):
            i = _held(_HALF * (np.float32(row[unit]) * scales[unit] + add[unit]))
            at = unit + hidden
            f = _held(_HALF * (np.float32(row[at]) * scales[at] + add[at]))
            at += hidden
            g = _held(np.float32(row[at]) * scales[at] + add[at])
            at += hidden
            o = _held(_HALF * (np.float32(row[at]) * scales[at] + add[at]))
            i_under, f_under, o_under = _under(i), _under(f), _under(o)
            new_under = i_under * _under(g)
            kept = (f_under + _over(f)) * cells[unit] * new_under
            new = (i_under + _over(i)) * _over(g) * f_under
            now = _HALF * (kept + new) / (f_under * new_under)
            cells[unit] = now
            now = _held(now)
            h[unit] = _HALF * (o_under + _over(o)) * _over(now) / (o_under * _under(now))
        if h_scale > 0:
            for unit in range(hidden):
                own[stream, unit] = np.int8((h[unit] * h_scale + ROUND) - ROUND)
        else:
            for unit in range(hidden):
                own[stream, unit] = h[unit]
        for unit in range(hidden):
            up[stream, unit] = own[stream, unit]


@partial(compiled, parallel=PARALLEL)
def _side_by_side(
    parts: int,
    sums: npt.NDArray[Any],
    scales: npt.NDArray[np.float32],
    added: npt.NDArray[np.float32],
    which: npt.NDArray[np.int64],
    c: npt.NDArray[np.float32],
    own: npt.NDArray[Any],
    up: npt.NDArray[Any],
    h: npt.NDArray[np.float32],
    h_scale: np.float32,
) -> None:
    """`cell`, in so many parts at a time, each with a row of `h`."""
    rows = len(sums)
    for part in prange(parts):
        at, to = part * rows // parts, (part + 1) * rows // parts
        cell(sums[at:to], scales, added, which[at:to], c[at:to], own[at:to], up[at:to], h[part], h_scale)


def through_layers(
    tokens: npt.NDArray[np.int64],
    memory: Memory,
    multiply: Callable[[int, Tensor, Tensor], None],
    scales: Sequence[npt.NDArray[np.float32]],
    added: Sequence[npt.NDArray[np.float32]],
) -> None:
    """Take the first streams of a memory through all layers, up to what the output layer reads.

    Args:
        tokens: (streams,), which choose the row of `added[0]`; of the other layers' there is one.
        multiply: (layer, input, sums): writes a layer's matrix product into `sums`.
        scales: of each layer, as `cell` wants them; so `added`.
    """
    products = memory.parts(len(tokens))
    parts = shares(len(tokens), len(memory.h))
    for layer, c in enumerate(memory.c):
        h, sums, found = products[layer]
        multiply(layer, h, sums)
        which = memory.zeros if layer else tokens
        rest = scales[layer], added[layer], which, c, memory.own[layer], memory.up[layer]
        if parts > 1:
            _side_by_side(parts, found, *rest, memory.h, memory.h_scale)
        else:
            cell(found, *rest, memory.h[0], memory.h_scale)
