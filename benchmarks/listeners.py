"""How many listeners one core sustains. JSON, one object.

    python -m benchmarks.listeners checkpoints/bach

Each listener hears 30 tokens a second and asks for the next chunk of them when it is due, from a phase of its own. One
loop on one core serves the requests that are due, in the order in which they fell due, with `engine.pull`: events are
decoded, masks are the checkpoint's own. A request's wait is the time from when it was due until it is answered; one
that is still open at the end has waited until then. A load is sustained if the 99th percentile of waits stays below the
limit. The load is doubled until it is not, then the gap is halved.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.measuring import load, parser, report, rounded, threads
from generator.cli import command
from generator.streaming.engine import Engine
from generator.streaming.stream import Stream

RATE = 30
"""Tokens a second."""


@contextmanager
def one_core() -> Iterator[list[int] | None]:
    """On one core alone, where the system can say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield [max(before)]
    finally:
        os.sched_setaffinity(0, before)


def serve(engine: Engine, streams: list[Stream], given: argparse.Namespace) -> dict[str, Any]:
    """One load, for `warm` seconds uncounted and then `seconds` more."""
    period = given.chunk / RATE
    phases = random.Random(0)
    start = time.perf_counter()
    due = [(start + phases.uniform(0, period), index) for index in range(len(streams))]
    heapq.heapify(due)
    counted, end = start + given.warm, start + given.warm + given.seconds
    waits: list[float] = []
    busy, pulls = 0.0, 0
    while (now := time.perf_counter()) < end:
        if due[0][0] > now:
            time.sleep(min(due[0][0], end) - now)
            continue
        batch = []
        while due and due[0][0] <= now:
            batch.append(heapq.heappop(due))
        engine.pull([streams[index] for _, index in batch], given.chunk)
        answered = time.perf_counter()
        busy += answered - now if now >= counted else 0.0
        pulls += now >= counted
        for at, index in batch:
            heapq.heappush(due, (at + period, index))
            if at >= counted:
                waits.append(answered - at)
    waits += [now - at for at, _ in due if counted <= at < now]
    low, high = (float(np.percentile(waits, share)) for share in (50, 99))
    return {
        "listeners": len(streams),
        "requests": len(waits),
        "wait_milliseconds": {
            "median": rounded(1e3 * low),
            "99th_percentile": rounded(1e3 * high),
            "longest": rounded(1e3 * max(waits)),
        },
        "listeners_a_pull": rounded(len(waits) / max(1, pulls)),
        "busy": rounded(busy / (now - counted)),
        "sustained": high < given.limit / 1e3,
    }


def largest(sustained: Callable[[int], bool], start: int, most: int, precision: float) -> int:
    """The largest load that is sustained, 0 for none: doubled until one is not, then the gap is halved until it is a
    small share of the answer."""
    good, bad, number = 0, most + 1, min(start, most)
    while bad - good > (max(1, good * precision) if bad <= most else 1):
        if sustained(number):
            good = number
        else:
            bad = number
        number = min(2 * number, most) if bad > most else (good + bad) // 2
    return good


def listeners(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = load(given.checkpoint)
    rows: list[dict[str, Any]] = []
    streams: list[Stream] = []
    console = Console(stderr=True)
    with one_core() as core, threads(1):
        engine = Engine(model, given.backend, threads=1)
        engine.pull([engine.stream()], given.chunk)  # compiles and prepares
        gc.freeze()  # as a server does: what is loaded for good is not searched for garbage, which takes 0.3 s

        def sustained(number: int) -> bool:
            while len(streams) < number:
                seed = len(streams)
                streams.append(engine.stream(seed=seed, temperature=given.temperature, top_p=given.top_p))
            with console.status(f"{number} listeners"):
                rows.append(serve(engine, streams[:number], given))
            return bool(rows[-1]["sustained"])

        most = largest(sustained, given.start, given.most, given.precision)
    config = model.config
    sizes = {"units": f"{config.num_layers}x{config.hidden_size}", "vocabulary": config.vocab_size}
    about = {"checkpoint": given.checkpoint.name, **sizes, "core": core, "threads": 1, "tokens_per_second": RATE}
    report("listeners", given, **about, most=most, reached_the_cap=most == given.most, rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("listeners", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    made.add_argument("--chunk", type=command.positive, default=8, metavar="N", help="tokens (default: 8, the app's)")
    made.add_argument("--backend", default="int8", help="(default: int8)")
    made.add_argument("--temperature", type=float, default=1.0, metavar="T", help="(default: 1)")
    made.add_argument("--top-p", type=float, default=1.0, metavar="P", help="(default: 1)")
    made.add_argument("--limit", type=command.positive_seconds, default=50.0, metavar="MS", help="(default: 50)")
    made.add_argument("--start", type=command.positive, default=256, metavar="N", help="the first load (default: 256)")
    made.add_argument("--most", type=command.positive, default=16384, metavar="N", help="the last (default: 16384)")
    made.add_argument(
        "--precision", type=float, default=0.06, metavar="SHARE", help="of the answer, where to stop (default: 0.06)"
    )
    made.add_argument(
        "--seconds", type=command.positive_seconds, default=12.0, metavar="S", help="counted, a load (default: 12)"
    )
    made.add_argument("--warm", type=float, default=3.0, metavar="S", help="uncounted, before that (default: 3)")
    return command.run(made, listeners, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
