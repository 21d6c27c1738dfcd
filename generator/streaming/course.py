"""How a stream gets its tokens: they are drawn some tokens ahead into a buffer, and handed out one by one.

A token depends only on its position, the options there and the tokens before it, so drawing ahead changes nothing. If
the options change or a phrase is injected, the rest of the buffer is discarded. There is one way to go to another
position, for example to rewind: restore the last keyframe before it, and draw again from there.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from operator import itemgetter
from threading import get_ident
from typing import Any, Self, TypeVar, cast

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.streaming.buffer import Buffer
from generator.streaming.governor import Governor, lifted
from generator.streaming.jobs import CHUNK, Cursor, Job, Result
from generator.streaming.origin import Change, Injection, injected_until
from generator.streaming.recording import Recording
from generator.streaming.runtime import Runtime
from generator.streaming.snapshot import KEYFRAME_EVERY, Keyframe, Snapshot, thinned
from generator.streaming.violations import names_of
from generator.tokenizers import splice
from generator.tokenizers.base import Event

F = TypeVar("F", bound=Callable[..., Any])
Progress = Callable[..., None]
"""A callback with a description of slow work, the tokens done so far and the tokens in all (`progress.when_slow`)."""


def quiet(what: str, done: int, total: int) -> None:
    """A `Progress` that does nothing."""


def exclusive(method: F) -> F:
    """Decorate a method of a stream: it raises a CarouselError while another thread runs such a method."""

    @wraps(method)
    def checked(stream: Course, *args: Any, **kwargs: Any) -> Any:
        stream._enter()
        try:
            return method(stream, *args, **kwargs)
        finally:
            stream._leave()

    return cast(F, checked)


class Course:
    """A stream without its public methods: its tokens, its timeline of options, and how it goes to other positions."""

    def __init__(self, engine: Runtime, snapshot: Snapshot, progress: Progress = quiet) -> None:
        self.engine, self._progress = engine, progress
        self._user: dict[str, int] = {}
        self._keyframes = [Keyframe.of(snapshot)]
        self._tokens = None if snapshot.position else array("H")
        """All tokens so far, the primer's included; None if they are not known, as in a stream from a take."""
        self._restore(snapshot)

    @classmethod
    def begin(
        cls, engine: Runtime, primer: Sequence[int], timeline: tuple[Change, ...], progress: Progress = quiet
    ) -> Self:
        """A stream that has read a primer."""
        stream = cls(engine, engine.initial_snapshot(timeline[:1]), progress)
        for _ in stream.read(primer):  # under the first options, whatever comes later
            pass
        stream._primer, stream._timeline = tuple(primer), timeline
        stream._keyframes = [Keyframe.of(stream._snapshot())]
        return stream

    def _enter(self) -> None:
        here = get_ident()
        if self._user.setdefault("thread", here) != here:
            raise CarouselError("two threads use one stream at once; give each its own, with fork()")

    def _leave(self) -> None:
        self._user.clear()

    def _restore(self, snapshot: Snapshot) -> None:
        """Set the whole state from a snapshot."""
        self._timeline, self._primer, self._injected = snapshot.timeline, snapshot.primer, snapshot.injected
        self._song = snapshot.song
        self._relaxed = dict(snapshot.relaxed)
        self._decoder = self.engine.tokenizer.decoder(snapshot.decoder)
        self._governor = Governor(self._decoder, self.engine.tokenizer.medium == "text", snapshot.detector)
        self._fixed_until = snapshot.position
        """Up to this position the timeline is recorded already, so the governor may not change it."""
        self._ahead = 1
        """The number of tokens to draw next; it doubles each time the whole buffer was used."""
        index, match = self.engine.index, snapshot.match
        start = Cursor(snapshot.state, snapshot.token, snapshot.position, self._decoder.memory.copy(), None)
        self._buffer = Buffer.empty(start, self.options)
        if index is not None:
            if match is None or snapshot.corpus != index.key:  # the search has to read the past first
                match = index.begin()
                index.follow(match, self._past_tokens())
            self._buffer = Buffer.empty(replace(start, match=match), self.options)
        self._interrupted = False
        """Whether an interrupt stopped `_hand_out` halfway."""
        self._recording: Recording | None = None

    @property
    def options(self) -> SamplingOptions:
        """The options for the next token."""
        return self._timeline[-1][1]

    @property
    def position(self) -> int:
        """The number of tokens so far, the primer's included."""
        return self._buffer.position

    def _change(self, options: SamplingOptions, position: int) -> None:
        """Add a change of options to the timeline."""
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
            song=self._song,
            state=cursor.state,
            token=cursor.token,
            decoder=self._decoder.state(),
            relaxed=dict(self._relaxed),
            corpus=self.engine.index.key if self.engine.index else "",
            match=cursor.match,
            detector=self._governor.detector.copy(),
        )

    def _past_tokens(self) -> array[int]:
        """All tokens so far; they are drawn again if they are not known."""
        if self._tokens is None:
            past = type(self).begin(self.engine, self._primer, self._timeline, self._progress)
            for _ in past.replay(self.position, self._timeline, self._injected):
                pass
            self._tokens, self._keyframes = past._tokens, past._keyframes
        assert self._tokens is not None
        return self._tokens

    def replay(self, until: int, timeline: tuple[Change, ...], injected: tuple[Injection, ...] = ()) -> Iterator[Event]:
        """Advance to a position under a recorded timeline and with recorded injections; yield the events.

        Raises:
            CarouselError: the grammar does not allow an injected token there.
        """
        self._injected, self._fixed_until = injected, until
        starts = [position for position, _ in timeline]
        for index, end in enumerate([*starts[1:], until], start=1):
            self._timeline = timeline[:index]
            while self.position < min(end, until):
                yield from self._advance(min(end, until) - self.position)
                self._progress("drawing the past again", self.position, until)
        self._timeline = timeline

    def read(self, tokens: Sequence[int]) -> Iterator[Event]:
        """Advance through given tokens, such as a primer; yield the events that they complete."""
        start = self.position
        self._fixed_until = start + len(tokens)
        while (done := self.position - start) < len(tokens):
            yield from self._advance(len(tokens) - done, tokens[done : done + CHUNK])
            self._progress("reading the primer", self.position - start, len(tokens))

    def _go_to(self, target: int) -> None:
        """Go back to an earlier position, or restore a consistent state at the present one."""
        past = self._past_at(target)
        kept = {"engine": self.engine, "_user": self._user, "_recording": self._recording}
        vars(self).update(vars(past) | kept)  # one call, so an interrupt comes before or after it

    def _past_at(self, target: int) -> Self:
        """This stream as it was at an earlier position, or at the end of the primer."""
        timeline = tuple(change for change in self._timeline if change[0] <= target)
        keyframes = [keyframe for keyframe in self._keyframes if keyframe.position <= target]
        if keyframes:
            past = type(self)(self.engine, keyframes[-1].snapshot(timeline, self._primer), self._progress)
            past._tokens = None if self._tokens is None else self._tokens[: past.position]
            past._keyframes = keyframes
        else:
            past = type(self).begin(self.engine, self._primer, timeline, self._progress)
        past._song = self._song
        for _ in past.replay(target, timeline, injected_until(self._injected, target)):
            pass
        return past

    def _repair(self) -> None:
        """Make the state consistent again after an interrupt."""
        if self._interrupted:
            self._go_to(self.position)
        start, phrase = self._injected[-1] if self._injected else (0, ())
        if start + len(phrase) > self.position:  # the interrupt came within an injected phrase
            self._drop_ahead()
            self._injected = injected_until(self._injected, self.position)

    def _cursor(self) -> Cursor:
        """The cursor at the present position; within the buffer it is computed by feeding the used tokens again."""
        buffer = self._buffer
        if buffer.used == 0:
            return buffer.start
        if not buffer.is_used_up or buffer.end is None:
            job = Job(buffer.start, buffer.options, buffer.used, buffer.tokens[: buffer.used])
            end = self.engine.run([job])[0].end
            self._buffer = buffer.begun_at(end)
            return end
        return buffer.end

    def _drop_ahead(self) -> None:
        """Discard the tokens that were drawn and not handed out."""
        self._buffer = self._buffer.without_rest()
        self._ahead = 1

    def _job(self, tokens: int, given: Sequence[int] = ()) -> Job:
        """The job that refills the used-up buffer with up to `tokens` tokens."""
        start, constraints = self._cursor(), self.engine.constraints
        places = [keyframe.position // KEYFRAME_EVERY for keyframe in self._keyframes[-1:]]
        if not given and start.position // KEYFRAME_EVERY not in places:
            self._keyframes = [*thinned(self._keyframes, start.position), Keyframe.of(self._snapshot())]
        injected, to_phrase = self._next_injected(start.position)
        count = min(tokens, CHUNK, to_phrase)
        if injected:
            splice.check(self.engine.tokenizer, self._decoder, injected[:count])
            count = min(count, len(injected))
        given = given or injected or constraints.starting_text(self._timeline, len(self._primer), start.position)
        traced = self._recording is not None and self._recording.size > 0
        return Job(start, lifted(self.options), count, given[:count], traced)

    def _job_ahead(self, tokens: int) -> Job:
        """As `_job`, but with more tokens if the buffer was used up before: up to twice as many as the last time."""
        count = max(tokens, self._ahead)
        self._ahead = min(2 * count, CHUNK)
        return self._job(count)

    def _next_injected(self, position: int) -> tuple[Sequence[int], int]:
        """The injected tokens from a position on, and the number of tokens until the next injection (`CHUNK` if there
        is none)."""
        index = bisect_right(self._injected, position, key=itemgetter(0))
        to_phrase = self._injected[index][0] - position if index < len(self._injected) else CHUNK
        start, tokens = self._injected[index - 1] if index else (0, ())
        return tokens[position - start :], to_phrase

    def _receive(self, job: Job, result: Result) -> None:
        """Fill the buffer with the result of a job."""
        self._buffer = Buffer.of(job, result)
        if self._recording is not None and result.trace is not None:
            self._recording.add(job.start.position, result.trace)

    def _draw(self, job: Job) -> None:
        self._receive(job, *self.engine.run([job]))

    def _advance(self, tokens: int, given: Sequence[int] = ()) -> list[Event]:
        """Hand out up to `tokens` tokens from the buffer, which is refilled if it is used up; return the events."""
        if self._buffer.is_used_up:
            self._draw(self._job(tokens, given))
        return self._hand_out(tokens)[1]

    def _hand_out(self, tokens: int) -> tuple[Sequence[int], list[Event]]:
        """Advance by up to `tokens` tokens of the buffer, but not past one after which the governor changes options.
        Return these tokens and the events that they complete."""
        buffer, governor = self._buffer, self._governor
        next_ones = buffer.tokens[buffer.used : buffer.used + tokens]
        self._interrupted = True
        events, count, options = governor.feed(next_ones, buffer.position, self._fixed_until, self.options)
        steered = options is not self.options
        if steered:
            self._change(options, buffer.position + count)
        if self._tokens is not None:
            self._tokens.extend(next_ones[:count])
        for broken in filter(None, buffer.relaxed[buffer.used : buffer.used + count]):
            for name in names_of(broken):
                self._relaxed[name] = self._relaxed.get(name, 0) + 1
        self._buffer = replace(buffer, used=buffer.used + count)
        if steered:  # the rest was drawn under other options
            self._drop_ahead()
        self._interrupted = False
        return next_ones[:count], events
