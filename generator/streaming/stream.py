"""The handle that a user holds: an endless stream of events that can be steered, frozen, branched and rewound."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from generator.errors import CarouselError
from generator.music.score import Bar, Score
from generator.options import SamplingOptions
from generator.streaming.batch import CHUNK, Job
from generator.streaming.meter import Meter
from generator.streaming.origin import Change
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.base import Event, Mask

if TYPE_CHECKING:
    from generator.streaming.engine import Engine


class Stream:
    """Events without end, at a constant cost a token. Not thread-safe: one caller at a time.

    `take` and iteration are lazy: a token is drawn when its events are asked for, with the options then in force.
    """

    def __init__(self, engine: Engine, snapshot: Snapshot) -> None:
        self.engine = engine
        self._marks = [snapshot]
        self._restore(snapshot)

    def _restore(self, snapshot: Snapshot) -> None:
        self._state, self._token, self._position = snapshot.state, snapshot.token, snapshot.position
        self._timeline, self._primer = snapshot.timeline, snapshot.primer
        self._yielded = snapshot.yielded
        self._decoder = self.engine.tokenizer.decoder(snapshot.decoder)
        self._followed = snapshot.followed
        index = self.engine.index
        if index is None:
            self._followed = None
        elif self._followed is None or snapshot.corpus != index.key:  # what was said has to be heard first
            past = Stream(self.engine, self.engine.begin(self._primer, self._timeline))
            for _ in past.replay(self._position, self._timeline):
                pass
            self._followed = past._followed

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
        at_end = self._token == self.engine.tokenizer.end and self._position > len(self._primer)
        return at_end and self.options.at_end == "stop"

    @property
    def horizon_ticks(self) -> int:
        """Every event that starts before this tick has been yielded."""
        return self._decoder.horizon_ticks

    @property
    def yielded(self) -> dict[str, int]:
        """How often each constraint has yielded since the start, because no token kept to it; those that never had to
        are left out."""
        return dict(self._yielded)

    @property
    def meter(self) -> Meter | None:
        """What of it, the primer included, stands in the corpus whose index the engine has; None without one."""
        return None if self.engine.index is None else Meter(self.engine.index, self._followed)

    def allowed(self) -> Mask:
        """What the grammar lets come next, shape (vocab_size,). Read-only."""
        return self._decoder.allowed()

    def take(self, tokens: int) -> Iterator[Event]:
        """Advance by up to `tokens` tokens, one at a time; yield the events that they complete."""
        for _ in range(tokens):
            if self.ended:
                return
            yield from self._advance(1)

    def pull(self, tokens: int) -> list[Event]:
        """Advance by up to `tokens` tokens at once, which is faster; return the events that they complete."""
        return self.engine.pull([self], tokens)[0]

    def __iter__(self) -> Iterator[Event]:
        while not self.ended:
            yield from self._advance(1)

    def set(self, **changes: Any) -> None:
        """Change options from the next token on; the change is recorded in the take.

        Raises:
            CarouselError: a value is out of its bounds, or a constraint is not for this stream.
        """
        options = self.engine.constraints.settle(replace(self.options, **changes), self._primer)
        if options == self.options:
            return
        kept = tuple(change for change in self._timeline if change[0] < self._position)
        self._timeline = (*kept, (self._position, options))

    def snapshot(self) -> Snapshot:
        """This moment as a value. The stream goes on; the value stays."""
        return Snapshot(
            checkpoint=self.engine.name,
            fingerprint=self.engine.fingerprint,
            backend=self.engine.backend.name,
            position=self._position,
            timeline=self._timeline,
            primer=self._primer,
            state=self._state,
            token=self._token,
            decoder=self._decoder.state(),
            yielded=self.yielded,
            corpus=self.engine.index.key if self.engine.index else "",
            followed=self._followed,
        )

    def fork(self, **options: Any) -> Stream:
        """Another stream that goes on from here, with changed options if any are given. This one does not notice.

        Raises:
            CarouselError: a value is out of its bounds, or the engine has as many streams as it takes.
        """
        fork = self.engine.resume(self.snapshot(), **options)
        fork._marks = [*self._marks, *fork._marks]
        return fork

    def rewind(self, tokens: int = 0, *, bars: int = 0) -> None:
        """Go back by up to `tokens` tokens, or to before the last `bars` bar lines, but not into the primer; later
        changes of options are forgotten.

        What lies between two marks is drawn again, so this costs about as many tokens as it goes back. A stream that
        was resumed has no marks at first, and is drawn again from its beginning, once.

        Raises:
            CarouselError: a number is negative, or there are no bars in what the stream says.
        """
        if min(tokens, bars) < 0:
            raise CarouselError(f"cannot rewind by {min(tokens, bars)}; give 0 or more")
        if bars and self.engine.tokenizer.kind != "score":
            raise CarouselError("this checkpoint knows no bars; rewind by tokens")
        target = min(self._position - tokens, self._before_bars(bars) if bars else self._position)
        target = max(len(self._primer), target)
        while self._marks and self._marks[-1].position > target:
            self._marks.pop()
        timeline = tuple(change for change in self._timeline if change[0] <= target)
        past = Stream(self.engine, self._marks[-1] if self._marks else self.engine.begin(self._primer, timeline))
        for _ in past.replay(target, timeline):
            pass
        self._marks = [*self._marks[:-1], *past._marks]
        self._restore(past.snapshot())

    def _before_bars(self, bars: int) -> int:
        """The position before the last so many bar lines, or the primer's end where there are fewer."""
        until = self._position
        bars = min(bars, until)
        for mark in (*reversed(self._marks), None):
            if until <= len(self._primer):
                break
            past = Stream(self.engine, mark or self.engine.begin(self._primer, self._timeline))
            start = past.position
            events = past.replay(until, self._timeline, step=1)
            lines = deque((past.position - 1 for event in events if isinstance(event, Bar)), maxlen=bars)
            if mark is None:
                self._marks = [*past._marks, *self._marks]
            if len(lines) == bars:
                return lines[0]
            bars -= len(lines)
            until = start
        return len(self._primer)

    def past(self) -> Iterator[Event]:
        """Every event since the start, primer included. It is replayed, not stored, so it costs what it cost then."""
        decoder = self.engine.tokenizer.decoder()
        for token in self._primer:
            yield from decoder.feed(token)
        if self._position > len(self._primer):
            past = Stream(self.engine, self.engine.begin(self._primer, self._timeline))
            yield from past.replay(self._position, self._timeline)

    def history(self) -> Any:
        """Everything since the start, primer included, as a `str` or a `Score`; replayed, as `past`. A score knows its
        origin, which the files that it is written to carry."""
        piece = self.engine.tokenizer.collect(list(self.past()))
        return replace(piece, origin=self.snapshot().text()) if isinstance(piece, Score) else piece

    def replay(self, until: int, timeline: tuple[Change, ...], step: int = CHUNK) -> Iterator[Event]:
        """Advance to a position under a recorded timeline, by at most `step` tokens at once; yield the events."""
        starts = [position for position, _ in timeline]
        for index, end in enumerate([*starts[1:], until], start=1):
            self._timeline = timeline[:index]
            while self._position < min(end, until):
                yield from self._advance(min(step, min(end, until) - self._position))
        self._timeline = timeline

    def job(self, tokens: int, given: Sequence[int] = ()) -> Job:
        """The next tokens, at most so many, as work for the engine; `accept` takes the answer."""
        to_mark = CHUNK - self._position % CHUNK
        if to_mark == CHUNK and not given:
            self._mark()
        given = given or self.engine.constraints.start(self._timeline, len(self._primer), self._position)
        count = min(tokens, to_mark)
        memory = self._decoder.memory.copy()
        return Job(
            self._state,
            self._token,
            self._position,
            memory,
            self.options,
            count,
            given[:count],
            followed=self._followed,
        )

    def accept(self, job: Job) -> list[Event]:
        """Be where the finished job leads; return the events that its tokens complete."""
        assert job.after is not None
        self._state, self._token, self._followed = job.after, job.said[-1], job.followed_after
        self._position += len(job.said)
        for name, count in job.yielded.items():
            self._yielded = {**self._yielded, name: self._yielded.get(name, 0) + count}
        return [event for token in job.said for event in self._decoder.feed(token)]

    def read(self, tokens: Sequence[int]) -> Iterator[Event]:
        """Go through given tokens, as a primer does; yield the events that they complete."""
        start = self._position
        while (done := self._position - start) < len(tokens):
            yield from self._advance(len(tokens) - done, tokens[done : done + CHUNK])

    def _mark(self) -> None:
        """Remember this moment for rewinding, and thin out the others, one to each doubling of their age: so there are
        few, and going back by n tokens re-runs about n at most."""
        now = self._position // CHUNK

        def stays(mark: Snapshot) -> bool:
            place = mark.position // CHUNK
            return now > place and place % (1 << (now - place).bit_length() - 1) == 0

        self._marks = [*filter(stays, self._marks), self.snapshot()]

    def _advance(self, tokens: int, given: Sequence[int] = ()) -> list[Event]:
        job = self.job(tokens, given)
        self.engine.serve([job])
        return self.accept(job)
