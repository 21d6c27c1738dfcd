"""Live takes: a stream is drawn in numbered chunks, only as far as its listener needs them.

The browser asks for everything up to a position, and the stream is drawn that far. Nothing runs between two requests,
so generation ends when the tab is closed. Positions count from where listening began, in seconds of music or characters
of text.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from copy import copy
from dataclasses import asdict, replace
from math import inf
from operator import attrgetter
from threading import Lock
from typing import Any, ClassVar, Literal, NamedTuple, Self

from generator.foundation.errors import CarouselError
from generator.streaming.stream import Stream, draw
from generator.tokenizers.base import Event

MAX_CHARACTERS = 1_000_000
"""A take of text that grows beyond this length forgets its oldest half."""
TOKENS = 8
"""The number of tokens that are drawn between two looks at the clock."""
BUDGET_SECONDS = 0.5
"""A pull returns after this time with what has been drawn; the browser asks again."""
TRAIL = 4096
"""The number of steps of `TOKENS` tokens that one can go back: a quarter of an hour of music, or 30,000 characters."""
SHOWN_CHARACTERS = 4000
"""A page shows this much of the text before the opening position."""
BACK_CHARACTERS = 200
"""The distance that one goes back in text."""


class Step(NamedTuple):
    """Where a stream was before a step of `TOKENS` tokens."""

    position: int
    horizon_ticks: int
    now_ticks: int


class Live(ABC):
    """One stream and its listener. Requests wait for one another.

    This base class keeps the stream; the subclasses for text and music remember its events.
    """

    medium: ClassVar[str]
    ahead: ClassVar[float]
    """The most that one pull may draw, in the unit of positions."""

    def __init__(self, stream: Stream, name: str) -> None:
        self.name = name
        self._primer = stream.snapshot().primer
        self._begin_ticks = stream.horizon_ticks  # the tick of the stream at position 0
        self._options: dict[str, Any] = {}
        self._changes = 0
        self.given: dict[str, Any] = {}
        """Options that apply as long as the listener does not set them."""
        self.upload: Any = None
        """The uploaded primer or take that the stream continues."""
        self._continue_with(stream, ())

    def _continue_with(self, stream: Stream, trail: Iterable[Step]) -> None:
        """Begin, or begin again, with a stream of which nothing has been sent yet."""
        self._stream = stream
        self._trail = deque(trail, TRAIL)
        self._lock = Lock()
        self._applied = self._options
        self._sequence = 0
        self._last: dict[str, Any] = {}
        at = self._horizon()
        self._opening = {"at": at, **self._opening_view(at)}

    def plays(self, fingerprint: str) -> bool:
        """Whether the stream is drawn from the checkpoint with this fingerprint."""
        return self._stream.engine.fingerprint == fingerprint

    def set(self, **options: Any) -> None:
        """Change sampling options. They apply from the next pull on.

        Raises:
            CarouselError: the stream cannot obey them; it goes on as before.
        """
        options |= {name: value for name, value in self.given.items() if options.get(name) is None}
        stream = self._stream
        settled = stream.engine.constraints.settle(replace(stream.options, **options), self._primer)
        asked = self._options | {name: getattr(settled, name) for name in options}
        if asked != self._options:
            self._options = asked
            self._changes += 1

    def pull(self, have: int, until: float, heard: float = inf) -> dict[str, Any]:
        """The chunk after number `have`, as a JSON object: the new events before the position `until`, as far as they
        could be drawn within `BUDGET_SECONDS`.

        If options were changed, everything from the position `heard` on is drawn again with the new ones. The chunk
        then has a field `from`: it replaces all earlier events that start at this position or later, and brings the
        notes that sound there again, with their new lengths.

        If an answer was lost, the browser sends the same `have` again and gets the same chunk again.

        Raises:
            CarouselError: `have` is neither the number of the last chunk nor of the one before.
        """
        with self._lock:
            if self._last and have == self._sequence - 1:
                return self._last
            if have != self._sequence:
                raise CarouselError("this page and its stream are out of step; press Start")
            replaced = self._apply_options(heard)
            self._advance(min(until, self._horizon() + self.ahead))
            self._sequence += 1
            options = asdict(self._stream.options)
            options.pop("melody")  # the page does not need it, and it can be long
            counts = {"relaxed": self._stream.relaxed, "lifts": self._stream.lifts}
            state = {"options": options, **counts, "ended": self._stream.ended}
            self._last = {"seq": self._sequence, **replaced, **self._chunk(), **state}
            return self._last

    def _apply_options(self, heard: float) -> dict[str, float]:
        """Apply the options that were changed since the last pull; returns what the chunk says about it."""
        if self._options == self._applied:
            return {}
        self._applied = self._options
        if heard >= self._horizon():
            self._stream.set(**self._options)
            return {}
        fork, step, drawn = self._fork_at(self._ticks(heard), "now_ticks")
        fork.set(**self._options)
        self._restart(fork, step, drawn, fork.now_ticks)
        self._stream = fork
        while self._trail and self._trail[-1].position > step:
            self._trail.pop()
        return {"from": round(self._position(fork.now_ticks), 4)}

    def _advance(self, until: float) -> None:
        """Draw up to a position, to the end of the stream or for `BUDGET_SECONDS`."""
        deadline = time.monotonic() + BUDGET_SECONDS
        while not self._reaches(until) and not self._stream.ended and time.monotonic() < deadline:
            stream = self._stream
            step = Step(stream.position, stream.horizon_ticks, stream.now_ticks)
            self._trail.append(step)
            [(_, events)] = draw(stream.engine, [stream], TOKENS)  # no more than is due
            self._add_events(step.position, events)

    def _fork_at(
        self, ticks: int, clock: Literal["horizon_ticks", "now_ticks"] = "horizon_ticks"
    ) -> tuple[Stream, int, list[Event]]:
        """A fork of the stream that has just drawn everything before `ticks`, the position in tokens of the last step
        before that, and the events that the fork has drawn since.

        Args:
            ticks: not beyond what the stream has drawn.
            clock: with "now_ticks", notes that sound at `ticks` may have no end yet.
        """
        index = max(0, bisect_left(self._trail, ticks, key=attrgetter(clock)) - 1)
        position = self._trail[index].position if self._trail else self._stream.position
        fork = self._stream.fork()
        fork.rewind(fork.position - position)
        drawn: list[Event] = []
        while getattr(fork, clock) < ticks and not fork.ended:
            drawn += fork.step(ahead=1)
        return fork, position, drawn

    def back(self, position: float, seed: int) -> Self:
        """Another take, which goes back some bars, seconds or characters from `position` and continues with `seed`."""
        with self._lock:
            fork, step, drawn = self._fork_at(self._tick_to_go_back_to(position))
            other = copy(self)
            other._options = self._options | {"seed": seed}
            fork.set(**other._options)
            other._restart(fork, step, drawn, fork.horizon_ticks)
            other._continue_with(fork, (place for place in self._trail if place.position <= step))
        return other

    @property
    def title(self) -> str:
        """The name of the checkpoint, and the seed that was asked for last."""
        return f"{self.name}, seed {self._options.get('seed', self._stream.options.seed)}"

    def describe(self) -> dict[str, Any]:
        """What the browser needs to know before the first chunk, as a JSON object, and the number of changes of the
        options so far."""
        return {"title": self.title, "changes": self._changes, **self._opening}

    @abstractmethod
    def _opening_view(self, at: float) -> dict[str, Any]:
        """The voices, and the events before the opening position `at` that a page shows, as a JSON object."""

    def _reaches(self, position: float) -> bool:
        """Whether enough is drawn to play up to a position."""
        return self._horizon() >= position

    def _horizon(self) -> float:
        """The position before which nothing can be added any more."""
        return self._position(self._stream.horizon_ticks)

    @abstractmethod
    def _position(self, ticks: int) -> float:
        """The position of a tick of the stream."""

    @abstractmethod
    def _ticks(self, position: float) -> int:
        """The first tick of the stream that is not before a position, at most its horizon."""

    @abstractmethod
    def _tick_to_go_back_to(self, position: float) -> int:
        """The tick that `back` goes back to from a position."""

    @abstractmethod
    def _add_events(self, position: int, events: list[Any]) -> None:
        """Remember the events of a step that began at `position`, in tokens."""

    @abstractmethod
    def _restart(self, fork: Stream, step: int, drawn: list[Any], ticks: int) -> None:
        """Replace the lists of events by new ones: the events before the position `step`, and those that a fork has
        drawn since. What has not ended at `ticks` is sent again."""

    @abstractmethod
    def _chunk(self) -> dict[str, Any]:
        """The events since the last chunk, as a JSON object."""

    def heard(self, position: float) -> Any:
        """The piece up to a position, a text or a score."""
        with self._lock:
            return self._heard(position)

    @abstractmethod
    def _heard(self, position: float) -> Any:
        """As `heard`, with the lock held."""

    def saved(self, position: float) -> bytes:
        """The stream at a position, as the bytes of a take."""
        with self._lock:
            return self._fork_at(self._ticks(position))[0].snapshot().to_bytes()


class LiveText(Live):
    """A live take of text."""

    medium = "text"
    ahead = 4096.0

    def __init__(self, stream: Stream, name: str, primer: str = "") -> None:
        """Begin with a stream that has read `primer`."""
        self._primer_text = primer
        self._characters: list[str] = []
        self._forgotten = 0
        self._sent = 0
        super().__init__(stream, name)

    def _opening_view(self, at: float) -> dict[str, Any]:
        before = "".join(self._characters[-SHOWN_CHARACTERS:])
        return {"voices": [], "primer": self._primer_text[-SHOWN_CHARACTERS:], "before": before}

    def _position(self, ticks: int) -> float:
        return ticks - self._begin_ticks

    def _ticks(self, position: float) -> int:
        return self._begin_ticks + int(min(position, self._horizon()))

    def _tick_to_go_back_to(self, position: float) -> int:
        return max(self._begin_ticks, self._ticks(position) - BACK_CHARACTERS)

    def _add_events(self, position: int, events: list[str]) -> None:
        self._characters += events

    def _restart(self, fork: Stream, step: int, drawn: list[str], ticks: int) -> None:
        self._sent = ticks - self._begin_ticks
        self._characters = self._characters[: self._sent - self._forgotten]

    def _chunk(self) -> dict[str, Any]:
        text = "".join(self._characters[self._sent - self._forgotten :])
        self._sent += len(text)
        if len(self._characters) > MAX_CHARACTERS:
            self._forgotten += MAX_CHARACTERS // 2
            del self._characters[: MAX_CHARACTERS // 2]
        return {"text": text, "horizon": self._sent}

    def _heard(self, position: float) -> str:
        """The primer, which the page shows too, and the text after it."""
        return self._primer_text + "".join(self._characters[: max(0, int(position) - self._forgotten)])
