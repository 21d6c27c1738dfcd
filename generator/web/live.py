"""A take while it is made: drawn from its stream in numbered chunks, only as far as someone listens.

The browser says how far it wants to be able to play, and the stream is advanced that far. Nothing runs in between, so a
closed tab stops generation by itself. Positions, from where listening began, are seconds in music and characters in
text.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from copy import copy
from dataclasses import asdict, replace
from operator import itemgetter
from threading import Lock
from typing import Any, ClassVar, Self

from generator.foundation.errors import CarouselError
from generator.streaming.stream import Stream, draw
from generator.tokenizers.base import Event

MAX_CHARACTERS = 1_000_000
"""A take remembers this many, before it forgets the oldest half."""
TOKENS = 8
"""Tokens between two looks at the options and the clock."""
BUDGET_SECONDS = 0.5
"""A pull answers after this time with what it has; the browser asks again."""
TRAIL = 4096
"""Steps of so many tokens, as far as one can go back: a quarter of an hour of music, or 30,000 characters."""
SHOWN_CHARACTERS = 4000
"""What a page shows of what was before."""
BACK_CHARACTERS = 200


class Live(ABC):
    """One stream and its listener. Pulls wait for each other; so does what looks back, for a moment."""

    medium: ClassVar[str]
    ahead: ClassVar[float]
    """The most that one pull may ask for, beyond what is known."""

    def __init__(self, stream: Stream, title: str) -> None:
        self.title = title
        self._primer = stream.snapshot().primer
        self._begin_ticks = stream.horizon_ticks  # of the stream, at position 0
        self._options: dict[str, Any] = {}
        self.given: dict[str, Any] = {}
        """Options that hold where the listener asks for nothing else."""
        self.upload: Any = None
        """What was uploaded that it goes on from."""
        self._open(stream, ())

    def _open(self, stream: Stream, trail: Iterable[tuple[int, int]]) -> None:
        """Go on with a stream, of which nothing is sent yet."""
        self._stream = stream
        self._trail = deque(trail, TRAIL)
        """(position, horizon in ticks) of the stream before each step; options change at these places only."""
        self._lock = Lock()
        self._applied = self._options
        self._sequence = 0
        self._last: dict[str, Any] = {}
        at = self._horizon()
        self._opening = {"at": at, **self._before(at)}

    def plays(self, fingerprint: str) -> bool:
        """Whether it is drawn from the checkpoint of that fingerprint."""
        return self._stream.engine.fingerprint == fingerprint

    def set(self, **options: Any) -> None:
        """Change sampling options; the token after the next few obeys, in the middle of a pull too.

        Raises:
            CarouselError: the stream cannot obey them; it goes on as before.
        """
        options |= {name: value for name, value in self.given.items() if options.get(name) is None}
        stream = self._stream
        settled = stream.engine.constraints.settle(replace(stream.options, **options), self._primer)
        self._options = {name: getattr(settled, name) for name in options}

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
            options.pop("melody")  # the page has no use for it, and it can be long
            told = {"relaxed": self._stream.relaxed, "lifts": self._stream.lifts}
            state = {"options": options, **told, "ended": self._stream.ended}
            self._last = {"seq": self._sequence, **self._chunk(), **state}
            return self._last

    def _advance(self, until: float) -> None:
        deadline = time.monotonic() + BUDGET_SECONDS
        while not self._reaches(until) and not self._stream.ended and time.monotonic() < deadline:
            if self._options is not self._applied:
                self._applied = self._options
                self._stream.set(**self._applied)
            position = self._stream.position
            self._trail.append((position, self._stream.horizon_ticks))
            [(_, events)] = draw(self._stream.engine, [self._stream], TOKENS)  # no more than is due
            self._hear(position, events)

    def _branch(self, ticks: int) -> tuple[Stream, int, list[Event]]:
        """A fork where all before `ticks`, which is known, has just been said; and the position of the last step before
        that, with what the fork said since."""
        index = max(0, bisect_left(self._trail, ticks, key=itemgetter(1)) - 1)
        position = self._trail[index][0] if self._trail else self._stream.position
        fork = self._stream.fork()
        fork.rewind(fork.position - position)
        said: list[Event] = []
        while fork.horizon_ticks < ticks and not fork.ended:
            said += fork.step(ahead=1)
        return fork, position, said

    def back(self, position: float, seed: int) -> Self:
        """Another take, which leaves this one some bars, seconds or characters before `position`, with another seed."""
        with self._lock:
            fork, step, said = self._branch(self._earlier(position))
            other = copy(self)
            fork.set(**self._options, seed=seed)
            other._keep(fork, step, said)
            other._open(fork, (place for place in self._trail if place[0] <= step))
        other.title = f"{self.title.rpartition(', seed ')[0] or self.title}, seed {seed}"
        return other

    def describe(self) -> dict[str, Any]:
        """What the browser needs to know before the first chunk, as JSON."""
        return {"title": self.title, **self._opening}

    @abstractmethod
    def _before(self, at: float) -> dict[str, Any]:
        """Who speaks, and what was before the position at which it opens, as far as a page shows it."""

    def _reaches(self, position: float) -> bool:
        """Whether enough is known to play up to a position."""
        return self._horizon() >= position

    def _horizon(self) -> float:
        """Everything before this position is known."""
        return self._position(self._stream.horizon_ticks)

    @abstractmethod
    def _position(self, ticks: int) -> float:
        """Of ticks of the stream."""

    @abstractmethod
    def _ticks(self, position: float) -> int:
        """The first tick of the stream that is not before a position, as far as it is known."""

    @abstractmethod
    def _earlier(self, position: float) -> int:
        """The tick to which one goes back from a position."""

    @abstractmethod
    def _hear(self, position: int, events: list[Any]) -> None:
        """Remember what a step from a position of the stream on has said."""

    @abstractmethod
    def _keep(self, fork: Stream, step: int, said: list[Any]) -> None:
        """Of what is remembered keep what was said before a step, and what a fork said since, in lists of its own."""

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

    def saved(self, position: float) -> bytes:
        """The moment at `position` as a take."""
        with self._lock:
            return self._branch(self._ticks(position))[0].snapshot().to_bytes()


class LiveText(Live):
    """Characters, sent as they come."""

    medium = "text"
    ahead = 4096.0

    def __init__(self, stream: Stream, title: str, primer: str = "") -> None:
        self._read = primer
        self._characters: list[str] = []
        self._forgotten = 0
        self._sent = 0
        super().__init__(stream, title)

    def _before(self, at: float) -> dict[str, Any]:
        before = "".join(self._characters[-SHOWN_CHARACTERS:])
        return {"voices": [], "primer": self._read[-SHOWN_CHARACTERS:], "before": before}

    def _position(self, ticks: int) -> float:
        return ticks - self._begin_ticks

    def _ticks(self, position: float) -> int:
        return self._begin_ticks + int(min(position, self._horizon()))

    def _earlier(self, position: float) -> int:
        return max(self._begin_ticks, self._ticks(position) - BACK_CHARACTERS)

    def _hear(self, position: int, events: list[str]) -> None:
        self._characters += events

    def _keep(self, fork: Stream, step: int, said: list[str]) -> None:
        self._sent = fork.horizon_ticks - self._begin_ticks
        self._characters = self._characters[: self._sent - self._forgotten]

    def _chunk(self) -> dict[str, Any]:
        text = "".join(self._characters[self._sent - self._forgotten :])
        self._sent += len(text)
        if len(self._characters) > MAX_CHARACTERS:
            self._forgotten += MAX_CHARACTERS // 2
            del self._characters[: MAX_CHARACTERS // 2]
        return {"text": text, "horizon": self._sent}

    def _heard(self, position: float) -> str:
        """The primer, which stands on the page too, and what was typed after it."""
        return self._read + "".join(self._characters[: max(0, int(position) - self._forgotten)])
