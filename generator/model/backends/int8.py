"""The fast backend: int8 weights with one scale a row, int8 h with the constant scale 127, int32 sums, c in fp32.

Sums of whole numbers are exact, so a stream gets the same logits in any company; what follows them has one order of
IEEE operations (`cell`), and the tables are summed in one order too, so it gets the same logits on any CPU.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.model.backends.layout import laid, pack
from generator.model.backends.memory import H_SCALE, Network
from generator.model.state import Floats

SMALLEST = 1e-30
"""A row whose values are all below it counts as zeros; dividing them could go below what fp32 can hold."""


def network(matrices: list[Floats], table: Floats, biases: Floats, bias: Floats) -> Network:
    """Weights prepared for int8 products."""
    quantised = [quantise(matrix) for matrix in matrices]
    packed, starts = zip(*(pack(whole) for whole, _ in quantised), strict=True)
    scales = np.concatenate([scales for _, scales in quantised])
    return Network(laid(np.concatenate(packed)), laid(np.concatenate(starts)), laid(scales), table, biases, bias)


def quantise(matrix: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """A matrix (rows, terms) as whole numbers of at most 127, and what a sum with h as int8 is multiplied with, a row.

    A row of nothing but zeros, or nearly so, has scale 0.
    """
    largest = np.abs(matrix).max(axis=1)
    largest[largest < SMALLEST] = 0
    unit = np.where(largest > 0, largest / np.float32(127), np.float32(1))
    whole = np.rint(np.where(largest > 0, 1, 0)[:, None] * matrix / unit[:, None]).astype(np.int8)
    return whole, np.where(largest > 0, unit / H_SCALE, np.float32(0)).astype(np.float32)


def input_table(embedding: Floats, weight: Floats, bias: Floats) -> Floats:
    """What each token adds to layer 0's gates, (vocab_size, 4·hidden): summed as float64 in the order of the terms."""
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
