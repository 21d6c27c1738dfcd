"""Tiles of int8 matrix products in the CPU's own vector instructions, written in LLVM's intermediate language.

A tile multiplies a few rows of h with the weights of `PANEL` outputs. h is bytes from 1 to 255, which stand for -127 to
127; weights are bytes from -127 to 127, which lie group by group: the four terms of the first output, then those of the
next one. So one instruction adds four products to each of many int32 sums. All sums are exact, so all tiles agree.

    amx      the matrix unit of some Intel CPUs, 16 or 32 rows at once (`tdpbusd`)
    vnni512  `vpdpbusd` with 512 bits (AVX-512 VNNI)
    avx2     `vpmaddubsw` of |h| and the weight with h's sign, which cannot saturate
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
from numba.core import cgutils as untyped_cgutils
from numba.core import codegen as untyped_codegen
from numba.extending import intrinsic

from generator.foundation.jit import numba
from generator.model.backends.layout import GROUP, PANEL

cgutils: Any = untyped_cgutils
host: Any = untyped_codegen

AMX_ROWS, AMX_TERMS, AMX_OUTPUTS = 16, 64, 16
"""What one instruction of the matrix unit takes."""
AHEAD = 2048
"""Bytes by which weights are fetched before they are needed."""
FEW_ROWS = 2
"""With so few rows two groups are summed side by side, or each instruction would wait for the one before."""

BYTE, INT32, INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


class Code:
    """A tile under way: shorthands over llvmlite's builder."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def call(self, name: str, result: Any, *values: Any) -> Any:
        """One of LLVM's own functions."""
        module, kind = self.builder.module, ir.FunctionType(result, [value.type for value in values])
        return self.builder.call(module.globals.get(name) or ir.Function(module, kind, name), values)

    def at(self, address: Any, offset: Any) -> Any:
        """The address so many bytes further."""
        offset = INT64(offset) if isinstance(offset, int) else offset
        return self.builder.gep(self.builder.bitcast(address, BYTE.as_pointer()), [offset])

    def load(self, kind: Any, address: Any) -> Any:
        return self.builder.load(self.builder.bitcast(address, kind.as_pointer()), align=1)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()), align=1)

    def loop(self, rounds: Any, carried: Sequence[Any], body: Callable[[Any, Sequence[Any]], list[Any]]) -> list[Any]:
        """Do `body` that often, at least once: the number of the round and its last results to the next results."""
        builder = self.builder
        before, inside, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.branch(inside)
        builder.position_at_end(inside)
        number, values = builder.phi(INT64), [builder.phi(value.type) for value in carried]
        results = body(number, values)
        following = builder.add(number, INT64(1))
        for value, first, last in zip((number, *values), (INT64(0), *carried), (following, *results), strict=True):
            value.add_incoming(first, before)
            value.add_incoming(last, inside)
        builder.cbranch(builder.icmp_signed("<", following, rounds), inside, after)
        builder.position_at_end(after)
        return results


def _dot_vnni(code: Code, sums: Any, h: Any, weights: Any) -> Any:
    return code.call(f"llvm.x86.avx512.vpdpbusd.{32 * sums.type.count}", sums.type, sums, h, weights)


def _dot_avx2(code: Code, sums: Any, h: Any, weights: Any) -> Any:
    builder, pairs, zero = code.builder, ir.VectorType(ir.IntType(16), 16), ir.Constant(h.type, None)
    signed = builder.xor(h, ir.Constant(h.type, [0x80] * 32))
    size = code.call("llvm.abs.v32i8", h.type, signed, ir.IntType(1)(0))
    turned = builder.select(builder.icmp_signed("<", signed, zero), builder.sub(zero, weights), weights)
    products = code.call("llvm.x86.avx2.pmadd.ub.sw", pairs, size, turned)
    return builder.add(sums, code.call("llvm.x86.avx2.pmadd.wd", sums.type, products, ir.Constant(pairs, [1] * 16)))


def _dot_plain(code: Code, sums: Any, h: Any, weights: Any) -> Any:
    builder, lanes = code.builder, sums.type.count
    wide = ir.VectorType(INT32, h.type.count)
    products = builder.mul(builder.zext(h, wide), builder.sext(weights, wide))
    for term in range(GROUP):
        places = ir.Constant(ir.VectorType(INT32, lanes), [GROUP * lane + term for lane in range(lanes)])
        sums = builder.add(sums, builder.shuffle_vector(products, products, places))
    return sums


@dataclass(frozen=True)
class Vectors:
    """The vector instructions of a CPU."""

    lanes: int
    """int32s in a register."""
    rows: tuple[int, ...]
    """How many rows a tile can have; for more there are no registers."""
    dot: Callable[[Code, Any, Any, Any], Any]
    """(code, sums, h, weights): the sums with four products added to each."""
    shifted: bool = True
    """Whether it takes h as bytes from 1 to 255, so that the sums have to begin 128 times the weights lower."""


VECTORS = {
    "vnni512": Vectors(16, (6, 4, 3, 2, 1), _dot_vnni),
    "avx2": Vectors(8, (1,), _dot_avx2, shifted=False),
    "plain": Vectors(4, (1,), _dot_plain),
}
REGISTERS = 4
"""How many registers hold the sums of one row of a tile."""


def features() -> set[str]:
    """What the CPU that numba compiles for can do, by LLVM's names."""
    asked: str | None = numba.config.CPU_FEATURES
    found: str = host.get_host_cpu_features() if asked is None else asked
    return {name.removeprefix("+") for name in found.split(",") if name.startswith("+")}


def fitting() -> str:
    """The fastest vectors of the CPU."""
    found = features()
    if {"avx512vnni", "avx512f"} <= found:
        return "vnni512"
    return "avx2" if "avx2" in found else "plain"


def has_matrix_unit() -> bool:
    """Whether there is one, numba may use it, and the system lets this process: Linux wants to be asked."""
    if sys.platform != "linux" or not {"amx-int8", "amx-tile", "avx512vnni", "avx512f"} <= features():
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return bool(ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0)


def _compiled(write: Callable[[Code, list[Any]], None]) -> Any:
    """A function for compiled code, `multiply(h, row, packed, at, groups, starts, column, sums)`.

    Args of that function:
        h: uint8 (rows, terms), of which `row` is the tile's first.
        packed: int8 (bytes,), of which the panel's weights begin at `at`; they are `groups` groups, an even number.
        starts: int32 (outputs,), 128 times the sums of each output's weights, negative.
        sums: int32 (rows, outputs), of which the panel, from `column` on, is written.
    """

    @intrinsic
    def multiply(  # type: ignore[no-untyped-def]
        typing, h, row, packed, at, groups, starts, column, sums
    ):
        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
            arrays = [
                context.make_array(kind)(context, builder, value) if isinstance(kind, types.Array) else value
                for kind, value in zip(signature.args, values, strict=True)
            ]
            h, row, packed, at, groups, starts, column, sums = arrays
            code = Code(builder)
            h_stride, sums_stride = (cgutils.unpack_tuple(builder, array.strides, 2)[0] for array in (h, sums))
            columns = builder.mul(column, INT64(4))
            write(
                code,
                [
                    code.at(h.data, builder.mul(row, h_stride)),
                    h_stride,
                    code.at(packed.data, at),
                    groups,
                    code.at(starts.data, columns),
                    code.at(sums.data, builder.add(builder.mul(row, sums_stride), columns)),
                    sums_stride,
                ],
            )
            return context.get_dummy_value()

        number = types.int64
        return types.void(h, number, packed, number, number, starts, number, sums), generate

    return multiply


def tile(vectors: Vectors, rows: int) -> Any:
    """A tile of so many rows, as `_compiled` says."""
    lanes, abreast = vectors.lanes, 2 if rows <= FEW_ROWS else 1
    width = lanes * REGISTERS
    sums_type, bytes_type = ir.VectorType(INT32, lanes), ir.VectorType(BYTE, GROUP * lanes)
    undefined, first = ir.Constant(sums_type, ir.Undefined), ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes)

    def write(code: Code, values: list[Any]) -> None:
        h, h_stride, packed, groups, starts, sums, sums_stride = values
        builder = code.builder
        zero = ir.Constant(sums_type, None)
        lines = [code.at(h, builder.mul(INT64(row), h_stride)) for row in range(rows)]

        def add(part: int, number: Any, before: Sequence[Any]) -> list[Any]:
            results = list(before)
            for group in range(abreast):
                place = builder.add(builder.mul(number, INT64(abreast)), INT64(group))
                here = code.at(packed, builder.mul(place, INT64(GROUP * PANEL)))
                weights = []
                for register in range(REGISTERS):
                    at = code.at(here, GROUP * (part * width + register * lanes))
                    code.call("llvm.prefetch.p0", ir.VoidType(), code.at(at, AHEAD), INT32(0), INT32(3), INT32(1))
                    weights.append(code.load(bytes_type, at))
                for row, line in enumerate(lines):
                    terms = code.load(INT32, code.at(line, builder.mul(place, INT64(GROUP))))
                    four = builder.insert_element(undefined, terms, INT32(0))
                    four = builder.bitcast(builder.shuffle_vector(four, undefined, first), bytes_type)
                    for register in range(REGISTERS):
                        at = (group * rows + row) * REGISTERS + register
                        results[at] = vectors.dot(code, results[at], four, weights[register])
            return results

        rounds = builder.sdiv(groups, INT64(abreast))
        for part in range(PANEL // width):
            columns = range(part * width, (part + 1) * width, lanes)
            begin = [
                code.load(sums_type, code.at(starts, 4 * column)) if vectors.shifted else zero for column in columns
            ]
            carried = [*begin * rows, *[zero] * (REGISTERS * rows * (abreast - 1))]
            found = code.loop(rounds, carried, partial(add, part))
            for row in range(rows):
                line = code.at(sums, builder.mul(INT64(row), sums_stride))
                for register in range(REGISTERS):
                    at = row * REGISTERS + register
                    total = found[at]
                    for group in range(1, abreast):
                        total = builder.add(total, found[group * rows * REGISTERS + at])
                    code.store(total, code.at(line, 4 * (part * width + register * lanes)))

    return _compiled(write)


def matrix_tile(rows: int) -> Any:
    """A tile of one or two times `AMX_ROWS` rows for the matrix unit, as `_compiled` says; the groups make up whole
    `AMX_TERMS`, and the unit is prepared by `prepare_matrix_unit`.

    Its registers hold sums, of 16 rows and 16 outputs each, then h, then weights, of 16 lines of 64 bytes each.
    """
    blocks = rows // AMX_ROWS
    abreast = 4 // blocks  # columns of sums, so that these take four registers

    def write(code: Code, values: list[Any]) -> None:
        h, h_stride, packed, groups, starts, sums, sums_stride = values
        builder, nothing = code.builder, ir.VoidType()
        lines = [code.at(h, builder.mul(INT64(AMX_ROWS * block), h_stride)) for block in range(blocks)]
        found = [code.at(sums, builder.mul(INT64(AMX_ROWS * block), sums_stride)) for block in range(blocks)]

        def load(register: int, address: Any, stride: Any) -> None:
            code.call("llvm.x86.tileloadd64", nothing, BYTE(register), address, stride)

        def add(first: int, number: Any, _: Sequence[Any]) -> list[Any]:
            for block, line in enumerate(lines):
                load(4 + block, code.at(line, builder.mul(number, INT64(AMX_TERMS))), h_stride)
            here = code.at(packed, builder.mul(number, INT64(AMX_TERMS * PANEL)))
            for column in range(abreast):
                weights = 4 + blocks + column % (4 - blocks)
                load(weights, code.at(here, GROUP * AMX_OUTPUTS * (first + column)), INT64(GROUP * PANEL))
                for block in range(blocks):
                    register = BYTE(abreast * block + column)
                    code.call("llvm.x86.tdpbusd", nothing, register, BYTE(4 + block), BYTE(weights))
            return []

        for first in range(0, PANEL // AMX_OUTPUTS, abreast):
            for column in range(abreast):
                for block in range(blocks):
                    load(abreast * block + column, code.at(starts, 4 * AMX_OUTPUTS * (first + column)), INT64(0))
            code.loop(builder.sdiv(groups, INT64(AMX_TERMS // GROUP)), [], partial(add, first))
            for column in range(abreast):
                for block in range(blocks):
                    address = code.at(found[block], 4 * AMX_OUTPUTS * (first + column))
                    register = BYTE(abreast * block + column)
                    code.call("llvm.x86.tilestored64", nothing, register, address, sums_stride)

    return _compiled(write)


@intrinsic
def prepare_matrix_unit(typing):  # type: ignore[no-untyped-def]
    """Give each register of the matrix unit 16 lines of 64 bytes."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        code = Code(builder)
        shape = cgutils.alloca_once(builder, ir.VectorType(BYTE, 64))
        palette, widths, heights = [1, *[0] * 15], [64, 0] * 8, [16] * 8
        code.store(ir.Constant(ir.VectorType(BYTE, 64), [*palette, *widths, *[0] * 16, *heights, *[0] * 8]), shape)
        code.call("llvm.x86.ldtilecfg", ir.VoidType(), code.at(shape, 0))
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def release_matrix_unit(typing):  # type: ignore[no-untyped-def]
    """Let the system forget the registers."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        Code(builder).call("llvm.x86.tilerelease", ir.VoidType())
        return context.get_dummy_value()

    return types.void(), generate
