"""One step of one stream and of many, beside what others would use. JSON, one object.

    python -m benchmarks.step

A step takes every stream one token further. Contenders, from the same untrained weights:

- int8, fp32: the engine's backends, whole: sampling, grammar and events included;
- the same with `, no sampling`: the backend's step alone;
- nn.LSTM: the loop that everyone writes, with softmax and multinomial;
- ONNX Runtime, and ONNX Runtime int8 (its dynamic quantisation): sampling with NumPy, or without sampling;
- GPT-2 at a context: transformers' GPT2LMHeadModel of as many parameters, its key-value cache already that long, with
  softmax and multinomial.

`against` says how many times as long a row's step took as ours did: of those that sample, against ours that sample.
`behind` lists every pair in which that is below 1, where the other one was faster.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np

from benchmarks.measuring import (
    Work,
    add_model,
    add_streams,
    add_threads,
    add_turns,
    characters,
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
from benchmarks.rivals import Gpt2, OnnxLstm, nn_lstm_loop
from generator.cli import command
from generator.model.backends import BACKENDS, Backend
from generator.streaming.engine import Model
from generator.streaming.scheduler import threads_for

ALONE = ", no sampling"
RIVALS = {"nn.LSTM": (), "onnxruntime": ("onnx", "onnxruntime"), "gpt2": ("transformers",)}
"""And the packages that each needs."""


def stepping(backend: Backend, streams: int, count: int = 1) -> Work:
    """The backend's step without sampling, always of the same tokens, in as many threads as an engine would take."""
    parts = [len(part) for part in np.array_split(range(streams), threads_for(streams, count))]
    pool = ThreadPoolExecutor(len(parts))

    def stepped(size: int) -> Work:
        memory, tokens = backend.memory(size), np.zeros(size, np.int64)
        logits = np.zeros((size, backend.config.vocab_size), np.float32)

        def work(steps: int) -> None:
            for _ in range(steps):
                backend.step(tokens, memory, logits)

        return work

    works = [stepped(size) for size in parts]

    def work(steps: int) -> None:
        list(pool.map(lambda part: part(steps), works))

    return work


def ours(model: Model, streams: int, count: int, chunk: int) -> Iterator[tuple[str, Work]]:
    for name in BACKENDS:
        engine = engine_of(model, name, streams)
        yield name, pulling(engine, [engine.stream(seed=seed) for seed in range(streams)], chunk)
        yield name + ALONE, stepping(engine.backend, streams, count)


class Rivals:
    """The others, for one model and one number of threads."""

    def __init__(self, model: Model, count: int, given: argparse.Namespace) -> None:
        self._model, self._given = model.checkpoint.model(), given
        self.parameters = sum(weights.size for weights in model.checkpoint.weights.values())
        self._sessions: dict[str, OnnxLstm] = {}
        if "onnxruntime" in given.rivals:
            names = {False: "ONNX Runtime", True: "ONNX Runtime int8"}
            self._sessions = {name: OnnxLstm(self._model, count, int8=int8) for int8, name in names.items()}
        self.gpt2: Gpt2 | None = None
        if "gpt2" in given.rivals:
            self.gpt2 = Gpt2(self.parameters, model.config.vocab_size, max(given.contexts))

    def at(self, streams: int) -> tuple[dict[str, Work], list[dict[str, Any]]]:
        """The contenders, and rows for those whose cache would be too large."""
        found: dict[str, Work] = {}
        left_out: list[dict[str, Any]] = []
        if "nn.LSTM" in self._given.rivals:
            found["nn.LSTM"] = nn_lstm_loop(self._model, streams)
        for name, session in self._sessions.items():
            found[name] = session.loop(streams, samples=True)
            found[name + ALONE] = session.loop(streams, samples=False)
        if self.gpt2 is not None:
            for context in self._given.contexts:
                name, size = f"GPT-2 at {context}", self.gpt2.cache_bytes(streams, context) / 1e9
                if size <= self._given.cache_gigabytes:
                    found[name] = self.gpt2.at(streams, context)
                else:
                    left_out.append({"who": name, "left_out": f"its cache would take {size:.1f} GB"})
        return found, left_out


def measure(model: Model, rivals: Rivals, streams: int, count: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a contender."""
    own = dict(ours(model, streams, count, given.chunk))
    others, rows = rivals.at(streams)
    found = timed(own | others, given.rounds, given.seconds, dict.fromkeys(BACKENDS, given.chunk))
    for who, seconds in found.items():
        samples = not who.endswith(ALONE)
        rows.append({"who": who, "samples": samples, "microseconds": microseconds(seconds)})
        rows[-1]["tokens_per_second"] = rounded(1e6 * streams / rows[-1]["microseconds"])
        rows[-1]["against"] = {
            name: ratio(seconds, found[name if samples else name + ALONE])
            for name in BACKENDS
            if who.removesuffix(ALONE) != name
        }
    return rows


def behind(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where a rival was faster than one of ours, and by how much."""
    return [
        {key: row[key] for key in ("units", "threads", "streams", "who")} | {"ours": name} | found
        for row in rows
        for name, found in row.get("against", {}).items()
        if found["median"] < 1 and row["who"].removesuffix(ALONE) not in BACKENDS
    ]


def step(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    rows: list[dict[str, Any]] = []
    sizes: dict[Any, tuple[Model, Rivals]] = {}
    cases = list(product(given.units, given.threads, given.streams))
    for size, count, streams in watched(cases, "steps"):
        if (size, count) not in sizes:
            model = untrained(size, characters(given.vocabulary), given.embedding)
            sizes = {(size, count): (model, Rivals(model, count, given))}
        model, rivals = sizes[size, count]
        case = {"units": "x".join(map(str, size)), "parameters": rivals.parameters}
        if rivals.gpt2:
            case["gpt2_parameters"] = rivals.gpt2.parameters
        with threads(count):
            measured = measure(model, rivals, streams, count, given)
        rows += [case | {"threads": count, "streams": streams} | row for row in measured]
        gc.collect()  # the caches of this case, before those of the next one
    packages = [package for rival in given.rivals for package in RIVALS[rival]]
    report("step", given, *packages, rows=rows, behind=behind(rows))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("step", __doc__)
    add_model(made, (2, 256), (3, 512), (2, 1024))
    add_streams(made, 1, 8, 32, 128, 512)
    add_threads(made)
    add_turns(made, 0.2)
    made.add_argument("--contexts", type=command.positive, nargs="+", default=[256, 1024, 4096], metavar="TOKENS")
    made.add_argument("--rivals", nargs="*", choices=RIVALS, default=list(RIVALS), help="(default: all)")
    made.add_argument(
        "--cache-gigabytes", type=float, default=2.0, metavar="GB", help="of one key-value cache at most (default: 2)"
    )
    return command.run(made, step, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
