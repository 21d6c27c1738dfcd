"""What streams of one model have in common: its tokenizer, its constraints, and the threads that draw their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from threading import Lock
from typing import NoReturn, Protocol
from weakref import WeakSet

from generator.corpora.copies import Index
from generator.foundation.errors import CarouselError
from generator.model.backends import AUTO, prepare
from generator.model.checkpoint import Checkpoint
from generator.model.state import State
from generator.streaming.batch import Batch, Job, Result
from generator.streaming.constraints import NO_CORPUS, Constraints
from generator.streaming.origin import UNSOUND, Change, Origin
from generator.streaming.scheduler import Scheduler
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.base import LARGEST_COUNT

DAMAGED = "this take does not fit its checkpoint; it was damaged or edited"


class Loaded(Protocol):
    """What an engine is made for: `engine.Model` is one."""

    @property
    def checkpoint(self) -> Checkpoint: ...


class Runtime:
    """Draws tokens for the streams of one model. Threads may share it."""

    def __init__(
        self,
        model: Loaded,
        backend: str = AUTO,
        *,
        rows: int = 256,
        limit: int = 10_000,
        index: Index | None = None,
        threads: int | None = None,
    ) -> None:
        """Prepare the weights.

        Args:
            backend: `int8`, `fp32`, or `auto`.
            rows: streams that one thread steps together at most.
            limit: streams alive at most. One that waits takes the room of its state, and at most three bytes a token.
            index: of a corpus in this model's tokens: each stream then has a `meter`, and obeys `max_copy`.
            threads: that may step at a time; by default one a core, as far as there is work for them.

        Raises:
            CarouselError: it is no model, there is no such backend, the index is of other tokens, or one of `rows` and
                `threads` is not a positive whole number.
        """
        if not hasattr(model, "checkpoint"):
            raise CarouselError(f"an engine is made for a model, not for a {type(model).__name__}; load() reads one")
        for name, count in (("rows", rows), ("threads", threads)):
            if count is not None and (not isinstance(count, int) or count < 1):
                raise CarouselError(f"an engine with {count} {name} steps nothing; give a whole number from 1 on")
        checkpoint = model.checkpoint
        self.tokenizer, self.config = checkpoint.tokenizer, checkpoint.config
        self.name, self.fingerprint = checkpoint.name, checkpoint.fingerprint
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
        """The results of these jobs, which are drawn side by side, with those that other threads want."""
        return self._scheduler.run(jobs)

    def admit(self, stream: object) -> None:
        """Count a new stream.

        Raises:
            CarouselError: there are as many as there may be.
        """
        with self._lock:
            if len(self._streams) >= self.limit:
                raise CarouselError(f"{self.limit} streams are alive, and this engine takes no more; let some go")
            self._streams.add(stream)

    def zero(self, timeline: tuple[Change, ...]) -> Snapshot:
        """The moment before the first token."""
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
        """Find out whether this engine drew what has that origin, and can draw it again: compiled code trusts it then.

        Raises:
            CarouselError: it was made with another checkpoint, backend or corpus, or is not sound.
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
            decoder.feed_all(origin.primer)
            self.tokenizer.decoder(decoder.state())
        except (CarouselError, *UNSOUND) as error:
            raise CarouselError(DAMAGED) from error
