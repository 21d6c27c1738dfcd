"""The fast backend: int8 weights with one scale per row, int8 h with the constant scale 127, int32 sums, fp32 c.

Integer sums are exact, so the logits of a stream do not depend on the other streams in its batch. The other operations
are IEEE operations in a fixed order (`cell`, `input_table`), so the logits do not depend on the CPU either.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.model.backends.layout import aligned_copy, pack
from generator.model.backends.memory import H_SCALE, Network
from generator.model.state import Floats

SMALLEST = 1e-30
"""Rows whose values are all smaller are set to zero, because their scale could underflow in fp32."""


def network(matrices: list[Floats], *rest: Floats) -> Network:
    """Weights prepared for int8 products; `rest` are the last fields of a `Network`, which products do not read."""
    parts = [(*pack(whole), scales) for whole, scales in map(quantise, matrices)]
    packed, starts, scales = (aligned_copy(np.concatenate(part)) for part in zip(*parts, strict=True))
    return Network(packed, starts, scales, *rest)


def quantise(matrix: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Quantise a matrix (rows, terms), each row to -127…127 by its largest magnitude.

    Returns:
        The int8 matrix, and for each row the scale that turns its product with the int8 h into fp32, shape (rows,); 0
        for a row of zeros.
    """
    largest = np.abs(matrix).max(axis=1)
    largest[largest < SMALLEST] = 0
    unit = np.where(largest > 0, largest / np.float32(127), np.float32(1))
    whole = np.rint(np.where(largest > 0, 1, 0)[:, None] * matrix / unit[:, None]).astype(np.int8)
    return whole, np.where(largest > 0, unit / H_SCALE, np.float32(0)).astype(np.float32)


def input_table(embedding: Floats, weight: Floats, bias: Floats) -> Floats:
    """The input of layer 0's gates for each token: embedding @ weight.T + bias, shape (vocab_size, 4·hidden), summed as
    float64 in the order of the terms."""
    table = np.empty((len(embedding), len(weight)), np.float32)
    _add_terms(np.ascontiguousarray(embedding), np.ascontiguousarray(weight.T), bias, np.empty(len(weight)), table)
    return table


@compiled
def _add_terms(embedding: Floats, weight: Floats, bias: Floats, sums: npt.NDArray[np.float64], table: Floats) -> None:
    for token in range(len(table)):
        for gate in range(len(sums)):
            sums[gate] = np.float64(bias[gate])
        for term in range(len(weight)):
            factor = np.float64(embedding[token, term])
            for gate in range(len(sums)):
                sums[gate] += factor * np.float64(weight[term, gate])
        for gate in range(len(sums)):
            table[token, gate] = np.float32(sums[gate])
