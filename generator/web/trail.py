"""Where a stream was at each of its latest steps, so that one can go back to any moment of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from operator import attrgetter
from typing import NamedTuple

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.model.trace import Trace
from generator.music.score import Note
from generator.streaming.origin import injected_until
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.sooner import longest_ticks, shorter_wait, sooner

LENGTH = 4096
"""The number of steps that one can go back: of 8 tokens, a quarter of an hour of music or 30,000 characters."""
SOON = 0.25
"""Seconds within which a change of options of music is heard, where the notes that sound can end for it."""

TOO_FAR = "this was given and not drawn, or is too long ago; choose something later"


class Step(NamedTuple):
    """Where a stream was before a step, its position in tokens."""

    position: int
    horizon_ticks: int
    now_ticks: int


class Watched(NamedTuple):
    """What the units did at some steps of a stream, from a position in tokens on."""

    start: int
    trace: Trace
    ticks: list[int]
    """When each token was drawn."""
    words: list[str]
    """What it means."""


class Trail:
    """The latest `LENGTH` steps of a stream."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._steps = deque(steps, LENGTH)

    def add(self, position: int, horizon_ticks: int, now_ticks: int) -> None:
        """Add a step, before it is taken."""
        self._steps.append(Step(position, horizon_ticks, now_ticks))

    def until(self, position: int) -> Trail:
        """The steps up to a position, in tokens."""
        return Trail(step for step in self._steps if step.position <= position)

    def fork(self, stream: Stream, ticks: int, clock: str = "horizon_ticks") -> tuple[Stream, int, list[Event]]:
        """A fork of the stream that has just drawn everything before `ticks`, the position in tokens of the last step
        before that, and the events that the fork has drawn since.

        Args:
            stream: the one that took these steps.
            ticks: not beyond what the stream has drawn.
            clock: with "now_ticks", notes that sound at `ticks` may have no end yet.
        """
        fork = self._at_step(stream, bisect_left(self._steps, ticks, key=attrgetter(clock)) - 1)
        step = target = fork.position
        decoder = stream.engine.tokenizer.decoder(fork.snapshot().decoder)
        for token in stream.tokens()[step:]:
            if getattr(decoder, clock) >= ticks:
                break
            decoder.feed(token)
            target += 1
        return fork, step, _drawn_again(fork, stream, target)

    def fork_soon(
        self, stream: Stream, ticks: int, soon: int | None, options: SamplingOptions
    ) -> tuple[Stream, int, list[Event]]:
        """As `fork` with "now_ticks"; but a wait of a performance ends at `ticks`, and in written music whose next
        onset is later than `soon`, notes that sound at `ticks` end sooner for another onset, if they can, are not given
        by a melody and do not end the stream.

        Args:
            soon: None to leave all as it is.
            options: those that are to hold from there on.
        """
        forked, tokenizer = self.fork(stream, ticks, "now_ticks"), stream.engine.tokenizer
        position, onset = forked[0].position, forked[0].now_ticks
        if soon is None or position == 0:
            return forked
        last, found = stream.tokens()[position - 1], None
        if isinstance(tokenizer, PerformanceTokenizer):
            found = shorter_wait(tokenizer, last, onset - ticks)
        elif isinstance(tokenizer, ScoreTokenizer) and not options.melody:
            is_soon = onset < soon or onset == soon == stream.horizon_ticks
            ends = options.at_end == "stop" and last == tokenizer.end
            if not (is_soon or ends):
                begun = self.fork(stream, max(0, ticks - longest_ticks(tokenizer)), "now_ticks")[0]
                before = stream.tokens()[begun.position : position - 1].tolist()
                found = sooner(tokenizer, begun.snapshot().decoder, before, range(ticks, soon), options)
        if found is not None:
            changed, tokens = found
            fork, step, drawn = self.fork_at(stream, position - 1 - changed)
            with suppress(CarouselError):  # so much may have been injected that no more may be
                return fork, step, [*drawn, *fork.inject(tokens)]
        return forked

    def check(self, stream: Stream, position: int) -> None:
        """Check that the stream can be forked at a position in tokens.

        Raises:
            CarouselError: the position is not among the steps, or not reached yet.
        """
        if not self._steps or not self._steps[0].position <= position <= stream.position:
            raise CarouselError(TOO_FAR)

    def fork_at(self, stream: Stream, position: int) -> tuple[Stream, int, list[Event]]:
        """As `fork`, with the fork at a position in tokens; raises as `check`."""
        self.check(stream, position)
        fork = self._at_step(stream, bisect_right(self._steps, position, key=attrgetter("position")) - 1)
        return fork, fork.position, _drawn_again(fork, stream, position)

    def decisions(self, stream: Stream, note: Note) -> dict[str, int]:
        """The positions in tokens of the decisions that made a note, by their names.

        Raises:
            CarouselError: it was not drawn within these steps.
        """
        fork = self.fork(stream, note.start_ticks, "now_ticks")[0]
        tokens = stream.tokens()[fork.position :].tolist()
        decoder = stream.engine.tokenizer.decoder(fork.snapshot().decoder)
        for count, token in enumerate(tokens, start=1):
            if decoder.now_ticks > note.start_ticks:
                break
            decoder.feed(token)
            if found := decoder.decisions(tokens[:count], note):
                return {name: fork.position + count - 1 - before for name, before in found.items()}
        raise CarouselError(TOO_FAR)

    def watched(self, stream: Stream, start: int | None, ticks: tuple[int, int], most: int) -> Watched:
        """What the units did, which is drawn again: at the tokens from position `start` on that came before the last of
        `ticks`, at most `most`. Without a `start` it is the step that led to the first of `ticks`."""
        index = bisect_left(self._steps, ticks[0], key=attrgetter("now_ticks")) - 1
        if start is not None:
            index = bisect_right(self._steps, start, key=attrgetter("position")) - 1
        fork = self._at_step(stream, index)
        start = max(fork.position, start or 0)
        decoder = stream.engine.tokenizer.decoder(fork.snapshot().decoder)
        at: list[int] = []
        words: list[str] = []
        for position, token in enumerate(stream.tokens()[fork.position :], fork.position):
            if decoder.now_ticks >= ticks[1] or len(at) == most:
                break
            if position >= start:
                at.append(decoder.now_ticks)
                words.append(decoder.describe(token))
            decoder.feed(token)
        fork.record(max(1, len(at)))  # 0 would record nothing, of which there is no trace
        if at:
            _drawn_again(fork, stream, start + len(at))
        return Watched(start, fork.recorded(), at, words)

    def _at_step(self, stream: Stream, index: int) -> Stream:
        """A fork of the stream at one of the steps, or at the first one if the index is negative."""
        fork = stream.fork()
        if self._steps:
            fork.rewind(fork.position - self._steps[max(0, index)].position)
        return fork


def _drawn_again(fork: Stream, stream: Stream, position: int) -> list[Event]:
    """Let a fork repeat what its stream did up to a position, with changed options and what was injected; returns the
    events."""
    past = stream.snapshot()
    timeline = tuple(change for change in past.timeline if change[0] <= position)
    return list(fork.replay(position, timeline, injected_until(past.injected, position)))
