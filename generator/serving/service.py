"""What all routes share: the checkpoints, the states, and who draws."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from anyio import CapacityLimiter, from_thread, to_thread

from generator.cli.streams import unknown_in
from generator.foundation.errors import CarouselError
from generator.foundation.terminal import printable
from generator.music.score import Score
from generator.serving.messages import said
from generator.serving.metrics import Metrics
from generator.serving.refusals import Refused
from generator.serving.states import REMEMBERED, States
from generator.serving.stepping import Stepping
from generator.streaming.engine import Model
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event
from generator.web import primers

T = TypeVar("T")
QUICK, SLOW = 4, 2
"""The most threads for what takes milliseconds, and for what takes seconds."""


class Service:
    """The checkpoints of a server, and what is done with their streams."""

    def __init__(self, models: Sequence[Model], states: States) -> None:
        """Raises a CarouselError if two checkpoints have one name."""
        self.models = {model.checkpoint.name: model for model in models}
        if len(self.models) < len(models):
            raise CarouselError("two checkpoints have one name, which clients use; rename a folder")
        self._engines = {model.checkpoint.fingerprint: model.engine() for model in models}
        self.states, self.metrics = states, Metrics()
        self.stepping = Stepping(self.metrics)
        self._quick, self._slow, self.making = CapacityLimiter(QUICK), CapacityLimiter(SLOW), CapacityLimiter(SLOW)

    async def quick(self, work: Callable[[], T]) -> T:
        """Do what takes milliseconds, in a thread."""
        return await to_thread.run_sync(work, limiter=self._quick)

    async def slow(self, work: Callable[[], T]) -> T:
        """Do what may take seconds, in a thread."""
        return await to_thread.run_sync(work, limiter=self._slow)

    def model(self, name: str) -> Model:
        """The checkpoint of this name.

        Raises:
            Refused: there is none.
        """
        try:
            return self.models[name]
        except KeyError:
            raise Refused(
                404, "checkpoint", f"there is no checkpoint {name[:80]!r} here; choose one of {', '.join(self.models)}"
            ) from None

    def begin(self, name: str, prime: str | Score | None, options: dict[str, Any]) -> tuple[Stream, list[str]]:
        """A new stream, and what of its primer it does not get. To be called in a thread of `slow`.

        Raises:
            CarouselError: an option or the primer is none for this checkpoint.
        """
        model = self.model(name)
        if prime is None:
            return model.engine().stream(**options), []
        if isinstance(prime, Score) != (model.tokenizer.medium == "music"):
            raise CarouselError(f"this checkpoint speaks {model.tokenizer.medium}; prime it with that")
        if isinstance(prime, str):
            unknown_in(prime, model.tokenizer)
        omitted = [printable(sentence.text) for sentence in primers.omissions(prime, model.tokenizer)]
        last: Any = primers.last_part(prime)
        return model.engine().stream(last, progress=_until_cancelled, **options), omitted

    def stream(self, state: str) -> Stream:
        """The stream of a state. To be called in a thread of `quick` or `slow`.

        Raises:
            CarouselError: the state is refused, or of a checkpoint that is not here.
        """
        snapshot = self.states.read(state)
        engine = self._engines.get(snapshot.fingerprint)
        if engine is None:
            raise Refused(409, "checkpoint", f"this state needs the checkpoint {snapshot.wanted}, which is not here")
        return engine.resume(snapshot, progress=_until_cancelled)

    def past(self, state: str) -> Stream:
        """As `stream`, for what needs the past.

        Raises:
            CarouselError: the past is too long.
        """
        stream = self.stream(state)
        if stream.position > REMEMBERED:
            raise CarouselError(
                f"of a stream of {stream.position:,} tokens the past is not kept, only of up to {REMEMBERED:,}; "
                f"send an earlier state"
            )
        return stream

    def state(self, stream: Stream) -> dict[str, Any]:
        """The fields of `messages.State`."""
        return {
            "state": self.states.write(stream.snapshot()),
            "checkpoint": stream.engine.name,
            "position": stream.position,
            "ended": stream.ended,
        }

    def page(self, stream: Stream, events: Sequence[Event]) -> dict[str, Any]:
        """The fields of `messages.Page`."""
        return self.state(stream) | said(stream.engine.tokenizer.medium, events)


def score_of(midi: str) -> Score:
    """The music of a MIDI file in base64.

    Raises:
        CarouselError: it cannot be read.
    """
    try:
        data = b64decode(midi, validate=True)
    except (binascii.Error, ValueError):
        raise CarouselError("midi: not base64; send a MIDI file so encoded") from None
    score = primers.read("midi.mid", data, "music")
    assert isinstance(score, Score)
    return score


def _until_cancelled(what: str, done: int, total: int) -> None:
    """End the work in this thread if its client has gone."""
    from_thread.check_cancelled()
