"""The floating backends: the same equations over fp32 (the reference) or bf16 matrix products.

A float product's last bits may change with the number of rows and with the CPU. So a stream is bit-identical to itself
on one machine while its batches have one shape, as they have when it is alone; only int8 promises more.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from generator.model.backends.cell import through_layers
from generator.model.backends.memory import Memory, gate_biases, matrices, tensors
from generator.model.checkpoint import Checkpoint
from generator.model.state import Floats


class Fp32:
    """Weights prepared for fp32 products."""

    name: ClassVar[str] = "fp32"
    product: ClassVar[str] = "fp32"
    _type: ClassVar[torch.dtype] = torch.float32

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config = checkpoint.config
        weights = tensors(checkpoint)
        biases = gate_biases(checkpoint)
        table = F.linear(weights["embedding.weight"], weights["lstm.weight_ih_l0"], biases[0])
        self._weights = [matrix.to(self._type).t() for matrix in matrices(checkpoint)]
        self._added = [table.numpy(), *(bias[None].numpy() for bias in biases[1:])]
        self._bias = weights["output.bias"].numpy()
        self._ones = [np.ones(4 * self.config.hidden_size, np.float32)] * self.config.num_layers

    def memory(self, rows: int) -> Memory:
        return Memory(self.config, rows, np.float32)

    def step(self, tokens: npt.NDArray[np.int64], memory: Memory, logits: Floats) -> None:
        through_layers(tokens, memory, self._multiply, self._ones, self._added)
        h, sums, found = memory.parts(len(tokens))[-1]
        self._multiply(-1, h, sums)
        np.add(found, self._bias, out=logits[: len(tokens)])

    def _multiply(self, layer: int, h: Tensor, sums: Tensor) -> None:
        sums.copy_(h.to(self._type) @ self._weights[layer])


class Bf16(Fp32):
    """bf16 products: half the bytes of fp32, where the CPU multiplies bf16 itself."""

    name: ClassVar[str] = "bf16"
    product: ClassVar[str] = "bf16"
    _type: ClassVar[torch.dtype] = torch.bfloat16
