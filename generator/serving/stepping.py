"""One thread draws tokens for all callers, each time for as many streams together as want some.

Callers wait in the event loop, and need no threads. A caller that goes away is left out from the next round on. In a
round nobody gets more than a job, so that whoever comes waits for one round at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, Thread
from time import monotonic

from generator.serving.metrics import Metrics
from generator.streaming.jobs import CHUNK
from generator.streaming.runtime import Runtime
from generator.streaming.stream import Stream, draw
from generator.tokenizers.base import Event


@dataclass(eq=False)
class Want:
    """A caller who waits for `left` more tokens of a stream."""

    stream: Stream
    left: int
    answer: asyncio.Future[list[Event]]
    events: list[Event] = field(default_factory=list)
    since: float = field(default_factory=monotonic)
    begun: bool = False
    gone: bool = False

    def settle(self, error: BaseException | None = None) -> None:
        """Give the caller the events, or an error."""

        def tell() -> None:
            if self.answer.done():
                return
            if error is None:
                self.answer.set_result(self.events)
            else:
                self.answer.set_exception(error)

        with suppress(RuntimeError):  # the event loop has ended
            self.answer.get_loop().call_soon_threadsafe(tell)


class Stepping:
    """Draws for all streams of a server, in a thread of its own."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._new: list[Want] = []
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, name="stepping", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it draws."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Draw no more, not even for those who wait."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    async def draw(self, stream: Stream, tokens: int) -> list[Event]:
        """Advance a stream by up to `tokens` tokens; return the events that they complete."""
        want = Want(stream, tokens, asyncio.get_running_loop().create_future())
        with self._changed:
            self._new.append(want)
            self._changed.notify()
        try:
            return await want.answer
        finally:
            want.gone = True

    def _work(self) -> None:
        going: list[Want] = []
        while True:
            with self._changed:
                while not (self._new or going or self._closed):
                    self._changed.wait()
                if self._closed:
                    return
                going += self._new
                self._new = []
            going = [want for want in going if not want.gone]
            for engine in {want.stream.engine: None for want in going}:
                self._round(engine, [want for want in going if want.stream.engine is engine])
            going = [want for want in going if want.left]

    def _round(self, engine: Runtime, wants: Sequence[Want]) -> None:
        """Draw a job for each of them, and answer those who have what they want."""
        counts = [min(want.left, CHUNK) for want in wants]
        try:
            drawn = draw(engine, [want.stream for want in wants], counts)
        except BaseException as error:
            for want in wants:
                want.left = 0
                want.settle(error)
            return
        self._metrics.tokens.labels(engine.name).inc(sum(len(tokens) for tokens, _ in drawn))
        for want, count, (_, events) in zip(wants, counts, drawn, strict=True):
            if not want.begun:
                want.begun = True
                self._metrics.waits.observe(monotonic() - want.since)
            want.events += events
            want.left = 0 if want.stream.ended else want.left - count
            if not want.left:
                want.settle()
