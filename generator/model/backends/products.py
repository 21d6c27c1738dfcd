"""Products of int8 matrices with h, exact on every CPU. Weights are packed once, as the CPU's vectors read them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from generator.foundation.jit import AVAILABLE, specialised
from generator.model.backends.layout import GROUP, PANEL, SHIFT, TERMS, Bytes, Sums, Weights, pack

if AVAILABLE:
    from generator.model.backends import tiles

Product = Callable[[Bytes, int, Weights, int, int, Sums, int, Sums], None]
"""(h, rows, packed, at, terms, starts, outputs, sums): multiplies the first rows of h, (any, terms or more), with the
matrix (outputs, terms) that is packed from byte `at` on, into the first columns of sums, (any, outputs or more)."""


# `specialised` replaces these: how many rows the tiles of `_by_vectors` have, and the tiles, as they fit the CPU.
MOST = FOUR = THREE = TWO = 2**31
most_tile: Any
four_tile: Any
three_tile: Any
two_tile: Any
one_tile: Any
most_tile = four_tile = three_tile = two_tile = one_tile = None


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
        while rows - row >= FOUR:
            four_tile(h, row, packed, here, groups, starts, column, sums)
            row += FOUR
        while rows - row >= THREE:
            three_tile(h, row, packed, here, groups, starts, column, sums)
            row += THREE
        while rows - row >= TWO:
            two_tile(h, row, packed, here, groups, starts, column, sums)
            row += TWO
        if rows > row:
            one_tile(h, row, packed, here, groups, starts, column, sums)


# And these: for `_by_matrix_unit` the rows of its smaller tile, of which the larger has twice as many; what multiplies
# fewer rows; and what `tiles` has for the unit.
UNIT = 2**31
by_vectors: Any
prepare: Any
release: Any
large_tile: Any
small_tile: Any
by_vectors = prepare = release = large_tile = small_tile = None


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
    names: dict[str, Any] = {"one_tile": made[1]}
    for name, limit in (("most", max(made)), ("four", 4), ("three", 3), ("two", 2)):
        rows = max(rows for rows in made if rows <= limit)
        names |= {name.upper(): rows, f"{name}_tile": made[rows]}
    return specialised(_by_vectors, vectors, **names)


@cache
def matrix_product(vectors: str) -> Product:
    """`Product` by the CPU's matrix unit, with few rows by these vectors."""
    return specialised(
        _by_matrix_unit,
        vectors,
        UNIT=tiles.AMX_ROWS,
        by_vectors=product(vectors),
        prepare=tiles.prepare_matrix_unit,
        release=tiles.release_matrix_unit,
        large_tile=tiles.matrix_tile(2 * tiles.AMX_ROWS),
        small_tile=tiles.matrix_tile(tiles.AMX_ROWS),
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
