"""Arrays for compiled code: the weights of a network, and the states of many streams (row i of each array is stream i).

A layer reads the h of the layer below and its own h of the previous step. The two are stored side by side, so that one
product suffices. Layer 0 reads its own h, and the features where the model has some; the rest of its input comes from a
table.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.model.backends.layout import BLOCK, GATES, SHIFT, TERMS, UNITS, aligned, padded
from generator.model.config import ModelConfig
from generator.model.state import PARTS, Floats, State

H_SCALE = np.float32(127)
"""The int8 h is the fp32 h, which is between -1 and 1, times this."""
ROUND = np.float32(3 << 22)
"""Adding and subtracting this rounds a small fp32 number to an integer, ties to even."""
ONE = np.float32(1)
ROW_PADDING = 16
"""Unused sums at the end of each row; rows at distances of whole pages would evict each other from the cache."""


class Network(NamedTuple):
    """The prepared weights. The first three arrays have the layers' matrices in order, then the output layer's."""

    packed: npt.NDArray[Any]
    """All matrices, flat."""
    starts: npt.NDArray[np.int32]
    """The initial value of each output's sum, (all outputs,)."""
    scales: Floats
    """The factor of each output's sum, (all outputs,)."""
    table: Floats
    """The input and bias of layer 0's gates for each token, (vocab_size, 4·units)."""
    biases: Floats
    """The bias of each layer's gates, (layers, 4·units); that of layer 0 is not used, because the table includes it."""
    bias: Floats
    """The bias of the logits, (vocab_size,)."""
    features: Floats
    """The vector of each feature's value, (feature_rows, terms)."""


class StateArrays(NamedTuple):
    """The states of streams, and arrays for intermediate results."""

    h: npt.NDArray[Any]
    """The vectors that each layer and the output layer multiply, (layers + 1, rows, width): the h of the layer below,
    then the layer's own h; in layer 0 its own h, then the features. Either fp32, or uint8 with h · 127 + 128."""
    c: Floats
    """(layers, rows, units)."""
    sums: npt.NDArray[Any]
    """The result of a product, (rows, 4 * `BLOCK` + `ROW_PADDING`)."""
    block: Floats
    """The new h of one stream in one block, (`BLOCK`,)."""
    new: npt.NDArray[Any]
    """The new h of a layer, while its old h is still needed, (rows, units)."""
    h_scale: np.float32
    """127 if h is uint8, 0 if it is fp32."""
    clamps: Floats
    """What is clamped to which value, NaN where nothing is, (rows, `PARTS`, layers, units)."""
    clamped: npt.NDArray[np.bool_]
    """In which blocks of units anything is clamped, (rows, layers, blocks)."""
    found: Floats
    """The gates and the old c of one stream in one block, where they are recorded or clamped, (`PARTS` · `BLOCK`,)."""
    recorded: npt.NDArray[np.int64]
    """The address at which the next step of each stream is recorded, 0 for none, (rows,)."""


class Memory:
    """The states of up to `rows` streams, all zero at first."""

    def __init__(self, config: ModelConfig, rows: int, h_type: type[np.uint8 | np.float32]) -> None:
        layers, self._hidden = config.num_layers, config.hidden_size
        units = padded(self._hidden, UNITS)
        parts = len(PARTS)
        self.rows = StateArrays(
            aligned((layers + 1, rows, 2 * padded(self._hidden, TERMS)), h_type),
            aligned((layers, rows, units), np.float32),
            aligned((rows, GATES * BLOCK + ROW_PADDING), np.int32 if h_type is np.uint8 else np.float32),
            aligned(BLOCK, np.float32),
            aligned((rows, units), h_type),
            H_SCALE if h_type is np.uint8 else np.float32(0),
            np.empty((rows, parts, layers, units), np.float32),
            np.zeros((rows, layers, -(-units // BLOCK)), np.bool_),
            aligned(parts * BLOCK, np.float32),
            np.zeros(rows, np.int64),
        )
        self.rows.h[:] = self.rows.new[:] = SHIFT if h_type is np.uint8 else 0

    def load(self, row: int, state: State) -> None:
        """Write a state into a row."""
        load(self.rows, row, state.h, state.c)

    def save(self, row: int) -> State:
        """The state in a row."""
        shape = len(self.rows.c), self._hidden
        h, c = np.empty(shape, np.float32), np.empty(shape, np.float32)
        save(self.rows, row, h, c)
        return State(h, c)

    def clamp(self, row: int, clamps: Floats | None) -> None:
        """Clamp a row in the next steps as `clamps` says, (`PARTS`, layers, hidden); with None, nothing is clamped."""
        self.rows.clamped[row] = False
        if clamps is not None:
            self.rows.clamps[row] = np.nan
            self.rows.clamps[row, :, :, : self._hidden] = clamps
            units = ~np.isnan(self.rows.clamps[row]).all(axis=0)
            np.logical_or.reduceat(units, range(0, units.shape[1], BLOCK), axis=1, out=self.rows.clamped[row])

    def new_trace(self, *steps: int) -> Floats:
        """An array for so many recorded steps, (*steps, `PARTS`, layers, units)."""
        layers, _, units = self.rows.c.shape
        return np.empty((*steps, len(PARTS), layers, units), np.float32)

    def record(self, row: int, trace: Floats | None) -> None:
        """Record the next steps of a row in `trace`, of `new_trace`, which must have room for all of them and be kept
        until then; with None, record none."""
        self.rows.recorded[row] = 0 if trace is None else trace.ctypes.data

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        rows = self.rows
        rows.h[:, target], rows.c[:, target] = rows.h[:, source], rows.c[:, source]
        rows.recorded[target], rows.clamped[target] = rows.recorded[source], rows.clamped[source]
        if rows.clamped[source].any():
            rows.clamps[target] = rows.clamps[source]


@compiled
def own_h_offset(layer: int, width: int) -> int:
    """Where in its row of `StateArrays.h` a layer's own h begins."""
    return width // 2 if layer else 0


@compiled
def write_h(h: Floats, h_scale: np.float32, target: npt.NDArray[Any]) -> None:
    """Convert h, (units,), to the type of `target`, (units or more,)."""
    if h_scale > 0:
        for unit in range(len(h)):
            whole = np.int32((h[unit] * h_scale + ROUND) - ROUND)
            target[unit] = np.uint8(whole + SHIFT)
    else:
        for unit in range(len(h)):
            target[unit] = h[unit]


@compiled
def write_features(network: Network, rows: StateArrays, row: int, ids: npt.NDArray[np.int64]) -> None:
    """Write the sum of the features' vectors, in the order of the columns and clipped to ±1, to where layer 0 reads it;
    `ids` are (columns,)."""
    target = rows.h[0, row, rows.h.shape[2] // 2 :]
    for begin in range(0, network.features.shape[1], BLOCK):
        vectors = network.features[:, begin : begin + BLOCK]
        sums = rows.block[: vectors.shape[1]]
        sums[:] = 0
        for column in range(len(ids)):
            vector = vectors[ids[column]]
            for term in range(len(sums)):
                sums[term] += vector[term]
        for term in range(len(sums)):
            sums[term] = min(max(sums[term], -ONE), ONE)
        write_h(sums, rows.h_scale, target[begin : begin + len(sums)])


@compiled
def read_h(source: npt.NDArray[Any], h_scale: np.float32, h: Floats) -> None:
    """Write elements of `StateArrays.h`, (units,), as fp32 to h, (units,)."""
    shift, scale = (np.float32(SHIFT), h_scale) if h_scale > 0 else (np.float32(0), np.float32(1))
    for unit in range(len(h)):
        h[unit] = (np.float32(source[unit]) - shift) / scale


@compiled
def write_new_h(rows: StateArrays, layer: int, row: int) -> None:
    """Copy a layer's new h to where the layer reads it in the next step, and to where the next layer reads it in this
    step."""
    at = own_h_offset(layer, rows.h.shape[2])
    for unit in range(rows.new.shape[1]):
        rows.h[layer, row, at + unit] = rows.new[row, unit]
    for unit in range(rows.new.shape[1]):
        rows.h[layer + 1, row, unit] = rows.new[row, unit]


@compiled
def load(rows: StateArrays, row: int, h: Floats, c: Floats) -> None:
    """Write a state into a row; h and c have the shape (layers, hidden)."""
    for layer in range(len(h)):
        write_h(h[layer], rows.h_scale, rows.new[row])
        write_new_h(rows, layer, row)
        for unit in range(c.shape[1]):
            rows.c[layer, row, unit] = c[layer, unit]


@compiled
def save(rows: StateArrays, row: int, h: Floats, c: Floats) -> None:
    """Write the state in a row to h and c, (layers, hidden)."""
    layers, hidden = h.shape
    for layer in range(layers):
        at = own_h_offset(layer, rows.h.shape[2])
        read_h(rows.h[layer, row, at : at + hidden], rows.h_scale, h[layer])
        for unit in range(hidden):
            c[layer, unit] = rows.c[layer, row, unit]
