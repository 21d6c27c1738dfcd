"""The fast backend: int8 weights with one scale a row, int8 h with the constant scale 127, int32 sums, c in fp32.

Sums of whole numbers are exact, so a stream gets the same logits in any company; what follows them has one order of
IEEE operations (`cell`), and the tables are summed in one order too, so it gets the same logits on any CPU.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from generator.jit import compiled
from generator.model.backends.cell import through_layers
from generator.model.backends.memory import H_SCALE, Memory, gate_biases, matrices, tensors
from generator.model.backends.products import Product, exact, fp32_product, int_mm
from generator.model.checkpoint import Checkpoint
from generator.model.state import Floats

SMALLEST = 1e-30
"""A row whose values are all below it counts as zeros; dividing them could go below what fp32 can hold."""


class Int8:
    """Weights prepared for int8 products."""

    name: ClassVar[str] = "int8"

    def __init__(self, checkpoint: Checkpoint, product: Product | None = None) -> None:
        """`product` is chosen by what the CPU multiplies exactly, unless given."""
        self.config = checkpoint.config
        weights = tensors(checkpoint)
        first, *biases = [bias.numpy() for bias in gate_biases(checkpoint)]
        table = input_table(weights["embedding.weight"].numpy(), weights["lstm.weight_ih_l0"].numpy(), first)
        quantised = [quantise(matrix.numpy()) for matrix in matrices(checkpoint)]
        sizes = {whole.shape for whole, _ in quantised}
        self._product = product or (int_mm if all(exact(int_mm, *size) for size in sizes) else fp32_product)
        self._weights = [self._prepared(torch.from_numpy(whole)) for whole, _ in quantised]
        self._scales = [scales for _, scales in quantised]
        self._added = [table, *(bias[None] for bias in biases)]
        self._bias = weights["output.bias"].numpy()

    def _prepared(self, whole: Tensor) -> Tensor:
        """(rows, terms) as what the product multiplies with, (terms, rows)."""
        return (whole if self._product is int_mm else whole.float()).t()

    @property
    def product(self) -> str:
        """How int8 is multiplied here: `int_mm`, or `fp32_product` where the CPU does not do it exactly."""
        return self._product.__name__

    def memory(self, rows: int) -> Memory:
        return Memory(self.config, rows, np.int8)

    def step(self, tokens: npt.NDArray[np.int64], memory: Memory, logits: Floats) -> None:
        through_layers(tokens, memory, self._multiply, self._scales, self._added)
        h, sums, found = memory.parts(len(tokens))[-1]
        self._multiply(-1, h, sums)
        _scaled(found, self._scales[-1], self._bias, logits)

    def _multiply(self, layer: int, h: Tensor, sums: Tensor) -> None:
        self._product(h, self._weights[layer], sums)


def quantise(matrix: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """A matrix (rows, terms) as whole numbers of at most 127, and what a sum with h as int8 is multiplied with, a row.

    A row of nothing but zeros, or nearly so, has scale 0.
    """
    largest = np.abs(matrix).max(axis=1)
    largest[largest < SMALLEST] = 0
    unit = np.where(largest > 0, largest / np.float32(127), np.float32(1))
    whole = np.rint(np.where(largest > 0, 1, 0)[:, None] * matrix / unit[:, None]).astype(np.int8)
    return whole, np.where(largest > 0, unit / np.float32(H_SCALE), np.float32(0)).astype(np.float32)


@compiled
def input_table(embedding: Floats, weight: Floats, bias: Floats) -> Floats:
    """What each token adds to layer 0's gates, (vocab_size, 4·hidden): summed as float64 in the order of the terms."""
    weight = np.ascontiguousarray(weight.T)
    table = np.empty((len(embedding), weight.shape[1]), np.float32)
    sums = np.empty(weight.shape[1], np.float64)
    for token in range(len(embedding)):
        sums[:] = bias
        for term in range(len(weight)):
            factor = np.float64(embedding[token, term])
            for gate in range(len(sums)):
                sums[gate] += factor * np.float64(weight[term, gate])
        for gate in range(len(sums)):
            table[token, gate] = np.float32(sums[gate])
    return table


@compiled
def _scaled(sums: npt.NDArray[np.int32], scales: Floats, bias: Floats, logits: Floats) -> None:
    for stream in range(len(sums)):
        for token in range(sums.shape[1]):
            logits[stream, token] = np.float32(sums[stream, token]) * scales[token] + bias[token]
