"""Tiles: the inner loops of int8 matrix products, in the vector instructions of each kind of CPU.

A tile multiplies a few rows of h with the weights of `PANEL` outputs. h consists of bytes from 1 to 255, which stand
for -127 to 127. Weights are bytes from -127 to 127, stored in groups: four terms of the first output, then the same
terms of the next one. So one instruction adds four products to each of many int32 sums. All sums are exact, so all
tiles give the same result.

    amx      the matrix unit of some Intel CPUs, 16 or 32 rows at once (`tdpbusd`)
    vnni512  `vpdpbusd` with 512 bits (AVX-512 VNNI)
    avx2     `vpmaddubsw` of |h| and the weight times the sign of h, which cannot saturate
    plain    operations that LLVM has for every CPU
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import codegen as untyped_codegen
from numba.extending import intrinsic

from generator.foundation.jit import numba
from generator.model.backends.layout import GROUP, PANEL
from generator.model.backends.llvm import BYTE, INT32, INT64, Emitter, as_intrinsic, cgutils

host: Any = untyped_codegen

AMX_ROWS, AMX_TERMS, AMX_OUTPUTS = 16, 64, 16
"""The size of the product that one instruction of the matrix unit computes."""
PREFETCH_BYTES = 2048
"""How many bytes ahead weights are prefetched."""
FEW_ROWS = 2
"""With at most so many rows, two groups are summed independently; otherwise each instruction would wait for the one
before."""


def _dot_vnni(code: Emitter, sums: Any, h: Any, weights: Any) -> Any:
    return code.call(f"llvm.x86.avx512.vpdpbusd.{32 * sums.type.count}", sums.type, sums, h, weights)


def _dot_avx2(code: Emitter, sums: Any, h: Any, weights: Any) -> Any:
    """Like the others, but with h without its shift: |h| times (weights with the sign of h)."""
    builder, pairs, zero = code.builder, ir.VectorType(ir.IntType(16), 16), ir.Constant(h.type, None)
    signed = builder.xor(h, ir.Constant(h.type, [0x80] * 32))
    size = code.call("llvm.abs.v32i8", h.type, signed, ir.IntType(1)(0))
    turned = builder.select(builder.icmp_signed("<", signed, zero), builder.sub(zero, weights), weights)
    products = code.call("llvm.x86.avx2.pmadd.ub.sw", pairs, size, turned)
    return builder.add(sums, code.call("llvm.x86.avx2.pmadd.wd", sums.type, products, ir.Constant(pairs, [1] * 16)))


def _dot_plain(code: Emitter, sums: Any, h: Any, weights: Any) -> Any:
    builder, lanes = code.builder, sums.type.count
    wide = ir.VectorType(INT32, h.type.count)
    products = builder.mul(builder.zext(h, wide), builder.sext(weights, wide))
    for term in range(GROUP):
        places = ir.Constant(ir.VectorType(INT32, lanes), [GROUP * lane + term for lane in range(lanes)])
        sums = builder.add(sums, builder.shuffle_vector(products, products, places))
    return sums


@dataclass(frozen=True)
class Vectors:
    """One kind of vector instructions."""

    lanes: int
    """The number of int32s in a register."""
    rows: tuple[int, ...]
    """The possible numbers of rows of a tile; more would need too many registers."""
    dot: Callable[[Emitter, Any, Any, Any], Any]
    """dot(code, sums, h, weights) emits code that adds four products to each sum."""
    shifted: bool = True
    """Whether `dot` multiplies h with its shift of 128, which the initial values of the sums then have to cancel."""


VECTORS = {
    "vnni512": Vectors(16, (6, 4, 3, 2, 1), _dot_vnni),
    "avx2": Vectors(8, (1,), _dot_avx2, shifted=False),
    "plain": Vectors(4, (1,), _dot_plain),
}
REGISTERS = 4
"""The number of registers for the sums of one row of a tile."""


def features() -> set[str]:
    """The features of the CPU for which numba compiles, by LLVM's names."""
    configured: str | None = numba.config.CPU_FEATURES
    found: str = host.get_host_cpu_features() if configured is None else configured
    return {name.removeprefix("+") for name in found.split(",") if name.startswith("+")}


def fastest_vectors() -> str:
    """The name of the CPU's fastest kind of vectors."""
    found = features()
    if {"avx512vnni", "avx512f"} <= found:
        return "vnni512"
    return "avx2" if "avx2" in found else "plain"


def has_matrix_unit() -> bool:
    """Whether the CPU has a matrix unit that numba and this process may use; Linux has to be asked for permission."""
    if sys.platform != "linux" or not {"amx-int8", "amx-tile", "avx512vnni", "avx512f"} <= features():
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return bool(ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0)


def tile(vectors: Vectors, rows: int) -> Any:
    """A tile with `rows` rows; see `as_intrinsic`."""
    lanes, groups_at_once = vectors.lanes, 2 if rows <= FEW_ROWS else 1
    width = lanes * REGISTERS
    sums_type, bytes_type = ir.VectorType(INT32, lanes), ir.VectorType(BYTE, GROUP * lanes)
    undefined, first = ir.Constant(sums_type, ir.Undefined), ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes)

    def write(code: Emitter, values: list[Any]) -> None:
        h, h_stride, packed, groups, starts, sums, sums_stride = values
        builder = code.builder
        zero = ir.Constant(sums_type, None)
        h_rows = [code.at(h, builder.mul(INT64(row), h_stride)) for row in range(rows)]

        def add(part: int, number: Any, before: Sequence[Any]) -> list[Any]:
            results = list(before)
            for group in range(groups_at_once):
                place = builder.add(builder.mul(number, INT64(groups_at_once)), INT64(group))
                here = code.at(packed, builder.mul(place, INT64(GROUP * PANEL)))
                weights = []
                for register in range(REGISTERS):
                    at = code.at(here, GROUP * (part * width + register * lanes))
                    ahead = code.at(at, PREFETCH_BYTES)
                    code.call("llvm.prefetch.p0", ir.VoidType(), ahead, INT32(0), INT32(3), INT32(1))
                    weights.append(code.load(bytes_type, at))
                for row, h_row in enumerate(h_rows):
                    terms = code.load(INT32, code.at(h_row, builder.mul(place, INT64(GROUP))))
                    four = builder.insert_element(undefined, terms, INT32(0))
                    four = builder.bitcast(builder.shuffle_vector(four, undefined, first), bytes_type)
                    for register in range(REGISTERS):
                        at = (group * rows + row) * REGISTERS + register
                        results[at] = vectors.dot(code, results[at], four, weights[register])
            return results

        rounds = builder.sdiv(groups, INT64(groups_at_once))
        for part in range(PANEL // width):
            columns = range(part * width, (part + 1) * width, lanes)
            begin = [
                code.load(sums_type, code.at(starts, 4 * column)) if vectors.shifted else zero for column in columns
            ]
            carried = [*begin * rows, *[zero] * (REGISTERS * rows * (groups_at_once - 1))]
            found = code.loop(rounds, carried, partial(add, part))
            for row in range(rows):
                line = code.at(sums, builder.mul(INT64(row), sums_stride))
                for register in range(REGISTERS):
                    at = row * REGISTERS + register
                    total = found[at]
                    for group in range(1, groups_at_once):
                        total = builder.add(total, found[group * rows * REGISTERS + at])
                    code.store(total, code.at(line, 4 * (part * width + register * lanes)))

    return as_intrinsic(write)


def matrix_tile(rows: int) -> Any:
    """A tile for the matrix unit, with `AMX_ROWS` rows or twice as many; see `as_intrinsic`.

    It needs a multiple of `AMX_TERMS` terms, and `prepare_matrix_unit` has to be called before. The first four
    registers hold sums of 16 rows and 16 outputs each; the others hold h and weights, 16 rows of 64 bytes each.
    """
    blocks = rows // AMX_ROWS
    columns_at_once = 4 // blocks  # columns of sums, such that the sums take four registers

    def write(code: Emitter, values: list[Any]) -> None:
        h, h_stride, packed, groups, starts, sums, sums_stride = values
        builder, nothing = code.builder, ir.VoidType()
        h_blocks = [code.at(h, builder.mul(INT64(AMX_ROWS * block), h_stride)) for block in range(blocks)]
        sum_blocks = [code.at(sums, builder.mul(INT64(AMX_ROWS * block), sums_stride)) for block in range(blocks)]

        def load(register: int, address: Any, stride: Any) -> None:
            code.call("llvm.x86.tileloadd64", nothing, BYTE(register), address, stride)

        def add(first: int, number: Any, _: Sequence[Any]) -> list[Any]:
            for block, h_block in enumerate(h_blocks):
                load(4 + block, code.at(h_block, builder.mul(number, INT64(AMX_TERMS))), h_stride)
            here = code.at(packed, builder.mul(number, INT64(AMX_TERMS * PANEL)))
            for column in range(columns_at_once):
                weights = 4 + blocks + column % (4 - blocks)
                load(weights, code.at(here, GROUP * AMX_OUTPUTS * (first + column)), INT64(GROUP * PANEL))
                for block in range(blocks):
                    register = BYTE(columns_at_once * block + column)
                    code.call("llvm.x86.tdpbusd", nothing, register, BYTE(4 + block), BYTE(weights))
            return []

        for first in range(0, PANEL // AMX_OUTPUTS, columns_at_once):
            for column in range(columns_at_once):
                for block in range(blocks):
                    address = code.at(starts, 4 * AMX_OUTPUTS * (first + column))
                    load(columns_at_once * block + column, address, INT64(0))
            code.loop(builder.sdiv(groups, INT64(AMX_TERMS // GROUP)), [], partial(add, first))
            for column in range(columns_at_once):
                for block in range(blocks):
                    address = code.at(sum_blocks[block], 4 * AMX_OUTPUTS * (first + column))
                    register = BYTE(columns_at_once * block + column)
                    code.call("llvm.x86.tilestored64", nothing, register, address, sums_stride)

    return as_intrinsic(write)


@intrinsic
def prepare_matrix_unit(typing):  # type: ignore[no-untyped-def]
    """Configure each register of the matrix unit as 16 rows of 64 bytes."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        code = Emitter(builder)
        shape = cgutils.alloca_once(builder, ir.VectorType(BYTE, 64))
        palette, widths, heights = [1, *[0] * 15], [64, 0] * 8, [16] * 8
        code.store(ir.Constant(ir.VectorType(BYTE, 64), [*palette, *widths, *[0] * 16, *heights, *[0] * 8]), shape)
        code.call("llvm.x86.ldtilecfg", ir.VoidType(), code.at(shape, 0))
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def release_matrix_unit(typing):  # type: ignore[no-untyped-def]
    """Release the registers of the matrix unit."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        Emitter(builder).call("llvm.x86.tilerelease", ir.VoidType())
        return context.get_dummy_value()

    return types.void(), generate
