"""Where streams meet the model: a loaded checkpoint, and the engine that steps streams through a backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from generator.errors import CarouselError
from generator.model.backends import prepare
from generator.model.checkpoint import Checkpoint
from generator.model.lstm import ModelConfig
from generator.model.state import State
from generator.options import SamplingOptions
from generator.streaming import rng
from generator.streaming.sampling import distribution, draw
from generator.streaming.snapshot import Change, Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import Mask, Tokenizer


class Model:
    """A loaded checkpoint: `tokenizer`, `config`, `card`, and the streams it can start. Threads may share it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

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

    @cached_property
    def _engine(self) -> Engine:
        return Engine(self)

    def stream(self, prime: Any = None, **options: Any) -> Stream:
        """Start a stream; `options` are fields of `SamplingOptions`, `prime` a `str` or `Score` to go on from.

        Raises:
            CarouselError: an option is out of its bounds, or the primer does not fit the model.
        """
        return self._engine.stream(prime, **options)

    def resume(self, snapshot: Snapshot, **options: Any) -> Stream:
        """Go on from a snapshot, with changed options if any are given.

        Raises:
            CarouselError: the snapshot belongs to another checkpoint.
        """
        return self._engine.resume(snapshot, **options)

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
    """Steps streams of one model through one backend."""

    def __init__(self, model: Model, backend: str = "fp32") -> None:
        self.tokenizer = model.tokenizer
        self.fingerprint = model.checkpoint.fingerprint
        self.backend = prepare(backend, model.checkpoint)
        self._not_end: Mask = np.arange(self.tokenizer.vocab_size) != self.tokenizer.end

    def stream(self, prime: Any = None, **options: Any) -> Stream:
        """Start a stream, as `Model.stream`."""
        primer = () if prime is None else self._encode(prime)
        return Stream(self, self.begin(primer, ((0, SamplingOptions(**options)),)))

    def resume(self, snapshot: Snapshot, **options: Any) -> Stream:
        """Go on from a snapshot, as `Model.resume`."""
        if snapshot.fingerprint != self.fingerprint:
            raise CarouselError(
                f"this take belongs to the checkpoint with fingerprint {snapshot.fingerprint[:16]}…, "
                f"not to {self.fingerprint[:16]}…; load that one"
            )
        vocabulary = range(self.tokenizer.vocab_size)
        sound = snapshot.state.h.shape == self.backend.zero().h.shape and snapshot.token in vocabulary
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
        return stream

    def begin(self, primer: Sequence[int], timeline: tuple[Change, ...]) -> Snapshot:
        """The moment after the primer, from which sampling starts; options hold from position 0."""
        state, token = self.backend.zero(), self.tokenizer.start
        decoder = self.tokenizer.decoder()
        for following in primer:
            state = self.feed(token, state)
            token = following
            decoder.feed(token)
        return Snapshot(
            fingerprint=self.fingerprint,
            backend=self.backend.name,
            state=state,
            token=token,
            position=len(primer),
            timeline=timeline,
            primer=tuple(primer),
            decoder=decoder.state(),
        )

    def feed(self, token: int, state: State) -> State:
        """Read a token without drawing one."""
        return self.backend.step(torch.tensor([token]), state)[1]

    def step(
        self, token: int, state: State, allowed: Mask, options: SamplingOptions, position: int
    ) -> tuple[int, State]:
        """Read `token`, draw the next one; it stands at `position`."""
        logits, state = self.backend.step(torch.tensor([token]), state)
        if options.at_end == "never":
            allowed = allowed & self._not_end
        p = distribution(logits[0].numpy(), allowed, options)
        return draw(p, rng.uniform(options.seed, position)), state

    def _encode(self, prime: Any) -> tuple[int, ...]:
        tokens = self.tokenizer.encode(_of_medium(prime, self.tokenizer))
        return tuple(tokens[:-1].tolist())


def _of_medium(piece: Any, tokenizer: Tokenizer) -> Any:
    if isinstance(piece, str) != (tokenizer.medium == "text"):
        raise CarouselError(f"this checkpoint speaks {tokenizer.medium}; give it {tokenizer.medium}")
    return piece
