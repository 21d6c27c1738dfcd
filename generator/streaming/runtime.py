"""The part of an engine that its streams need: the tokenizer, the constraints, and the threads that draw tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from threading import Lock
from typing import NoReturn, Protocol
from weakref import WeakSet

from generator.corpora.copies import Index
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.model.backends import AUTO, prepare
from generator.model.checkpoint import Checkpoint
from generator.model.state import State
from generator.streaming import clamps
from generator.streaming.batch import Batch
from generator.streaming.constraints import NO_CORPUS, Constraints
from generator.streaming.jobs import Job, Result
from generator.streaming.origin import READ_ERRORS, Change, Origin
from generator.streaming.scheduler import Scheduler
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.base import LARGEST_COUNT

DAMAGED = "this take does not fit its checkpoint; it was damaged or edited"


class HasCheckpoint(Protocol):
    """What an engine needs of a model (`engine.Model`)."""

    @property
    def checkpoint(self) -> Checkpoint: ...


class Runtime:
    """Draws tokens for the streams of one model. Threads may share it."""

    def __init__(
        self,
        model: HasCheckpoint,
        backend: str = AUTO,
        *,
        rows: int = 256,
        limit: int = 10_000,
        index: Index | None = None,
        threads: int | None = None,
    ) -> None:
        """Prepare the weights for a backend.

        Args:
            backend: `int8`, `fp32`, or `auto`.
            rows: the maximum number of streams that one thread steps together.
            limit: the maximum number of streams alive. An idle stream takes the memory of its state, and at most three
                bytes per token.
            index: the index of a corpus in this model's tokens. With it each stream has a `meter` and supports
                `max_copy`.
            threads: the maximum number of threads, by default one per core.

        Raises:
            CarouselError: `model` is no model, there is no such backend, the index has another tokenizer, or `rows` or
                `threads` is not a positive whole number.
        """
        if not hasattr(model, "checkpoint"):
            raise CarouselError(f"an engine is made for a model, not for a {type(model).__name__}; load() reads one")
        for name, count in (("rows", rows), ("threads", threads)):
            if count is not None and (not isinstance(count, int) or count < 1):
                raise CarouselError(f"an engine with {count} {name} steps nothing; give a whole number from 1 on")
        checkpoint = model.checkpoint
        self.tokenizer, self.config = checkpoint.tokenizer, checkpoint.config
        self.name, self.fingerprint, self.defaults = checkpoint.name, checkpoint.fingerprint, checkpoint.defaults
        self.backend = prepare(backend, checkpoint)
        self.limit = limit
        self._streams: WeakSet[object] = WeakSet()
        self._lock = Lock()
        if index is not None and index.tokenizer.to_json() != self.tokenizer.to_json():
            raise CarouselError(
                "the index is of a corpus in other tokens; prepare the corpus with the model's tokenizer"
            )
        self.index = index
        self.constraints = Constraints(self.tokenizer, index)
        made = self.backend, self.tokenizer, rows, self.constraints, index
        self._scheduler = Scheduler(lambda: Batch(*made), threads)

    def __reduce__(self) -> NoReturn:
        raise CarouselError("an engine cannot be pickled; send the path of its checkpoint, and load it there")

    def __repr__(self) -> str:
        name = f"{type(self).__name__} of {self.name or 'a checkpoint without a name'}"
        return f"<{name}: {self.backend.name} by {self.backend.product}, {len(self._streams)} streams>"

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        """Run jobs together with those of other threads; return the results in the order of the jobs."""
        return self._scheduler.run(jobs)

    def admit(self, stream: object) -> None:
        """Count a new stream as alive.

        Raises:
            CarouselError: `limit` streams are alive already.
        """
        with self._lock:
            if len(self._streams) >= self.limit:
                raise CarouselError(f"{self.limit} streams are alive, and this engine takes no more; let some go")
            self._streams.add(stream)

    def settle(self, options: SamplingOptions, primer: Sequence[int]) -> SamplingOptions:
        """The options as a take records them; see `Constraints.settle`.

        Raises:
            CarouselError: a stream of this engine cannot obey them.
        """
        clamps.encode(options.clamp, self.config)
        return self.constraints.settle(options, primer)

    def initial_snapshot(self, timeline: tuple[Change, ...]) -> Snapshot:
        """The state before the first token."""
        return Snapshot(
            checkpoint=self.name,
            fingerprint=self.fingerprint,
            backend=self.backend.name,
            position=0,
            timeline=timeline,
            primer=(),
            state=State.zero(self.config.num_layers, self.config.hidden_size),
            token=self.tokenizer.start,
            decoder=self.tokenizer.decoder().state(),
            corpus=self.index.key if self.index else "",
            match=self.index.begin() if self.index else None,
        )

    def check(self, origin: Origin) -> None:
        """Check that this engine can draw the past of a stream again. Compiled code does not check the values itself.

        Raises:
            CarouselError: the stream was made with another checkpoint, backend or corpus, or the origin is damaged.
        """
        if origin.fingerprint != self.fingerprint:
            raise CarouselError(f"it needs the checkpoint {origin.wanted}, not {self.name}; load that one")
        if origin.backend != self.backend.name:
            raise CarouselError(
                f"it was made with the backend {origin.backend}, not with {self.backend.name}; use that one"
            )
        vocabulary = range(self.tokenizer.vocab_size)
        if not len(origin.primer) <= origin.position <= LARGEST_COUNT:
            raise CarouselError(DAMAGED)
        given = chain(origin.primer, *(tokens for _, tokens in origin.injected))
        if not all(isinstance(token, int) and token in vocabulary for token in given):
            raise CarouselError(DAMAGED)
        if origin.limited and self.index is None:
            raise CarouselError(*NO_CORPUS)
        if origin.limited and self.index is not None and origin.corpus != self.index.key:
            raise CarouselError(
                "it was kept from copying another corpus, or other versions of its pieces; name that one"
            )
        decoder = self.tokenizer.decoder()
        try:
            for _, options in origin.timeline:
                self.constraints.encode(options)
                clamps.encode(options.clamp, self.config)
            decoder.feed_all(origin.primer)
            self.tokenizer.decoder(decoder.state())
        except (CarouselError, *READ_ERRORS) as error:
            raise CarouselError(DAMAGED) from error
