"""One step of the LSTM, fast: prepare the weights once, then step a batch of states, each one token further."""

from __future__ import annotations

from typing import ClassVar, Protocol

from torch import Tensor

from generator.errors import CarouselError
from generator.model.backends.fp32 import Fp32
from generator.model.checkpoint import Checkpoint
from generator.model.state import State


class Backend(Protocol):
    """Weights prepared for stepping."""

    name: ClassVar[str]

    def zero(self, streams: int = 1) -> State:
        """The state of cold streams."""

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Feed each stream a token: tokens (streams,) and state in, fp32 logits (streams, vocab_size) and state out."""


BACKENDS: dict[str, type[Fp32]] = {"fp32": Fp32}


def prepare(name: str, checkpoint: Checkpoint) -> Backend:
    """The backend of that name with the checkpoint's weights.

    Raises:
        CarouselError: there is no such backend.
    """
    if name not in BACKENDS:
        raise CarouselError(f"no backend {name!r}; choose one of {', '.join(BACKENDS)}")
    return BACKENDS[name](checkpoint)
