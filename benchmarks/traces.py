"""What it costs to record what the units do, and to clamp one: against the same streams without. JSON, one object.

    python -m benchmarks.traces checkpoints/bach checkpoints/shakespeare

- `plain`: streams as they are;
- `recorded`: each keeps the trace of its last 256 steps;
- `clamped`: in each one gate of one unit is held open.

`slower` is how many times as long as the plain ones they took.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.measuring import (
    add_streams,
    add_threads,
    add_turns,
    load,
    microseconds,
    parser,
    pulling,
    ratio,
    report,
    timed,
    watched,
)
from generator.cli import command
from generator.streaming.engine import Engine
from generator.streaming.stream import Stream

KEPT = 256
CLAMP = "forget_gate 0.1=1"


def streams(engine: Engine, count: int, clamp: str | None = None) -> list[Stream]:
    """New streams with as many seeds."""
    return [engine.stream(seed=seed, governor=False, clamp=clamp) for seed in range(count)]


def traces(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    rows: list[dict[str, Any]] = []
    for folder, threads in watched(product(given.checkpoints, given.threads), "checkpoints"):
        engine = Engine(load(folder), threads=threads)
        for count in given.streams:
            recorded = streams(engine, count)
            for stream in recorded:
                stream.record(KEPT)
            found = timed(
                {
                    "plain": pulling(engine, streams(engine, count), given.chunk),
                    "recorded": pulling(engine, recorded, given.chunk),
                    "clamped": pulling(engine, streams(engine, count, CLAMP), given.chunk),
                },
                given.rounds,
                given.seconds,
            )
            for who, seconds in found.items():
                row: dict[str, Any] = {"checkpoint": folder.name, "threads": threads, "streams": count, "who": who}
                rows.append(row | {"microseconds": microseconds(seconds), "slower": ratio(seconds, found["plain"])})
    report("traces", given, rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("traces", __doc__)
    made.add_argument(
        "checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="a folder, such as checkpoints/bach"
    )
    add_streams(made, 1, 8)
    add_threads(made)
    add_turns(made, 0.3)
    return command.run(made, traces, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
