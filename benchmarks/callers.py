"""Ways to call an engine, each against the plainest: `engine.pull` of as many streams in one call. JSON, one object.

    python -m benchmarks.callers checkpoints/bach

- `pull 64`: `engine.pull` of one stream, 64 tokens a call; what `take` and iteration are compared with;
- `take` and `iteration`: the same stream, token by token;
- `N threads pull 16`: as many threads, each with `pull(16)` of its own stream, against `engine.pull` of all of them;
- `N threads iterate`: each of which iterates over its own;
- `beside busy processes`: one stream, 64 tokens a call, while one process a core does nothing but count.

A rate is tokens a second of all streams together. The governor is off.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Barrier, Thread
from typing import Any

from benchmarks.measuring import add_rounds, load, parser, report, rounded, watched
from generator.cli import command
from generator.streaming.engine import Engine
from generator.streaming.scheduler import cores
from generator.streaming.stream import Stream

PULLED = 64
"""Tokens a call of the plainest way."""
FEW = 16
"""Tokens a call of a thread."""


def rate(work: Callable[..., int], *arguments: Any) -> float:
    """Tokens a second of work that returns how many it drew."""
    start = time.perf_counter()
    tokens = work(*arguments)
    return tokens / (time.perf_counter() - start)


def alone(stream: Stream, tokens: int) -> int:
    """Pull one stream, a few tokens at a time."""
    for _ in range(0, tokens, FEW):
        stream.pull(FEW)
    return tokens


def pulled(engine: Engine, streams: list[Stream], tokens: int, size: int = PULLED) -> int:
    for _ in range(0, tokens, size):
        engine.pull(streams, size)
    return len(streams) * tokens


def iterated(stream: Stream, tokens: int) -> int:
    for _ in range(tokens):
        stream.step()
    return tokens


def taken(stream: Stream, tokens: int) -> int:
    for _ in stream.take(tokens):
        pass
    return tokens


def threaded(streams: list[Stream], tokens: int, one: Callable[[Stream], int]) -> float:
    """Tokens a second of all, each in a thread of its own, all of which begin at once."""
    ready = Barrier(len(streams) + 1)

    def work(stream: Stream) -> None:
        ready.wait()
        one(stream)

    threads = [Thread(target=work, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return len(streams) * tokens / (time.perf_counter() - start)


def _count() -> None:
    while True:
        pass


@contextmanager
def busy() -> Iterator[None]:
    """Beside one busy process a core."""
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_count, daemon=True) for _ in range(cores())]
    for other in others:
        other.start()
    time.sleep(1)
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def measure(engine: Engine, tokens: int) -> dict[str, float]:
    """One round."""

    def streams(count: int) -> list[Stream]:
        made = [engine.stream(seed=seed, governor=False) for seed in range(count)]
        engine.pull(made, PULLED)
        return made

    (one,) = streams(1)
    found = {
        "pull 64": rate(pulled, engine, [one], 4 * tokens),
        "take": rate(taken, one, 4 * tokens),
        "iteration": rate(iterated, one, 4 * tokens),
    }
    for count in (8, 64):
        some = streams(count)
        found[f"pull of {count}"] = rate(pulled, engine, some, tokens, FEW)
        found[f"{count} threads pull 16"] = threaded(some, tokens, lambda stream: alone(stream, tokens))
    many = streams(128)
    found["pull of 128"] = rate(pulled, engine, many, tokens)
    found["128 threads iterate"] = threaded(many, tokens, lambda stream: iterated(stream, tokens))
    return found


AGAINST = {
    "take": "pull 64",
    "iteration": "pull 64",
    "8 threads pull 16": "pull of 8",
    "64 threads pull 16": "pull of 64",
    "128 threads iterate": "pull of 128",
    "beside busy processes": "pull 64",
}


def callers(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    engine = load(given.checkpoint).engine()
    measure(engine, PULLED)  # compiles and prepares
    rounds = []
    for _ in watched(range(given.rounds), "rounds"):
        rounds.append(measure(engine, given.tokens))
        stream = engine.stream(seed=1, governor=False)
        with busy():
            rounds[-1]["beside busy processes"] = rate(pulled, engine, [stream], 4 * given.tokens)
    rows: list[dict[str, Any]] = []
    for who in rounds[0]:
        row: dict[str, Any] = {"who": who, "tokens_per_second": rounded(median(found[who] for found in rounds))}
        if who in AGAINST:
            shares = [found[who] / found[AGAINST[who]] for found in rounds]
            row["share"] = {"of": AGAINST[who], "median": rounded(median(shares)), "low": rounded(min(shares))}
        rows.append(row)
    report("callers", given, rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("callers", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    made.add_argument("--tokens", type=command.positive, default=1024, metavar="N", help="a stream (default: 1024)")
    add_rounds(made)
    return command.run(made, callers, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
