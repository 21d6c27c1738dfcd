"""How near a step is to what the machine can do. JSON, one object.

    python -m benchmarks.limit

Alone, a stream reads every weight once a token, so the rate at which memory is read is the limit. It is measured with a
compiled sum over a buffer of the weights' own size, which stays in the caches as the weights do, and over a large one,
which does not. `weights` counts the bytes of the recurrent and output matrices; the tables, of which a step reads one
row, are not counted.

Together, streams share the weights, so multiplications are the limit. `operations` counts two for each weight and
stream; the rate is that of the matrix products alone, in the same shapes and on one thread, as every thread of an
engine has its own. A share is the time of the products, or of the reading, over the time of the step.

`parts` says where a step's time goes, each the difference of two contenders: the matrix products; the cells with what
else a backend does; grammar and sampling; events with what else a caller pays. With a char tokenizer, whose grammar and
events cost next to nothing; `benchmarks.grammar` has music's.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.grammar import sampling
from benchmarks.measuring import (
    Work,
    add_model,
    add_streams,
    add_threads,
    add_turns,
    characters,
    clock,
    engine_of,
    microseconds,
    parser,
    pulling,
    ratio,
    report,
    rounded,
    threads,
    timed,
    untrained,
    watched,
)
from benchmarks.step import stepping
from generator.cli import command
from generator.foundation.jit import compiled, specialised
from generator.model.backends import BACKENDS, fp32
from generator.model.backends.layout import BLOCK, GATES, PANEL, TERMS, aligned, aligned_copy, pack, padded
from generator.model.backends.memory import ROW_PADDING
from generator.model.backends.products import fastest_product
from generator.model.config import ModelConfig
from generator.streaming.batch import Batch
from generator.streaming.engine import Model
from generator.streaming.jobs import CHUNK

BYTES = {"int8": 1, "fp32": 4}


@compiled
def total(words: npt.NDArray[np.int64]) -> int:
    """The sum of 8-byte words: as fast as they can be read."""
    found = 0
    for index in range(len(words)):  # over an index, it becomes vector instructions
        found += words[index]
    return found


def reading(size: int, pool: ThreadPoolExecutor, parts: int) -> Work:
    """Reads so many bytes a step, cut into as many parts as there are threads."""
    words = np.array_split(np.ones(max(parts, size // 8), np.int64), parts)
    total(words[0])

    def work(steps: int) -> None:
        def read(part: npt.NDArray[np.int64]) -> None:
            for _ in range(steps):
                total(part)

        list(pool.map(read, words))

    return work


product_: Any = None
"""Of `_by_blocks`; `specialised` replaces it."""


def _by_blocks(h: Any, rows: int, packed: Any, terms: int, starts: Any, outputs: int, sums: Any, cut: int) -> None:
    """A whole matrix's product, of so many outputs at a time."""
    for first in range(0, outputs, cut):
        size = min(cut, outputs - first)
        product_(h, rows, packed, first * terms, terms, starts[first:], size, sums)


def multiplying(shapes: list[tuple[int, int]], streams: int, backend: str) -> Work:
    """The products of a step alone; `shapes` are those of the matrices, (outputs, terms)."""
    random, cases, is_int8 = np.random.default_rng(0), [], backend == "int8"
    name, found = fastest_product() if is_int8 else (backend, fp32.product)
    multiply = specialised(_by_blocks, name, product_=found)
    for outputs, terms in ((padded(outputs, PANEL), padded(terms, TERMS)) for outputs, terms in shapes):
        matrix = random.integers(-127, 128, (outputs, terms), np.int8)
        weights, starts = pack(matrix)
        packed = aligned_copy(weights if is_int8 else fp32.pack(matrix).astype(np.float32))
        h = aligned_copy(random.integers(1, 256, (streams, terms)).astype(np.uint8 if is_int8 else np.float32))
        sums = aligned((streams, GATES * BLOCK + ROW_PADDING), np.int32 if is_int8 else np.float32)
        cut = PANEL if len(cases) == len(shapes) - 1 else GATES * BLOCK  # the output layer comes last
        cases.append((h, streams, packed, terms, starts, outputs, sums, cut))

    def work(steps: int) -> None:
        for _ in range(steps):
            for case in cases:
                multiply(*case)

    return work


def shapes_of(config: ModelConfig) -> list[tuple[int, int]]:
    """The matrices of a step, (outputs, terms): a layer's reads its own h and that of the layer below."""
    hidden = config.hidden_size
    upper = [(4 * hidden, 2 * hidden)] * (config.num_layers - 1)
    return [(4 * hidden, hidden), *upper, (config.vocab_size, hidden)]


def measure(model: Model, backend: str, streams: int, count: int, given: argparse.Namespace) -> dict[str, Any]:
    """One row."""
    engine = engine_of(model, backend, streams)
    callers = [engine.stream(seed=seed) for seed in range(streams)]
    shapes = shapes_of(model.config)
    weights = sum(outputs * terms for outputs, terms in shapes)
    size = weights * BYTES[backend]
    with ThreadPoolExecutor(count) as pool:
        contenders = {
            "whole": pulling(engine, callers, given.chunk),
            "sampled": sampling(
                Batch(engine.backend, engine.tokenizer, streams, engine.constraints),
                [caller._job(CHUNK) for caller in callers],
            ),
            "step": stepping(engine.backend, streams, count),
            "products": multiplying(shapes, streams, backend),
        }
        if streams == 1:
            contenders["reading"] = reading(size, pool, count)
        found = timed(contenders, given.rounds, given.seconds, {"whole": given.chunk, "sampled": CHUNK})
    row: dict[str, Any] = {
        "weights": size,
        "operations": 2 * weights * streams,
        "whole_microseconds": microseconds(found["whole"]),
        "sampled_microseconds": microseconds(found["sampled"]),
        "step_microseconds": microseconds(found["step"]),
        "products_microseconds": microseconds(found["products"]),
    }
    if count == 1:  # `sampled` and `products` have one thread
        nested = [row[f"{name}_microseconds"] for name in ("whole", "sampled", "step", "products")]
        parts = [rounded(outer - inner) for outer, inner in pairwise([*nested, 0.0])]
        row["parts"] = dict(zip(("events", "sampling", "cells", "products"), parts, strict=True))
    for name in ("whole", "step", "products"):
        row[f"{name}_operations_per_second"] = rounded(1e6 * row["operations"] / row[f"{name}_microseconds"])
    row["whole_share_of_products"] = ratio(found["products"], found["whole"])
    row["step_share_of_products"] = ratio(found["products"], found["step"])
    if streams == 1:
        row["whole_bytes_per_second"] = rounded(1e6 * size / row["whole_microseconds"])
        row["step_bytes_per_second"] = rounded(1e6 * size / row["step_microseconds"])
        row["read_bytes_per_second"] = rounded(1e6 * size / microseconds(found["reading"]))
        row["whole_share_of_reading"] = ratio(found["reading"], found["whole"])
        row["step_share_of_reading"] = ratio(found["reading"], found["step"])
    return row


def limit(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    rows, large = [], []
    for count in given.threads:
        with ThreadPoolExecutor(count) as pool:
            size = given.megabytes << 20
            work = reading(size, pool, count)
            work(1)
            rates = sorted(size / clock(work, 1) for _ in range(given.rounds))
        large.append({"threads": count, "bytes": size, "read_bytes_per_second": rounded(rates[len(rates) // 2])})
    for size, count in watched(product(given.units, given.threads), "limits"):
        model = untrained(size, characters(given.vocabulary), given.embedding)
        for streams, backend in product(given.streams, BACKENDS):
            case = {"units": "x".join(map(str, size)), "threads": count, "streams": streams, "backend": backend}
            with threads(count):
                rows.append(case | measure(model, backend, streams, count, given))
    report("limit", given, large_reads=large, rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("limit", __doc__)
    add_model(made, (2, 256), (3, 512), (2, 1024))
    add_streams(made, 1, 128)
    add_threads(made)
    add_turns(made, 0.2)
    made.add_argument(
        "--megabytes", type=command.positive, default=512, metavar="MB", help="the large buffer (default: 512)"
    )
    return command.run(made, limit, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
