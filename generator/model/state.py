"""The recurrent state of a stream as an immutable value: h and c of every layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

PARTS = ("input_gate", "forget_gate", "candidate", "output_gate", "cell", "hidden")
"""What a unit consists of: its gates and its candidate in the order of torch's `nn.LSTM`, then c and h."""
INPUT, FORGET, CANDIDATE, OUTPUT, CELL, HIDDEN = range(len(PARTS))


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """h and c, fp32, each of shape (layers, hidden_size). A step makes a new state; the old one stays valid."""

    h: Floats
    c: Floats

    def __post_init__(self) -> None:
        self.h.flags.writeable = self.c.flags.writeable = False

    @staticmethod
    def zero(layers: int, hidden_size: int) -> State:
        """The state before the first token."""
        shape = (layers, hidden_size)
        return State(np.zeros(shape, np.float32), np.zeros(shape, np.float32))
