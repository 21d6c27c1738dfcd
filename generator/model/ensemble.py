"""Several models as one: an LSTM whose logits are the mean of theirs.

The members lie side by side. Each weight matrix has them as blocks on its diagonal, so no member reads another one, and
the output layer reads all of them at the share of one. The mean of logits is the logarithm of the geometric mean of the
members' distributions, normalised: a product of experts (Hinton 2002). Models that were trained apart err apart, so
their mean errs less; and what comes out is an LSTM like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.foundation.errors import CarouselError
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.state import Floats

GATES = 4


def join(members: Sequence[Checkpoint]) -> Checkpoint:
    """One checkpoint that says what its members say together.

    Raises:
        CarouselError: there are none, or they differ in their tokenizer or their number of layers.
    """
    if not members:
        raise CarouselError("nothing to join; give checkpoints")
    first = members[0]
    for member in members[1:]:
        if member.tokenizer.to_json() != first.tokenizer.to_json():
            raise CarouselError(f"{member.name} and {first.name} speak in other tokens; join checkpoints of one corpus")
        if member.config.num_layers != first.config.num_layers:
            raise CarouselError(f"{member.name} and {first.name} differ in their number of layers; train them alike")
    config = ModelConfig(
        first.config.vocab_size,
        sum(member.config.embedding_dim for member in members),
        sum(member.config.hidden_size for member in members),
        first.config.num_layers,
    )

    def all_of(tensor: str) -> list[Floats]:
        return [member.weights[tensor] for member in members]

    weights: dict[str, Floats] = {}
    for tensor in first.weights:
        if tensor == "embedding.weight":
            weights[tensor] = np.concatenate(all_of(tensor), axis=1)
        elif tensor == "output.weight":
            weights[tensor] = np.concatenate(all_of(tensor), axis=1) / np.float32(len(members))
        elif tensor == "output.bias":
            weights[tensor] = np.mean(all_of(tensor), axis=0)
        else:
            gates = zip(*(np.split(part, GATES) for part in all_of(tensor)), strict=True)
            weights[tensor] = np.concatenate([_side_by_side(gate) for gate in gates])
    return Checkpoint(config, weights, first.tokenizer)


def _side_by_side(parts: Sequence[Floats]) -> Floats:
    """Vectors one after the other; matrices as blocks on a diagonal, with zeros around them."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    whole = np.zeros(np.sum([part.shape for part in parts], axis=0), np.float32)
    row = column = 0
    for part in parts:
        rows, columns = part.shape
        whole[row : row + rows, column : column + columns] = part
        row, column = row + rows, column + columns
    return whole
