"""The reference backend: the LSTM's equations written out over fp32 matrix products.

Equations and gate order (i, f, g, o) as in torch's `nn.LSTM`. Layer 0 needs no input product: embedding times weight_ih
is a table with one row a token.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from generator.model.checkpoint import Checkpoint
from generator.model.state import State


class Fp32:
    """fp32 weights and state. Alone, a stream's step is bit-identical on one machine with one number of threads."""

    name: ClassVar[str] = "fp32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        weights, self.config = checkpoint.weights, checkpoint.config
        layers = range(self.config.num_layers)
        biases = [weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"] for layer in layers]
        self._table = F.linear(weights["embedding.weight"], weights["lstm.weight_ih_l0"], biases[0])
        self._first = weights["lstm.weight_hh_l0"].contiguous()
        self._rest = [
            (
                torch.cat([weights[f"lstm.weight_ih_l{layer}"], weights[f"lstm.weight_hh_l{layer}"]], dim=1),
                biases[layer],
            )
            for layer in layers[1:]
        ]
        self._output = (weights["output.weight"].contiguous(), weights["output.bias"])

    def zero(self, streams: int = 1) -> State:
        return State.zero(self.config.num_layers, self.config.hidden_size, streams)

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = torch.empty_like(state.h), torch.empty_like(state.c)
        gates = F.linear(state.h[0], self._first).add_(self._table[tokens])
        _cell(gates, state.c[0], h[0], c[0])
        for layer, (weight, bias) in enumerate(self._rest, start=1):
            gates = F.linear(torch.cat([h[layer - 1], state.h[layer]], dim=1), weight, bias)
            _cell(gates, state.c[layer], h[layer], c[layer])
        return F.linear(h[-1], *self._output), State(h, c)


def _cell(gates: Tensor, c_before: Tensor, h: Tensor, c: Tensor) -> None:
    """c = f·c' + i·g; h = o·tanh(c), written into `h` and `c`, each (streams, hidden_size)."""
    i, f, g, o = gates.chunk(4, dim=1)
    torch.mul(f.sigmoid(), c_before, out=c)
    c.addcmul_(i.sigmoid(), g.tanh())
    torch.mul(o.sigmoid(), c.tanh(), out=h)
