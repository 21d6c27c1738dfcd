"""The floating backends: the same equations over fp32 (the reference) or bf16 matrix products.

A float product's last bits may change with the number of rows and with the CPU. So a stream is bit-identical to itself
on one machine while its batches have one shape, as they have when it is alone; only int8 promises more.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from generator.model.backends.cell import cell
from generator.model.backends.memory import Memory, gate_biases, matrices
from generator.model.checkpoint import Checkpoint
from generator.model.state import Floats


class Fp32:
    """Weights prepared for fp32 products."""

    name: ClassVar[str] = "fp32"
    product: ClassVar[str] = "fp32"
    _type: ClassVar[torch.dtype] = torch.float32

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config = checkpoint.config
        weights = checkpoint.weights
        biases = gate_biases(checkpoint)
        table = F.linear(weights["embedding.weight"], weights["lstm.weight_ih_l0"], biases[0])
        self._weights = [matrix.to(self._type).t() for matrix in matrices(checkpoint)]
        self._added = [table.numpy(), *(bias[None].numpy() for bias in biases[1:])]
        self._bias = weights["output.bias"].numpy()
        self._ones = np.ones(4 * self.config.hidden_size, np.float32)
        self._h = np.zeros(self.config.hidden_size, np.float32)
        self._zeros = np.zeros(0, np.int64)

    def memory(self, rows: int) -> Memory:
        return Memory(self.config, rows, np.float32)

    def step(self, tokens: npt.NDArray[np.int64], memory: Memory, logits: Floats) -> None:
        n = len(tokens)
        if len(self._zeros) < n:
            self._zeros = np.zeros(n, np.int64)
        parts = memory.parts(n)
        for layer, c in enumerate(memory.c):
            h, sums, found = parts[layer]
            sums.copy_(h.to(self._type) @ self._weights[layer])
            which = tokens if layer == 0 else self._zeros
            own, up = memory.own[layer], memory.up[layer]
            cell(found, self._ones, self._added[layer], which, c, own, up, self._h, memory.h_scale)
        sums = parts[-1][0].to(self._type) @ self._weights[-1]
        np.add(sums.float().numpy(), self._bias, out=logits[:n])


class Bf16(Fp32):
    """bf16 products: half the bytes of fp32, where the CPU multiplies bf16 itself."""

    name: ClassVar[str] = "bf16"
    product: ClassVar[str] = "bf16"
    _type: ClassVar[torch.dtype] = torch.bfloat16
