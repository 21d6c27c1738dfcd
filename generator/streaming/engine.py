"""The public classes `Model`, a loaded checkpoint, and `Engine`, which draws tokens for many streams together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from generator.foundation import places
from generator.foundation.errors import CarouselError, Option
from generator.foundation.options import SamplingOptions, changed
from generator.model.backends import AUTO, name_of
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.defaults import FILE as DEFAULTS
from generator.model.trace import Trace
from generator.music.score import Score
from generator.music.song import Song
from generator.streaming.constraints import Constraints
from generator.streaming.course import Progress, quiet
from generator.streaming.melody import of_score
from generator.streaming.origin import READ_ERRORS, Origin
from generator.streaming.runtime import DAMAGED, Runtime
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream, draw
from generator.streaming.violations import PRIORITIES
from generator.tokenizers.base import LARGEST_COUNT, Event, Tokenizer
from generator.tokenizers.score import ScoreTokenizer


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

    @property
    def defaults(self) -> SamplingOptions:
        """The options of a stream for which no others are given."""
        return self.checkpoint.defaults

    def __repr__(self) -> str:
        config = self.config
        sizes = f"{config.num_layers} × {config.hidden_size} units, {config.vocab_size} tokens"
        return f"<Model {self.checkpoint.name or 'without a name'}: {self.tokenizer.kind}, {sizes}>"

    def __reduce__(self) -> NoReturn:
        raise CarouselError("a model cannot be pickled; send the path of its checkpoint, and load it there")

    def engine(self, backend: str = AUTO) -> Engine:
        """This model's engine with a backend, created at the first call; CarouselError if there is no such backend."""
        name = name_of(backend)
        with self._lock:
            if name not in self._engines:
                self._engines[name] = Engine(self, name)
            return self._engines[name]

    def stream(self, prime: str | Score | None = None, **options: Any) -> Stream:
        """Start a stream; `prime` is a `str` or `Score` to continue, and `options` are fields of `SamplingOptions`, of
        which those that are not given are the `defaults`.

        Raises:
            CarouselError: an option is out of its bounds, or the primer does not fit the model.
        """
        return self.engine().stream(prime, **options)

    def resume(self, snapshot: Snapshot, **options: Any) -> Stream:
        """Start a stream that continues a snapshot, with changed options if any are given.

        Raises:
            CarouselError: the snapshot belongs to another checkpoint or is damaged, or an option is out of its bounds.
        """
        return self.engine(_checked_snapshot(snapshot).backend).resume(snapshot, **options)

    def melody(self, score: Score, voice: str | None = None, transpose: int = 0) -> str:
        """The melody of a score as text for the option `melody`; see `streaming.melody.of_score`.

        Raises:
            CarouselError: the vocabulary cannot express it, or this is no model of written music.
        """
        if not isinstance(self.tokenizer, ScoreTokenizer):
            kind = self.tokenizer.kind
            raise CarouselError(Option("melody"), f" is not for a checkpoint of kind {kind}; take one of kind score")
        return of_score(_of_medium(score, self.tokenizer), self.tokenizer.table, voice, transpose)

    def score(self, piece: str | Score | list[Event]) -> npt.NDArray[np.float64]:
        """The negative log-likelihood of each token of a piece (`str`, `Score`, list of events) in nats, (tokens,).

        Raises:
            CarouselError: the piece is of the wrong kind, or the vocabulary cannot express it.
        """
        tokens = self._tokens_of(piece)
        features = self.tokenizer.grammar.features_before(tokens)
        return self.checkpoint.model().negative_log_likelihood(tokens, self.tokenizer.start, features=features)

    def _tokens_of(self, piece: str | Score | list[Event]) -> npt.NDArray[np.uint16]:
        if isinstance(piece, list):
            piece = self.tokenizer.collect(piece)
        return self.tokenizer.encode(_of_medium(piece, self.tokenizer))

    def trace(self, piece: Stream | str | Score | list[Event], start: int = 0, stop: int | None = None) -> Trace:
        """What cells and gates did before the tokens from position `start` to before `stop`, by default the end, of a
        stream, or of a piece that is read from a zero state: in row n the step that predicts the token at `start` + n.

        Raises:
            CarouselError: the stream is another checkpoint's, has no such positions, or the piece is as in `score`; the
                trace would take more than `inspecting.MOST_BYTES`.
        """
        if isinstance(piece, Stream):
            if piece.engine.fingerprint != self.checkpoint.fingerprint:
                raise CarouselError("this stream is drawn from another checkpoint; ask the model that it came from")
            return piece.trace(start, stop)
        return Stream.trace_of(self.engine(), self._tokens_of(piece).tolist())[start:stop]


def load(folder: str | Path) -> Model:
    """Load a checkpoint by its folder or by its name, which is looked up in `checkpoints/` here, then in the user's
    folder, then among the shipped ones.

    Raises:
        CarouselError: a file is missing or damaged, or does not fit the others.
    """
    model = Model(Checkpoint.load(folder))
    try:
        Constraints(model.tokenizer).encode(model.defaults)
    except CarouselError as error:
        path = places.checkpoint(folder) / DEFAULTS
        raise CarouselError(f"{path}: ", *error.args, "; correct or remove this file") from error
    return model


class Engine(Runtime):
    """Draws tokens for all streams of one model together, and may be called from any number of threads.

    Streams do not influence each other (with int8, to the last bit). Jobs are served in the order of their arrival, and
    none is longer than `CHUNK` tokens.
    """

    def stream(
        self,
        prime: str | Score | None = None,
        *,
        song: Song | None = None,
        progress: Progress = quiet,
        **options: Any,
    ) -> Stream:
        """Start a stream, as `Model.stream`; `progress` is called while a long primer is read or a past drawn again. A
        `song` goes into its snapshots."""
        primer = () if prime is None else self._encode(prime)
        timeline = ((0, self.settle(changed(self.defaults, options), primer)),)
        stream = Stream.begin(self, primer, timeline, progress)
        stream._song = song
        self.admit(stream)
        return stream

    def resume(self, snapshot: Snapshot, *, progress: Progress = quiet, **options: Any) -> Stream:
        """Continue a snapshot, as `Model.resume`; `progress` as in `stream`."""
        _checked_snapshot(snapshot)
        self.check(snapshot)
        try:
            if snapshot.state.h.shape != (self.config.num_layers, self.config.hidden_size):
                raise ValueError("state")
            if not isinstance(snapshot.token, int) or snapshot.token not in range(self.tokenizer.vocab_size):
                raise ValueError("token")
            if not all(name in PRIORITIES and 0 <= count <= LARGEST_COUNT for name, count in snapshot.relaxed.items()):
                raise ValueError("yielded")
            if self.index is not None and snapshot.match is not None and snapshot.corpus == self.index.key:
                self.index.check(snapshot.match)
            stream = Stream(self, snapshot, progress)
        except (CarouselError, *READ_ERRORS) as error:
            raise CarouselError(DAMAGED) from error
        if options:
            stream.set(**options)
        self.admit(stream)
        return stream

    def replay(self, origin: Origin, *, progress: Progress = quiet) -> Stream:
        """Draw a stream again from its origin, up to its position; `progress` as in `stream`.

        Raises:
            CarouselError: it was made with another checkpoint, backend or corpus, or the origin is damaged.
        """
        self.check(origin)
        stream = Stream.begin(self, origin.primer, origin.timeline, progress)
        for _ in stream.replay(origin.position, origin.timeline, origin.injected):
            pass
        stream._song = origin.song
        self.admit(stream)
        return stream

    def pull(self, streams: Sequence[Stream], tokens: int) -> list[list[Event]]:
        """Advance all these streams together by up to `tokens` tokens; return the events that each one completed.

        Raises:
            CarouselError: a stream is given twice, or belongs to another engine; a number is negative.
        """
        return [events for _, events in self.draw(streams, tokens)]

    def draw(self, streams: Sequence[Stream], tokens: int | Sequence[int]) -> list[tuple[list[int], list[Event]]]:
        """As `pull`, but with a number of tokens for each stream if several are given, and return a pair of tokens and
        events for each."""
        return draw(self, streams, tokens)

    def _encode(self, prime: str | Score) -> tuple[int, ...]:
        tokens = self.tokenizer.encode(_of_medium(prime, self.tokenizer))
        return tuple(tokens[:-1].tolist())


def _checked_snapshot(snapshot: Any) -> Snapshot:
    if not isinstance(snapshot, Snapshot):
        kind = type(snapshot).__name__
        raise CarouselError(f"a stream goes on from a Snapshot, not from a {kind}; Snapshot.load reads a take")
    return snapshot


def _of_medium(piece: Any, tokenizer: Tokenizer) -> Any:
    if not isinstance(piece, str | Score):
        raise CarouselError(f"a piece is a str or a Score, not a {type(piece).__name__}; give one of these")
    if isinstance(piece, str) != (tokenizer.medium == "text"):
        raise CarouselError(f"this checkpoint speaks {tokenizer.medium}; give it {tokenizer.medium}")
    return piece
