"""Work on many items in a few processes, with the results in the order of the items."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW = 40
"""Up to this number of items no process is started: one process is done with them before a second one has started."""
PROCESSES = 2


def in_order(work: Callable[[T], R], items: Sequence[T]) -> Generator[R]:
    """The results of `work` for all items, in their order.

    Processes are spawned, not forked, because the fork of a process with running threads may hang. They ignore Ctrl-C;
    the parent process ends them. They do not run the caller's script again, so it needs no `if __name__ == "__main__"`.

    Args:
        work: a function of a module, or a `partial` of one, so that it can be pickled.
    """
    if len(items) <= FEW:
        yield from map(work, items)
        return
    import multiprocessing  # slow to import
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"), initializer=_ignore_ctrl_c)
    try:
        with _started_without_ctrl_c(), _started_without_main():
            results = pool.map(work, items)
        yield from results
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _started_without_ctrl_c() -> Iterator[None]:
    """Processes that are started in this block have SIGINT blocked, until they come to ignore it themselves."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its start unblocks SIGINT, so it has to come first
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _started_without_main() -> Iterator[None]:
    """Processes that are spawned in this block find no script to run as their `__main__`."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
