"""The handle that a user holds: an endless stream of events that can be steered, frozen, branched and rewound."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from generator.errors import CarouselError
from generator.options import SamplingOptions
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.base import Event, Mask

if TYPE_CHECKING:
    from generator.streaming.engine import Engine

MARK_EVERY = 64
MARKS = 64
"""Snapshots kept for rewinding: one every so many tokens, at most so many."""


class Stream:
    """Events without end, at a constant cost a token. Not thread-safe: one caller at a time.

    `take` and iteration are lazy: a token is drawn when its events are asked for, with the options then in force.
    """

    def __init__(self, engine: Engine, snapshot: Snapshot) -> None:
        self._engine = engine
        self._marks: deque[Snapshot] = deque([snapshot], maxlen=MARKS)
        self._restore(snapshot)

    def _restore(self, snapshot: Snapshot) -> None:
        self._state, self._token, self._position = snapshot.state, snapshot.token, snapshot.position
        self._timeline, self._primer = snapshot.timeline, snapshot.primer
        self._decoder = self._engine.tokenizer.decoder(snapshot.decoder)

    @property
    def options(self) -> SamplingOptions:
        """The options in force."""
        return self._timeline[-1][1]

    @property
    def position(self) -> int:
        """Tokens so far, the primer's included."""
        return self._position

    @property
    def ended(self) -> bool:
        """Whether a piece's end has stopped the stream (`at_end="stop"`); with another `at_end` it goes on."""
        at_end = self._token == self._engine.tokenizer.end and self._position > len(self._primer)
        return at_end and self.options.at_end == "stop"

    @property
    def horizon_ticks(self) -> int:
        """Every event that starts before this tick has been yielded."""
        return self._decoder.horizon_ticks

    def allowed(self) -> Mask:
        """What the grammar lets come next, shape (vocab_size,). Read-only."""
        return self._decoder.allowed()

    def take(self, tokens: int) -> Iterator[Event]:
        """Advance by up to `tokens` tokens; yield the events that they complete."""
        for _ in range(tokens):
            if self.ended:
                return
            yield from self._advance()

    def __iter__(self) -> Iterator[Event]:
        while not self.ended:
            yield from self._advance()

    def set(self, **changes: Any) -> None:
        """Change options from the next token on; the change is recorded in the take.

        Raises:
            CarouselError: a value is out of its bounds.
        """
        options = replace(self.options, **changes)
        if options == self.options:
            return
        kept = tuple(change for change in self._timeline if change[0] < self._position)
        self._timeline = (*kept, (self._position, options))

    def snapshot(self) -> Snapshot:
        """This moment as a value. The stream goes on; the value stays."""
        return Snapshot(
            fingerprint=self._engine.fingerprint,
            backend=self._engine.backend.name,
            state=self._state,
            token=self._token,
            position=self._position,
            timeline=self._timeline,
            primer=self._primer,
            decoder=self._decoder.state(),
        )

    def rewind(self, tokens: int) -> None:
        """Go back by up to `tokens` tokens, not into the primer; later changes of options are forgotten.

        Raises:
            CarouselError: `tokens` is negative.
        """
        if tokens < 0:
            raise CarouselError(f"cannot rewind by {tokens} tokens; give 0 or more")
        target = max(len(self._primer), self._position - tokens)
        while self._marks and self._marks[-1].position > target:
            self._marks.pop()
        timeline = tuple(change for change in self._timeline if change[0] <= target)
        past = Stream(self._engine, self._marks[-1] if self._marks else self._engine.begin(self._primer, timeline))
        for _ in past._replay(target, timeline):
            pass
        self._restore(past.snapshot())

    def past(self) -> Iterator[Event]:
        """Every event since the start, primer included. It is replayed, not stored, so it costs what it cost then."""
        past = Stream(self._engine, self._engine.begin((), self._timeline))
        for token in self._primer:
            yield from past._force(token)
        yield from past._replay(self._position, self._timeline)

    def history(self) -> Any:
        """Everything since the start, primer included, as a `str` or a `Score`; replayed, as `past`."""
        return self._engine.tokenizer.collect(list(self.past()))

    def _advance(self) -> list[Event]:
        if self._position % MARK_EVERY == 0:
            self._marks.append(self.snapshot())
        self._token, self._state = self._engine.step(
            self._token, self._state, self.allowed(), self.options, self._position
        )
        self._position += 1
        return self._decoder.feed(self._token)

    def _force(self, token: int) -> list[Event]:
        """Feed a given token, as a primer does."""
        self._state = self._engine.feed(self._token, self._state)
        self._token = token
        self._position += 1
        return self._decoder.feed(token)

    def _replay(self, until: int, timeline: tuple[tuple[int, SamplingOptions], ...]) -> Iterator[Event]:
        """Advance to a position under a recorded timeline."""
        while self._position < until:
            self._timeline = tuple(change for change in timeline if change[0] <= self._position)
            yield from self._advance()
        self._timeline = timeline
