"""What a step of the network reads and writes, as arrays for compiled code: its weights, and the memories of many
streams, of which row i of each array is one.

A layer reads the h of the layer below and its own h of the step before; they lie side by side, so that one product
serves both. Layer 0 reads its own h alone, for its input comes from a table.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.model.backends.layout import BLOCK, GATES, SHIFT, TERMS, UNITS, aligned, padded
from generator.model.config import ModelConfig
from generator.model.state import Floats, State

H_SCALE = np.float32(127)
"""h lies between -1 and 1, so as int8 it is 127 times itself."""
ROUND = np.float32(3 << 22)
"""Added and taken off again, it rounds a small float to the nearest whole number, ties to even."""

APART = 16
"""Sums that lie between those of two rows: at a distance of whole pages they would push each other out of the cache."""


class Network(NamedTuple):
    """Weights, ready to be multiplied. Matrices follow each other: of the layers, then of the output layer."""

    packed: npt.NDArray[Any]
    """All matrices, flat."""
    starts: npt.NDArray[np.int32]
    """What the sums of all outputs begin with."""
    scales: Floats
    """What the sums of all outputs are multiplied with."""
    table: Floats
    """What each token adds to layer 0's gates, (vocab_size, 4·units)."""
    biases: Floats
    """What is added to each layer's gates, (layers, 4·units); to those of layer 0 the table has it."""
    bias: Floats
    """What is added to the logits, (vocab_size,)."""


class Rows(NamedTuple):
    """The memories of streams, and room for the work on them."""

    h: npt.NDArray[Any]
    """(layers + 1, rows, width): what each layer multiplies, and the output layer: of the layer below, then its own.
    As fp32, or times 127 plus 128 as uint8."""
    c: Floats
    """(layers, rows, units)."""
    sums: npt.NDArray[Any]
    """(rows, 4 times `BLOCK` and more): what a product gives."""
    block: Floats
    """(`BLOCK`,): a stream's new h in some units."""
    new: npt.NDArray[Any]
    """(rows, units): the new h of a layer, while its old one is still multiplied."""
    h_scale: np.float32
    """127 where h is uint8, 0 where it is fp32."""


class Memory:
    """h and c of up to `rows` streams."""

    def __init__(self, config: ModelConfig, rows: int, h_type: type[np.uint8 | np.float32]) -> None:
        layers, self._hidden = config.num_layers, config.hidden_size
        units = padded(self._hidden, UNITS)
        self.rows = Rows(
            aligned((layers + 1, rows, 2 * padded(self._hidden, TERMS)), h_type),
            aligned((layers, rows, units), np.float32),
            aligned((rows, GATES * BLOCK + APART), np.int32 if h_type is np.uint8 else np.float32),
            aligned(BLOCK, np.float32),
            aligned((rows, units), h_type),
            H_SCALE if h_type is np.uint8 else np.float32(0),
        )
        self.rows.h[:] = self.rows.new[:] = SHIFT if h_type is np.uint8 else 0

    def load(self, row: int, state: State) -> None:
        """Put a stream's memory into a row."""
        load(self.rows, row, state.h, state.c)

    def save(self, row: int) -> State:
        """A row as a value."""
        shape = len(self.rows.c), self._hidden
        h, c = np.empty(shape, np.float32), np.empty(shape, np.float32)
        save(self.rows, row, h, c)
        return State(h, c)

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        self.rows.h[:, target], self.rows.c[:, target] = self.rows.h[:, source], self.rows.c[:, source]


@compiled
def own(layer: int, width: int) -> int:
    """Where in a layer's line of h its own begins."""
    return width // 2 if layer else 0


@compiled
def as_multiplied(h: Floats, h_scale: np.float32, target: npt.NDArray[Any]) -> None:
    """Write h, (units,), in the type in which it is multiplied."""
    if h_scale > 0:
        for unit in range(len(h)):
            whole = np.int32((h[unit] * h_scale + ROUND) - ROUND)
            target[unit] = np.uint8(whole + SHIFT)
    else:
        for unit in range(len(h)):
            target[unit] = h[unit]


@compiled
def put(rows: Rows, layer: int, row: int) -> None:
    """Copy a layer's new h to where the layer itself reads it at the next step, and to where the layer above does in
    this one."""
    at = own(layer, rows.h.shape[2])
    for unit in range(rows.new.shape[1]):
        rows.h[layer, row, at + unit] = rows.new[row, unit]
    for unit in range(rows.new.shape[1]):
        rows.h[layer + 1, row, unit] = rows.new[row, unit]


@compiled
def load(rows: Rows, row: int, h: Floats, c: Floats) -> None:
    """Put a memory into a row; h and c have the shape (layers, hidden)."""
    for layer in range(len(h)):
        as_multiplied(h[layer], rows.h_scale, rows.new[row])
        put(rows, layer, row)
        for unit in range(c.shape[1]):
            rows.c[layer, row, unit] = c[layer, unit]


@compiled
def save(rows: Rows, row: int, h: Floats, c: Floats) -> None:
    """Take a memory out of a row."""
    layers, hidden = h.shape
    for layer in range(layers):
        at = own(layer, rows.h.shape[2])
        for unit in range(hidden):
            value = np.float32(rows.h[layer, row, at + unit])
            h[layer, unit] = (value - SHIFT) / rows.h_scale if rows.h_scale > 0 else value
            c[layer, unit] = rows.c[layer, row, unit]
