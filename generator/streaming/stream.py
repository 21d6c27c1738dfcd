"""The public class `Stream`: an endless stream of events that can be steered, saved, forked and rewound."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.options import changed
from generator.music.marks import with_landmarks
from generator.music.score import Score, Voice
from generator.music.song import Song
from generator.streaming import songs
from generator.streaming.course import exclusive
from generator.streaming.inspecting import Inspecting
from generator.streaming.jobs import CHUNK
from generator.streaming.meter import Meter
from generator.streaming.origin import lifts
from generator.streaming.runtime import Runtime
from generator.tokenizers import instruments_of
from generator.tokenizers.base import Event, Mask


class Stream(Inspecting):
    """An endless stream of events, at a constant cost per token. Only one thread at a time may use it.

    `take` and iteration are lazy: each token has the options at the time when its events are requested.
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
        """Whether the stream has stopped at the end of a piece, which it does only with `at_end="stop"`."""
        buffer = self._buffer
        last = buffer.tokens[buffer.used - 1] if buffer.used else buffer.start.token
        at_end = last == self.engine.tokenizer.end and buffer.position > len(self._primer)
        return at_end and self.options.at_end == "stop"

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The voices of its music; empty for text."""
        return self.engine.tokenizer.voices

    @property
    def ticks_per_quarter(self) -> int:
        """The resolution of its music; 1 for text, where a character counts as a tick."""
        return self.engine.tokenizer.ticks_per_quarter

    @property
    def leader(self) -> Stream:
        """This stream, which leads itself, as the leader of a `Band` leads the band."""
        return self

    @property
    def has_bars(self) -> bool:
        """Whether its music has bar lines."""
        return len(self.engine.tokenizer.bar_lines) > 0

    @property
    def horizon_ticks(self) -> int:
        """Every event that starts before this tick has been yielded."""
        return self._decoder.horizon_ticks

    @property
    def now_ticks(self) -> int:
        """The current time: the next event, or the note that the next tokens begin, does not start before it."""
        return self._decoder.now_ticks

    @property
    def relaxed(self) -> dict[str, int]:
        """How often each constraint was relaxed since the start because no token met it, without zeros."""
        return dict(self._relaxed)

    @property
    def yielded(self) -> dict[str, int]:
        """The old name of `relaxed`."""
        warnings.warn("Stream.yielded is deprecated; use Stream.relaxed", DeprecationWarning, stacklevel=2)
        return self.relaxed

    @property
    def song(self) -> Song | None:
        """The song in whose tracks the command `sample` writes this stream."""
        return self._song

    @property
    def lifts(self) -> int:
        """How often the governor began to raise the temperature."""
        return lifts(self._timeline)

    @property
    def meter(self) -> Meter | None:
        """Measures how much of the stream, primer included, stands in the engine's index; None without an index."""
        return self._meter()

    @exclusive
    def _meter(self) -> Meter | None:
        self._repair()
        return None if self.engine.index is None else Meter(self.engine.index, self._cursor().match)

    def allowed(self) -> Mask:
        """The tokens that the grammar allows next, shape (vocab_size,). Read-only."""
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
        """Advance by up to `tokens` tokens at once, which is faster than `take`; return the events that they complete.
        With few tokens a call, more are drawn at once and kept for the next calls, as in `step`.

        Raises:
            CarouselError: the number is negative.
        """
        return draw(self.engine, [self], tokens, ahead=tokens < CHUNK)[0][1]

    @exclusive
    def step(self, ahead: int = 0) -> list[Event]:
        """Advance by one token, and return the events that it completes.

        Args:
            ahead: tokens to draw when none are left, at most `CHUNK`; by default 1, then twice as many each time.

        Raises:
            CarouselError: `ahead` is negative.
        """
        if ahead < 0:
            raise CarouselError(f"cannot draw {ahead} tokens ahead; give 0 or more")
        self._repair()
        if self._buffer.is_used_up:
            self._draw(self._job(ahead) if ahead else self._job_ahead(1))
        return self._hand_out(1)[1]

    @exclusive
    def peek(self) -> int:
        """The token that comes next with the present options; the stream does not advance.

        Raises:
            CarouselError: the stream has ended.
        """
        self._repair()
        if self.ended:
            raise CarouselError("this stream has ended, so nothing comes next")
        if self._buffer.is_used_up:
            self._draw(self._job_ahead(1))
        return self._buffer.tokens[self._buffer.used]

    @exclusive
    def set(self, **changes: Any) -> None:
        """Change options from the next token on and undo the governor's rise; takes record the change.

        Raises:
            CarouselError: a value is out of its bounds, or this stream does not support a constraint.
        """
        self._set(changes)

    def _set(self, changes: dict[str, Any]) -> None:
        self._repair()
        options = self.engine.settle(changed(self.options, changes), self._primer)
        if options != self.options:
            self._drop_ahead()
            self._change(replace(options, lift=changes.get("lift", 0.0)), self.position)

    @exclusive
    def fork(self, **options: Any) -> Stream:
        """A new stream that continues from here, with changed options if any are given. This stream is unaffected.

        Raises:
            CarouselError: a value is out of its bounds, or the engine has as many streams as it can take.
        """
        self._repair()
        fork = Stream(self.engine, self._snapshot())
        fork._tokens = None if self._tokens is None else self._tokens[:]
        fork._keyframes = [*self._keyframes, *fork._keyframes]
        if options:
            fork._set(options)
        self.engine.admit(fork)
        return fork

    @exclusive
    def rewind(self, tokens: int = 0, *, bars: int = 0) -> None:
        """Go back by up to `tokens` tokens, or to before the last `bars` bar lines, but not into the primer. Changes of
        options after that position are forgotten.

        The tokens from the last keyframe to that position are drawn again: about as many as the stream goes back, and
        some thousand at most. A resumed stream has no keyframes from before, so it may be drawn again from its start.

        Raises:
            CarouselError: a number is negative, both are given, or the stream's tokens have no bars.
        """
        if min(tokens, bars) < 0:
            raise CarouselError(f"cannot rewind by {min(tokens, bars)}; give 0 or more")
        if tokens and bars:
            raise CarouselError("rewind by tokens or by bars, not by both")
        if bars and not self.engine.tokenizer.bar_lines:
            raise CarouselError("this checkpoint knows no bars; rewind by tokens")
        self._repair()
        position = self._before_bars(bars) if bars else self.position - tokens
        self._go_to(max(len(self._primer), position))

    def _before_bars(self, bars: int) -> int:
        """The position before the last `bars` bar lines; the end of the primer if there are fewer."""
        begun = len(self._primer)
        tokens = np.frombuffer(self._past_tokens(), np.uint16)[begun:]
        lines = np.flatnonzero(np.isin(tokens, self.engine.tokenizer.bar_lines))[-bars:]
        return begun + int(lines[0]) if len(lines) == bars else begun

    def past(self) -> Iterator[Event]:
        """Every event since the start, primer included. A resumed stream first draws its past again, once."""
        tokens, decoder = self.tokens(), self.engine.tokenizer.decoder()
        for at in range(0, len(tokens), CHUNK):
            yield from decoder.feed_all(tokens[at : at + CHUNK].tolist())

    def history(self) -> str | Score:
        """The events of `past` as a `str`, or as a `Score`, which has an origin that is written into music files. Of a
        stream with a song it is the song with what was drawn."""
        tokenizer, events, here = self.engine.tokenizer, list(self.past()), self.snapshot()
        piece = tokenizer.collect(events)
        if not isinstance(piece, Score):
            return str(piece)
        origin = here.text(instruments=instruments_of(tokenizer), landmarks=here.song is None)
        if here.song is not None:
            return songs.piece_of(tokenizer, events, here, None, origin)
        return replace(with_landmarks(piece), origin=origin)


def draw(
    engine: Runtime, streams: Sequence[Stream], tokens: int | Sequence[int], ahead: bool = False
) -> list[tuple[list[int], list[Event]]]:
    """Advance several streams of an engine together by up to `tokens` tokens; for each return these tokens and the
    events that they complete.

    Args:
        tokens: a number for all streams, or one for each.
        ahead: draw more tokens than requested if earlier ones were used up, as in `Stream.step`. With many streams this
            would delay those whose tokens are needed now.

    Raises:
        CarouselError: a stream is given twice, or belongs to another engine; the number is negative.
    """
    counts = [tokens] * len(streams) if isinstance(tokens, int) else tokens
    once = len(set(streams)) == len(streams) == len(counts)
    if not once or min((0, *counts)) < 0 or any(stream.engine is not engine for stream in streams):
        raise CarouselError("pull takes streams of this engine, each once, and no fewer tokens than 0")
    drawn: list[tuple[list[int], list[Event]]] = [([], []) for _ in streams]
    entered: list[Stream] = []
    try:
        for stream in streams:
            stream._enter()
            entered.append(stream)
            stream._repair()
        targets = [stream.position + count for stream, count in zip(streams, counts, strict=True)]
        while going := [
            (index, stream)
            for index, stream in enumerate(streams)
            if stream.position < targets[index] and not stream.ended
        ]:
            empty = [(index, stream) for index, stream in going if stream._buffer.is_used_up]
            jobs = [
                (stream._job_ahead if ahead else stream._job)(targets[index] - stream.position)
                for index, stream in empty
            ]
            for (_, stream), job, result in zip(empty, jobs, engine.run(jobs), strict=True):
                stream._receive(job, result)
            for index, stream in going:
                more, events = stream._hand_out(targets[index] - stream.position)
                drawn[index][0].extend(more)
                drawn[index][1].extend(events)
    finally:
        for stream in entered:
            stream._leave()
    return drawn
