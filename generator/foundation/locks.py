"""One process at a time: a lock file, which is free as soon as the process that holds it ends, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from generator.foundation.errors import CarouselError

LOOK_SECONDS = 0.1
"""Whoever looks whether a lock is held holds it for a moment; one that is held for longer is really held."""


@contextmanager
def alone(path: Path, busy: Callable[[], object], remedy: str) -> Iterator[None]:
    """Hold the lock file at `path` while the block runs; afterwards it is gone.

    Args:
        busy: called where somebody else holds it; unless it raises, they are waited for.
        remedy: what to do where the system refuses.

    Raises:
        CarouselError: the system refuses.
    """
    from filelock import FileLock, Timeout  # slow to import

    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            busy()
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CarouselError(f"{path}: cannot lock: {reason}; {remedy}") from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # whoever waits for it sees that it is gone, and makes a new one
        lock.release()


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock file at `path` at this moment."""
    from filelock import FileLock, Timeout

    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=LOOK_SECONDS, poll_interval=LOOK_SECONDS / 20)
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
    lock.release()
    return False
