"""The memory layout of weights and h for the matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]
Sums = npt.NDArray[np.int32]

PANEL, GROUP = 64, 4
"""Weights are stored in panels of 64 outputs; within a panel, 4 successive terms of an output are adjacent."""
GATES, BLOCK = 4, 256
"""Gates per unit, and units per block; products and cells are computed one block after the other."""
UNITS = PANEL // GATES
"""The number of units of a layer is padded to a multiple of this; the added units have zero weights and stay zero."""
LINE = 64
"""The size of a cache line in bytes."""
TERMS = 64
"""The number of terms of a product is padded to a multiple of this."""
SHIFT = 128
"""Added to the int8 h, so that it is unsigned."""


def padded(size: int, unit: int) -> int:
    """`size`, rounded up to a multiple of `unit`."""
    return -(-size // unit) * unit


def aligned(shape: int | tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """An array of zeros that begins at a cache line, because loads that cross cache lines are slower."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + LINE, np.uint8)
    begin = -room.ctypes.data % LINE
    return room[begin : begin + size].view(dtype).reshape(shape)


def aligned_copy(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy of an array that begins at a cache line."""
    found = aligned(array.shape, array.dtype.type)
    found[:] = array
    return found


def pack(matrix: Weights) -> tuple[Weights, Sums]:
    """Flatten a matrix (outputs, terms), multiples of `PANEL` and `TERMS`, into the order in which products read it.

    Returns:
        The flat matrix, and the initial values of the sums that cancel the shift of h, shape (outputs,).
    """
    outputs, terms = matrix.shape
    groups = matrix.reshape(outputs // PANEL, PANEL, terms // GROUP, GROUP)
    return groups.transpose(0, 2, 1, 3).ravel(), (-SHIFT * matrix.sum(axis=1, dtype=np.int64)).astype(np.int32)


def blocked(gates: npt.NDArray[Any], hidden: int) -> npt.NDArray[Any]:
    """Reorder rows from torch's order (all rows of one gate, then of the next, (4·hidden, …)) into blocks: the four
    gates of the first `BLOCK` units, then those of the next ones. The units are padded with zeros."""
    units, rest = padded(hidden, UNITS), gates.shape[1:]
    whole = np.zeros((GATES, units, *rest), gates.dtype)
    whole[:, :hidden] = gates.reshape(GATES, hidden, *rest)
    return np.concatenate([whole[:, at : at + BLOCK].reshape(-1, *rest) for at in range(0, units, BLOCK)])
