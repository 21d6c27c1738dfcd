"""What the cells and gates of an LSTM do, step by step: numbers that a backend computes and usually does not keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.model.state import PARTS, Floats

SUFFIX = ".safetensors"


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

    def __repr__(self) -> str:
        steps, layers, units = self.cell.shape
        return f"<Trace of {steps:,} steps, {layers} × {units} units>"

    def __getitem__(self, steps: slice) -> Trace:
        return Trace(*(value[steps] for value in vars(self).values()))

    def time_constants(self) -> npt.NDArray[np.float64]:
        """The time constant of each unit in tokens, (layers, units): -1 / mean(log f), where f is its forget gate.

        What was written into a cell fades to 1/e in that time: 0 if the gate was ever at 0, infinite if it was always
        at 1.
        """
        with np.errstate(divide="ignore"):
            found: npt.NDArray[np.float64] = 1 / np.abs(np.log(self.forget_gate).mean(axis=0, dtype=np.float64))
        return found

    def save(self, path: str | Path) -> None:
        """Write it as a safetensors file, with a tensor for each field.

        Raises:
            CarouselError: as `check_path`, or the file cannot be written.
        """
        check_path(path)
        with atomic_write(path) as file:
            file.write(
                safetensors.numpy.save({name: np.ascontiguousarray(value) for name, value in vars(self).items()})
            )


def check_path(path: str | Path) -> None:
    """Find out before the work whether a trace can be written there.

    Raises:
        CarouselError: the name is not that of a safetensors file, the folder does not exist, or the file that is there
            is no trace, such as the weights of a checkpoint.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise CarouselError(f"{path}: the name of a trace ends in {SUFFIX}; give it that")
    if not path.parent.is_dir():
        raise CarouselError(f"{path}: the folder {path.parent} does not exist; make it first")
    if path.exists():
        try:
            with safetensors.safe_open(path, "numpy") as file:
                is_trace = sorted(file.keys()) == sorted(PARTS)
        except (OSError, safetensors.SafetensorError):
            is_trace = False
        if not is_trace:
            raise CarouselError(f"{path}: there is another file, which is no trace; choose another name")
