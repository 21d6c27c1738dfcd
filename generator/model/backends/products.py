"""Exact products of int8 matrices with h: the CPU's fastest one is chosen, and all of them read the same layout."""

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
"""product(h, rows, packed, at, terms, starts, outputs, sums): sums = starts + h @ matrix.T, in integers.

Args:
    h: uint8, (rows or more, terms or more).
    packed: all matrices, flat; the matrix (outputs, terms) begins at byte `at`.
    starts: (outputs or more,).
    sums: int32, written, (rows or more, outputs or more).
"""


# `specialised` replaces these by the CPU's tiles for `_by_vectors`, and by their numbers of rows.
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
    """A `Product` made of tiles with vector instructions."""
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


# `specialised` replaces these for `_by_matrix_unit`: the rows of its smaller tile (the larger one has twice as many),
# the product for fewer rows, and the functions and tiles of the unit.
UNIT_ROWS = 2**31
by_vectors: Any
prepare: Any
release: Any
large_tile: Any
small_tile: Any
by_vectors = prepare = release = large_tile = small_tile = None


def _by_matrix_unit(
    h: Bytes, rows: int, packed: Weights, at: int, terms: int, starts: Sums, outputs: int, sums: Sums
) -> None:
    """A `Product` that uses a matrix unit if there are many rows. The last tile may compute some rows a second time."""
    if rows < UNIT_ROWS:
        by_vectors(h, rows, packed, at, terms, starts, outputs, sums)
        return
    groups = terms // GROUP
    prepare()
    for column in range(0, outputs, PANEL):
        here, row = at + column * terms, 0
        while rows - row >= 2 * UNIT_ROWS:
            large_tile(h, row, packed, here, groups, starts, column, sums)
            row += 2 * UNIT_ROWS
        while rows > row:
            small_tile(h, min(row, rows - UNIT_ROWS), packed, here, groups, starts, column, sums)
            row += UNIT_ROWS
    release()


def plain(h: Bytes, rows: int, packed: Weights, at: int, terms: int, starts: Sums, outputs: int, sums: Sums) -> None:
    """A `Product` in NumPy; float64 is exact for these sums."""
    groups = packed[at : at + outputs * terms].reshape(outputs // PANEL, terms // GROUP, PANEL, GROUP)
    matrix = groups.transpose(0, 2, 1, 3).reshape(outputs, terms)
    sums[:rows, :outputs] = h[:rows, :terms].astype(np.float64) @ matrix.T.astype(np.float64) + starts[:outputs]


@cache
def product(vectors: str) -> Product:
    """The `Product` with one kind of `tiles.VECTORS`."""
    kind = tiles.VECTORS[vectors]
    made = {rows: tiles.tile(kind, rows) for rows in kind.rows}
    names: dict[str, Any] = {"one_tile": made[1]}
    for name, limit in (("most", max(made)), ("four", 4), ("three", 3), ("two", 2)):
        rows = max(rows for rows in made if rows <= limit)
        names |= {name.upper(): rows, f"{name}_tile": made[rows]}
    return specialised(_by_vectors, vectors, **names)


@cache
def matrix_product(vectors: str) -> Product:
    """The `Product` with the CPU's matrix unit; with few rows it uses these vectors."""
    return specialised(
        _by_matrix_unit,
        vectors,
        UNIT_ROWS=tiles.AMX_ROWS,
        by_vectors=product(vectors),
        prepare=tiles.prepare_matrix_unit,
        release=tiles.release_matrix_unit,
        large_tile=tiles.matrix_tile(2 * tiles.AMX_ROWS),
        small_tile=tiles.matrix_tile(tiles.AMX_ROWS),
    )


@cache
def fastest_product() -> tuple[str, Product]:
    """The name of the fastest product that is exact on this CPU, and the product."""
    if not AVAILABLE:
        return "numpy", plain
    vectors = tiles.fastest_vectors()
    if tiles.has_matrix_unit() and is_exact(matrix_product(vectors)):
        return "amx", matrix_product(vectors)
    return next((name, product(name)) for name in (vectors, "plain") if is_exact(product(name)))


def is_exact(found: Product) -> bool:
    """Whether a product gives the right sums for various numbers of rows, and for extreme values."""
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
