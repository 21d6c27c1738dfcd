"""How weights and h lie in memory for the products, with compiled code or without."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]
Sums = npt.NDArray[np.int32]

PANEL, GROUP = 64, 4
"""Outputs whose weights lie together, and how many terms of each."""
GATES, BLOCK = 4, 256
"""Gates of a unit; and units that are multiplied, then stepped, before the next ones are."""
UNITS = PANEL // GATES
"""Layers have a whole number of these units; cells of zero weights, which stay zero, fill them up."""
LINE = 64
"""Bytes of a line of the CPU's caches."""
TERMS = 64
"""Products have a whole number of these; zeros fill them up."""
SHIFT = 128
"""What is added to h, so that it has no sign."""


def padded(size: int, unit: int) -> int:
    """The next multiple of a unit."""
    return -(-size // unit) * unit


def aligned(shape: int | tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """An array of zeros that begins with a line of the CPU's caches, for what crosses to the next one is read twice."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + LINE, np.uint8)
    begin = -room.ctypes.data % LINE
    return room[begin : begin + size].view(dtype).reshape(shape)


def laid(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy of an array, as `aligned`."""
    found = aligned(array.shape, array.dtype.type)
    found[:] = array
    return found


def pack(matrix: Weights) -> tuple[Weights, Sums]:
    """A matrix (outputs, terms), both multiples of `PANEL` and `TERMS`, as one row of bytes in the order in which
    a product reads them; and what its sums begin with to undo the shift of h, (outputs,)."""
    outputs, terms = matrix.shape
    groups = matrix.reshape(outputs // PANEL, PANEL, terms // GROUP, GROUP)
    return groups.transpose(0, 2, 1, 3).ravel(), (-SHIFT * matrix.sum(axis=1, dtype=np.int64)).astype(np.int32)


def blocked(gates: npt.NDArray[Any], hidden: int) -> npt.NDArray[Any]:
    """Rows of gates, (4·hidden, …) in the order of torch's `nn.LSTM`, as they are stepped: the four gates of the first
    `BLOCK` units, then those of the next ones; filled up with zeros."""
    units, rest = padded(hidden, UNITS), gates.shape[1:]
    whole = np.zeros((GATES, units, *rest), gates.dtype)
    whole[:, :hidden] = gates.reshape(GATES, hidden, *rest)
    return np.concatenate([whole[:, at : at + BLOCK].reshape(-1, *rest) for at in range(0, units, BLOCK)])
