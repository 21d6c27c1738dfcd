"""Compiled loops. A function under `compiled` is plain Python, which numba turns into machine code.

Its arithmetic is written so that every CPU, and Python without numba, gives the same bits: types are explicit
(`np.float32(2)`, not `2.0`), sums have one order, and there is no fastmath, so nothing is reassociated or fused.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch

F = TypeVar("F", bound=Callable[..., Any])

numba: Any
try:
    import numba
except ImportError:
    numba = None
    warnings.warn("numba is missing: streams run, but slowly; install it for speed", RuntimeWarning, stacklevel=2)


def _keep_by_source() -> None:
    """Compiled code lies in a folder named after the sources of all of it, for numba itself notices a change in a
    function's own file alone, not in what it calls."""
    package = Path(__file__).parent
    sources = [data for path in sorted(package.rglob("*.py")) if b"@compiled" in (data := path.read_bytes())]
    digest = hashlib.sha256(b"".join(sources)).hexdigest()[:16]
    numba.config.CACHE_DIR = os.fspath(package / "__pycache__" / f"compiled-{digest}")


if numba is not None and not numba.config.CACHE_DIR:
    _keep_by_source()


def _on_torchs_threads() -> bool:
    """Have numba's parallel loops run on the threads that torch has, and say whether they do. Two pools would keep each
    other waiting; on Linux both find the OpenMP library of the one that was loaded first."""
    if numba is None or numba.config.DISABLE_JIT or sys.platform != "linux":
        return False
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError:
        return False
    numba.config.THREADING_LAYER = "omp"
    return True


SHARED = 32
"""Rows from which on a second thread saves more time than it takes to call it."""
PARALLEL = _on_torchs_threads()
prange: Any = range if numba is None else numba.prange
"""A loop whose rounds run side by side, in a function that is `compiled` with `parallel=PARALLEL`."""


def threads() -> int:
    """How many rounds of a `prange` may run at a time: as many as torch has threads."""
    return min(torch.get_num_threads(), int(numba.config.NUMBA_NUM_THREADS)) if PARALLEL else 1


def shares(rows: int, most: int) -> int:
    """Into how many parts to divide the work on so many rows, at most so many; few rows are not worth a second thread.
    The caller's next `prange` runs on as many threads."""
    count = min(threads(), most) if rows >= SHARED else 1
    if count > 1 and numba.get_num_threads() != count:
        numba.set_num_threads(count)
    return count


def compiled(function: F, parallel: bool = False) -> F:
    """The function as machine code, kept on disk between processes where there is a folder to keep it in."""
    if numba is None or numba.config.DISABLE_JIT:
        return np.errstate(over="ignore")(function)  # random numbers are made by overflowing
    # `error_model="numpy"` divides without a test for zero, without which loops do not vectorise.
    settings = {"nogil": True, "error_model": "numpy", "parallel": parallel}
    try:
        return cast(F, numba.njit(cache=True, **settings)(function))
    except RuntimeError:
        warnings.warn(
            "no folder to keep compiled code in, so every start compiles anew; set NUMBA_CACHE_DIR to one",
            RuntimeWarning,
            stacklevel=1,  # from one place, so that it is said once
        )
        return cast(F, numba.njit(**settings)(function))
