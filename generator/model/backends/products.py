"""Products of int8 matrices, exact on every CPU.

`torch._int_mm` is the fast one, where the CPU multiplies int8 itself (VNNI and its like). On others it may saturate at
16 bits, so it is tried on the largest values before it is trusted. The fallback multiplies the same whole numbers as
fp32: no sum of 1,024 products of int8 reaches 2^24, so fp32 holds each one exactly, in any order of summation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MOST_TERMS = 1024
"""1,024 · 127 · 127 < 2^24."""

Product = Callable[[Tensor, Tensor, Tensor], None]
"""(left (m, k) int8, right (k, n) int8, out (m, n) int32): out = left @ right."""


def int_mm(left: Tensor, right: Tensor, out: Tensor) -> None:
    """torch's own product."""
    torch._int_mm(left, right, out=out)


def fp32_product(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Exact everywhere, slower: four times the bytes. `right` may be given as fp32 already."""
    out.zero_()
    for first in range(0, left.shape[1], MOST_TERMS):
        part = slice(first, first + MOST_TERMS)
        out += (left[:, part].float() @ right[part].float()).int()


def exact(product: Product, outputs: int, terms: int) -> bool:
    """Whether a product of that size is right where int8 kernels go wrong: large values, one row and many."""
    random = torch.Generator().manual_seed(0)
    right = torch.randint(-127, 128, (outputs, terms), dtype=torch.int8, generator=random)
    right[: outputs // 4], right[outputs // 4 : outputs // 2] = 127, -127
    for rows in (1, 3, 16, 130):
        left = torch.randint(-127, 128, (rows, terms), dtype=torch.int8, generator=random)
        left[0] = 127
        out = torch.zeros((rows, outputs), dtype=torch.int32)
        try:
            product(left, right.t(), out)
        except (AttributeError, NotImplementedError, RuntimeError):
            return False
        if not torch.equal(out.double(), left.double() @ right.double().t()):
            return False
    return True
