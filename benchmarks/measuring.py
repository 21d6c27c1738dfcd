"""How everything here is measured: contenders take turns in one process, and a ratio is the median of its pairs.

A machine's speed drifts while it is measured. So every round lets each contender do some steps, every other round in
the opposite order; two contenders are compared within a round, and the ratios of the rounds give a median and a spread.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import track

from generator.cli import command
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.lstm import LanguageModel
from generator.streaming.engine import Engine, Model
from generator.streaming.jobs import CHUNK
from generator.streaming.stream import Stream
from generator.tokenizers.base import Tokenizer
from generator.tokenizers.char import CharTokenizer

T = TypeVar("T")

Work = Callable[[int], object]
"""Does so many steps; a step takes every stream one token further."""


def units(text: str) -> tuple[int, int]:
    """`3x512`, 3 layers of 512 units, for argparse."""
    layers, _, hidden = text.partition("x")
    if not (layers.isdecimal() and hidden.isdecimal() and int(layers) and int(hidden)):
        raise argparse.ArgumentTypeError(f"{text} is not LAYERSxUNITS, such as 3x512")
    return int(layers), int(hidden)


def parser(name: str, docstring: str | None) -> argparse.ArgumentParser:
    """A parser whose description is a module's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=docstring,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_model(made: argparse.ArgumentParser, *sizes: tuple[int, int]) -> None:
    """The flags for untrained models of these sizes, or others."""
    made.add_argument("--units", type=units, nargs="+", default=list(sizes), metavar="LxH", help="layers and units")
    made.add_argument("--embedding", type=command.positive, default=128, metavar="N", help="(default: 128)")
    made.add_argument("--vocabulary", type=command.positive, default=256, metavar="N", help="(default: 256)")


def add_streams(made: argparse.ArgumentParser, *streams: int) -> None:
    """The flag for how many streams are stepped together."""
    made.add_argument("--streams", type=command.positive, nargs="+", default=list(streams), metavar="N")


def add_threads(made: argparse.ArgumentParser) -> None:
    """The flag for numbers of threads."""
    made.add_argument("--threads", type=command.positive, nargs="+", default=[1, 2], metavar="N", help="(default: 1 2)")


def add_rounds(made: argparse.ArgumentParser, rounds: int = 5) -> None:
    """The flag for how often everyone has a turn."""
    made.add_argument("--rounds", type=command.positive, default=rounds, metavar="N", help=f"(default: {rounds})")


def add_turns(made: argparse.ArgumentParser, seconds: float) -> None:
    """The flags for turns: how many, how long, and in what pieces."""
    add_rounds(made)
    made.add_argument(
        "--seconds", type=command.positive_seconds, default=seconds, metavar="S", help=f"a turn (default: {seconds})"
    )
    made.add_argument(
        "--chunk", type=command.positive, default=CHUNK, metavar="N", help=f"tokens a pull (default: {CHUNK}, a job)"
    )


def optional(name: str) -> Any:
    """A module that only the benchmarks need.

    Raises:
        CarouselError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise CarouselError(
            f"{package} is not installed; install it with: python -m pip install -r requirements-bench.txt"
        ) from error


def load(folder: Path) -> Model:
    """The model of a checkpoint without its own defaults: options that are not named are the same for all."""
    return Model(replace(Checkpoint.load(folder), defaults=SamplingOptions()))


def untrained(size: tuple[int, int], tokenizer: Tokenizer, embedding: int) -> Model:
    """A model of (layers, units) that has learned nothing, for speed does not depend on what was learned."""
    torch.manual_seed(0)
    layers, hidden = size
    config = ModelConfig(tokenizer.vocab_size, embedding, hidden, layers)
    return Model(Checkpoint.of(LanguageModel(config), tokenizer))


def characters(vocabulary: int) -> CharTokenizer:
    """A tokenizer with so many tokens."""
    return CharTokenizer("".join(map(chr, range(256, 254 + vocabulary))))


def engine_of(model: Model, backend: str, rows: int) -> Engine:
    """An engine with as many threads as torch has."""
    return Engine(model, backend, rows=rows, threads=torch.get_num_threads())


def pulling(engine: Engine, streams: list[Stream], chunk: int) -> Work:
    """The whole of a step as a caller pays for it: backend, grammar, sampling, events; pulled so many at a time."""

    def work(steps: int) -> None:
        for done in range(0, steps, chunk):
            engine.pull(streams, min(chunk, steps - done))

    return work


@contextmanager
def threads(count: int) -> Iterator[None]:
    """That many torch threads, for a while; `engine_of` takes as many."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def timed(
    contenders: Mapping[str, Work], rounds: int, seconds: float, least: Mapping[str, int] | None = None
) -> dict[str, list[float]]:
    """Seconds a step of every contender, one figure a round. A turn takes about `seconds`.

    Args:
        least: the fewest steps of a turn, by contender; two where it names none.
    """
    steps = {}
    for name, work in contenders.items():
        work(2)  # compiles and prepares
        steps[name] = max((least or {}).get(name, 2), round(seconds / clock(work, 2)))
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            contenders[name](1)  # brings what it reads back into the caches
            found[name].append(clock(contenders[name], steps[name]))
    return found


def clock(work: Work, steps: int) -> float:
    """Seconds a step."""
    start = time.perf_counter()
    work(steps)
    return (time.perf_counter() - start) / steps


def ratio(of: list[float], to: list[float]) -> dict[str, float]:
    """The median of the pairs' ratios, the lowest and the highest."""
    pairs = [a / b for a, b in zip(of, to, strict=True)]
    return {"median": rounded(statistics.median(pairs)), "low": rounded(min(pairs)), "high": rounded(max(pairs))}


def microseconds(seconds: list[float]) -> float:
    """Their median."""
    return rounded(1e6 * statistics.median(seconds))


def rounded(number: float) -> float:
    """To four digits."""
    return float(f"{number:.4g}")


def watched(items: Iterable[T], label: str) -> Iterable[T]:
    """The items, with a bar on the standard error."""
    return track(list(items), label, console=Console(stderr=True), transient=True)


def report(benchmark: str, given: argparse.Namespace, *packages: str, **findings: Any) -> None:
    """Print the one JSON object: what was measured, where, with which versions and settings, and what was found."""
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "numba", *packages)}
    result = {
        "benchmark": benchmark,
        "machine": {
            "cpu": processor(),
            "isa": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version()} | versions,
        "settings": vars(given),
        **findings,
    }
    print("{\n" + ",\n".join(f"  {json.dumps(key)}: {text(value)}" for key, value in result.items()) + "\n}")


def text(value: Any) -> str:
    """JSON on one line, but a list of rows with one line each."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"    {text(row)}" for row in value) + "\n  ]"
    return json.dumps(value, default=str)


def processor() -> str:
    """The CPU's name, as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
