"""Compiled loops on torch's own threads: a second pool of threads and torch's would keep each other waiting."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch  # first: on Linux its OpenMP library then serves numba too

from generator.jit import numba

SHARED = 32
"""Rows from which on a second thread saves more time than it takes to call it."""


def _can_share() -> bool:
    """Have numba use OpenMP, where it can and is not told otherwise; without it loops run on one thread."""
    if numba is None or numba.config.DISABLE_JIT or sys.platform != "linux":
        return False
    if numba.config.THREADING_LAYER not in ("default", "omp"):
        return False
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError:
        return False
    numba.config.THREADING_LAYER = "omp"
    return True


PARALLEL = _can_share()
prange: Any = range if numba is None else numba.prange
"""A loop whose rounds run side by side, in a function that is `compiled` with `parallel=PARALLEL`."""


def threads() -> int:
    """How many rounds of a `prange` may run at a time: as many as torch has threads."""
    return min(torch.get_num_threads(), int(numba.config.NUMBA_NUM_THREADS)) if PARALLEL else 1


def shares(rows: int, most: int) -> int:
    """Into how many parts to divide the work on so many rows, at most so many; few rows are not worth a second thread.
    The caller's next `prange` runs on as many threads."""
    if rows < SHARED or (count := min(threads(), most)) == 1:
        return 1
    before = torch.get_num_threads()
    if numba.get_num_threads() != count:
        numba.set_num_threads(count)
    if torch.get_num_threads() != before:  # numba, when it starts, sets the number of OpenMP's threads, torch's too
        torch.set_num_threads(before)
    return count
