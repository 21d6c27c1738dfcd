"""The handle that a user holds: an endless stream of events that can be steered, frozen, branched and rewound.

Tokens are drawn some ahead of the one who listens, and handed out one by one. Each depends on its position, the options
there and what came before, so nothing that was drawn ahead is wrong; what is drawn under options that are changed, or
past a phrase that is heard, is dropped. To go anywhere, back or into the midst of what is ahead, is one thing: to start
from a moment before it that was kept, and to draw up to there once more.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from operator import itemgetter
from threading import get_ident
from typing import Any, TypeVar, cast

import numpy as np

from generator.errors import CarouselError
from generator.music.score import MusicEvent, Score
from generator.options import SamplingOptions
from generator.streaming import listening
from generator.streaming.batch import CHUNK, Cursor, Job, Result
from generator.streaming.governor import Governor, lifted
from generator.streaming.meter import Meter
from generator.streaming.offences import named
from generator.streaming.origin import MOST_HEARD, Change, Heard, heard_until, lifts
from generator.streaming.runtime import Runtime
from generator.streaming.snapshot import MARK, Mark, Snapshot, thinned
from generator.tokenizers.base import Event, Mask

F = TypeVar("F", bound=Callable[..., Any])


def alone(method: F) -> F:
    """A method of a stream that refuses to run while another thread is within one."""

    @wraps(method)
    def checked(stream: Stream, *args: Any, **kwargs: Any) -> Any:
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
    yielded: Sequence[int]
    """What constraints yielded for each token, as `Result.yielded`."""
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


class Stream:
    """Events without end, at a constant cost a token. One thread at a time may use it.

    `take` and iteration are lazy: a token has the options that are in force when its events are asked for.
    """

    def __init__(self, engine: Runtime, snapshot: Snapshot) -> None:
        self.engine = engine
        self._within: dict[str, int] = {}
        self._marks = [Mark.of(snapshot)]
        self._tokens = None if snapshot.position else array("H")
        """All so far, the primer's included; None where they are not known yet, as after a take."""
        self._restore(snapshot)

    @staticmethod
    def begin(engine: Runtime, primer: Sequence[int], timeline: tuple[Change, ...]) -> Stream:
        """A stream that has gone through a primer; options hold from position 0."""
        stream = Stream(engine, engine.zero(timeline))
        for _ in stream.read(primer):
            pass
        stream._primer = tuple(primer)
        stream._marks = [Mark.of(stream._snapshot())]
        return stream

    def _enter(self) -> None:
        here = get_ident()
        if self._within.setdefault("thread", here) != here:
            raise CarouselError("two threads use one stream at once; give each its own, with fork()")

    def _leave(self) -> None:
        self._within.clear()

    def _restore(self, snapshot: Snapshot) -> None:
        """Be where a snapshot was taken."""
        self._timeline, self._primer, self._heard = snapshot.timeline, snapshot.primer, snapshot.heard
        self._yielded = dict(snapshot.yielded)
        self._decoder = self.engine.tokenizer.decoder(snapshot.decoder)
        self._governor = Governor(self.engine.tokenizer, self._decoder.memory, snapshot.watch)
        self._written = snapshot.position
        """Up to here the timeline is written, and the governor has no say."""
        self._ahead = 1
        """How many tokens `take` draws next; while what it draws is used up, twice as many each time."""
        index, followed = self.engine.index, snapshot.followed
        start = Cursor(snapshot.state, snapshot.token, snapshot.position, self._decoder.memory.copy(), None)
        self._reach = Reach(start, (), (), start)
        if index is not None:
            if followed is None or snapshot.corpus != index.key:  # what was said has to be heard first
                followed = index.begin()
                index.follow(followed, self._past_tokens())
            start = replace(start, followed=followed)
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

    @property
    def ended(self) -> bool:
        """Whether a piece's end has stopped the stream (`at_end="stop"`); with another `at_end` it goes on."""
        reach = self._reach
        last = reach.tokens[reach.out - 1] if reach.out else reach.start.token
        at_end = last == self.engine.tokenizer.end and reach.position > len(self._primer)
        return at_end and self.options.at_end == "stop"

    @property
    def horizon_ticks(self) -> int:
        """Every event that starts before this tick has been yielded."""
        return self._decoder.horizon_ticks

    @property
    def now_ticks(self) -> int:
        """Where the clock stands: the next event, or the note that the next tokens begin, is not before."""
        return listening.now_ticks(self.engine.tokenizer, self._decoder)

    @property
    def yielded(self) -> dict[str, int]:
        """How often each constraint has yielded since the start, because no token kept to it; those that never had to
        are left out."""
        return dict(self._yielded)

    @property
    def lifts(self) -> int:
        """How often the governor stepped in."""
        return lifts(self._timeline)

    @property
    def meter(self) -> Meter | None:
        """What of it, the primer included, stands in the corpus whose index the engine has; None without one."""
        return None if self.engine.index is None else Meter(self.engine.index, self._cursor().followed)

    def allowed(self) -> Mask:
        """What the grammar lets come next, shape (vocab_size,). Read-only."""
        return self._decoder.allowed()

    def take(self, tokens: int) -> Iterator[Event]:
        """Advance by up to `tokens` tokens, one at a time; yield the events that they complete."""
        for _ in range(tokens):
            if self.ended:
                return
            yield from self.step()

    def __iter__(self) -> Iterator[Event]:
        while not self.ended:
            yield from self.step()

    def pull(self, tokens: int) -> list[Event]:
        """Advance by up to `tokens` tokens at once, which is faster; return the events that they complete.

        Raises:
            CarouselError: the number is negative.
        """
        return draw(self.engine, [self], tokens)[0][1]

    @alone
    def step(self, ahead: int = 0) -> list[Event]:
        """Advance by one token, and return the events that it completes.

        Args:
            ahead: how many tokens are drawn at once where none is left, at most `CHUNK`; by default few at first, then
                more and more as long as they are used up.
        """
        self._mend()
        if self._reach.is_used_up:
            self._draw(ahead or self._ahead)
            self._ahead = min(2 * self._ahead, CHUNK)
        return self._hand_out(1)[1]

    @alone
    def set(self, **changes: Any) -> None:
        """Change options from the next token on; it is recorded in the take, and takes the governor's lift back.

        Raises:
            CarouselError: a value is out of its bounds, or a constraint is not for this stream.
        """
        self._set(changes)

    def _set(self, changes: dict[str, Any]) -> None:
        self._mend()
        options = self.engine.constraints.settle(replace(self.options, **changes), self._primer)
        if options != self.options:
            self._drop_ahead()
            self._change(replace(options, lift=changes.get("lift", 0.0)), self.position)

    def _change(self, options: SamplingOptions, position: int) -> None:
        """Have these options in force from there on."""
        kept = self._timeline[:-1] if self._timeline[-1][0] == position else self._timeline
        self._timeline = (*kept, (position, options))

    @alone
    def listen(self, piece: str | Score | Sequence[MusicEvent], voice: str | None = None) -> list[Event]:
        """Hear a phrase that somebody else plays or says, and go on from it; what was heard is recorded in the take.

        A performance ends what sounds, then the phrase follows in its own seconds, in the key of the piece. Written
        music finishes the bar; at the first bar line at which nothing sounds any more the phrase begins, on the grid,
        in the metre, tempo and key of the stream, and the stream goes on at the bar line after it. Text is read as it
        is. Events in a list are in the stream's ticks.

        Args:
            voice: the name of the one that plays it; else each voice of the phrase is taken by the one of its name, or
                by the first that has its range and, for chords, can sound them.

        Returns:
            The events that this completes: what the stream had begun to say, and the phrase.

        Raises:
            CarouselError: it is of the wrong kind, too long, has nothing that this stream can say, or the stream would
                have heard more than `MOST_HEARD` tokens. It has then at most finished the note that it had begun.
        """
        events: list[Event] = []
        piece = listening.checked(self.engine.tokenizer, piece, voice)
        self._mend()
        while listening.is_half_said(self.engine.tokenizer, self._decoder):
            events += self._advance(1)
        decoder = self.engine.tokenizer.decoder(self._decoder.state())
        tokens = tuple(listening.spelled(self.engine.tokenizer, decoder, piece))
        if sum(len(heard) for _, heard in self._heard) + len(tokens) > MOST_HEARD:
            raise CarouselError(f"a stream hears {MOST_HEARD:,} tokens at most; begin a new one")
        self._drop_ahead()
        until = self.position + len(tokens)
        self._heard = (*self._heard, (self.position, tokens))
        while self.position < until:
            events += self._advance(until - self.position)
        return events

    @alone
    def snapshot(self) -> Snapshot:
        """This moment as a value. The stream goes on; the value stays."""
        self._mend()
        return self._snapshot()

    def _snapshot(self) -> Snapshot:
        cursor = self._cursor()
        return Snapshot(
            checkpoint=self.engine.name,
            fingerprint=self.engine.fingerprint,
            backend=self.engine.backend.name,
            position=cursor.position,
            timeline=self._timeline,
            primer=self._primer,
            heard=heard_until(self._heard, cursor.position),
            state=cursor.state,
            token=cursor.token,
            decoder=self._decoder.state(),
            yielded=self.yielded,
            corpus=self.engine.index.key if self.engine.index else "",
            followed=cursor.followed,
            watch=self._governor.watch.copy(),
        )

    @alone
    def fork(self, **options: Any) -> Stream:
        """Another stream that goes on from here, with changed options if any are given. This one does not notice.

        Raises:
            CarouselError: a value is out of its bounds, or the engine has as many streams as it takes.
        """
        self._mend()
        fork = Stream(self.engine, self._snapshot())
        fork._tokens = None if self._tokens is None else self._tokens[:]
        fork._marks = [*self._marks, *fork._marks]
        if options:
            fork._set(options)
        self.engine.admit(fork)
        return fork

    @alone
    def rewind(self, tokens: int = 0, *, bars: int = 0) -> None:
        """Go back by up to `tokens` tokens, or to before the last `bars` bar lines, but not into the primer; later
        changes of options are forgotten.

        What lies between the last moment that was kept and there is drawn again: some thousand tokens at most, or as
        many as it goes back. A stream that was resumed has kept none at first, and is drawn again from its beginning.

        Raises:
            CarouselError: a number is negative, or there are no bars in what the stream says.
        """
        if min(tokens, bars) < 0:
            raise CarouselError(f"cannot rewind by {min(tokens, bars)}; give 0 or more")
        if tokens and bars:
            raise CarouselError("rewind by tokens or by bars, not by both")
        if bars and self.engine.tokenizer.kind != "score":
            raise CarouselError("this checkpoint knows no bars; rewind by tokens")
        self._mend()
        position = self._before_bars(bars) if bars else self.position - tokens
        self._go_to(max(len(self._primer), position))

    def _before_bars(self, bars: int) -> int:
        """The position before the last so many bar lines, or the primer's end where there are fewer."""
        begun = len(self._primer)
        tokens = np.frombuffer(self._past_tokens(), np.uint16)[begun:]
        lines = np.flatnonzero(np.isin(tokens, self.engine.tokenizer.bar_lines))[-bars:]
        return begun + int(lines[0]) if len(lines) == bars else begun

    def past(self) -> Iterator[Event]:
        """Every event since the start, primer included, decoded from the tokens. Those of a stream from a take are not
        known, and are drawn again, once."""
        decoder, tokens = self.engine.tokenizer.decoder(), self._past_tokens()
        for at in range(0, len(tokens), CHUNK):
            yield from decoder.feed_all(tokens[at : at + CHUNK].tolist())

    def history(self) -> Any:
        """Everything since the start, primer included, as a `str` or a `Score`, decoded as `past`. A score knows its
        origin, which the files that it is written to carry."""
        piece = self.engine.tokenizer.collect(list(self.past()))
        return replace(piece, origin=self.snapshot().text()) if isinstance(piece, Score) else piece

    def _past_tokens(self) -> array[int]:
        """All tokens so far."""
        if self._tokens is None:
            past = Stream.begin(self.engine, self._primer, self._timeline)
            for _ in past.replay(self.position, self._timeline, self._heard):
                pass
            self._tokens, self._marks = past._tokens, past._marks
        assert self._tokens is not None
        return self._tokens

    def replay(self, until: int, timeline: tuple[Change, ...], heard: tuple[Heard, ...] = ()) -> Iterator[Event]:
        """Advance to a position under a recorded timeline and through what was heard; yield the events.

        Raises:
            CarouselError: a token was heard that the grammar does not allow there.
        """
        self._heard, self._written = heard, until
        starts = [position for position, _ in timeline]
        for index, end in enumerate([*starts[1:], until], start=1):
            self._timeline = timeline[:index]
            while self.position < min(end, until):
                yield from self._advance(min(end, until) - self.position)
        self._timeline = timeline

    def read(self, tokens: Sequence[int]) -> Iterator[Event]:
        """Go through given tokens, as a primer does; yield the events that they complete."""
        start = self.position
        self._written = start + len(tokens)
        while (done := self.position - start) < len(tokens):
            yield from self._advance(len(tokens) - done, tokens[done : done + CHUNK])

    def _go_to(self, target: int) -> None:
        """Be at an earlier position, or, whole again, at the present one."""
        timeline = tuple(change for change in self._timeline if change[0] <= target)
        marks = [mark for mark in self._marks if mark.position <= target]
        if marks:
            past = Stream(self.engine, marks[-1].snapshot(timeline, self._primer))
            past._tokens = None if self._tokens is None else self._tokens[: past.position]
            past._marks = marks
        else:
            past = Stream.begin(self.engine, self._primer, timeline)
        for _ in past.replay(target, timeline, heard_until(self._heard, target)):
            pass
        kept = {"engine": self.engine, "_within": self._within}
        vars(self).update(vars(past) | kept)  # at once: an interrupt leaves the one or the other

    def _mend(self) -> None:
        """Undo what an interrupt broke off."""
        if self._torn:
            self._go_to(self.position)

    def _cursor(self) -> Cursor:
        """The cursor at the position."""
        reach = self._reach
        if reach.out == 0:
            return reach.start
        if not reach.is_used_up or reach.end is None:
            job = Job(reach.start, self.options, reach.out, reach.tokens[: reach.out])
            end = self.engine.run([job])[0].end
            reach = self._reach = Reach(end, reach.tokens[reach.out :], reach.yielded[reach.out :], reach.end)
            return end
        return reach.end

    def _drop_ahead(self) -> None:
        """Forget what is drawn and not handed out."""
        reach = self._reach
        if not reach.is_used_up:
            self._reach = replace(reach, tokens=reach.tokens[: reach.out], yielded=reach.yielded[: reach.out], end=None)
        self._ahead = 1

    def _job(self, tokens: int, given: Sequence[int] = ()) -> Job:
        """The next tokens, at most so many, as work for the engine, where none are left to hand out."""
        start = self._cursor()
        if not given and not (self._marks and start.position // MARK == self._marks[-1].position // MARK):
            self._marks = [*thinned(self._marks, start.position), Mark.of(self._snapshot())]
        heard, to_phrase = self._next_heard(start.position)
        count = min(tokens, CHUNK, to_phrase)
        if heard:
            listening.check(self.engine.tokenizer, self._decoder, heard[:count])
            count = min(count, len(heard))
        given = given or heard or self.engine.constraints.start(self._timeline, len(self._primer), start.position)
        return Job(start, lifted(self.options), count, given[:count])

    def _next_heard(self, position: int) -> tuple[Sequence[int], int]:
        """What was heard from a position on, and how far it is to the next phrase."""
        index = bisect_right(self._heard, position, key=itemgetter(0))
        to_phrase = self._heard[index][0] - position if index < len(self._heard) else CHUNK
        start, tokens = self._heard[index - 1] if index else (0, ())
        return tokens[position - start :], to_phrase

    def _arrive(self, job: Job, result: Result) -> None:
        """Have the tokens of a finished job to hand out."""
        self._reach = Reach(job.start, result.tokens, result.yielded, result.end)

    def _draw(self, tokens: int, given: Sequence[int] = ()) -> None:
        job = self._job(tokens, given)
        self._arrive(job, *self.engine.run([job]))

    def _advance(self, tokens: int, given: Sequence[int] = ()) -> list[Event]:
        """Hand out at most so many tokens, as many as are at hand; draw them where there are none."""
        if self._reach.is_used_up:
            self._draw(tokens, given)
        return self._hand_out(tokens)[1]

    def _hand_out(self, tokens: int) -> tuple[Sequence[int], list[Event]]:
        """Go on by at most so many of the tokens at hand, as far as the governor lets them pass; return them, and the
        events that they complete."""
        reach, governor = self._reach, self._governor
        next_ones = reach.tokens[reach.out : reach.out + tokens]
        self._torn = True
        events, count, options = governor.hear(next_ones, self._decoder, reach.position, self._written, self.options)
        steered = options is not self.options
        if steered:
            self._change(options, reach.position + count)
        if self._tokens is not None:
            self._tokens.extend(next_ones[:count])
        for broken in reach.yielded[reach.out : reach.out + count]:
            if broken:
                for name in named(broken):
                    self._yielded[name] = self._yielded.get(name, 0) + 1
        self._reach = replace(reach, out=reach.out + count)
        if steered:  # what follows was drawn under other options
            self._drop_ahead()
        self._torn = False
        return next_ones[:count], events


def draw(engine: Runtime, streams: Sequence[Stream], tokens: int) -> list[tuple[list[int], list[Event]]]:
    """Advance streams of an engine by up to `tokens` tokens, side by side; for each one return these and the events
    that they complete.

    Raises:
        CarouselError: a stream is given twice, or belongs to another engine; the number is negative.
    """
    if tokens < 0 or len(set(streams)) < len(streams) or any(stream.engine is not engine for stream in streams):
        raise CarouselError("pull takes streams of this engine, each once, and no fewer tokens than 0")
    drawn: list[tuple[list[int], list[Event]]] = [([], []) for _ in streams]
    entered: list[Stream] = []
    try:
        for stream in streams:
            stream._enter()
            entered.append(stream)
            stream._mend()
        targets = [stream.position + tokens for stream in streams]
        while going := [
            (index, stream)
            for index, stream in enumerate(streams)
            if stream.position < targets[index] and not stream.ended
        ]:
            empty = [(index, stream) for index, stream in going if stream._reach.is_used_up]
            jobs = [stream._job(targets[index] - stream.position) for index, stream in empty]
            for (_, stream), job, result in zip(empty, jobs, engine.run(jobs), strict=True):
                stream._arrive(job, result)
            for index, stream in going:
                more, events = stream._hand_out(targets[index] - stream.position)
                drawn[index][0].extend(more)
                drawn[index][1].extend(events)
    finally:
        for stream in entered:
            stream._leave()
    return drawn
