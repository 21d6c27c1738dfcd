"""The fp32 backend, a reference: the same equations with fp32 products, summed in the same order on every CPU."""

from __future__ import annotations

import numpy as np

from generator.foundation.jit import compiled
from generator.model.backends.layout import PANEL, Sums, aligned_copy
from generator.model.backends.memory import Network
from generator.model.state import Floats


def network(matrices: list[Floats], *rest: Floats) -> Network:
    """Weights prepared for fp32 products; `rest` as for int8."""
    outputs = sum(map(len, matrices))
    packed = aligned_copy(np.concatenate([pack(matrix) for matrix in matrices]))
    return Network(packed, np.zeros(outputs, np.int32), np.ones(outputs, np.float32), *rest)


def pack(matrix: Floats) -> Floats:
    """Flatten a matrix (outputs, terms) into the order in which `product` reads it; `PANEL` divides outputs."""
    return matrix.reshape(-1, PANEL, matrix.shape[1]).transpose(0, 2, 1).ravel()


@compiled
def product(
    h: Floats, rows: int, packed: Floats, at: int, terms: int, starts: Sums, outputs: int, sums: Floats
) -> None:
    """A `products.Product` in fp32; `starts` is not used."""
    sums[:rows, :outputs] = 0
    for column in range(0, outputs, PANEL):
        for term in range(terms):
            weights = packed[at : at + PANEL]
            at += PANEL
            for row in range(rows):
                factor, line = h[row, term], sums[row, column:]
                for output in range(PANEL):
                    line[output] += factor * weights[output]
