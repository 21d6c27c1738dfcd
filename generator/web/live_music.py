"""Music while it is made: notes, sent in order of their start once nothing can come before them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from generator.cli.takes import piece_of
from generator.music.score import Bar, Clock, MusicEvent, Note, Pedal, PieceEnd, Score, Tempo, TimeSignature
from generator.streaming.origin import Cut
from generator.streaming.stream import Stream
from generator.web.live import Live

MAX_EVENTS = 100_000
"""A take remembers this many events of music, some four hours, before it forgets the oldest half."""
SHOWN_SECONDS = 12.0
"""What a page shows of what was before."""
BACK_BARS = 8
BACK_SECONDS = 15.0
"""Where there are no bars."""


class LiveMusic(Live):
    """A file of it holds the stream from its beginning, the primer included, and tells its origin."""

    medium = "music"
    ahead = 30.0

    def __init__(self, stream: Stream, title: str, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._clock = Clock(tokenizer.ticks_per_quarter)
        self._events: list[tuple[int, MusicEvent]] = []
        """With the position of the step that said it, in the order in which they were said."""
        self._start_ticks = 0  # what is remembered begins here
        self._begin_seconds = 0.0
        self._remember(-1, stream.past())  # of the primer, or of a take that is gone on from
        self._waiting = self._since(stream.horizon_ticks)
        """What is not sent yet."""
        self._begin_seconds = self._clock.seconds(stream.horizon_ticks)
        super().__init__(stream, title)

    def _remember(self, position: int, events: Iterable[Any]) -> None:
        for event in events:
            self._events.append((position, event))
            if isinstance(event, Tempo):
                self._clock.set(event)

    def _since(self, ticks: int) -> list[MusicEvent]:
        """What is remembered from there on: under a note that sounds on, others have ended and the pedal has moved."""
        return [event for _, event in self._events if event.start_ticks >= ticks]

    def _before(self, at: float) -> dict[str, Any]:
        since, now = self._ticks(at - SHOWN_SECONDS), self._stream.horizon_ticks
        before = [event for _, event in self._events if event.start_ticks < now]
        shown = self._json(event for event in before if event.start_ticks >= since)
        pedals = {event.voice: event for event in before if isinstance(event, Pedal)}
        shown["pedals"] = self._json(pedals.values())["pedals"]  # how they stand now, however long that is
        bars = sum(isinstance(event, Bar) for event in before) - len(shown["bars"])
        return {"voices": [asdict(voice) for voice in self._tokenizer.voices], "before": shown, "bars": bars}

    def _position(self, ticks: int) -> float:
        return self._clock.seconds(ticks) - self._begin_seconds

    def _ticks(self, position: float) -> int:
        return bisect_left(range(self._stream.horizon_ticks), position, key=self._position)

    def _earlier(self, position: float) -> int:
        here = self._ticks(position)
        bars = [event.start_ticks for _, event in self._events if isinstance(event, Bar) and event.start_ticks <= here]
        return bars[-BACK_BARS:][0] if bars else self._ticks(position - BACK_SECONDS)

    def _reaches(self, position: float) -> bool:
        """The first chunk has a note in it, for nobody waits for the silence before a pickup."""
        horizon = self._stream.horizon_ticks
        sounds = (isinstance(event, Note) and event.start_ticks < horizon for event in self._waiting)
        return super()._reaches(position) and (self._sequence > 0 or any(sounds))

    def _hear(self, position: int, events: list[MusicEvent]) -> None:
        self._remember(position, events)
        self._waiting += events

    def _keep(self, fork: Stream, step: int, said: list[MusicEvent]) -> None:
        events = [(position, event) for position, event in self._events if position < step]
        self._clock, self._events = Clock(self._tokenizer.ticks_per_quarter), []
        for position, event in events:
            self._remember(position, [event])
        self._remember(step, said)
        self._waiting = self._since(fork.horizon_ticks)

    def _chunk(self) -> dict[str, Any]:
        horizon = self._stream.horizon_ticks
        known = sorted((event for event in self._waiting if event.start_ticks < horizon), key=lambda e: e.start_ticks)
        self._waiting = [event for event in self._waiting if event.start_ticks >= horizon]
        self._forget()
        return {**self._json(known), "horizon": round(self._position(horizon), 4)}

    def _json(self, events: Iterable[MusicEvent]) -> dict[str, Any]:
        events = list(events)

        def seconds(ticks: int) -> float:
            return round(self._position(ticks), 4)

        def span(note: Note) -> tuple[float, float]:
            start = seconds(note.start_ticks)
            return start, round(seconds(note.end_ticks) - start, 4)

        def starts(kind: type[MusicEvent]) -> list[float]:
            return [seconds(event.start_ticks) for event in events if isinstance(event, kind)]

        return {
            "notes": [
                [*span(note), note.pitch, note.velocity, note.voice] for note in events if isinstance(note, Note)
            ],
            "pedals": [
                [seconds(event.start_ticks), event.down, event.voice] for event in events if isinstance(event, Pedal)
            ],
            "bars": starts(Bar),
            "ends": starts(PieceEnd),
        }

    def _forget(self) -> None:
        """Halve a very long memory at a bar line; the last tempo, metre and pedals stay, for they still hold."""
        if len(self._events) <= MAX_EVENTS:
            return
        half = MAX_EVENTS // 2
        old, new = self._events[:half], self._events[half:]
        last = max(event.start_ticks for _, event in old)
        bars = (event.start_ticks for _, event in new if isinstance(event, Bar) and event.start_ticks > last)
        self._start_ticks = next(bars, last + 1)
        holding = (said for said in old if isinstance(said[1], Tempo | TimeSignature | Pedal))
        in_force = {(type(event), getattr(event, "voice", 0)): (position, event) for position, event in holding}
        self._events = [*in_force.values(), *new]

    def _heard(self, position: float) -> Score:
        """As `sample --seconds` would write it; after a part was forgotten, the rest of it, without its origin."""
        whole = self._stream.ended and position >= self._horizon()
        end = self._stream.horizon_ticks if whole else self._ticks(position)
        events = [event for _, event in self._events if whole or event.start_ticks < end]
        if self._start_ticks:
            score: Score = self._tokenizer.collect(events)
            return score.between(self._start_ticks, max(end, score.end_ticks) if whole else end)
        piece = piece_of(self._tokenizer, events, self._stream.snapshot(), None if whole else Cut(end))
        assert isinstance(piece, Score)
        return piece
