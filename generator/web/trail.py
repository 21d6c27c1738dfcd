"""Where a stream was at each of its latest steps, so that one can go back to any moment of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from generator.streaming.origin import Origin
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event

LENGTH = 4096
"""The number of steps that one can go back: of 8 tokens, a quarter of an hour of music or 30,000 characters."""


class Step(NamedTuple):
    """Where a stream was before a step, its position in tokens."""

    position: int
    horizon_ticks: int
    now_ticks: int


class Trail:
    """The latest `LENGTH` steps of a stream."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._steps = deque(steps, LENGTH)

    def add(self, position: int, horizon_ticks: int, now_ticks: int) -> None:
        """Add a step, before it is taken."""
        self._steps.append(Step(position, horizon_ticks, now_ticks))

    def until(self, position: int) -> Trail:
        """The steps up to a position, in tokens."""
        return Trail(step for step in self._steps if step.position <= position)

    def fork(self, stream: Stream, ticks: int, clock: str = "horizon_ticks") -> tuple[Stream, int, list[Event]]:
        """A fork of the stream that has just drawn everything before `ticks`, the position in tokens of the last step
        before that, and the events that the fork has drawn since.

        Args:
            stream: the one that took these steps.
            ticks: not beyond what the stream has drawn.
            clock: with "now_ticks", notes that sound at `ticks` may have no end yet.
        """
        index = max(0, bisect_left(self._steps, ticks, key=attrgetter(clock)) - 1)
        position = self._steps[index].position if self._steps else stream.position
        until = next((step.position for step in islice(self._steps, index + 1, None)), stream.position)
        fork = stream.fork()
        fork.rewind(fork.position - position)
        drawn: list[Event] = []
        if not was_changed(stream.snapshot(), position, until):
            while getattr(fork, clock) < ticks and not fork.ended:
                drawn += fork.step(ahead=1)
            return fork, position, drawn
        # Drawn again from here, its tokens would be others: these are read until the moment is found.
        decoder = stream.engine.tokenizer.decoder(fork.snapshot().decoder)
        tokens = iter(stream.tokens()[position:])
        read = 0
        while getattr(decoder, clock) < ticks and (token := next(tokens, None)) is not None:
            drawn += decoder.feed(token)
            read += 1
        fork = stream.fork()
        fork.rewind(fork.position - position - read)
        return fork, position, drawn


def was_changed(origin: Origin, begin: int, end: int) -> bool:
    """Whether something was played into a stream between two positions, or its options changed there."""
    changes = any(begin < position < end for position, _ in origin.timeline)
    return changes or any(at < end and begin < at + len(tokens) for at, tokens in origin.injected)
