"""Many files read by a few processes, results in the order of the files."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW = 40
"""So many items are done before a second process has started."""
PROCESSES = 2


def in_order(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`work` of every item, in order. `work` is a module's function, or a `partial` of one.

    Processes are spawned, not forked: a fork of a process with running threads may hang.
    """
    if len(items) <= FEW:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"), initializer=_leave_ctrl_c_to_the_parent)
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
