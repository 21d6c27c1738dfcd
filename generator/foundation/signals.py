"""What a signal such as Ctrl-C does for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def handled(number: signal.Signals, handler: Callable[..., object]) -> Iterator[None]:
    """In this block the signal calls `handler`, and nothing else happens.

    Python allows signal handlers in the main thread only; in other threads nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
