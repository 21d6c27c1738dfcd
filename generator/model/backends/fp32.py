"""The reference: the same equations over fp32 products, summed term by term, so in one order on every CPU."""

from __future__ import annotations

import numpy as np

from generator.jit import compiled
from generator.model.backends.layout import Sums
from generator.model.backends.memory import Network
from generator.model.state import Floats


def network(matrices: list[Floats], table: Floats, biases: Floats, bias: Floats) -> Network:
    """Weights prepared for fp32 products."""
    outputs = sum(map(len, matrices))
    packed = np.concatenate([matrix.T.ravel() for matrix in matrices])
    return Network(packed, np.zeros(outputs, np.int32), np.ones(outputs, np.float32), table, biases, bias)


@compiled
def product(
    h: Floats, rows: int, packed: Floats, at: int, terms: int, starts: Sums, outputs: int, sums: Floats
) -> None:
    """As `products.Product`, with the matrix transposed."""
    sums[:rows, :outputs] = 0
    for term in range(terms):
        weights = packed[at + term * outputs : at + (term + 1) * outputs]
        for row in range(rows):
            factor, line = h[row, term], sums[row]
            for output in range(outputs):
                line[output] += factor * weights[output]
