"""A take while it is made: drawn from its stream in numbered chunks, only as far as someone listens.

The browser says how far it wants to be able to play, and the stream is advanced that far. Nothing runs in between, so a
closed tab stops generation by itself. Positions are seconds in music and characters in text.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import asdict
from threading import Lock
from typing import Any, ClassVar

from generator.errors import CarouselError
from generator.music.score import Bar, Clock, MusicEvent, Note, Pedal, PieceEnd, Score, Tempo, TimeSignature
from generator.streaming.stream import Stream

MAX_EVENTS = 100_000
"""A take remembers this many events of music, some four hours, before it forgets the oldest half."""
MAX_CHARACTERS = 1_000_000
TOKENS = 8
"""Tokens between two looks at the options and the clock."""
BUDGET_SECONDS = 0.5
"""A pull answers after this time with what it has; the browser asks again."""


class Live(ABC):
    """One stream and its listener. Pulls wait for each other; everything else answers at once."""

    medium: ClassVar[str]
    ahead: ClassVar[float]
    """The most that one pull may ask for, beyond what is known."""

    def __init__(self, stream: Stream, title: str) -> None:
        self.title = title
        self._stream = stream
        self._lock = Lock()
        self._options: dict[str, Any] = {}
        self._applied = self._options
        self._sequence = 0
        self._last: dict[str, Any] = {}

    def set(self, **options: Any) -> None:
        """Change sampling options; the token after the next few obeys, in the middle of a pull too."""
        self._options = options

    def pull(self, have: int, until: float) -> dict[str, Any]:
        """The chunk after number `have`, with everything that happens before `until` as far as it was made in time.

        An answer that was lost on its way is asked for again with the same `have`, and is sent again.

        Raises:
            CarouselError: `have` is neither the last chunk nor the one before.
        """
        with self._lock:
            if self._last and have == self._sequence - 1:
                return self._last
            if have != self._sequence:
                raise CarouselError("this page and its stream are out of step; press Start")
            self._advance(min(until, self._horizon() + self.ahead))
            self._sequence += 1
            options = asdict(self._stream.options)
            self._last = {"seq": self._sequence, **self._chunk(), "options": options, "ended": self._stream.ended}
            return self._last

    def _advance(self, until: float) -> None:
        deadline = time.monotonic() + BUDGET_SECONDS
        while not self._reaches(until) and not self._stream.ended and time.monotonic() < deadline:
            if self._options is not self._applied:
                self._applied = self._options
                self._stream.set(**self._applied)
            for event in self._stream.pull(TOKENS):
                self._hear(event)

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What the browser needs to know before the first chunk, as JSON."""

    def _reaches(self, position: float) -> bool:
        """Whether enough is known to play up to a position."""
        return self._horizon() >= position

    @abstractmethod
    def _horizon(self) -> float:
        """Everything before this position is known."""

    @abstractmethod
    def _hear(self, event: Any) -> None:
        """Remember one event."""

    @abstractmethod
    def _chunk(self) -> dict[str, Any]:
        """What became known since the last chunk, as JSON."""

    def heard(self, position: float) -> Any:
        """The piece as far as `position`; a pull under way is waited for."""
        with self._lock:
            return self._heard(position)

    @abstractmethod
    def _heard(self, position: float) -> Any:
        """The piece as far as `position`."""


class LiveText(Live):
    """Characters, sent as they come."""

    medium = "text"
    ahead = 4096.0

    def __init__(self, stream: Stream, title: str, primer: str = "") -> None:
        super().__init__(stream, title)
        self._primer = primer
        self._characters: list[str] = []
        self._forgotten = 0
        self._sent = 0

    def describe(self) -> dict[str, Any]:
        return {"title": self.title, "voices": [], "primer": self._primer}

    def _horizon(self) -> float:
        return self._forgotten + len(self._characters)

    def _hear(self, event: str) -> None:
        self._characters.append(event)

    def _chunk(self) -> dict[str, Any]:
        text = "".join(self._characters[self._sent - self._forgotten :])
        self._sent += len(text)
        if len(self._characters) > MAX_CHARACTERS:
            self._forgotten += MAX_CHARACTERS // 2
            del self._characters[: MAX_CHARACTERS // 2]
        return {"text": text, "horizon": self._sent}

    def _heard(self, position: float) -> str:
        """The primer, which stands on the page too, and what was typed after it."""
        return self._primer + "".join(self._characters[: max(0, int(position) - self._forgotten)])


class LiveMusic(Live):
    """Notes, sent in order of their start once nothing can come before them."""

    medium = "music"
    ahead = 30.0

    def __init__(self, stream: Stream, title: str, tokenizer: Any) -> None:
        super().__init__(stream, title)
        self._tokenizer = tokenizer
        self._clock = Clock(tokenizer.ticks_per_quarter)
        self._events: list[MusicEvent] = []
        self._sent = 0
        self._start_ticks = self._horizon_ticks()
        decoder = tokenizer.decoder()
        for token in stream.snapshot().primer:
            for event in decoder.feed(token):
                if isinstance(event, Tempo | TimeSignature):  # they hold on after the primer
                    self._hear(event)
        self._start_seconds = self._clock.seconds(self._start_ticks)

    def describe(self) -> dict[str, Any]:
        return {"title": self.title, "voices": [asdict(voice) for voice in self._tokenizer.voices], "primer": ""}

    def _seconds(self, ticks: int) -> float:
        """Seconds since the start of what is heard."""
        return self._clock.seconds(ticks) - self._start_seconds

    def _horizon(self) -> float:
        return self._seconds(self._horizon_ticks())

    def _reaches(self, position: float) -> bool:
        """The first chunk has a note in it, for nobody waits for the silence before a pickup."""
        horizon = self._horizon_ticks()
        return super()._reaches(position) and (
            self._sent > 0 or any(isinstance(event, Note) and event.start_ticks < horizon for event in self._events)
        )

    def _horizon_ticks(self) -> int:
        return int(self._stream.horizon_ticks)

    def _hear(self, event: MusicEvent) -> None:
        self._events.append(event)
        if isinstance(event, Tempo):
            self._clock.set(event)

    def _chunk(self) -> dict[str, Any]:
        horizon = self._horizon_ticks()
        waiting = self._events[self._sent :]
        known = sorted((event for event in waiting if event.start_ticks < horizon), key=lambda event: event.start_ticks)
        self._events[self._sent :] = known + [event for event in waiting if event.start_ticks >= horizon]
        self._sent += len(known)
        self._forget()
        known = [event for event in known if event.start_ticks >= self._start_ticks]

        def seconds(ticks: int) -> float:
            return round(self._seconds(ticks), 4)

        def span(note: Note) -> tuple[float, float]:
            start = seconds(note.start_ticks)
            return start, round(seconds(note.end_ticks) - start, 4)

        def starts(kind: type[MusicEvent]) -> list[float]:
            return [seconds(event.start_ticks) for event in known if isinstance(event, kind)]

        return {
            "notes": [[*span(note), note.pitch, note.velocity, note.voice] for note in known if isinstance(note, Note)],
            "pedals": [
                [seconds(event.start_ticks), event.down, event.voice] for event in known if isinstance(event, Pedal)
            ],
            "bars": starts(Bar),
            "ends": starts(PieceEnd),
            "horizon": seconds(horizon),
        }

    def _forget(self) -> None:
        """Halve a very long memory at a bar line; the last tempo, metre and pedals stay, for they still hold."""
        if len(self._events) <= MAX_EVENTS:
            return
        half = MAX_EVENTS // 2
        old, new = self._events[:half], self._events[half:]
        self._start_ticks = next((event.start_ticks for event in new if isinstance(event, Bar)), new[0].start_ticks)
        holding = (event for event in old if isinstance(event, Tempo | TimeSignature | Pedal))
        in_force = {(type(event), getattr(event, "voice", 0)): event for event in holding}
        self._events = [*in_force.values(), *new]
        self._sent -= half + len(new) - len(self._events)

    def _heard(self, position: float) -> Score:
        end = bisect_left(range(self._horizon_ticks()), position, key=self._seconds)
        score: Score = self._tokenizer.collect(list(self._events))
        return score.between(self._start_ticks, end)
