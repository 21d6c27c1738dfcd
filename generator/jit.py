"""Compiled loops. A function under `compiled` is plain Python, which numba turns into machine code.

Its arithmetic is written so that every CPU, and Python without numba, gives the same bits: types are explicit
(`np.float32(2)`, not `2.0`), sums have one order, and there is no fastmath, so nothing is reassociated or fused.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

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
    sources = [data for path in sorted(package.rglob("*.py")) if b"import compiled" in (data := path.read_bytes())]
    digest = hashlib.sha256(b"".join(sources)).hexdigest()[:16]
    numba.config.CACHE_DIR = os.fspath(package / "__pycache__" / f"compiled-{digest}")


if numba is not None and not numba.config.CACHE_DIR:
    _keep_by_source()


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
