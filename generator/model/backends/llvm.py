"""Parts of compiled functions written in LLVM's intermediate language, for instructions that numba does not emit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic

cgutils: Any = untyped_cgutils

BYTE, INT32, INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


class Emitter:
    """Shorthands for llvmlite's builder."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def call(self, name: str, result: Any, *values: Any) -> Any:
        """Call one of LLVM's intrinsic functions."""
        module, kind = self.builder.module, ir.FunctionType(result, [value.type for value in values])
        return self.builder.call(module.globals.get(name) or ir.Function(module, kind, name), values)

    def at(self, address: Any, offset: Any) -> Any:
        """The address that is `offset` bytes after another one."""
        offset = INT64(offset) if isinstance(offset, int) else offset
        return self.builder.gep(self.builder.bitcast(address, BYTE.as_pointer()), [offset])

    def load(self, kind: Any, address: Any) -> Any:
        return self.builder.load(self.builder.bitcast(address, kind.as_pointer()), align=1)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()), align=1)

    def loop(self, rounds: Any, carried: Sequence[Any], body: Callable[[Any, Sequence[Any]], list[Any]]) -> list[Any]:
        """A loop of `rounds` rounds, at least one. `body` gets the number of the round and the results of the round
        before (first `carried`), and returns its own results; those of the last round are returned."""
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


def _pointer(_: Any, address: Any) -> Any:
    def convert(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), convert


pointer: Any = intrinsic(_pointer)
"""`pointer(address)` in compiled code: an integer as a pointer, for `carray`."""


def as_intrinsic(write: Callable[[Emitter, list[Any]], None]) -> Any:
    """A tile as a function for compiled code, `multiply(h, row, packed, at, groups, starts, column, sums)`.

    Args:
        write: emits the code of the tile, from the addresses and strides of the arrays.

    Args of the returned function:
        h: uint8, (rows, terms); the tile's first row is `row`.
        packed: int8, flat; the panel's weights are `groups` groups (an even number) from `at` on.
        starts: int32, (outputs,): the initial values of the sums, -128 times the sum of each output's weights.
        sums: int32, (rows, outputs); the panel's columns, from `column` on, are written.
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
            code = Emitter(builder)
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
