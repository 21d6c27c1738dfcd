"""The events of a stream up to a number of tokens, bars or seconds."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter

from generator.music.score import Bar, Clock, MusicEvent, Note, Tempo
from generator.streaming.band import Source
from generator.tokenizers.base import Event

ROUNDING_SECONDS = 1e-9


@dataclass(frozen=True)
class Step:
    """A step of one token and the events that it completed."""

    position: int
    """The stream's position before the token."""
    horizon_ticks: int
    """The stream's horizon after the token."""
    events: list[Event]


def in_chunks(stream: Source, size: int) -> Iterator[Step]:
    """Step through a stream until it ends. Tokens are drawn `size` at a time (0: see `Stream.step`)."""
    while not stream.ended:
        position = stream.position
        events = stream.step(size)
        yield Step(position, stream.horizon_ticks, events)


def until_tokens(stream: Source, count: int | None, size: int) -> Iterator[Event]:
    """The events of the next `count` tokens, or all events if it is None."""
    for drawn in islice(in_chunks(stream, size), count):
        yield from drawn.events


def until_bars(stream: Source, count: int, size: int) -> Iterator[Event]:
    """The events of the next `count` bars. The bar line after them is undone, so the stream will repeat it."""
    for drawn in in_chunks(stream, size):
        count -= any(isinstance(event, Bar) for event in drawn.events)
        if count < 0:
            stream.rewind(stream.position - drawn.position)
            return
        yield from drawn.events


def until_seconds(stream: Source, limit: float, clock: Clock, size: int) -> Iterator[Event]:
    """The events that start before `limit`, in seconds from the start of the stream by `clock`, which is told every new
    tempo. The stream stops just after the token that reached the limit."""
    for drawn in in_chunks(stream, size):
        for event in drawn.events:
            assert not isinstance(event, str)
            if isinstance(event, Tempo):
                clock.set(event)
            if clock.seconds(event.start_ticks) < limit:
                yield event
        if clock.seconds(drawn.horizon_ticks) >= limit:
            stream.rewind(stream.position - drawn.position - 1)
            return


def in_order(events: Iterator[Event], source: Source) -> Iterator[Event]:
    """Events of music in the order of their start, each as soon as no earlier one can follow."""
    waiting: list[MusicEvent] = []
    for event in events:
        assert not isinstance(event, str)
        insort(waiting, event, key=attrgetter("start_ticks"))
        while waiting and waiting[0].start_ticks < source.horizon_ticks:
            yield waiting.pop(0)
    yield from waiting


def last_end(events: Iterable[Event]) -> int:
    """The largest end of a note among these events, in ticks; 0 without notes."""
    return max((event.end_ticks for event in events if isinstance(event, Note)), default=0)


def last_tick(clock: Clock, seconds: float) -> int:
    """The last tick that is not after a time in seconds from the start of the stream."""
    return clock.ticks(seconds + ROUNDING_SECONDS) - 1
