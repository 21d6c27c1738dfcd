"""How a stream gets its tokens: drawn some ahead of the one who listens, and handed out one by one.

Each token depends on its position, the options there and what came before, so nothing that was drawn ahead is wrong;
what was drawn under options that are changed then, or past a phrase that is heard, is dropped. To go anywhere, back or
into the midst of what is ahead, is one thing: to start from a moment before it that was kept, and to draw up to there.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from operator import itemgetter
from threading import get_ident
from typing import Any, Self, TypeVar, cast

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.streaming.batch import CHUNK, Cursor, Job, Result
from generator.streaming.governor import Governor, lifted
from generator.streaming.origin import Change, Injection, injected_until
from generator.streaming.runtime import Runtime
from generator.streaming.snapshot import KEYFRAME_EVERY, Keyframe, Snapshot, thinned
from generator.streaming.violations import named
from generator.tokenizers import splice
from generator.tokenizers.base import Event

F = TypeVar("F", bound=Callable[..., Any])
Progress = Callable[..., None]
"""Is told what a stream goes through, how many tokens of it are done, and how many there are (`progress.when_slow`)."""


def quiet(what: str, done: int, total: int) -> None:
    """A `Progress` that nobody sees."""


def alone(method: F) -> F:
    """A method of a stream that refuses to run while another thread is within one."""

    @wraps(method)
    def checked(stream: Course, *args: Any, **kwargs: Any) -> Any:
        stream._enter()
        try:
            return method(stream, *args, **kwargs)
        finally:
            stream._leave()

    return cast(F, checked)


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """Tokens that follow a cursor, of which the first `out` have been handed out."""

    start: Cursor
    tokens: Sequence[int]
    relaxed: Sequence[int]
    """The constraints that were relaxed for each token, as `Result.relaxed`."""
    end: Cursor | None
    """The cursor after them; None where that is not known yet."""
    out: int = 0

    @property
    def position(self) -> int:
        """Of the next token that is handed out."""
        return self.start.position + self.out

    @property
    def is_used_up(self) -> bool:
        return self.out == len(self.tokens)


class Course:
    """The way of one stream through its tokens."""

    def __init__(self, engine: Runtime, snapshot: Snapshot, progress: Progress = quiet) -> None:
        self.engine, self._progress = engine, progress
        self._within: dict[str, int] = {}
        self._keyframes = [Keyframe.of(snapshot)]
        self._tokens = None if snapshot.position else array("H")
        """All so far, the primer's included; None where they are not known yet, as after a take."""
        self._restore(snapshot)

    @classmethod
    def begin(
        cls, engine: Runtime, primer: Sequence[int], timeline: tuple[Change, ...], progress: Progress = quiet
    ) -> Self:
        """A stream that has gone through a primer; options hold from position 0."""
        stream = cls(engine, engine.zero(timeline), progress)
        for _ in stream.read(primer):
            pass
        stream._primer = tuple(primer)
        stream._keyframes = [Keyframe.of(stream._snapshot())]
        return stream

    def _enter(self) -> None:
        here = get_ident()
        if self._within.setdefault("thread", here) != here:
            raise CarouselError("two threads use one stream at once; give each its own, with fork()")

    def _leave(self) -> None:
        self._within.clear()

    def _restore(self, snapshot: Snapshot) -> None:
        """Be where a snapshot was taken."""
        self._timeline, self._primer, self._injected = snapshot.timeline, snapshot.primer, snapshot.injected
        self._relaxed = dict(snapshot.relaxed)
        self._decoder = self.engine.tokenizer.decoder(snapshot.decoder)
        self._governor = Governor(self._decoder, self.engine.tokenizer.medium == "text", snapshot.detector)
        self._written = snapshot.position
        """Up to here the timeline is written, and the governor has no say."""
        self._ahead = 1
        """How many tokens are drawn ahead next; while all of them are used up, twice as many each time."""
        index, match = self.engine.index, snapshot.match
        start = Cursor(snapshot.state, snapshot.token, snapshot.position, self._decoder.memory.copy(), None)
        self._reach = Reach(start, (), (), start)
        if index is not None:
            if match is None or snapshot.corpus != index.key:  # it has to read the past first
                match = index.begin()
                index.follow(match, self._past_tokens())
            start = replace(start, match=match)
            self._reach = Reach(start, (), (), start)
        self._torn = False
        """Whether an interrupt broke off what was being handed out."""

    @property
    def options(self) -> SamplingOptions:
        """The options in force."""
        return self._timeline[-1][1]

    @property
    def position(self) -> int:
        """Tokens so far, the primer's included."""
        return self._reach.position

    def _change(self, options: SamplingOptions, position: int) -> None:
        """Have these options in force from there on."""
        kept = self._timeline[:-1] if self._timeline[-1][0] == position else self._timeline
        self._timeline = (*kept, (position, options))

    def _snapshot(self) -> Snapshot:
        cursor = self._cursor()
        return Snapshot(
            checkpoint=self.engine.name,
            fingerprint=self.engine.fingerprint,
            backend=self.engine.backend.name,
            position=cursor.position,
            timeline=self._timeline,
            primer=self._primer,
            injected=injected_until(self._injected, cursor.position),
            state=cursor.state,
            token=cursor.token,
            decoder=self._decoder.state(),
            relaxed=dict(self._relaxed),
            corpus=self.engine.index.key if self.engine.index else "",
            match=cursor.match,
            detector=self._governor.detector.copy(),
        )

    def _past_tokens(self) -> array[int]:
        """All tokens so far."""
        if self._tokens is None:
            past = type(self).begin(self.engine, self._primer, self._timeline, self._progress)
            for _ in past.replay(self.position, self._timeline, self._injected):
                pass
            self._tokens, self._keyframes = past._tokens, past._keyframes
        assert self._tokens is not None
        return self._tokens

    def replay(self, until: int, timeline: tuple[Change, ...], injected: tuple[Injection, ...] = ()) -> Iterator[Event]:
        """Advance to a position under a recorded timeline and through what was heard; yield the events.

        Raises:
            CarouselError: a token was heard that the grammar does not allow there.
        """
        self._injected, self._written = injected, until
        starts = [position for position, _ in timeline]
        for index, end in enumerate([*starts[1:], until], start=1):
            self._timeline = timeline[:index]
            while self.position < min(end, until):
                yield from self._advance(min(end, until) - self.position)
                self._progress("drawing the past again", self.position, until)
        self._timeline = timeline

    def read(self, tokens: Sequence[int]) -> Iterator[Event]:
        """Go through given tokens, as a primer does; yield the events that they complete."""
        start = self.position
        self._written = start + len(tokens)
        while (done := self.position - start) < len(tokens):
            yield from self._advance(len(tokens) - done, tokens[done : done + CHUNK])
            self._progress("reading the primer", self.position - start, len(tokens))

    def _go_to(self, target: int) -> None:
        """Be at an earlier position, or, whole again, at the present one."""
        timeline = tuple(change for change in self._timeline if change[0] <= target)
        keyframes = [keyframe for keyframe in self._keyframes if keyframe.position <= target]
        if keyframes:
            past = type(self)(self.engine, keyframes[-1].snapshot(timeline, self._primer), self._progress)
            past._tokens = None if self._tokens is None else self._tokens[: past.position]
            past._keyframes = keyframes
        else:
            past = type(self).begin(self.engine, self._primer, timeline, self._progress)
        for _ in past.replay(target, timeline, injected_until(self._injected, target)):
            pass
        kept = {"engine": self.engine, "_within": self._within}
        vars(self).update(vars(past) | kept)  # at once: an interrupt leaves the one or the other

    def _mend(self) -> None:
        """Undo what an interrupt broke off."""
        if self._torn:
            self._go_to(self.position)
        start, phrase = self._injected[-1] if self._injected else (0, ())
        if start + len(phrase) > self.position:  # within a phrase
            self._drop_ahead()
            self._injected = injected_until(self._injected, self.position)

    def _cursor(self) -> Cursor:
        """The cursor at the position."""
        reach = self._reach
        if reach.out == 0:
            return reach.start
        if not reach.is_used_up or reach.end is None:
            job = Job(reach.start, self.options, reach.out, reach.tokens[: reach.out])
            end = self.engine.run([job])[0].end
            reach = self._reach = Reach(end, reach.tokens[reach.out :], reach.relaxed[reach.out :], reach.end)
            return end
        return reach.end

    def _drop_ahead(self) -> None:
        """Forget what is drawn and not handed out."""
        reach = self._reach
        if not reach.is_used_up:
            self._reach = replace(reach, tokens=reach.tokens[: reach.out], relaxed=reach.relaxed[: reach.out], end=None)
        self._ahead = 1

    def _job(self, tokens: int, given: Sequence[int] = ()) -> Job:
        """The next tokens, at most so many, as work for the engine, where none are left to hand out."""
        start = self._cursor()
        if not given and not (
            self._keyframes and start.position // KEYFRAME_EVERY == self._keyframes[-1].position // KEYFRAME_EVERY
        ):
            self._keyframes = [*thinned(self._keyframes, start.position), Keyframe.of(self._snapshot())]
        injected, to_phrase = self._next_injected(start.position)
        count = min(tokens, CHUNK, to_phrase)
        if injected:
            splice.check(self.engine.tokenizer, self._decoder, injected[:count])
            count = min(count, len(injected))
        given = given or injected or self.engine.constraints.start(self._timeline, len(self._primer), start.position)
        return Job(start, lifted(self.options), count, given[:count])

    def _job_ahead(self, tokens: int) -> Job:
        """As `_job`, or more tokens, twice as many as the last time: all of those have been used up."""
        count = max(tokens, self._ahead)
        self._ahead = min(2 * count, CHUNK)
        return self._job(count)

    def _next_injected(self, position: int) -> tuple[Sequence[int], int]:
        """What was heard from a position on, and how far it is to the next phrase."""
        index = bisect_right(self._injected, position, key=itemgetter(0))
        to_phrase = self._injected[index][0] - position if index < len(self._injected) else CHUNK
        start, tokens = self._injected[index - 1] if index else (0, ())
        return tokens[position - start :], to_phrase

    def _arrive(self, job: Job, result: Result) -> None:
        """Have the tokens of a finished job to hand out."""
        self._reach = Reach(job.start, result.tokens, result.relaxed, result.end)

    def _draw(self, job: Job) -> None:
        self._arrive(job, *self.engine.run([job]))

    def _advance(self, tokens: int, given: Sequence[int] = ()) -> list[Event]:
        """Hand out at most so many tokens, as many as are at hand; draw them where there are none."""
        if self._reach.is_used_up:
            self._draw(self._job(tokens, given))
        return self._hand_out(tokens)[1]

    def _hand_out(self, tokens: int) -> tuple[Sequence[int], list[Event]]:
        """Go on by at most so many of the tokens at hand, as far as the governor lets them pass; return them, and the
        events that they complete."""
        reach, governor = self._reach, self._governor
        next_ones = reach.tokens[reach.out : reach.out + tokens]
        self._torn = True
        events, count, options = governor.hear(next_ones, reach.position, self._written, self.options)
        steered = options is not self.options
        if steered:
            self._change(options, reach.position + count)
        if self._tokens is not None:
            self._tokens.extend(next_ones[:count])
        for broken in filter(None, reach.relaxed[reach.out : reach.out + count]):
            for name in named(broken):
                self._relaxed[name] = self._relaxed.get(name, 0) + 1
        self._reach = replace(reach, out=reach.out + count)
        if steered:  # what follows was drawn under other options
            self._drop_ahead()
        self._torn = False
        return next_ones[:count], events
