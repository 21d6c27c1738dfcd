"""Where streams meet the model: a loaded checkpoint, and the engine that steps many streams together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Condition, Lock
from typing import Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from generator.errors import CarouselError
from generator.model.backends import AUTO, name_of, prepare
from generator.model.checkpoint import Checkpoint
from generator.model.lstm import ModelConfig
from generator.model.state import State
from generator.options import SamplingOptions
from generator.streaming.batch import Batch, Job
from generator.streaming.constraints import Constraints
from generator.streaming.offences import STRENGTHS
from generator.streaming.snapshot import Change, Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import LARGEST_COUNT, Event, Tokenizer

PATIENCE_SECONDS = 0.05
"""How long a word that somebody has finished may be lost."""


class Model:
    """A loaded checkpoint: `tokenizer`, `config`, `card`, and the streams it can start. Threads may share it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._engines: dict[str, Engine] = {}
        self._lock = Lock()

    @property
    def tokenizer(self) -> Tokenizer:
        return self.checkpoint.tokenizer

    @property
    def config(self) -> ModelConfig:
        return self.checkpoint.config

    @property
    def card(self) -> str:
        """The model card, Markdown."""
        return self.checkpoint.card

    def engine(self, backend: str = AUTO) -> Engine:
        """This model's own engine on a backend, made when it is first asked for."""
        name = name_of(backend)
        with self._lock:
            if name not in self._engines:
                self._engines[name] = Engine(self, name)
            return self._engines[name]

    def stream(self, prime: Any = None, **options: Any) -> Stream:
        """Start a stream; `options` are fields of `SamplingOptions`, `prime` a `str` or `Score` to go on from.

        Raises:
            CarouselError: an option is out of its bounds, or the primer does not fit the model.
        """
        return self.engine().stream(prime, **options)

    def resume(self, snapshot: Snapshot, **options: Any) -> Stream:
        """Go on from a snapshot, with changed options if any are given.

        Raises:
            CarouselError: the snapshot belongs to another checkpoint.
        """
        return self.engine(snapshot.backend).resume(snapshot, **options)

    def score(self, piece: Any) -> npt.NDArray[np.float64]:
        """The surprise of each token of a piece (`str`, `Score` or a list of events) in nats, shape (tokens,)."""
        if isinstance(piece, list):
            piece = self.tokenizer.collect(piece)
        tokens = self.tokenizer.encode(_of_medium(piece, self.tokenizer))
        return self.checkpoint.model().surprise(tokens, self.tokenizer.start)


def load(folder: str | Path) -> Model:
    """Load a checkpoint folder.

    Raises:
        CarouselError: a file in it is missing, broken or does not fit the others.
    """
    return Model(Checkpoint.load(folder))


class Engine:
    """Steps the streams of one model together, in any number, from any number of threads.

    A stream is a value that waits; a call for its next tokens is a few jobs. Whoever calls while nobody leads does the
    stepping, for all jobs in line, until its own are done. No stream changes what another one says (with int8, to the
    last bit). The line is first come, first served, and no job is longer than `CHUNK` tokens.
    """

    def __init__(self, model: Model, backend: str = AUTO, *, rows: int = 256, limit: int = 10_000) -> None:
        """Prepare the weights.

        Args:
            backend: `int8`, `bf16`, `fp32`, or `auto`.
            rows: streams in one step at most.
            limit: streams alive at most. One that waits takes the room of its state, and as much again for each
                doubling of its length, so that it can be rewound.

        Raises:
            CarouselError: there is no such backend, or `rows` is not positive.
        """
        if rows < 1:
            raise CarouselError(f"an engine with {rows} rows steps nothing; give 1 or more")
        self.tokenizer = model.tokenizer
        self.config = model.config
        self.fingerprint = model.checkpoint.fingerprint
        self.backend = prepare(backend, model.checkpoint)
        self.limit = limit
        self._streams: WeakSet[Stream] = WeakSet()
        self.constraints = Constraints(self.tokenizer)
        self._batch = Batch(self.backend, self.tokenizer, rows, self.constraints)
        self._waiting: deque[Job] = deque()
        # An interrupt may come between any two instructions. `with` on these locks is safe from it; a flag, or an
        # acquire of our own, would not be.
        self._lock = Lock()
        self._leading = Lock()
        self._finished = Condition(self._lock)
        self._broken_off = False

    def stream(self, prime: Any = None, **options: Any) -> Stream:
        """Start a stream, as `Model.stream`."""
        primer = () if prime is None else self._encode(prime)
        timeline = ((0, self.constraints.settle(SamplingOptions(**options), primer)),)
        self._check_limit()
        return self._admitted(Stream(self, self.begin(primer, timeline)))

    def resume(self, snapshot: Snapshot, **options: Any) -> Stream:
        """Go on from a snapshot, as `Model.resume`."""
        if snapshot.fingerprint != self.fingerprint:
            raise CarouselError(
                f"this take belongs to the checkpoint with fingerprint {snapshot.fingerprint[:16]}…, "
                f"not to {self.fingerprint[:16]}…; load that one"
            )
        if snapshot.backend != self.backend.name:
            raise CarouselError(
                f"this take was made with the backend {snapshot.backend}, not with {self.backend.name}; use that one"
            )
        try:
            self._check(snapshot)
            stream = Stream(self, snapshot)
        except (ArithmeticError, AttributeError, CarouselError, LookupError, TypeError, ValueError) as error:
            raise CarouselError("this take does not fit its checkpoint; it was damaged or edited") from error
        if options:
            stream.set(**options)
        return self._admitted(stream)

    def _check(self, snapshot: Snapshot) -> None:
        """Raise something if a snapshot cannot be one of this model's: compiled code trusts it from here on."""
        vocabulary = range(self.tokenizer.vocab_size)
        if snapshot.state.h.shape != (self.config.num_layers, self.config.hidden_size):
            raise ValueError("state")
        if not len(snapshot.primer) <= snapshot.position <= LARGEST_COUNT:
            raise ValueError("position")
        if not all(isinstance(token, int) and token in vocabulary for token in (snapshot.token, *snapshot.primer)):
            raise ValueError("token")
        if not all(name in STRENGTHS and 0 <= count <= LARGEST_COUNT for name, count in snapshot.yielded.items()):
            raise ValueError("yielded")
        for _, options in snapshot.timeline:
            self.constraints.plan(options)
        decoder = self.tokenizer.decoder()
        for token in snapshot.primer:
            decoder.feed(token)
        self.tokenizer.decoder(decoder.state())

    def pull(self, streams: Sequence[Stream], tokens: int) -> list[list[Event]]:
        """Advance each stream by up to `tokens` tokens, side by side; return the events that each one completed.

        Raises:
            CarouselError: a stream is given twice, or belongs to another engine.
        """
        if len(set(streams)) < len(streams) or any(stream.engine is not self for stream in streams):
            raise CarouselError("pull takes streams of this engine, each once")
        events: list[list[Event]] = [[] for _ in streams]
        targets = [stream.position + tokens for stream in streams]
        while going := [
            (index, stream)
            for index, stream in enumerate(streams)
            if stream.position < targets[index] and not stream.ended
        ]:
            jobs = [stream.job(targets[index] - stream.position) for index, stream in going]
            self.serve(jobs)
            for (index, stream), job in zip(going, jobs, strict=True):
                events[index] += stream.accept(job)
        return events

    def begin(self, primer: Sequence[int], timeline: tuple[Change, ...]) -> Snapshot:
        """The moment after the primer, from which sampling starts; options hold from position 0."""
        stream = Stream(self, self._cold(timeline))
        for _ in stream.read(primer):
            pass
        return replace(stream.snapshot(), primer=tuple(primer))

    def _cold(self, timeline: tuple[Change, ...]) -> Snapshot:
        return Snapshot(
            fingerprint=self.fingerprint,
            backend=self.backend.name,
            state=State.zero(self.config.num_layers, self.config.hidden_size),
            token=self.tokenizer.start,
            position=0,
            timeline=timeline,
            primer=(),
            decoder=self.tokenizer.decoder().state(),
        )

    def serve(self, jobs: Sequence[Job]) -> None:
        """Return when these jobs are done, by whichever thread steps."""
        try:
            with self._lock:
                self._waiting.extend(jobs)
            while _unfinished(jobs):
                if self._leading.locked():
                    with self._lock:
                        if _unfinished(jobs) and self._leading.locked():
                            self._finished.wait(PATIENCE_SECONDS)
                else:
                    with self._leading:
                        self._lead(jobs)
                    with self._lock:
                        self._finished.notify_all()
        except BaseException:
            for job in jobs:
                job.wanted = False
            raise

    def _lead(self, jobs: Sequence[Job]) -> None:
        """Step until these jobs are done."""
        if self._broken_off:
            self._begin_again()
        self._broken_off = True
        while _unfinished(jobs):
            self._fill()
            while not self._batch.step() and not self._has_room():
                pass
            with self._lock:
                self._finished.notify_all()
        self._broken_off = False

    def _begin_again(self) -> None:
        """An exception broke off the last leader's work: no row can be trusted. Jobs are values, and begin again."""
        with self._lock:
            waiting = set(self._waiting)
            again = [job for job in self._batch.jobs if job not in waiting]
            self._batch.jobs.clear()
            self._waiting.extendleft(reversed([job for job in again if job.after is None]))

    def _has_room(self) -> bool:
        return bool(self._waiting) and len(self._batch.jobs) < self._batch.rows

    def _fill(self) -> None:
        """Take up what waits, in order, as far as there is room."""
        with self._lock:
            while self._has_room():
                if self._waiting[0].wanted:
                    self._batch.add(self._waiting[0])
                self._waiting.popleft()

    def _check_limit(self) -> None:
        if len(self._streams) >= self.limit:
            raise CarouselError(f"{self.limit} streams are alive, and this engine takes no more; let some go")

    def _admitted(self, stream: Stream) -> Stream:
        with self._lock:
            self._check_limit()
            self._streams.add(stream)
        return stream

    def _encode(self, prime: Any) -> tuple[int, ...]:
        tokens = self.tokenizer.encode(_of_medium(prime, self.tokenizer))
        return tuple(tokens[:-1].tolist())


def _unfinished(jobs: Sequence[Job]) -> bool:
    """Whether any is; the last ones, which are likely to be, are asked first."""
    return any(job.after is None for job in reversed(jobs))


def _of_medium(piece: Any, tokenizer: Tokenizer) -> Any:
    if isinstance(piece, str) != (tokenizer.medium == "text"):
        raise CarouselError(f"this checkpoint speaks {tokenizer.medium}; give it {tokenizer.medium}")
    return piece
