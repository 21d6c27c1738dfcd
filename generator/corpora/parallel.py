"""Many files read by a few processes, results in the order of the files."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW = 40
"""How many items are done in the time that a second process takes to start."""
PROCESSES = 2


def in_order(work: Callable[[T], R], items: Sequence[T]) -> Generator[R]:
    """`work` of every item, in order. `work` is a module's function, or a `partial` of one.

    Processes are spawned, not forked: a fork of a process with running threads may hang. Ctrl-C reaches the parent
    alone, which ends them.
    """
    if len(items) <= FEW:
        yield from map(work, items)
        return
    import multiprocessing  # slow to import, with what starts its processes
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"), initializer=_ignore_ctrl_c)
    try:
        with _children_without_ctrl_c():
            results = pool.map(work, items)
        yield from results
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _children_without_ctrl_c() -> Iterator[None]:
    """Processes that start in this block are deaf to Ctrl-C from their first moment, before they can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # when it starts it unblocks what is blocked here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
