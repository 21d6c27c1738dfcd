"""What the units do in a step, written into arrays of whoever asked for it, which compiled code knows by their address.

The arrays are made by `Memory.new_trace`. They are not copied: of many streams that are recorded at once, the copies
would take longer than the gates.
"""

from __future__ import annotations

import ctypes

import numpy as np

from generator.foundation.jit import AVAILABLE, compiled
from generator.model.backends.layout import BLOCK
from generator.model.backends.memory import StateArrays, read_h
from generator.model.state import CELL, PARTS, Floats

if AVAILABLE:
    from numba.np.numpy_support import carray

    from generator.model.backends.llvm import pointer

    @compiled
    def _floats(address: int, count: int) -> Floats:
        """The array of `count` elements at an address."""
        found: Floats = carray(pointer(address), count, np.float32)
        return found

else:

    def _floats(address: int, count: int) -> Floats:
        return np.ctypeslib.as_array((ctypes.c_float * count).from_address(int(address)))


@compiled
def record(rows: StateArrays, row: int, layer: int, begin: int, end: int) -> None:
    """Write what a step did in a block of units to where it is recorded."""
    layers, _, units = rows.c.shape
    for part in range(len(PARTS)):
        first = (part * layers + layer) * units + begin
        to = _floats(rows.recorded[row] + 4 * first, end - begin)
        if part < CELL:
            _copy(rows.found[part * BLOCK :], to)
        elif part == CELL:
            _copy(rows.c[layer, row, begin:], to)
        else:
            read_h(rows.new[row, begin:end], rows.h_scale, to)


@compiled
def _copy(source: Floats, target: Floats) -> None:
    """Fill `target`."""
    for at in range(len(target)):
        target[at] = source[at]


@compiled
def next_step(rows: StateArrays, row: int) -> None:
    """Let the next step of a row be recorded after the present one, if that is recorded."""
    if rows.recorded[row] != 0:
        layers, _, units = rows.c.shape
        rows.recorded[row] += 4 * len(PARTS) * layers * units
