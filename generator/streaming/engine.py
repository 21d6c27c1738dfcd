"""Where streams meet the model: a loaded checkpoint, and the engine that steps many streams together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from generator.corpora.copies import Index
from generator.errors import CarouselError
from generator.model.backends import AUTO, name_of, prepare
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.state import State
from generator.music.score import Score
from generator.options import SamplingOptions
from generator.streaming.batch import Batch, Job
from generator.streaming.constraints import NO_CORPUS, Constraints
from generator.streaming.melody import of_score
from generator.streaming.offences import STRENGTHS
from generator.streaming.origin import UNSOUND, Change, Origin
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import LARGEST_COUNT, Event, Tokenizer
from generator.tokenizers.score import ScoreTokenizer

PATIENCE_SECONDS = 0.05
"""How long a word that somebody has finished may be lost."""
DAMAGED = "this take does not fit its checkpoint; it was damaged or edited"


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

    def melody(self, score: Score, voice: str | None = None, transpose: int = 0) -> str:
        """A score's melody as the option `melody` takes it, as `streaming.melody.of_score`.

        Raises:
            CarouselError: the model cannot say it, or speaks no written music.
        """
        if not isinstance(self.tokenizer, ScoreTokenizer):
            raise CarouselError(
                f"--melody is not for a checkpoint of kind {self.tokenizer.kind}; take one of kind score"
            )
        return of_score(_of_medium(score, self.tokenizer), self.tokenizer.table, voice, transpose)

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

    def __init__(
        self, model: Model, backend: str = AUTO, *, rows: int = 256, limit: int = 10_000, index: Index | None = None
    ) -> None:
        """Prepare the weights.

        Args:
            backend: `int8`, `bf16`, `fp32`, or `auto`.
            rows: streams in one step at most.
            limit: streams alive at most. One that waits takes the room of its state, and as much again for each
                doubling of its length, so that it can be rewound.
            index: of a corpus in this model's tokens: each stream then has a `meter`, and obeys `max_copy`.

        Raises:
            CarouselError: there is no such backend, `rows` is not positive, or the index is of other tokens.
        """
        if rows < 1:
            raise CarouselError(f"an engine with {rows} rows steps nothing; give 1 or more")
        self.tokenizer = model.tokenizer
        self.config = model.config
        self.name, self.fingerprint = model.checkpoint.name, model.checkpoint.fingerprint
        self.backend = prepare(backend, model.checkpoint)
        self.limit = limit
        self._streams: WeakSet[Stream] = WeakSet()
        if index is not None and index.tokenizer.to_json() != self.tokenizer.to_json():
            raise CarouselError(
                "the index is of a corpus in other tokens; prepare the corpus with the model's tokenizer"
            )
        self.index = index
        self.constraints = Constraints(self.tokenizer, index)
        self._batch = Batch(self.backend, self.tokenizer, rows, self.constraints, index)
        self._waiting: deque[Job] = deque()
        # An interrupt may come between any two instructions. `with` on these locks is safe from it; a flag, an acquire
        # of our own, or a Condition, which takes its lock back after waiting, would not be. A gate is one wait's own.
        self._lock, self._leading = Lock(), Lock()
        self._gates: list[Lock] = []
        self._broken_off = False

    def stream(self, prime: Any = None, **options: Any) -> Stream:
        """Start a stream, as `Model.stream`."""
        primer = () if prime is None else self._encode(prime)
        timeline = ((0, self.constraints.settle(SamplingOptions(**options), primer)),)
        self._check_limit()
        return self._admitted(Stream(self, self.begin(primer, timeline)))

    def resume(self, snapshot: Snapshot, **options: Any) -> Stream:
        """Go on from a snapshot, as `Model.resume`."""
        self.check(snapshot)
        try:
            if snapshot.state.h.shape != (self.config.num_layers, self.config.hidden_size):
                raise ValueError("state")
            if not isinstance(snapshot.token, int) or snapshot.token not in range(self.tokenizer.vocab_size):
                raise ValueError("token")
            if not all(name in STRENGTHS and 0 <= count <= LARGEST_COUNT for name, count in snapshot.yielded.items()):
                raise ValueError("yielded")
            if self.index is not None and snapshot.followed is not None and snapshot.corpus == self.index.key:
                self.index.check(snapshot.followed)
            stream = Stream(self, snapshot)
        except (CarouselError, *UNSOUND) as error:
            raise CarouselError(DAMAGED) from error
        if options:
            stream.set(**options)
        return self._admitted(stream)

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
        given = chain(origin.primer, *(tokens for _, tokens in origin.heard))
        if not all(isinstance(token, int) and token in vocabulary for token in given):
            raise CarouselError(DAMAGED)
        if origin.limited and self.index is None:
            raise CarouselError(NO_CORPUS)
        if origin.limited and self.index is not None and origin.corpus != self.index.key:
            raise CarouselError(
                "it was kept from copying another corpus, or other versions of its pieces; name that one"
            )
        decoder = self.tokenizer.decoder()
        try:
            for _, options in origin.timeline:
                self.constraints.plan(options)
            decoder.feed_all(origin.primer)
            self.tokenizer.decoder(decoder.state())
        except (CarouselError, *UNSOUND) as error:
            raise CarouselError(DAMAGED) from error

    def pull(self, streams: Sequence[Stream], tokens: int) -> list[list[Event]]:
        """Advance each stream by up to `tokens` tokens, side by side; return the events that each one completed.

        Raises:
            CarouselError: a stream is given twice, or belongs to another engine; a number is negative.
        """
        return [events for _, events in self.draw(streams, tokens)]

    def draw(self, streams: Sequence[Stream], tokens: int) -> list[tuple[list[int], list[Event]]]:
        """As `pull`, and the tokens too: for each stream a pair."""
        if tokens < 0 or len(set(streams)) < len(streams) or any(stream.engine is not self for stream in streams):
            raise CarouselError("pull takes streams of this engine, each once, and no fewer tokens than 0")
        drawn: list[tuple[list[int], list[Event]]] = [([], []) for _ in streams]
        targets = [stream.position + tokens for stream in streams]
        while going := [
            (index, stream)
            for index, stream in enumerate(streams)
            if stream.position < targets[index] and not stream.ended
        ]:
            jobs = [stream.job(targets[index] - stream.position) for index, stream in going]
            self.serve(jobs)
            for (index, stream), job in zip(going, jobs, strict=True):
                drawn[index][1].extend(stream.accept(job))
                drawn[index][0].extend(job.said)
        return drawn

    def begin(self, primer: Sequence[int], timeline: tuple[Change, ...]) -> Snapshot:
        """The moment after the primer, from which sampling starts; options hold from position 0."""
        stream = Stream(self, self._cold(timeline))
        for _ in stream.read(primer):
            pass
        return replace(stream.snapshot(), primer=tuple(primer))

    def _cold(self, timeline: tuple[Change, ...]) -> Snapshot:
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
            followed=self.index.begin() if self.index else None,
        )

    def serve(self, jobs: Sequence[Job]) -> None:
        """Return when these jobs are done, by whichever thread steps."""
        try:
            with self._lock:
                self._waiting.extend(jobs)
            while _unfinished(jobs):
                if self._leading.locked():
                    gate = Lock()
                    gate.acquire()
                    with self._lock:
                        self._gates.append(gate)
                    if _unfinished(jobs) and self._leading.locked():
                        gate.acquire(timeout=PATIENCE_SECONDS)
                else:
                    with self._leading:
                        self._lead(jobs)
                    self._open_gates()
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
            self._open_gates()
        self._broken_off = False

    def _open_gates(self) -> None:
        """Wake those that wait for the leader, to see whether their jobs are done."""
        with self._lock:
            gates, self._gates = self._gates, []
        for gate in gates:
            gate.release()

    def _begin_again(self) -> None:
        """An exception broke off the last leader's work: no row can be trusted. Jobs are values, and begin again."""
        with self._lock:
            waiting = set(self._waiting)
            again = [job for job in self._batch.jobs if job not in waiting and job.after is None]
            self._waiting.extendleft(reversed(again))  # first: an interrupt in between may not lose them
            self._batch.jobs.clear()

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
