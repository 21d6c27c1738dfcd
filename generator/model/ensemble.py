"""An ensemble as one model: an LSTM whose logits are the mean of its members' logits.

The matrices of the LSTM layers are block-diagonal with the members' matrices as blocks, so the members do not interact.
The output layer averages: it is the members' output layers side by side, divided by their number. The mean of logits
gives the normalised geometric mean of the members' distributions, a product of experts (Hinton 2002). The errors of
models that were trained separately are partly independent, so the mean has a smaller error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator import tokenizers
from generator.foundation.errors import CarouselError
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.defaults import from_json, to_json
from generator.model.state import Floats

GATES = 4


def join(members: Sequence[Checkpoint]) -> Checkpoint:
    """The ensemble of these checkpoints, as a checkpoint without a card and a name, with their defaults if all have the
    same.

    Raises:
        CarouselError: there are none, or they differ in their tokenizer, their number of layers or whether they read
            features.
    """
    if not members:
        raise CarouselError("nothing to join; give checkpoints")
    first = members[0]
    for member in members[1:]:
        if member.tokenizer.to_json() != first.tokenizer.to_json():
            raise CarouselError(
                f"{member.name} and {first.name} have different tokenizers; join checkpoints of one corpus"
            )
        if member.config.num_layers != first.config.num_layers:
            raise CarouselError(f"{member.name} and {first.name} differ in their number of layers; train them alike")
        if member.config.feature_rows != first.config.feature_rows:
            raise CarouselError(f"only one of {member.name} and {first.name} reads features; train them alike")
    config = ModelConfig(
        first.config.vocab_size,
        sum(member.config.embedding_dim for member in members),
        sum(member.config.hidden_size for member in members),
        first.config.num_layers,
        feature_rows=first.config.feature_rows,
        feature_dim=sum(member.config.feature_dim for member in members),
    )

    def all_of(tensor: str) -> list[Floats]:
        return [member.weights[tensor] for member in members]

    own = to_json(first.defaults, first.tokenizer)
    weights: dict[str, Floats] = {}
    for tensor in first.weights:
        if tensor in ("embedding.weight", "features.weight"):
            weights[tensor] = np.concatenate(all_of(tensor), axis=1)
        elif tensor == "output.weight":
            weights[tensor] = np.concatenate(all_of(tensor), axis=1) / np.float32(len(members))
        elif tensor == "output.bias":
            weights[tensor] = np.mean(all_of(tensor), axis=0)
        elif tensor == "lstm.weight_ih_l0":
            cut = [np.split(member.weights[tensor], [member.config.embedding_dim], axis=1) for member in members]
            weights[tensor] = np.concatenate([_by_gates(side) for side in zip(*cut, strict=True)], axis=1)
        else:
            weights[tensor] = _by_gates(all_of(tensor))
    alike = all(to_json(member.defaults, member.tokenizer) == own for member in members)
    options, tokenizer = from_json(own if alike else {}, tokenizers.from_json(first.tokenizer.to_json()))
    return Checkpoint(config, weights, tokenizer, defaults=options)


def _by_gates(parts: Sequence[Floats]) -> Floats:
    """The members' weights of a layer as one: block-diagonal for each gate."""
    gates = zip(*(np.split(part, GATES) for part in parts), strict=True)
    return np.concatenate([_block_diagonal(gate) for gate in gates])


def _block_diagonal(parts: Sequence[Floats]) -> Floats:
    """Concatenate vectors, or put matrices on the diagonal of a larger one that is otherwise zero."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    whole = np.zeros(np.sum([part.shape for part in parts], axis=0), np.float32)
    row = column = 0
    for part in parts:
        rows, columns = part.shape
        whole[row : row + rows, column : column + columns] = part
        row, column = row + rows, column + columns
    return whole
