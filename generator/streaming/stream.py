"""The handle that a user holds: an endless stream of events that can be steered, frozen, branched and rewound."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from generator.errors import CarouselError
from generator.music.score import Bar, MusicEvent, Score
from generator.options import SamplingOptions
from generator.streaming import listening
from generator.streaming.batch import CHUNK, Job
from generator.streaming.governor import Governor, lifted
from generator.streaming.meter import Meter
from generator.streaming.origin import MOST_HEARD, Change, Heard, heard_until, lifts
from generator.streaming.snapshot import MARK, Snapshot, thinned
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
        self._torn = True
        self._state, self._token, self._position = snapshot.state, snapshot.token, snapshot.position
        self._timeline, self._primer, self._heard = snapshot.timeline, snapshot.primer, snapshot.heard
        self._yielded = snapshot.yielded
        self._decoder = self.engine.tokenizer.decoder(snapshot.decoder)
        self._governor = Governor(self.engine.tokenizer, self._decoder.memory, snapshot.watch)
        # Up to here the timeline is written, and the governor has no say.
        self._written = snapshot.position
        self._followed = snapshot.followed
        self._owed: Job | None = None
        index = self.engine.index
        if index is None:
            self._followed = None
        elif self._followed is None or snapshot.corpus != index.key:  # what was said has to be heard first
            past = Stream(self.engine, self.engine.begin(self._primer, self._timeline))
            for _ in past.replay(self._position, self._timeline, self._heard):
                pass
            self._followed = past._followed
        self._torn = False

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
        """Change options from the next token on; it is recorded in the take, and takes the governor's lift back.

        Raises:
            CarouselError: a value is out of its bounds, or a constraint is not for this stream.
        """
        options = self.engine.constraints.settle(replace(self.options, **changes), self._primer)
        if options != self.options:
            self._change(replace(options, lift=changes.get("lift", 0.0)), self._position)

    def _change(self, options: SamplingOptions, position: int) -> None:
        """Have these options in force from there on."""
        kept = self._timeline[:-1] if self._timeline[-1][0] == position else self._timeline
        self._timeline = (*kept, (position, options))

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
        self._catch_up()
        while listening.is_half_said(self.engine.tokenizer, self._decoder):
            events += self._advance(1)
        decoder = self.engine.tokenizer.decoder(self._decoder.state())
        tokens = tuple(listening.spelled(self.engine.tokenizer, decoder, piece))
        if sum(len(heard) for _, heard in self._heard) + len(tokens) > MOST_HEARD:
            raise CarouselError(f"a stream hears {MOST_HEARD:,} tokens at most; begin a new one")
        until = self._position + len(tokens)
        self._heard = (*self._heard, (self._position, tokens))
        while self._position < until:
            events += self._advance(until - self._position)
        return events

    def snapshot(self) -> Snapshot:
        """This moment as a value. The stream goes on; the value stays."""
        self._catch_up()
        return Snapshot(
            checkpoint=self.engine.name,
            fingerprint=self.engine.fingerprint,
            backend=self.engine.backend.name,
            position=self._position,
            timeline=self._timeline,
            primer=self._primer,
            heard=heard_until(self._heard, self._position),
            state=self._state,
            token=self._token,
            decoder=self._decoder.state(),
            yielded=self.yielded,
            corpus=self.engine.index.key if self.engine.index else "",
            followed=self._followed,
            watch=self._governor.watch.copy(),
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

        What lies between two marks is drawn again, so this costs about as many tokens as it goes back, or `MARK`. A
        stream that was resumed has no marks at first, and is drawn again from its beginning, once.

        Raises:
            CarouselError: a number is negative, or there are no bars in what the stream says.
        """
        if min(tokens, bars) < 0:
            raise CarouselError(f"cannot rewind by {min(tokens, bars)}; give 0 or more")
        if tokens and bars:
            raise CarouselError("rewind by tokens or by bars, not by both")
        if bars and self.engine.tokenizer.kind != "score":
            raise CarouselError("this checkpoint knows no bars; rewind by tokens")
        target = min(self._position - tokens, self._before_bars(bars) if bars else self._position)
        target = max(len(self._primer), target)
        while self._marks and self._marks[-1].position > target:
            self._marks.pop()
        timeline = tuple(change for change in self._timeline if change[0] <= target)
        past = Stream(self.engine, self._marks[-1] if self._marks else self.engine.begin(self._primer, timeline))
        for _ in past.replay(target, timeline, heard_until(self._heard, target)):
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
            events = past.replay(until, self._timeline, self._heard, step=1)
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
        yield from decoder.feed_all(self._primer)
        if self._position > len(self._primer):
            past = Stream(self.engine, self.engine.begin(self._primer, self._timeline))
            yield from past.replay(self._position, self._timeline, self._heard)

    def history(self) -> Any:
        """Everything since the start, primer included, as a `str` or a `Score`; replayed, as `past`. A score knows its
        origin, which the files that it is written to carry."""
        piece = self.engine.tokenizer.collect(list(self.past()))
        return replace(piece, origin=self.snapshot().text()) if isinstance(piece, Score) else piece

    def replay(
        self, until: int, timeline: tuple[Change, ...], heard: tuple[Heard, ...] = (), step: int = CHUNK
    ) -> Iterator[Event]:
        """Advance to a position under a recorded timeline and through what was heard, by at most `step` tokens at once;
        yield the events.

        Raises:
            CarouselError: a token was heard that the grammar does not allow there.
        """
        self._heard, self._written = heard, until
        starts = [position for position, _ in timeline]
        for index, end in enumerate([*starts[1:], until], start=1):
            self._timeline = timeline[:index]
            while self._position < min(end, until):
                yield from self._advance(min(step, min(end, until) - self._position))
        self._timeline = timeline

    def job(self, tokens: int, given: Sequence[int] = ()) -> Job:
        """The next tokens, at most so many, as work for the engine; `accept` takes the answer."""
        self._catch_up()
        if not given and not (self._marks and self._position // MARK == self._marks[-1].position // MARK):
            self._marks = [*thinned(self._marks, self._position), self.snapshot()]
        heard, to_phrase = self._ahead()
        count = min(tokens, CHUNK, to_phrase)
        if heard:
            listening.check(self.engine.tokenizer, self._decoder, heard[:count])
            count = min(count, len(heard))
        given = given or heard or self.engine.constraints.start(self._timeline, len(self._primer), self._position)
        memory = self._decoder.memory.copy()
        return Job(
            self._state,
            self._token,
            self._position,
            memory,
            lifted(self.options),
            count,
            given[:count],
            followed=self._followed,
        )

    def _ahead(self) -> tuple[Sequence[int], int]:
        """What was heard from here on, and how far it is to the next phrase."""
        index = bisect_right(self._heard, self._position, key=itemgetter(0))
        to_phrase = self._heard[index][0] - self._position if index < len(self._heard) else CHUNK
        start, tokens = self._heard[index - 1] if index else (0, ())
        return tokens[self._position - start :], to_phrase

    def accept(self, job: Job) -> list[Event]:
        """Be where the finished job leads, or as far as the governor lets it, which then shortens what was said; return
        the events that its tokens complete."""
        self._torn = True
        new, count, options = self._governor.hear(job.said, self._decoder, self._position, self._written, self.options)
        if options is not self.options:
            self._change(options, self._position + count)
            if count < len(job.said):  # what follows was drawn too soon
                del job.said[count:]
                job = replace(job, count=count, given=job.given[:count], yielded={}, after=None)
        self._position += count
        self._owed, self._torn = job, False
        self._catch_up()
        return new

    def _catch_up(self) -> None:
        """Be in the state after what was accepted: at once, or, after an interrupt, with the next job. What was cut off
        in its midst is drawn again, and where hearing it was broken off, all since the last mark."""
        if self._torn:
            heard = self._heard
            self.rewind(0)
            self._heard = heard
        job = self._owed
        if job is None:
            return
        if job.after is None:
            job = replace(job, said=[], wanted=True)
            self.engine.serve([job])
        assert job.after is not None
        self._state, self._token, self._followed = job.after, job.said[-1], job.followed_after
        for name, count in job.yielded.items():
            self._yielded = {**self._yielded, name: self._yielded.get(name, 0) + count}
        self._owed = None

    def read(self, tokens: Sequence[int]) -> Iterator[Event]:
        """Go through given tokens, as a primer does; yield the events that they complete."""
        start = self._position
        self._written = start + len(tokens)
        while (done := self._position - start) < len(tokens):
            yield from self._advance(len(tokens) - done, tokens[done : done + CHUNK])

    def _advance(self, tokens: int, given: Sequence[int] = ()) -> list[Event]:
        job = self.job(tokens, given)
        self.engine.serve([job])
        return self.accept(job)
