"""How the tokens of a stream came to be: what the units did, what else could have come, and which gates decided."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from math import prod

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.model.state import PARTS
from generator.model.trace import Trace
from generator.streaming import alternatives, reasons
from generator.streaming.alternatives import Alternative, Draw
from generator.streaming.course import Progress, exclusive, quiet
from generator.streaming.injecting import Injecting
from generator.streaming.reasons import Reason
from generator.streaming.recording import Recording
from generator.streaming.runtime import Runtime
from generator.streaming.snapshot import Snapshot

MOST_BYTES = 2**31
"""The size of the longest trace."""


class Inspecting(Injecting):
    """A stream whose tokens and units can be examined."""

    @exclusive
    def snapshot(self) -> Snapshot:
        """The present state as an immutable value."""
        self._repair()
        return self._snapshot()

    @exclusive
    def tokens(self) -> array[int]:
        """All tokens so far, primer included. A resumed stream first draws its past again, once."""
        self._repair()
        return self._past_tokens()[:]

    @exclusive
    def record(self, steps: int) -> None:
        """From now on keep the trace of the last `steps` steps; 0 stops this. What was recorded before is forgotten.

        Raises:
            CarouselError: the number is negative, or the trace would take more than `MOST_BYTES`.
        """
        self._repair()
        _check_size(self.engine, steps)
        self._drop_ahead()
        self._recording = Recording(steps, _shape(self.engine))

    @exclusive
    def recorded(self) -> Trace:
        """The trace of the last steps since `record` was called, as many as it keeps, the latest last.

        Raises:
            CarouselError: nothing is recorded.
        """
        if self._recording is None:
            raise CarouselError("nothing is recorded; call record() first, or trace() for what was drawn before")
        return Trace.of(self._recording.before(self.position))

    @exclusive
    def trace(self, start: int = 0, stop: int | None = None) -> Trace:
        """The trace of its tokens from position `start` to before `stop`, by default its present end, which are drawn
        again: in row n the step from whose h the token at `start` + n was drawn.

        Raises:
            CarouselError: the stream has no such positions, or the trace would take more than `MOST_BYTES`.
        """
        self._repair()
        end = self.position
        stop = end if stop is None else stop
        if not 0 <= start <= stop <= end:
            raise CarouselError(f"a trace from {start:,} to {stop:,}; the stream has positions from 0 to {end:,}")
        _check_size(self.engine, stop - start)
        in_primer = start < len(self._primer)
        first = self.engine.initial_snapshot(self._timeline[:1])
        past = type(self)(self.engine, first, self._progress) if in_primer else self._past_at(start)
        past._recording = Recording(stop - start, _shape(self.engine))
        if in_primer:
            for _ in past.read(self._primer[:stop]):
                pass
        for _ in past.replay(stop, self._timeline, self._injected):
            pass
        return past.recorded()

    @classmethod
    def trace_of(
        cls, engine: Runtime, tokens: Sequence[int], clamp: str | None = None, progress: Progress = quiet
    ) -> Trace:
        """The trace of given tokens after a zero state, with these clamps; raises as `trace`."""
        _check_size(engine, len(tokens))
        options = engine.settle(SamplingOptions(clamp=clamp, governor=False), ())
        stream = cls(engine, engine.initial_snapshot(((0, options),)), progress)
        stream._recording = Recording(len(tokens), _shape(engine))
        for _ in stream.read(tokens):
            pass
        return stream.recorded()

    def alternatives(self, position: int | None = None, count: int = 8) -> list[Alternative]:
        """What could have come at a position in tokens, by default next: the `count` likeliest tokens, the likeliest
        first, and the one that came. Their probabilities are those with which they could have been drawn there.

        Raises:
            CarouselError: the position is in the primer, or not reached yet.
        """
        position = self.position if position is None else position
        start = self._at(position)
        return alternatives.alternatives(self.engine, start, self.tokens()[position:], self.snapshot(), count)

    def draws(self, start: int, stop: int) -> Iterator[Draw]:
        """How each token from position `start` to before `stop` came to be; the tokens before it are drawn again, as in
        `rewind`.

        Raises:
            CarouselError: the positions are not in order, in the primer, or not reached yet.
        """
        if not start <= stop <= self.position:
            raise CarouselError(f"no draws from {start} to {stop}; give positions up to {self.position}, in order")
        found = alternatives.draws(self.engine, self._at(start), self.tokens()[start:stop], self.snapshot())
        return islice(found, stop - start)

    def reasons(self, position: int, count: int = 10) -> list[Reason]:
        """Which gates contributed most to the token at a position, for it or against it, by ablation; the largest
        contribution first.

        Raises:
            CarouselError: no token was drawn there.
        """
        before = self._at(position)
        if position == self.position:
            raise CarouselError(f"nothing was drawn at {position} yet; give {len(self._primer)} to {position - 1}")
        return reasons.reasons(self.engine, before, self.tokens()[position], count)

    def _at(self, position: int) -> Snapshot:
        """The stream at an earlier position."""
        if not len(self._primer) <= position <= self.position:
            raise CarouselError(f"nothing was drawn at {position}; give {len(self._primer)} to {self.position}")
        return self._past_at(position).snapshot()


def _shape(engine: Runtime) -> tuple[int, int, int]:
    """The shape of one step of a trace."""
    return len(PARTS), engine.config.num_layers, engine.config.hidden_size


def most_steps(engine: Runtime) -> int:
    """The steps of the longest trace of this engine's model."""
    return MOST_BYTES // (4 * prod(_shape(engine)))


def _check_size(engine: Runtime, steps: int) -> None:
    if steps < 0:
        raise CarouselError(f"cannot record {steps} steps; give 0 or more")
    most = most_steps(engine)
    if steps > most:
        size = 4 * steps * prod(_shape(engine))
        raise CarouselError(f"a trace of {steps:,} steps takes {size / 2**30:.1f} GB; ask for at most {most:,}")
