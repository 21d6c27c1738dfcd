"""The memory of a stream as an immutable value: h and c of every layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """h and c, fp32, of shape (layers, streams, hidden_size). A step makes a new state; the old one stays valid."""

    h: Tensor
    c: Tensor

    @staticmethod
    def zero(layers: int, hidden_size: int, streams: int = 1) -> State:
        """What a cold stream remembers: nothing."""
        shape = (layers, streams, hidden_size)
        return State(torch.zeros(shape), torch.zeros(shape))
