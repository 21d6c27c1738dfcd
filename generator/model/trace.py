"""What the cells and gates of an LSTM do, step by step: the numbers that a backend computes and does not keep.

A trace is computed again from the tokens, by the equations of `backends.cell` in NumPy, so a stream pays nothing for
it. The sums are exact or in the backend's order, and every operation is an IEEE operation in its order, so cells and
hidden values equal the stream's own to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from generator.foundation.atomic import atomic_write
from generator.model.backends import gate_inputs, int8, name_of
from generator.model.backends.cell import BOUND, HALF, denominator, numerator
from generator.model.backends.layout import GATES
from generator.model.backends.memory import H_SCALE
from generator.model.checkpoint import Checkpoint
from generator.model.state import Floats, State


@dataclass(frozen=True, eq=False)
class Trace:
    """What each unit did at each step, fp32, each of shape (steps, layers, units).

    With i, f, g, o, c, h in the notation of Gers, Schmidhuber and Cummins (2000): c = f·c' + i·g, and h = o·tanh(c),
    where c' is the cell of the step before. `hidden` is what the next products read: of int8 the rounded one.
    """

    input_gate: Floats
    forget_gate: Floats
    candidate: Floats
    output_gate: Floats
    cell: Floats
    hidden: Floats

    def __len__(self) -> int:
        return len(self.cell)

    def __getitem__(self, steps: slice) -> Trace:
        return Trace(*(value[steps] for value in vars(self).values()))

    def save(self, path: str | Path) -> None:
        """Write it as a safetensors file, with a tensor for each field.

        Raises:
            CarouselError: the file cannot be written.
        """
        with atomic_write(path) as file:
            file.write(safetensors.numpy.save(dict(vars(self))))


def trace(checkpoint: Checkpoint, tokens: Sequence[int], state: State | None = None, backend: str = "int8") -> Trace:
    """The trace of reading tokens.

    Args:
        tokens: those that the model reads, one a step.
        state: before the first of them; None for the zero state.
        backend: that of the stream.

    Raises:
        CarouselError: there is no such backend.
    """
    config, weights = checkpoint.config, checkpoint.weights
    layers, units = config.num_layers, config.hidden_size
    is_int8 = name_of(backend) == "int8"
    table, biases = gate_inputs(checkpoint)
    matrices = [weights["lstm.weight_hh_l0"]]
    matrices += [
        np.hstack([weights[f"lstm.weight_ih_l{n}"], weights[f"lstm.weight_hh_l{n}"]]) for n in range(1, layers)
    ]
    products = [_Product(matrix, is_int8) for matrix in matrices]
    state = state or State.zero(layers, units)
    h, c = [_stored(row, is_int8) for row in state.h], state.c.copy()
    found = np.empty((len(fields(Trace)), len(tokens), layers, units), np.float32)
    for step, token in enumerate(tokens):
        for layer in range(layers):
            read = np.concatenate([h[layer - 1], h[layer]]) if layer else h[0]
            gates, c[layer], new = _cell(products[layer](read, biases[layer] if layer else table[token]), c[layer])
            h[layer] = _stored(new, is_int8)
            shown = h[layer] / H_SCALE if is_int8 else h[layer]
            found[:, step, layer] = *gates, c[layer], shown
    return Trace(*found)


class _Product:
    """The inputs of a layer's gates, of what it reads."""

    def __init__(self, matrix: Floats, is_int8: bool) -> None:
        self._is_int8 = is_int8
        if is_int8:
            whole, self._scales = int8.quantise(matrix)
            self._matrix: npt.NDArray[np.float64] | Floats = whole.astype(np.float64)  # exact far beyond these sums
        else:
            self._matrix = np.ascontiguousarray(matrix.T)

    def __call__(self, read: Floats, added: Floats) -> Floats:
        if self._is_int8:
            return (self._matrix @ read.astype(np.float64)).astype(np.float32) * self._scales + added
        sums = np.zeros(self._matrix.shape[1], np.float32)
        for factor, row in zip(read, self._matrix, strict=True):  # in the order of the backend
            sums += factor * row
        return sums + added


def _stored(h: Floats, is_int8: bool) -> Floats:
    """h as the products read it: of int8 the whole numbers from -127 to 127."""
    return np.rint(h * H_SCALE) if is_int8 else h


def _cell(inputs: Floats, c: Floats) -> tuple[tuple[Floats, Floats, Floats, Floats], Floats, Floats]:
    """The gates i, f, g and o, the new c, and h before it is stored, each (units,), as `backends.cell` has them."""
    i, f, g, o = (
        np.clip(part if number == 2 else HALF * part, -BOUND, BOUND)
        for number, part in enumerate(inputs.reshape(GATES, -1))
    )
    i_under, f_under, g_under, o_under = map(denominator, (i, f, g, o))
    new_under = i_under * g_under
    kept = (f_under + numerator(f)) * c * new_under
    new = (i_under + numerator(i)) * numerator(g) * f_under
    now = HALF * (kept + new) / (f_under * new_under)
    bound = np.clip(now, -BOUND, BOUND)
    h = HALF * (o_under + numerator(o)) * numerator(bound) / (o_under * denominator(bound))
    gates = (
        HALF * (i_under + numerator(i)) / i_under,
        HALF * (f_under + numerator(f)) / f_under,
        numerator(g) / g_under,
        HALF * (o_under + numerator(o)) / o_under,
    )
    return gates, now, h
