"""One step of the LSTM for many streams: matrix products, then the cells, which compute gates, c and h.

    i, f, o = sigmoid(…), g = tanh(…), c = f·c + i·g, h = o·tanh(c)        (Gers, Schmidhuber and Cummins 2000)

The gates of a block of units are in the order of torch's `nn.LSTM` (`layout.blocked`). tanh is the ninth convergent of
Lambert's continued fraction (1768) with its argument clamped to ±6.2. Its error is below 6e-6, its values are below 1,
and it consists of operations whose results IEEE 754 defines exactly. sigmoid(x) is (1 + tanh(x/2)) / 2. Division is
slow, so fractions are combined before they are divided, which leaves two divisions per unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.model.backends.layout import BLOCK, GATES, PANEL
from generator.model.backends.memory import Network, StateArrays, write_features, write_h, write_new_h
from generator.model.backends.products import plain
from generator.model.backends.recording import record
from generator.model.state import CANDIDATE, CELL, FORGET, HIDDEN, INPUT, OUTPUT, Floats

_HALF, _BOUND = np.float32(0.5), np.float32(6.2)
_ONE = np.float32(1)
_P1, _P2, _P3, _P4 = (np.float32(term / 34459425) for term in (4729725, 135135, 990, 1))
_Q1, _Q2, _Q3, _Q4 = (np.float32(term / 34459425) for term in (16216200, 945945, 13860, 45))


@compiled
def _clamp(x: np.float32) -> np.float32:
    return min(max(x, -_BOUND), _BOUND)


@compiled
def _numerator(x: np.float32) -> np.float32:
    """The numerator of tanh."""
    s = x * x
    return x * (_ONE + s * (_P1 + s * (_P2 + s * (_P3 + s * _P4))))


@compiled
def _denominator(x: np.float32) -> np.float32:
    """The denominator of tanh, 1 or more."""
    s = x * x
    return _ONE + s * (_Q1 + s * (_Q2 + s * (_Q3 + s * _Q4)))


@compiled
def _cell(
    row: npt.NDArray[np.float32], scales: Floats, added: Floats, cells: Floats, h: Floats, found: Floats | None = None
) -> None:
    """Step some units of a layer for one stream. The input of a gate is `row` · `scales` + `added`.

    Args:
        row: the matrix product, (4·units or more,), int32 or fp32.
        scales: (4·units or more,).
        added: the bias or the input, (4·units or more,).
        cells: c, (units,), changed in place.
        h: (units,), written.
        found: if it is given, the gates are written to it and, in the place of c, the old one, (PARTS · BLOCK,). It is
            flat, because loops over flat arrays vectorise.
    """
    units = len(cells)
    for unit in range(units):
        i = _clamp(_HALF * (np.float32(row[unit]) * scales[unit] + added[unit]))
        at = unit + units
        f = _clamp(_HALF * (np.float32(row[at]) * scales[at] + added[at]))
        at += units
        g = _clamp(np.float32(row[at]) * scales[at] + added[at])
        at += units
        o = _clamp(_HALF * (np.float32(row[at]) * scales[at] + added[at]))
        i_under, f_under, g_under, o_under = _denominator(i), _denominator(f), _denominator(g), _denominator(o)
        i_over, f_over = i_under + _numerator(i), f_under + _numerator(f)
        g_over, o_over = _numerator(g), o_under + _numerator(o)
        if found is not None:
            found[INPUT * BLOCK + unit] = _HALF * i_over / i_under
            found[FORGET * BLOCK + unit] = _HALF * f_over / f_under
            found[CANDIDATE * BLOCK + unit] = g_over / g_under
            found[OUTPUT * BLOCK + unit] = _HALF * o_over / o_under
            found[CELL * BLOCK + unit] = cells[unit]
        new_under = i_under * g_under
        kept = f_over * cells[unit] * new_under
        new = i_over * g_over * f_under
        now = _HALF * (kept + new) / (f_under * new_under)
        cells[unit] = now
        now = _clamp(now)
        h[unit] = _HALF * o_over * _numerator(now) / (o_under * _denominator(now))


@compiled
def _apply_clamps(found: Floats, clamps: Floats, cells: Floats, h: Floats) -> None:
    """Clamp units of a block: change their gates in `found`, where `_cell` wrote them, their c and their h, and compute
    anew what follows from a clamped gate or cell.

    Args:
        clamps: the values, NaN where there is none, (PARTS, units).
        cells: the new c, (units,).
        h: (units,).
    """
    for unit in range(len(cells)):
        changed = False
        for gate in range(GATES):
            if not np.isnan(clamps[gate, unit]):
                found[gate * BLOCK + unit] = clamps[gate, unit]
                changed = True
        if changed:
            kept = found[FORGET * BLOCK + unit] * found[CELL * BLOCK + unit]
            cells[unit] = kept + found[INPUT * BLOCK + unit] * found[CANDIDATE * BLOCK + unit]
        if not np.isnan(clamps[CELL, unit]):
            cells[unit] = clamps[CELL, unit]
            changed = True
        if changed:
            now = _clamp(cells[unit])
            h[unit] = found[OUTPUT * BLOCK + unit] * _numerator(now) / _denominator(now)
        if not np.isnan(clamps[HIDDEN, unit]):
            h[unit] = clamps[HIDDEN, unit]


product: Any = plain
"""The `products.Product` that `forward` uses; `specialised` replaces it."""


def forward(
    network: Network,
    rows: StateArrays,
    tokens: npt.NDArray[np.int64],
    features: npt.NDArray[np.int64],
    count: int,
    logits: Floats,
    with_logits: bool,
) -> None:
    """Feed one token to each of the first `count` streams.

    Args:
        tokens: (count or more,).
        features: the ids of the features after each token, (count or more, columns), if the network reads features.
        logits: (count or more, vocab_size), written only if `with_logits`.
    """
    layers, units, width, told = len(rows.c), rows.c.shape[2], rows.h.shape[2], network.features.shape[1]
    if told:
        for stream in range(count):
            write_features(network, rows, stream, features[stream])
    at = first = 0
    for layer in range(layers):
        terms = width if layer else width // 2 + told
        for begin in range(0, units, BLOCK):  # by blocks, so that the cells read the sums from the cache
            size = min(BLOCK, units - begin)
            outputs = GATES * size
            product(rows.h[layer], count, network.packed, at, terms, network.starts[first:], outputs, rows.sums)
            for stream in range(count):
                added = network.biases[layer] if layer else network.table[tokens[stream]]
                end = begin + size
                cells, h = rows.c[layer, stream, begin:end], rows.block[:size]
                inputs = rows.sums[stream], network.scales[first:], added[GATES * begin :], cells
                is_recorded, is_clamped = rows.recorded[stream] != 0, rows.clamped[stream, layer, begin // BLOCK]
                if is_recorded or is_clamped:
                    _cell(*inputs, h, rows.found)
                else:
                    _cell(*inputs, h)
                if is_clamped:
                    _apply_clamps(rows.found, rows.clamps[stream, :, layer, begin:end], cells, h)
                write_h(h, rows.h_scale, rows.new[stream, begin:end])
                if is_recorded:
                    record(rows, stream, layer, begin, end)
            at += outputs * terms
            first += outputs
        for stream in range(count):
            write_new_h(rows, layer, stream)
    if with_logits:
        vocab_size, terms = logits.shape[1], width // 2
        for begin in range(0, vocab_size, PANEL):
            product(rows.h[layers], count, network.packed, at, terms, network.starts[first:], PANEL, rows.sums)
            for stream in range(count):
                for token in range(begin, min(vocab_size, begin + PANEL)):
                    sum_of_token = np.float32(rows.sums[stream, token - begin])
                    logits[stream, token] = sum_of_token * network.scales[first + token - begin] + network.bias[token]
            at += PANEL * terms
            first += PANEL
