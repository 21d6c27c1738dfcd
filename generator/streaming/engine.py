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
from generator.model.backends import AUTO, prepare
from generator.model.checkpoint import Checkpoint
from generator.model.lstm import ModelConfig
from generator.model.state import State
from generator.options import SamplingOptions
from generator.streaming.batch import Batch, Job
from generator.streaming.snapshot import Change, Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event, Tokenizer


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
        with self._lock:
            if backend not in self._engines:
                self._engines[backend] = Engine(self, backend)
                self._engines.setdefault(self._engines[backend].backend.name, self._engines[backend])
            return self._engines[backend]

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

    A stream is a value that waits; a call for its next tokens is a job. Whoever calls while nobody steps does the
    stepping, for all jobs that wait, until its own are done. No stream changes what another one says (with int8, to
    the last bit). Jobs that do not fit into the batch wait in line; each is short, so everyone has a turn.
    """

    def __init__(self, model: Model, backend: str = AUTO, *, rows: int = 256, limit: int = 10_000) -> None:
        """Prepare the weights.

        Args:
            backend: `int8`, `bf16`, `fp32`, or `auto`.
            rows: streams in one step at most.
            limit: streams alive at most. One that waits takes the room of its state, and as much again for each
                doubling of its length, so that it can be rewound.

        Raises:
            CarouselError: there is no such backend.
        """
        self.tokenizer = model.tokenizer
        self.config = model.config
        self.fingerprint = model.checkpoint.fingerprint
        self.backend = prepare(backend, model.checkpoint)
        self.limit = limit
        self._streams: WeakSet[Stream] = WeakSet()
        self._batch = Batch(self.backend, self.tokenizer, rows)
        self._waiting: deque[Job] = deque()
        self._turn = Condition()
        self._stepping = False

    def stream(self, prime: Any = None, **options: Any) -> Stream:
        """Start a stream, as `Model.stream`."""
        chosen = SamplingOptions(**options)
        primer = () if prime is None else self._encode(prime)
        return self._admitted(Stream(self, self.begin(primer, ((0, chosen),))))

    def resume(self, snapshot: Snapshot, **options: Any) -> Stream:
        """Go on from a snapshot, as `Model.resume`."""
        if snapshot.fingerprint != self.fingerprint:
            raise CarouselError(
                f"this take belongs to the checkpoint with fingerprint {snapshot.fingerprint[:16]}…, "
                f"not to {self.fingerprint[:16]}…; load that one"
            )
        vocabulary = range(self.tokenizer.vocab_size)
        shape = (self.config.num_layers, self.config.hidden_size)
        sound = snapshot.state.h.shape == shape and snapshot.token in vocabulary
        try:
            stream = Stream(self, snapshot)
            sound = sound and all(token in vocabulary for token in snapshot.primer)
            stream.allowed()
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            sound = False
        if not sound:
            raise CarouselError("this take does not fit its checkpoint; it was damaged or edited")
        if options:
            stream.set(**options)
        return self._admitted(stream)

    def pull(self, streams: Sequence[Stream], tokens: int) -> list[list[Event]]:
        """Advance each stream by up to `tokens` tokens, side by side; return the events that each one completed."""
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
        cold = Snapshot(
            fingerprint=self.fingerprint,
            backend=self.backend.name,
            state=State.zero(self.config.num_layers, self.config.hidden_size),
            token=self.tokenizer.start,
            position=0,
            timeline=timeline,
            primer=(),
            decoder=self.tokenizer.decoder().state(),
        )
        stream = Stream(self, cold)
        for _ in stream.read(primer):
            pass
        return replace(stream.snapshot(), primer=tuple(primer))

    def serve(self, jobs: Sequence[Job]) -> None:
        """Return when these jobs are done, by whichever thread steps."""
        with self._turn:
            self._waiting.extend(jobs)
            while _unfinished(jobs):
                if self._stepping:
                    self._turn.wait()
                else:
                    self._lead(jobs)

    def _lead(self, jobs: Sequence[Job]) -> None:
        """Step until these jobs are done; the lock is held on the way in and out, and let go in between."""
        self._stepping = True
        self._turn.release()
        done = False
        try:
            while _unfinished(jobs):
                self._fill()
                while not self._batch.step() and not self._has_room():
                    pass
                with self._turn:
                    self._turn.notify_all()
            done = True
        finally:
            self._turn.acquire()
            self._stepping = False
            if not done:  # interrupted amid a step: others' jobs are values, and begin again
                others = [job for job in self._batch.jobs if job not in jobs]
                self._waiting = deque(job for job in (*others, *self._waiting) if job not in jobs)
                self._batch.jobs.clear()
            self._turn.notify_all()

    def _has_room(self) -> bool:
        return bool(self._waiting) and len(self._batch.jobs) < self._batch.rows

    def _fill(self) -> None:
        """Take up what waits, in order, as far as there is room."""
        while self._has_room():
            self._batch.add(self._waiting.popleft())

    def _admitted(self, stream: Stream) -> Stream:
        with self._turn:
            if len(self._streams) >= self.limit:
                raise CarouselError(f"{self.limit} streams are alive, and this engine takes no more; let some go")
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
