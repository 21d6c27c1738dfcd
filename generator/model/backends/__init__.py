"""One step of the LSTM, fast: prepare the weights once, then step a batch of streams, each one token further."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from generator.errors import CarouselError
from generator.model.backends.floating import Bf16, Fp32
from generator.model.backends.int8 import Int8
from generator.model.backends.memory import Memory
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.state import Floats

__all__ = ["AUTO", "BACKENDS", "Backend", "Memory", "name_of", "prepare", "surprise"]


class Backend(Protocol):
    """Weights prepared for stepping. Not thread-safe."""

    config: ModelConfig

    @property
    def name(self) -> str: ...

    @property
    def product(self) -> str:
        """How it multiplies on this CPU."""

    def memory(self, rows: int) -> Memory:
        """Room for so many streams, all cold."""

    def step(self, tokens: npt.NDArray[np.int64], memory: Memory, logits: Floats) -> None:
        """Feed the first n streams a token each: `tokens` (n,), the first n rows of `memory` change in place, and the
        first n rows of `logits`, fp32 (rows, vocab_size), are written."""


BACKENDS: dict[str, type[Int8 | Fp32]] = {"int8": Int8, "fp32": Fp32, "bf16": Bf16}
AUTO = "auto"
"""int8, whose takes sound alike on every machine; how it multiplies is what the CPU decides (`Backend.product`)."""


def name_of(backend: str) -> str:
    """The backend that a name stands for."""
    return "int8" if backend == AUTO else backend


def prepare(name: str, checkpoint: Checkpoint) -> Backend:
    """The backend of that name with the checkpoint's weights.

    Raises:
        CarouselError: there is no such backend.
    """
    if name_of(name) not in BACKENDS:
        raise CarouselError(f"no backend {name!r}; choose one of {', '.join((AUTO, *BACKENDS))}")
    return BACKENDS[name_of(name)](checkpoint)


def surprise(backend: Backend, tokens: npt.NDArray[np.integer[Any]], start: int) -> npt.NDArray[np.float64]:
    """Surprise of each token in nats, shape (tokens,), read as one carried stream from `start` and a cold memory, by
    the steps that a stream takes."""
    memory = backend.memory(1)
    inputs = np.concatenate([[start], tokens[:-1]]).astype(np.int64)
    nats = np.empty(len(tokens), np.float64)
    logits = np.empty((256, backend.config.vocab_size), np.float32)
    for first in range(0, len(tokens), len(logits)):
        said = tokens[first : first + len(logits)]
        for step in range(len(said)):
            backend.step(inputs[first + step : first + step + 1], memory, logits[step : step + 1])
        part = logits[: len(said)].astype(np.float64)
        largest = part.max(axis=1)
        total = largest + np.log(np.exp(part - largest[:, None]).sum(axis=1))
        nats[first : first + len(said)] = total - part[np.arange(len(said)), said]
    return nats
