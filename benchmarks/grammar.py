"""What the grammar costs: the same steps with its masks and without, and with events and all. JSON, one object.

    python -m benchmarks.grammar checkpoints/bach

An untrained model with the checkpoint's tokenizer. `on` and `off` are a backend's steps with sampling, from the middle
of a piece, 64 tokens at a time from the same memories; `off` has a grammar that allows everything and remembers
nothing. `whole` is what a caller pays: the decoder and its events included, but no governor, who would step in all the
time at what an untrained model says, and have it drawn again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.measuring import (
    Work,
    add_streams,
    add_turns,
    characters,
    engine_of,
    microseconds,
    parser,
    pulling,
    ratio,
    report,
    threads,
    timed,
    units,
    untrained,
    watched,
)
from generator.cli import command
from generator.model.checkpoint import Checkpoint
from generator.streaming.batch import Batch
from generator.streaming.constraints import Constraints
from generator.streaming.jobs import CHUNK, Job


def sampling(batch: Batch, jobs: list[Job]) -> Work:
    """Steps of the same jobs, again and again: backend, grammar, sampling."""

    def work(steps: int) -> None:
        for done in range(0, steps, CHUNK):
            for job in jobs:
                batch.add(replace(job, count=min(CHUNK, steps - done)))
            while batch.jobs:
                batch.step()

    return work


def measure(checkpoint: Checkpoint, size: tuple[int, int], streams: int, given: argparse.Namespace) -> dict[str, Any]:
    """One row."""
    tokenizer = checkpoint.tokenizer
    model = untrained(size, tokenizer, given.embedding)
    engine = engine_of(model, given.backend, streams)
    callers = [engine.stream(seed=seed, governor=False) for seed in range(streams)]
    engine.pull(callers, 2 * CHUNK)
    jobs = [caller._job(CHUNK) for caller in callers]
    anything = characters(tokenizer.vocab_size)  # which may follow each other as they like
    free = [replace(job, start=replace(job.start, grammar=anything.grammar.begin())) for job in jobs]
    contenders = {
        "on": sampling(Batch(engine.backend, tokenizer, streams, engine.constraints), jobs),
        "off": sampling(Batch(engine.backend, anything, streams, Constraints(anything)), free),
        "whole": pulling(engine, callers, given.chunk),
    }
    found = timed(contenders, given.rounds, given.seconds)
    return {
        "units": "x".join(map(str, size)),
        "streams": streams,
        **{f"{name}_microseconds": microseconds(seconds) for name, seconds in found.items()},
        "on_against_off": ratio(found["on"], found["off"]),
        "whole_against_off": ratio(found["whole"], found["off"]),
    }


def grammar(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    checkpoint = Checkpoint.load(given.checkpoint)
    with threads(1):
        cases = watched(product(given.units, given.streams), "grammar")
        rows = [measure(checkpoint, size, streams, given) for size, streams in cases]
    tokenizer = checkpoint.tokenizer
    about = {"tokenizer": tokenizer.kind, "vocabulary": tokenizer.vocab_size, "threads": 1}
    report("grammar", given, rows=[about | row for row in rows])


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("grammar", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    made.add_argument("--units", type=units, nargs="+", default=[(3, 512)], metavar="LxH", help="(default: 3x512)")
    made.add_argument("--embedding", type=command.positive, default=128, metavar="N", help="(default: 128)")
    add_streams(made, 1, 128)
    add_turns(made, 0.5)
    made.add_argument("--backend", default="int8", help="(default: int8)")
    return command.run(made, grammar, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
