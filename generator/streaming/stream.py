"""The handle that a user holds: an endless stream of events that can be steered, frozen, branched and rewound."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.options import changed
from generator.music.score import MusicEvent, Score
from generator.streaming.batch import CHUNK
from generator.streaming.course import Course, alone
from generator.streaming.meter import Meter
from generator.streaming.origin import MOST_INJECTED, lifts
from generator.streaming.runtime import Runtime
from generator.streaming.snapshot import Snapshot
from generator.tokenizers import splice
from generator.tokenizers.base import Event, Mask


class Stream(Course):
    """Events without end, at a constant cost a token. One thread at a time may use it.

    `take` and iteration are lazy: a token has the options that are in force when its events are asked for.
    """

    def __repr__(self) -> str:
        options = f"seed {self.options.seed}, temperature {self.options.temperature:g}"
        return f"<Stream of {self.engine.name or 'a checkpoint without a name'} at token {self.position:,}, {options}>"

    def __reduce__(self) -> NoReturn:
        raise CarouselError(
            "a stream cannot be pickled or copied; fork() it, or send stream.snapshot().to_bytes(), and resume it there"
        )

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
        """The current time: the next event, or the note that the next tokens begin, does not start before."""
        return self._decoder.now_ticks

    @property
    def relaxed(self) -> dict[str, int]:
        """How often each constraint was relaxed since the start, because no token kept to it; those that never were
        are left out."""
        return dict(self._relaxed)

    @property
    def yielded(self) -> dict[str, int]:
        """The old name of `relaxed`."""
        warnings.warn("Stream.yielded is deprecated; use Stream.relaxed", DeprecationWarning, stacklevel=2)
        return self.relaxed

    @property
    def lifts(self) -> int:
        """How often the governor stepped in."""
        return lifts(self._timeline)

    @property
    def meter(self) -> Meter | None:
        """What of it, the primer included, stands in the corpus whose index the engine has; None without one."""
        return self._meter()

    @alone
    def _meter(self) -> Meter | None:
        self._mend()
        return None if self.engine.index is None else Meter(self.engine.index, self._cursor().match)

    def allowed(self) -> Mask:
        """What the grammar lets come next, shape (vocab_size,). Read-only."""
        return self._decoder.allowed()

    def take(self, tokens: int) -> Iterator[Event]:
        """Advance by up to `tokens` tokens, one at a time; yield the events that they complete.

        Raises:
            CarouselError: the number is negative.
        """
        if tokens < 0:
            raise CarouselError(f"cannot take {tokens} tokens; give 0 or more")
        for _ in range(tokens):
            if self.ended:
                return
            yield from self.step()

    def __iter__(self) -> Iterator[Event]:
        while not self.ended:
            yield from self.step()

    def pull(self, tokens: int) -> list[Event]:
        """Advance by up to `tokens` tokens at once, which is faster; return the events that they complete. Who pulls a
        few at a time has more drawn at once, as `step` does.

        Raises:
            CarouselError: the number is negative.
        """
        return draw(self.engine, [self], tokens, ahead=tokens < CHUNK)[0][1]

    @alone
    def step(self, ahead: int = 0) -> list[Event]:
        """Advance by one token, and return the events that it completes.

        Args:
            ahead: how many tokens are drawn at once where none is left, at most `CHUNK`; by default few at first, then
                more and more as long as they are used up.

        Raises:
            CarouselError: `ahead` is negative.
        """
        if ahead < 0:
            raise CarouselError(f"cannot draw {ahead} tokens ahead; give 0 or more")
        self._mend()
        if self._reach.is_used_up:
            self._draw(self._job(ahead) if ahead else self._job_ahead(1))
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
        options = self.engine.constraints.settle(changed(self.options, changes), self._primer)
        if options != self.options:
            self._drop_ahead()
            self._change(replace(options, lift=changes.get("lift", 0.0)), self.position)

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
                have heard more than `MOST_INJECTED` tokens. It has then at most finished the note that it had begun.
        """
        events: list[Event] = []
        piece = splice.checked_phrase(self.engine.tokenizer, piece, voice)
        self._mend()
        while splice.is_mid_note(self.engine.tokenizer, self._decoder):
            events += self._advance(1)
        decoder = self.engine.tokenizer.decoder(self._decoder.state())
        tokens = tuple(splice.encode_phrase(self.engine.tokenizer, decoder, piece))
        if sum(len(tokens) for _, tokens in self._injected) + len(tokens) > MOST_INJECTED:
            raise CarouselError(f"a stream hears {MOST_INJECTED:,} tokens at most; begin a new one")
        self._drop_ahead()
        until = self.position + len(tokens)
        self._injected = (*self._injected, (self.position, tokens))
        while self.position < until:
            events += self._advance(until - self.position)
        return events

    @alone
    def snapshot(self) -> Snapshot:
        """This moment as a value. The stream goes on; the value stays."""
        self._mend()
        return self._snapshot()

    @alone
    def fork(self, **options: Any) -> Stream:
        """Another stream that goes on from here, with changed options if any are given. This one does not notice.

        Raises:
            CarouselError: a value is out of its bounds, or the engine has as many streams as it takes.
        """
        self._mend()
        fork = Stream(self.engine, self._snapshot())
        fork._tokens = None if self._tokens is None else self._tokens[:]
        fork._keyframes = [*self._keyframes, *fork._keyframes]
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
        yield from self._decoded(self._whole()[0])

    def _decoded(self, tokens: array[int]) -> Iterator[Event]:
        decoder = self.engine.tokenizer.decoder()
        for at in range(0, len(tokens), CHUNK):
            yield from decoder.feed_all(tokens[at : at + CHUNK].tolist())

    @alone
    def _whole(self) -> tuple[array[int], Snapshot]:
        """All tokens so far, and this moment."""
        self._mend()
        return self._past_tokens()[:], self._snapshot()

    def history(self) -> Any:
        """Everything since the start, primer included, as a `str` or a `Score`, decoded as `past`. A score knows its
        origin, which the files that it is written to carry."""
        tokens, here = self._whole()
        piece = self.engine.tokenizer.collect(list(self._decoded(tokens)))
        return replace(piece, origin=here.text()) if isinstance(piece, Score) else piece


def draw(
    engine: Runtime, streams: Sequence[Stream], tokens: int, ahead: bool = False
) -> list[tuple[list[int], list[Event]]]:
    """Advance streams of an engine by up to `tokens` tokens, side by side; for each one return these and the events
    that they complete.

    Args:
        ahead: draw more at once where what was drawn is always used up, as `Stream.step` does. Who serves many streams
            draws no more than is due, or those that are due together would wait for what is not.

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
            jobs = [
                (stream._job_ahead if ahead else stream._job)(targets[index] - stream.position)
                for index, stream in empty
            ]
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
