"""The memories of many streams, laid out for the matrix products and changed in place: row i of each array is one of
them.

A layer reads the h of the layer below and its own h of the step before; they lie side by side, so that one product
serves both. Layer 0 reads its own h alone, for its input comes from a table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from generator.jit import compiled
from generator.model.backends.threads import threads
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.state import Floats, State

H_SCALE = 127
"""h lies between -1 and 1, so as int8 it is 127 times itself."""
ROUND = np.float32(3 << 22)
"""Added and taken off again, it rounds a small float to the nearest whole number, ties to even."""


def tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights for torch."""
    return {name: torch.from_numpy(weight) for name, weight in checkpoint.weights.items()}


def matrices(checkpoint: Checkpoint) -> list[Tensor]:
    """What `Memory.inputs` are multiplied with, each (outputs, terms): of the layers, then of the output layer."""
    weights, layers = tensors(checkpoint), range(1, checkpoint.config.num_layers)
    upper = [torch.cat([weights[f"lstm.weight_ih_l{n}"], weights[f"lstm.weight_hh_l{n}"]], dim=1) for n in layers]
    return [weights["lstm.weight_hh_l0"], *upper, weights["output.weight"]]


def gate_biases(checkpoint: Checkpoint) -> list[Tensor]:
    """The bias of each layer's gates, (4·hidden,)."""
    weights, layers = tensors(checkpoint), range(checkpoint.config.num_layers)
    return [weights[f"lstm.bias_ih_l{n}"] + weights[f"lstm.bias_hh_l{n}"] for n in layers]


Part = tuple[Tensor, Tensor, npt.NDArray[Any]]
"""A product's input, its sums, and the same sums for NumPy."""


class Memory:
    """h and c of up to `rows` streams; h in the type that a backend multiplies."""

    def __init__(self, config: ModelConfig, rows: int, h_type: type[np.int8 | np.float32]) -> None:
        layers, hidden = config.num_layers, config.hidden_size
        widths = [hidden, *(2 * hidden for _ in range(layers - 1)), hidden]
        self.inputs: list[npt.NDArray[Any]] = [np.zeros((rows, width), h_type) for width in widths]
        """Of each layer, (rows, hidden or 2·hidden), and of the output layer, (rows, hidden)."""
        self.c = [np.zeros((rows, hidden), np.float32) for _ in range(layers)]
        sum_type = torch.int32 if h_type is np.int8 else torch.float32
        wide = [*(4 * hidden for _ in range(layers)), config.vocab_size]
        self.sums = [torch.zeros((rows, width), dtype=sum_type) for width in wide]
        """What the matrix products give: of each layer (rows, 4·hidden), of the output layer (rows, vocab_size)."""
        self.own = [h[:, -hidden:] for h in self.inputs[:-1]]
        self.up = [h[:, :hidden] for h in self.inputs[1:]]
        """Each layer's h is written twice: where the layer itself reads it, and where the one above does."""
        self.h = np.zeros((threads(), hidden), np.float32)
        """One stream's h while a layer is worked out, a row a thread."""
        self.zeros = np.zeros(rows, np.int64)
        self._parts: tuple[int, list[Part]] = (0, [])
        self.h_scale = np.float32(H_SCALE if h_type is np.int8 else 0)
        """What h is multiplied with to be kept as int8; 0 for fp32."""
        self._inputs, self._c = tuple(self.inputs), tuple(self.c)

    def parts(self, rows: int) -> list[Part]:
        """The first rows of what each product reads and writes; making these anew for every step would cost a tenth."""
        if self._parts[0] != rows:
            inputs = [torch.from_numpy(h)[:rows] for h in self.inputs]
            sums = [whole[:rows] for whole in self.sums]
            self._parts = rows, [(x, y, y.numpy()) for x, y in zip(inputs, sums, strict=True)]
        return self._parts[1]

    def load(self, row: int, state: State) -> None:
        """Put a stream's memory into a row."""
        _load(self._inputs, self._c, row, state.h, state.c, self.h_scale)

    def save(self, row: int) -> State:
        """A row as a value."""
        shape = (len(self.c), self.c[0].shape[1])
        h, c = np.empty(shape, np.float32), np.empty(shape, np.float32)
        _save(self._inputs, self._c, row, h, c, self.h_scale)
        return State(h, c)

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        _move(self._inputs, self._c, source, target)


Arrays = tuple[npt.NDArray[Any], ...]


@compiled
def _load(inputs: Arrays, cells: Arrays, row: int, h: Floats, c: Floats, h_scale: np.float32) -> None:
    layers, hidden = h.shape
    for layer in range(layers):
        own, up = inputs[layer][row, -hidden:], inputs[layer + 1][row, :hidden]
        if h_scale > 0:
            for unit in range(hidden):
                own[unit] = np.int8((h[layer, unit] * h_scale + ROUND) - ROUND)
        else:
            own[:] = h[layer]
        up[:] = own
        cells[layer][row] = c[layer]


@compiled
def _save(inputs: Arrays, cells: Arrays, row: int, h: Floats, c: Floats, h_scale: np.float32) -> None:
    layers, hidden = h.shape
    for layer in range(layers):
        own = inputs[layer][row, -hidden:]
        for unit in range(hidden):
            h[layer, unit] = np.float32(own[unit]) / h_scale if h_scale > 0 else np.float32(own[unit])
        c[layer] = cells[layer][row]


@compiled
def _move(inputs: Arrays, cells: Arrays, source: int, target: int) -> None:
    for layer in range(len(inputs)):
        inputs[layer][target] = inputs[layer][source]
    for layer in range(len(cells)):
        cells[layer][target] = cells[layer][source]
