"""How busy this process keeps the cores that it may use."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from generator.streaming.scheduler import cores

WINDOW_SECONDS = 10.0
SAMPLE_SECONDS = 0.5


class Load:
    """The share of the cores' time that was used within the last seconds, as far as `note` was called meanwhile."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._clock, self._used = clock, used
        self._samples: deque[tuple[float, float]] = deque([(clock(), used())])

    def note(self) -> None:
        """Look at the clock."""
        now = self._clock()
        if now - self._samples[-1][0] < SAMPLE_SECONDS:
            return
        self._samples.append((now, self._used()))
        while now - self._samples[0][0] > WINDOW_SECONDS and len(self._samples) > 2:
            self._samples.popleft()

    def share(self) -> float:
        """From 0, idle, to 1, all cores busy."""
        self.note()
        (begin, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - begin) / cores() if end > begin else 0.0
