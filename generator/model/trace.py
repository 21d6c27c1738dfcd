"""What the cells and gates of an LSTM do, step by step: numbers that a backend computes and usually does not keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from generator.foundation.atomic import atomic_write
from generator.model.state import Floats


@dataclass(frozen=True, eq=False)
class Trace:
    """What each unit did at each step, fp32, each of shape (steps, layers, units), by the names of `state.PARTS`.

    With i, f, g, o, c, h in the notation of Gers, Schmidhuber and Cummins (2000): c = f·c' + i·g, and h = o·tanh(c),
    where c' is the cell of the step before. `hidden` is what the next products read: of int8 the rounded one.
    """

    input_gate: Floats
    forget_gate: Floats
    candidate: Floats
    output_gate: Floats
    cell: Floats
    hidden: Floats

    @staticmethod
    def of(steps: Floats) -> Trace:
        """From one array, (steps, `PARTS`, layers, units)."""
        return Trace(*steps.transpose(1, 0, 2, 3))

    def __len__(self) -> int:
        return len(self.cell)

    def __getitem__(self, steps: slice) -> Trace:
        return Trace(*(value[steps] for value in vars(self).values()))

    def time_constants(self) -> npt.NDArray[np.float64]:
        """Of each unit, (layers, units), in tokens: -1 / mean(log f), where f is its forget gate. What was written into
        a cell fades to 1/e in that time: 0 if the gate was ever at 0, infinite if it was always at 1."""
        with np.errstate(divide="ignore"):
            found: npt.NDArray[np.float64] = 1 / np.abs(np.log(self.forget_gate).mean(axis=0, dtype=np.float64))
        return found

    def save(self, path: str | Path) -> None:
        """Write it as a safetensors file, with a tensor for each field.

        Raises:
            CarouselError: the file cannot be written.
        """
        with atomic_write(path) as file:
            file.write(
                safetensors.numpy.save({name: np.ascontiguousarray(value) for name, value in vars(self).items()})
            )
