"""The trace of a stream's last steps."""

from __future__ import annotations

from collections import deque

import numpy as np

from generator.model.state import Floats


class Recording:
    """The last `size` steps of a stream, as they come from the engine: some are ahead of what was handed out."""

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        """With room for `size` steps of this shape each: (`PARTS`, layers, units)."""
        self.size = size
        self._chunks = deque([(0, np.empty((0, *shape), np.float32))])
        """The position of the first step of each chunk, and its steps, (steps, …)."""

    def add(self, position: int, steps: Floats) -> None:
        """Record the steps from a position on, (steps, …), and forget what was recorded there before."""
        while len(self._chunks) > 1 and self._chunks[-1][0] >= position:
            self._chunks.pop()
        self._chunks.append((position, steps))
        while len(self._chunks) > 2 and self._chunks[1][0] <= position - self.size:
            self._chunks.popleft()

    def before(self, position: int) -> Floats:
        """The last `size` steps before a position, or as many as were recorded without a gap, the latest last."""
        parts: list[Floats] = []
        reached = position
        for start, steps in reversed(self._chunks):
            if start + len(steps) < reached:
                break
            parts.append(steps[: max(0, reached - start)])
            reached = min(reached, start)
        steps = np.concatenate([self._chunks[0][1][:0], *reversed(parts)])
        return steps[max(0, len(steps) - self.size) :]
