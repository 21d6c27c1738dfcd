"""Fast inference for the LSTM: prepare the weights once, then step a batch of streams by one token at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.foundation.jit import specialised
from generator.model.backends import cell, fp32, int8
from generator.model.backends.layout import PANEL, TERMS, aligned, aligned_copy, blocked, padded
from generator.model.backends.memory import Memory, Network
from generator.model.backends.products import fastest_product
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.state import Floats
from generator.tokenizers.base import FeatureIds, Grammar

__all__ = ["AUTO", "BACKENDS", "Backend", "Memory", "name_of", "nats_of", "negative_log_likelihood", "prepare"]

BACKENDS = ("int8", "fp32")
AUTO = "auto"
"""Stands for int8, which gives the same tokens on every machine, whichever product the CPU uses."""
Features = npt.NDArray[np.int64]
NO_FEATURES: Features = np.zeros((0, 0), np.int64)


@dataclass(frozen=True)
class Backend:
    """The prepared weights of a model. Threads may share it if each has its own memory."""

    name: str
    product: str
    """The name of the matrix product for this CPU."""
    config: ModelConfig
    network: Network
    forward: Callable[..., None]
    """`cell.forward`, compiled with that product."""

    def memory(self, rows: int) -> Memory:
        """The memory for `rows` streams, all in the zero state."""
        return Memory(self.config, rows, np.uint8 if self.name == "int8" else np.float32)

    def step(
        self, tokens: npt.NDArray[np.int64], memory: Memory, logits: Floats, features: Features = NO_FEATURES
    ) -> None:
        """Feed one token to each of the first n streams.

        Args:
            tokens: shape (n,).
            memory: its first n rows are changed in place.
            logits: its first n rows are written, shape (n or more, vocab_size).
            features: the ids of the features after each token, shape (n, columns), if the model reads features.

        Raises:
            ValueError: it reads features, and there are none.
        """
        if self.config.feature_rows and features.shape[1] == 0:
            raise ValueError("this model reads features besides tokens")
        self.forward(self.network, memory.rows, tokens, features, len(tokens), logits, True)


def name_of(backend: str) -> str:
    """The name of a backend, with `auto` resolved.

    Raises:
        CarouselError: there is no such backend.
    """
    name = "int8" if backend == AUTO else backend
    if name not in BACKENDS:
        raise CarouselError(f"no backend {name!r}; choose one of {', '.join((AUTO, *BACKENDS))}")
    return name


def prepare(name: str, checkpoint: Checkpoint) -> Backend:
    """Prepare the weights of a checkpoint for the backend of that name.

    Raises:
        CarouselError: there is no such backend.
    """
    name, config = name_of(name), checkpoint.config
    table, biases = (aligned_copy(blocked(gates.T, config.hidden_size).T) for gates in _gate_inputs(checkpoint))
    rest = _matrices(checkpoint), table, biases, checkpoint.weights["output.bias"], _feature_vectors(checkpoint)
    if name == "fp32":
        return Backend(name, name, config, fp32.network(*rest), _forward(name, fp32.product))
    product_name, product = fastest_product()
    return Backend(name, product_name, config, int8.network(*rest), _forward(product_name, product))


def _gate_inputs(checkpoint: Checkpoint) -> tuple[Floats, Floats]:
    """The input and bias of layer 0's gates for each token, (vocab_size, 4·hidden), and the bias of each layer's gates,
    (layers, 4·hidden), in torch's order."""
    weights, layers = checkpoint.weights, range(checkpoint.config.num_layers)
    biases = np.stack([weights[f"lstm.bias_ih_l{n}"] + weights[f"lstm.bias_hh_l{n}"] for n in layers])
    by_token = weights["lstm.weight_ih_l0"][:, : checkpoint.config.embedding_dim]
    return int8.input_table(weights["embedding.weight"], by_token, biases[0]), biases


def _feature_vectors(checkpoint: Checkpoint) -> Floats:
    """The vector of each feature's value, (feature_rows, terms), padded."""
    config = checkpoint.config
    found = aligned((config.feature_rows, padded(config.feature_dim, TERMS)), np.float32)
    if config.feature_rows:
        found[:, : config.feature_dim] = checkpoint.weights["features.weight"]
    return found


@cache
def _forward(name: str, product: Callable[..., None]) -> Callable[..., None]:
    return specialised(cell.forward, name, product=product)


def _matrices(checkpoint: Checkpoint) -> list[Floats]:
    """The matrix of each layer and of the output layer, padded, (outputs, terms); it multiplies a row of
    `memory.StateArrays.h`, so the input weights and the recurrent weights of a layer stand side by side; those of the
    features come after layer 0's recurrent weights."""
    weights, config = checkpoint.weights, checkpoint.config
    hidden = config.hidden_size
    by_features = weights["lstm.weight_ih_l0"][:, config.embedding_dim :]
    layers = [[weights["lstm.weight_hh_l0"], *([by_features] if config.feature_rows else [])]]
    for layer in range(1, config.num_layers):
        layers.append([weights[f"lstm.weight_ih_l{layer}"], weights[f"lstm.weight_hh_l{layer}"]])
    matrices = [[blocked(matrix, hidden) for matrix in sides] for sides in layers] + [[weights["output.weight"]]]
    found = []
    for sides in matrices:
        widths = [padded(matrix.shape[1], TERMS) for matrix in sides]
        whole = np.zeros((padded(len(sides[0]), PANEL), sum(widths)), np.float32)
        for matrix, at in zip(sides, accumulate(widths, initial=0), strict=False):
            whole[: len(matrix), at : at + matrix.shape[1]] = matrix
        found.append(whole)
    return found


def negative_log_likelihood(
    backend: Backend,
    tokens: npt.NDArray[np.integer[Any]],
    start: int,
    grammar: Grammar | None = None,
    features: FeatureIds | None = None,
) -> npt.NDArray[np.float64]:
    """The negative log-likelihood of each token in nats, (tokens,), with a carried state, computed by the same steps as
    in a stream. The first token follows `start` and a zero state. Only tokens that `grammar` allows share the
    probability, if it is given. `features` are the ids before each token, (tokens, columns), if the model reads any."""
    memory = backend.memory(1)
    inputs = np.concatenate([[start], tokens[:-1]]).astype(np.int64)
    nats = np.empty(len(tokens), np.float64)
    logits = np.empty((256, backend.config.vocab_size), np.float32)
    masks = None if grammar is None else grammar.masks(tokens, logits.shape[1], len(logits))
    for first in range(0, len(tokens), len(logits)):
        targets = tokens[first : first + len(logits)]
        told = NO_FEATURES if features is None else features[first : first + len(targets)].astype(np.int64)
        for step in range(len(targets)):
            here = slice(first + step, first + step + 1)
            backend.step(inputs[here], memory, logits[step : step + 1], told[step : step + 1])
        read = logits[: len(targets)]
        if masks is not None:
            read[~next(masks)] = -np.inf
        nats[first : first + len(targets)] = nats_of(read, targets)
    return nats


def nats_of(logits: Floats, tokens: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
    """The negative log-likelihood of one token a row in nats, (rows,), from logits of shape (rows, vocab_size)."""
    rows = logits.astype(np.float64)
    largest = rows.max(axis=1)
    total = largest + np.log(np.exp(rows - largest[:, None]).sum(axis=1))
    found: npt.NDArray[np.float64] = total - rows[np.arange(len(rows)), tokens]
    return found
