"""Compiled loops. A function under `compiled` is plain Python, which numba turns into machine code.

Its arithmetic is written so that every CPU, and Python without numba, gives the same bits: types are explicit
(`np.float32(2)`, not `2.0`), sums have one order, and there is no fastmath, so nothing is reassociated or fused.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

numba: Any
try:
    import numba
except ImportError:
    numba = None
    warnings.warn("numba is missing: streams run, but slowly; install it for speed", RuntimeWarning, stacklevel=2)


_IMPORT = re.compile(r"^\s*(?:from|import) generator\.?([\w.]*)(?: import (\([^)]*\)|.*))?", re.MULTILINE)


def sources(package: Path) -> list[Path]:
    """The files of the package that make up compiled code: those with compiled loops, and all that these import, for
    the constants found there are compiled in."""
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    found: set[Path] = set()
    waiting = {path for path, text in texts.items() if "import compiled" in text}
    while waiting:
        path = waiting.pop()
        found.add(path)
        for module, names in _IMPORT.findall(texts[path]):
            folder = package.joinpath(*filter(None, module.split(".")))
            inside = (folder / f"{name}.py" for name in re.findall(r"\w+", names))
            waiting |= {folder.with_suffix(".py"), folder / "__init__.py", *inside} & texts.keys() - found
    return sorted(found)


def folder_of(package: Path) -> str:
    """The name of the folder where compiled code lies, which tells all of its sources: numba itself notices a change in
    a function's own file alone, not in what it calls or reads."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources(package))).hexdigest()[:16]
    return f"compiled-{digest}"


if numba is not None:
    _package = Path(__file__).parents[1]
    numba.config.CACHE_DIR = os.path.join(numba.config.CACHE_DIR or _package / "__pycache__", folder_of(_package))


AVAILABLE: bool = numba is not None and not numba.config.DISABLE_JIT
"""Whether there is compiled code at all."""


def tell_before_compiling(say: Callable[[], None]) -> None:
    """Call `say` once, when something has to be compiled, which may take a while."""
    if not AVAILABLE:
        return
    event = importlib.import_module("numba.core.event")
    said: list[bool] = []

    class Listener(event.Listener):  # type: ignore[misc, name-defined]
        def on_start(self, _: Any) -> None:
            if not said:
                said.append(True)
                say()

        def on_end(self, _: Any) -> None:
            pass

    event.register("numba:compile", Listener())


def compiled(function: F) -> F:
    """The function as machine code, kept on disk between processes where there is a folder to keep it in."""
    if not AVAILABLE:
        return np.errstate(over="ignore")(function)  # random numbers are made by overflowing
    # `error_model="numpy"` divides without a test for zero, without which loops do not vectorise.
    settings = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    try:
        return cast(F, _once_a_type(_kept(numba.njit(cache=True, **settings)(function))))
    except RuntimeError:
        warnings.warn(
            "no folder to keep compiled code in, so every start compiles anew; set NUMBA_CACHE_DIR to one",
            RuntimeWarning,
            stacklevel=1,  # from one place, so that it is said once
        )
        return cast(F, _once_a_type(numba.njit(**settings)(function)))


def _kept(loop: Any) -> Any:
    """Have each form of the function kept in a file that no other process writes. numba counts the files, and two
    processes that compile the function for different types at the same time both write number 1; whoever loads it then
    may call what was compiled for other types, which ends in wrong results or a crash."""
    file = loop._cache._cache_file
    base = file._index_name.removesuffix(".nbi")
    file._data_name = lambda number: f"{base}.{uuid.uuid4().hex}.nbc"
    return loop


def _once_a_type(loop: Any) -> Any:
    """Have a call with a constant use what is compiled for any value of its type; numba would compile the function once
    more for each constant, which takes a quarter longer in all and runs no faster."""
    template = loop.get_call_template

    def without_constants(args: Any, kws: dict[str, Any]) -> Any:
        plain = numba.types.unliteral
        return template([plain(kind) for kind in args], {name: plain(kind) for name, kind in kws.items()})

    loop.get_call_template = without_constants
    return loop


def specialised(function: F, name: str, **names: Any) -> F:
    """The function as machine code, with these names in the place of its module's own: a loop for each set of functions
    that it calls, where passing them as arguments would compile it anew in every process.

    Args:
        name: tells it from the function's other forms; equal names have equal meanings.
    """
    made = FunctionType(function.__code__, function.__globals__ | names, function.__name__)
    made.__qualname__, made.__module__ = f"{function.__qualname__}_{name}", function.__module__
    return compiled(cast(F, made))
