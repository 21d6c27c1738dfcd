"""Live takes: a stream is drawn in numbered chunks, only as far as its listener needs them.

The browser asks for everything up to a position, and the stream is drawn that far. Nothing runs between two requests,
so generation ends when the tab is closed. Positions count from the end of the primer, in seconds of music or characters
of text.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from copy import copy
from dataclasses import asdict, replace
from math import inf
from threading import Lock
from typing import Any, Self

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.streaming import redraw
from generator.streaming.runtime import Runtime
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream, draw
from generator.tokenizers.base import Event
from generator.web.listening import Phrase
from generator.web.live_events import Events
from generator.web.trail import SOON, Trail, Watched

TOKENS = 8
"""The number of tokens that are drawn between two looks at the clock."""
TOKENS_ASIDE = 64
"""As many where nobody listens."""
BUDGET_SECONDS = 0.5
"""A pull returns after this time with what has been drawn; the browser asks again."""
ANSWER_SECONDS = 1.0
"""So much of the answer to a phrase is drawn at once."""
ROUNDED = 1e-3
"""Positions on the page are rounded by less than this."""
ORIGIN_TOKENS = 2048
"""After so many tokens the browser gets the origin again, so that a take which is lost is soon drawn again."""


class Live(Events):
    """One stream and its listener. Requests wait for one another.

    This base class keeps the stream; the subclasses for text and music remember its events.
    """

    def __init__(self, stream: Stream, name: str, at: float | None = None) -> None:
        """Begin with a stream that may have a past.

        Args:
            at: the position from which on it is heard, by default its end.
        """
        self.name = name
        self._stream = stream
        self.options: SamplingOptions = stream.options
        """The options that were asked for last."""
        self._applied = self.options
        self._changes = 0
        self._setting = Lock()  # not the one of the requests: nobody who turns a knob waits for what is drawn
        self.given: dict[str, Any] = {}
        """Options that apply as long as the listener does not set them."""
        self.upload: Any = None
        """The uploaded primer or take that the stream continues."""
        self._trail = Trail()
        self._read(stream)
        self._listen_from(at)

    def _read(self, stream: Stream) -> None:
        """Remember the events of the stream so far."""
        self._primer = stream.snapshot().primer
        tokens, primed = stream.tokens(), len(self._primer)
        decoder = stream.engine.tokenizer.decoder()
        self._add_events(0, decoder.feed_all(tokens[:primed].tolist()))
        self._begin(decoder.horizon_ticks)
        for position in range(primed, len(tokens), TOKENS):
            self._trail.add(position, decoder.horizon_ticks, decoder.now_ticks)
            self._add_events(position, decoder.feed_all(tokens[position : position + TOKENS].tolist()))

    def _listen_from(self, at: float | None = None) -> None:
        """Begin, or begin again, at a position, by default at the end, with a listener to whom nothing was sent yet."""
        stream = self._stream
        most = stream.position + ORIGIN_TOKENS
        while at is not None and self._horizon() < at and not stream.ended and stream.position < most:
            self._step()
        ticks = stream.horizon_ticks if at is None else self._ticks(at)
        self._lock = Lock()
        self._sequence = 0
        self._last: dict[str, Any] = {}
        self._origin_sent: tuple[int, SamplingOptions | None] = (0, None)
        self._send_from(ticks)
        self._opening = {"at": self._position(ticks), **self._opening_view(ticks)}

    @property
    def engine(self) -> Runtime:
        """What draws the stream."""
        return self._stream.engine

    def set(self, **options: Any) -> None:
        """Change sampling options. They apply from the next pull on.

        Raises:
            CarouselError: the stream cannot obey them; it goes on as before.
        """
        options |= {name: value for name, value in self.given.items() if options.get(name) is None}
        with self._setting:
            settled = self.engine.settle(replace(self.options, **options), self._primer)
            if settled != self.options:
                self.options = settled
                self._changes += 1

    def pull(self, have: int, until: float, heard: float = inf, phrase: Phrase | None = None) -> dict[str, Any]:
        """The chunk after number `have`, as a JSON object: the new events before the position `until`, as far as they
        could be drawn within `BUDGET_SECONDS`.

        If options were changed, everything from the position `heard` on is drawn again with the new ones. The chunk
        then has a field `from`: it replaces all earlier events that start at this position or later, and brings the
        notes that sound there again, with their new lengths. The same holds for a phrase that a musician has played:
        the stream hears it at the position `heard` and answers. The field `phrase` then says where, or why not.

        If an answer was lost, the browser sends the same `have` again and gets the same chunk again.

        Raises:
            CarouselError: `have` is neither the number of the last chunk nor of the one before.
        """
        with self._lock:
            if self._last and have == self._sequence - 1:
                return self._last
            if have != self._sequence:
                raise CarouselError("this page and its stream are out of step; press Start")
            replaced = self._apply_changes(heard, phrase)
            if phrase is not None:
                until = max(until, self._horizon() + ANSWER_SECONDS)
            self._advance(min(until, self._horizon() + self.ahead))
            self._sequence += 1
            stream = self._stream
            options = asdict(stream.options)
            options.pop("melody")  # the page does not need it, and it can be long
            state = {"options": options, "relaxed": stream.relaxed, "lifts": stream.lifts, **self._origin()}
            self._last = {"seq": self._sequence, **replaced, **self._chunk(), **state}
            return self._last

    def _apply_changes(self, heard: float, phrase: Phrase | None) -> dict[str, Any]:
        """Apply the options that were changed since the last pull, then hear a phrase; returns what the chunk says
        about it."""
        if self.options == self._applied and phrase is None:
            return {}
        self._applied = self.options
        if heard >= self._horizon() and phrase is None:
            self._stream.set(**self._changed_options(self._stream))
            return {}
        now = min(heard, self._sent_until())
        soon = None if phrase else self._ticks(now + SOON)
        fork, step, drawn = self._trail.fork_soon(self._stream, self._ticks(now), soon, self.options)
        fork.set(**self._changed_options(fork))
        self._go_on_with(fork, step, drawn)
        self._send_from(fork.now_ticks)
        replaced: dict[str, Any] = {"from": round(self._position(fork.now_ticks), 4)}
        if phrase is not None:
            replaced["phrase"] = self._listen(phrase)
            self._origin_sent = (0, None)  # the browser needs another one
        return replaced

    def _changed_options(self, stream: Stream) -> dict[str, Any]:
        """The options that a stream does not have yet."""
        wanted, now = asdict(self.options), asdict(stream.options)
        return {name: wanted[name] for name in wanted if wanted[name] != now[name] and name != "lift"}

    def _origin(self) -> dict[str, str]:
        """The origin of the stream, from which it can be drawn again, if the browser does not have it yet."""
        position, options = self._origin_sent
        if options == self._applied and self._stream.position < position + ORIGIN_TOKENS:
            return {}
        self._origin_sent = self._stream.position, self._applied
        return {"origin": self._taken(self._stream).text()}

    def _advance(self, until: float, tokens: int = TOKENS) -> None:
        """Draw up to a position, to the end of the stream or for `BUDGET_SECONDS`, so many tokens at a time."""
        deadline = time.monotonic() + BUDGET_SECONDS
        while not self._reaches(until) and not self._stream.ended and time.monotonic() < deadline:
            self._step(tokens)

    def _step(self, tokens: int = TOKENS) -> None:
        """Draw some tokens, no more than are due."""
        stream, position = self._stream, self._stream.position
        self._trail.add(position, stream.horizon_ticks, stream.now_ticks)
        [(_, events)] = draw(stream.engine, [stream], tokens)
        self._add_events(position, events)

    def back(self, position: float, seed: int) -> Self:
        """Another take, which goes back some bars, seconds or characters from `position` and continues with `seed`."""
        with self._lock:
            other = self._branch(*self._trail.fork(self._stream, self._tick_to_go_back_to(position)), seed=seed)
        other._listen_from()
        return other

    def choose(self, position: int, token: int, at: float) -> Self:
        """Another take, which has this token at a position in tokens, goes on from there, and is heard from `at` on.

        Raises:
            CarouselError: the token cannot come there, or it is too long ago.
        """
        with self._lock:
            fork, step, drawn = self._trail.fork_at(self._stream, position)
            other = self._branch(fork, step, [*drawn, *fork.choose(token)])
        other._listen_from(at)
        return other

    def redraw(self, since: float, until: float, voices: Collection[int], count: int, seed: int, at: float) -> Self:
        """Another take, in which these voices are drawn again from the bar line at one position to the one at another:
        the best of `count` candidates. It is heard from `at` on.

        Raises:
            CarouselError: as `redraw.redraw`, or it is too long ago.
        """
        with self._lock:
            stream = self._stream
            start, stop = (
                redraw.opening(stream, self._trail.fork(stream, self._ticks(line - ROUNDED), "now_ticks")[0].position)
                for line in (since, until)
            )
            fork, step, drawn = self._trail.fork_at(stream, start)
            tokens = redraw.redraw(stream, start, stop, voices, count, seed)
            other = self._branch(fork, step, [*drawn, *fork.inject(tokens)], clamp=self.options.clamp)
        other._listen_from(at)
        return other

    def _branch(self, fork: Stream, step: int, drawn: list[Event], **options: Any) -> Self:
        """Another take of a fork of the stream, with changed options; `step` and `drawn` as from `Trail.fork`.

        What is clamped belongs to its moment, unlike the options of widgets: to go back before it lets go of it."""
        other = copy(self)
        other._go_on_with(fork, step, drawn)
        other.options = other._applied = replace(self.options, **{"clamp": fork.options.clamp} | options)
        fork.set(**other._changed_options(fork))
        return other

    def again(self, position: float) -> Self:
        """Another take of the same stream, heard from a position on."""
        with self._lock:
            other = copy(self)
            other._go_on_with(self._stream.fork(), self._stream.position, [])
            other._listen_from(position)
        return other

    def aside(self, position: float) -> Self:
        """Another take of the same stream up to a position, to which nobody listens; `draw` goes on from there with the
        present options. This take does not notice."""
        with self._lock:
            other = self._branch(*self._trail.fork(self._stream, self._ticks(position)))
        other._listen_from()
        return other

    def draw(self, until: float) -> float:
        """Draw up to a position, for `BUDGET_SECONDS` at most; returns how far all is drawn, `until` at the end."""
        with self._lock:
            self._advance(until, TOKENS_ASIDE)
            return until if self._stream.ended else min(until, self._horizon())

    def past(self) -> tuple[Stream, Trail]:
        """A fork of the stream, and its latest steps, for whoever looks back; this take does not notice."""
        with self._lock:
            return self._stream.fork(), self._trail.until(self._stream.position)

    def watch(self, since: int | None, at: float, until: float, most: int) -> tuple[Watched, list[float]]:
        """What the units did at the tokens from position `since` in tokens on, by default at those that led to the
        position `at`, up to `until`, and the positions of these tokens."""
        stream, trail = self.past()
        watched = trail.watched(stream, since, (self._ticks(at), self._ticks(until)), most)
        return watched, [round(self._position(ticks), 4) for ticks in watched.ticks]

    def _go_on_with(self, fork: Stream, step: int, drawn: list[Event]) -> None:
        """Continue with a fork of the stream, in lists of its own; `step` and `drawn` as from `Trail.fork`."""
        self._stream = fork
        self._trail = self._trail.until(step)
        self._replace_events(step, drawn)

    @property
    def title(self) -> str:
        """The name of the checkpoint, and the seed that was asked for last."""
        return f"{self.name}, seed {self.options.seed}"

    def describe(self) -> dict[str, Any]:
        """What the browser needs before the first chunk, as a JSON object, and how often the options were changed."""
        return {"title": self.title, "changes": self._changes, **self._opening}

    def heard(self, position: float) -> Any:
        """The piece up to a position, a text or a score."""
        with self._lock:
            return self._heard(position)

    def snapshot(self, position: float) -> Snapshot:
        """The stream at a position."""
        with self._lock:
            return self._taken(self._trail.fork(self._stream, self._ticks(position))[0])

    def saved(self, position: float) -> bytes:
        """The stream at a position, as the bytes of a take."""
        return self.snapshot(position).to_bytes()
