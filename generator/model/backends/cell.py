"""The LSTM cell of many streams, after the matrix products: gates, c, and h in the type that is multiplied next.

    i, f, o = sigmoid(…), g = tanh(…), c = f·c + i·g, h = o·tanh(c)        (Gers, Schmidhuber and Cummins 2000)

with the gates of a block of units in the order of torch's `nn.LSTM` (`layout.blocked`). tanh is the ninth convergent of
Lambert's continued fraction (1768), with its argument held between ±6.2: within 6e-6 everywhere, below 1, and made of
operations whose results IEEE 754 fixes. sigmoid(x) = (1 + tanh(x/2)) / 2. Divisions are slow, so fractions are added
and multiplied first: two divisions a unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.model.backends.layout import BLOCK, GATES, PANEL
from generator.model.backends.memory import Network, Rows, as_multiplied, put
from generator.model.backends.products import plain
from generator.model.state import Floats

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
def _cell(row: npt.NDArray[np.float32], scales: Floats, added: Floats, cells: Floats, h: Floats) -> None:
    """One stream's step through some units of a layer.

    Args:
        row: the matrix product, (4·units or more,), int32 or fp32; a gate is a sum times its scale plus what is added.
        scales: (4·units or more,); `added` likewise.
        cells: c, (units,), changed in place.
        h: (units,), is written.
    """
    units = len(cells)
    for unit in range(units):
        i = _held(_HALF * (np.float32(row[unit]) * scales[unit] + added[unit]))
        at = unit + units
        f = _held(_HALF * (np.float32(row[at]) * scales[at] + added[at]))
        at += units
        g = _held(np.float32(row[at]) * scales[at] + added[at])
        at += units
        o = _held(_HALF * (np.float32(row[at]) * scales[at] + added[at]))
        i_under, f_under, o_under = _under(i), _under(f), _under(o)
        new_under = i_under * _under(g)
        kept = (f_under + _over(f)) * cells[unit] * new_under
        new = (i_under + _over(i)) * _over(g) * f_under
        now = _HALF * (kept + new) / (f_under * new_under)
        cells[unit] = now
        now = _held(now)
        h[unit] = _HALF * (o_under + _over(o)) * _over(now) / (o_under * _under(now))


product: Any = plain
"""The `products.Product` with which `forward` multiplies; `specialised` replaces it by the one that is wanted."""


def forward(
    network: Network, rows: Rows, tokens: npt.NDArray[np.int64], count: int, logits: Floats, wanted: bool
) -> None:
    """One step of the first `count` streams, each of which is fed a token; `specialised` names the product.

    Args:
        tokens: (count or more,).
        logits: (count or more, vocab_size), written if they are wanted.
    """
    layers, units, width = len(rows.c), rows.c.shape[2], rows.h.shape[2]
    at = first = 0
    for layer in range(layers):
        terms = width if layer else width // 2
        for begin in range(0, units, BLOCK):  # their sums are still in the cache where cells read them
            size = min(BLOCK, units - begin)
            outputs = GATES * size
            product(rows.h[layer], count, network.packed, at, terms, network.starts[first:], outputs, rows.sums)
            for stream in range(count):
                added = network.biases[layer] if layer else network.table[tokens[stream]]
                cells, h = rows.c[layer, stream, begin : begin + size], rows.block[:size]
                _cell(rows.sums[stream], network.scales[first:], added[GATES * begin :], cells, h)
                as_multiplied(h, rows.h_scale, rows.new[stream, begin:])
            at += outputs * terms
            first += outputs
        for stream in range(count):
            put(rows, layer, stream)
    if wanted:
        vocab_size, terms = logits.shape[1], width // 2
        for begin in range(0, vocab_size, PANEL):
            product(rows.h[layers], count, network.packed, at, terms, network.starts[first:], PANEL, rows.sums)
            for stream in range(count):
                for token in range(begin, min(vocab_size, begin + PANEL)):
                    sum_of_token = np.float32(rows.sums[stream, token - begin])
                    logits[stream, token] = sum_of_token * network.scales[first + token - begin] + network.bias[token]
            at += PANEL * terms
            first += PANEL
