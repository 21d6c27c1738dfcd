"""Until when: the events of a stream up to so many tokens, bars or seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from generator.music.score import Bar, Clock, Note, Tempo
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event

ROUNDING_SECONDS = 1e-9


@dataclass(frozen=True)
class Drawn:
    """What one token gave."""

    position: int
    """Of the stream before the token."""
    horizon_ticks: int
    """Of the stream after it."""
    events: list[Event]


def in_chunks(stream: Stream, size: int) -> Iterator[Drawn]:
    """Token by token, but drawn so many at a time; 0: as many as are used up."""
    while not stream.ended:
        position = stream.position
        events = stream.step(size)
        yield Drawn(position, stream.horizon_ticks, events)


def until_tokens(stream: Stream, count: int | None, size: int) -> Iterator[Event]:
    """The events of that many tokens, or all there will ever be."""
    for drawn in islice(in_chunks(stream, size), count):
        yield from drawn.events


def until_bars(stream: Stream, count: int, size: int) -> Iterator[Event]:
    """The events of that many bars. The bar line that follows them is undone, so that the stream can go on with it."""
    for drawn in in_chunks(stream, size):
        count -= any(isinstance(event, Bar) for event in drawn.events)
        if count < 0:
            stream.rewind(stream.position - drawn.position)
            return
        yield from drawn.events


def until_seconds(stream: Stream, limit: float, clock: Clock, size: int) -> Iterator[Event]:
    """The events that start before a time, in seconds from the start of the stream."""
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


def last_end(events: Iterable[Event]) -> int:
    """The tick where the last of the notes among these events ends; 0 without notes."""
    return max((event.end_ticks for event in events if isinstance(event, Note)), default=0)


def last_tick(clock: Clock, seconds: float) -> int:
    """The last tick that is not after this time."""
    return clock.ticks(seconds + ROUNDING_SECONDS) - 1
