"""Products of int8 matrices with h, exact on every CPU. Weights are packed once, as the CPU's vectors read them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.jit import AVAILABLE, specialised

if AVAILABLE:
    from generator.model.backends import tiles

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]
Sums = npt.NDArray[np.int32]

PANEL, GROUP = 64, 4
"""Outputs whose weights lie together, and how many terms of each."""
LINE = 64
"""Bytes of a line of the CPU's caches."""
TERMS = 64
"""Products have a whole number of these; zeros fill them up."""
SHIFT = 128
"""What is added to h, so that it has no sign."""
NEVER = 2**31


def padded(size: int, unit: int) -> int:
    """The next multiple of a unit."""
    return -(-size // unit) * unit


def aligned(shape: int | tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """An array of zeros that begins with a line of the CPU's caches, for what crosses to the next one is read twice."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + LINE, np.uint8)
    begin = -room.ctypes.data % LINE
    return room[begin : begin + size].view(dtype).reshape(shape)


def pack(matrix: Weights) -> tuple[Weights, Sums]:
    """A matrix (outputs, terms), both multiples of `PANEL` and `TERMS`, as one row of bytes in the order in which
    `product` reads them; and what its sums begin with to undo the shift of h, (outputs,)."""
    outputs, terms = matrix.shape
    groups = matrix.reshape(outputs // PANEL, PANEL, terms // GROUP, GROUP)
    return groups.transpose(0, 2, 1, 3).ravel(), (-SHIFT * matrix.sum(axis=1, dtype=np.int64)).astype(np.int32)


Product = Callable[[Bytes, int, Weights, int, int, Sums, int, Sums], None]
"""(h, rows, packed, at, terms, starts, outputs, sums): multiplies the first rows of h, (any, terms or more), with the
matrix (outputs, terms) that is packed from byte `at` on, into the first columns of sums, (any, outputs or more)."""


MOST = SOME = TWO = 2**31
most_tile: Any
some_tile: Any
two_tile: Any
one_tile: Any
most_tile = some_tile = two_tile = one_tile = None
"""Of `_by_vectors`: tiles and how many rows they have. `specialised` gives it those that fit the CPU."""


def _by_vectors(
    h: Bytes, rows: int, packed: Weights, at: int, terms: int, starts: Sums, outputs: int, sums: Sums
) -> None:
    """`Product` by tiles."""
    groups = terms // GROUP
    for column in range(0, outputs, PANEL):
        here, row = at + column * terms, 0
        while rows - row >= MOST:
            most_tile(h, row, packed, here, groups, starts, column, sums)
            row += MOST
        while rows - row >= SOME:
            some_tile(h, row, packed, here, groups, starts, column, sums)
            row += SOME
        while rows - row >= TWO:
            two_tile(h, row, packed, here, groups, starts, column, sums)
            row += TWO
        if rows > row:
            one_tile(h, row, packed, here, groups, starts, column, sums)


UNIT = 16
"""Rows of the smaller tile of a matrix unit; the larger has twice as many."""
by_vectors: Any
prepare: Any
release: Any
large_tile: Any
small_tile: Any
by_vectors = prepare = release = large_tile = small_tile = None
"""Of `_by_matrix_unit`: what few rows are multiplied with, and what `tiles` has for the unit."""


def _by_matrix_unit(
    h: Bytes, rows: int, packed: Weights, at: int, terms: int, starts: Sums, outputs: int, sums: Sums
) -> None:
    """`Product` by a matrix unit where rows are many. The last tile takes some rows once more."""
    if rows < UNIT:
        by_vectors(h, rows, packed, at, terms, starts, outputs, sums)
        return
    groups = terms // GROUP
    prepare()
    for column in range(0, outputs, PANEL):
        here, row = at + column * terms, 0
        while rows - row >= 2 * UNIT:
            large_tile(h, row, packed, here, groups, starts, column, sums)
            row += 2 * UNIT
        while rows > row:
            small_tile(h, min(row, rows - UNIT), packed, here, groups, starts, column, sums)
            row += UNIT
    release()


def plain(h: Bytes, rows: int, packed: Weights, at: int, terms: int, starts: Sums, outputs: int, sums: Sums) -> None:
    """`Product` without compiled code."""
    groups = packed[at : at + outputs * terms].reshape(outputs // PANEL, terms // GROUP, PANEL, GROUP)
    matrix = groups.transpose(0, 2, 1, 3).reshape(outputs, terms)
    sums[:rows, :outputs] = h[:rows, :terms].astype(np.float64) @ matrix.T.astype(np.float64) + starts[:outputs]


@cache
def product(vectors: str) -> Product:
    """`Product` by one kind of `tiles.VECTORS`."""
    kind = tiles.VECTORS[vectors]
    made = {rows: tiles.tile(kind, rows) for rows in kind.rows}
    most, some, two, one = (max(rows for rows in made if rows <= limit) for limit in (max(made), 3, 2, 1))
    names = {"MOST": most, "most_tile": made[most], "SOME": some, "some_tile": made[some]}
    return specialised(_by_vectors, vectors, **names, TWO=two, two_tile=made[two], one_tile=made[one])


@cache
def matrix_product(vectors: str) -> Product:
    """`Product` by the CPU's matrix unit, with few rows by these vectors."""
    return specialised(
        _by_matrix_unit,
        vectors,
        by_vectors=product(vectors),
        prepare=tiles.prepare_matrix_unit,
        release=tiles.release_matrix_unit,
        large_tile=tiles.matrix_tile(2 * UNIT),
        small_tile=tiles.matrix_tile(UNIT),
    )


@cache
def fitting() -> tuple[str, Product]:
    """The fastest product that is exact here, and its name."""
    if not AVAILABLE:
        return "numpy", plain
    vectors = tiles.fitting()
    if tiles.has_matrix_unit() and exact(matrix_product(vectors)):
        return "amx", matrix_product(vectors)
    return next((name, product(name)) for name in (vectors, "plain") if exact(product(name)))


def exact(found: Product) -> bool:
    """Whether a product is right, with the largest values too, in one row and in many."""
    random = np.random.default_rng(0)
    matrix = random.integers(-127, 128, (2 * PANEL, 2 * TERMS), np.int8)
    matrix[:2] = [[127], [-127]]
    packed, starts = pack(matrix)
    for rows in (1, 2, 3, 11, 16, 53):
        h = random.integers(-127, 128, (rows, matrix.shape[1]), np.int64)
        h[0] = 127
        sums = np.zeros((rows, len(matrix)), np.int32)
        found((h + SHIFT).astype(np.uint8), rows, packed, 0, matrix.shape[1], starts, len(matrix), sums)
        if not np.array_equal(sums, h @ matrix.T.astype(np.int64)):
            return False
    return True
