"""Whether a token costs more the longer a stream is, ours and a transformer's. JSON, one object.

    python -m benchmarks.length --picture docs/length.svg

One stream runs on, and at certain lengths its next tokens are timed and its process's memory is read; each of ours is
timed in turn with a stream that has just begun, and `against_young` is the ratio. The transformer is a GPT-2 with as
many parameters and a growing key-value cache; it ends where its context does, at 4,096 tokens. Each runs in a process
of its own, so that memory is its own.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.measuring import (
    add_rounds,
    characters,
    clock,
    microseconds,
    optional,
    parser,
    pulling,
    ratio,
    report,
    rounded,
    units,
    untrained,
    watched,
)
from benchmarks.rivals import Gpt2
from generator.cli import command
from generator.foundation.atomic import atomic_write
from generator.streaming.engine import Engine

WINDOW = 64
"""Tokens that are timed at a time."""


def resident_megabytes() -> float:
    """Of this process."""
    return rounded(optional("psutil").Process().memory_info().rss / 1e6)


def marks(first: int, longest: int, factor: int) -> list[int]:
    """`first`, times `factor`, and so on up to `longest`."""
    found = [first]
    while found[-1] * factor <= longest:
        found.append(found[-1] * factor)
    return found


def ours(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Our rows: one stream, pulled 64 tokens at a time."""
    torch.set_num_threads(1)
    model = untrained(given.units, characters(given.vocabulary), given.embedding)
    engine = Engine(model, given.backend, rows=1, threads=1)
    stream = engine.stream()
    work = pulling(engine, [stream], WINDOW)
    rows = []
    for mark in watched(marks(min(1000, given.longest), given.longest, 10), "ours"):
        work(mark - stream.position)
        old, young = [], []
        for _ in range(given.rounds):
            old.append(clock(work, WINDOW))
            other = pulling(engine, [engine.stream()], WINDOW)
            other(1)
            young.append(clock(other, WINDOW))
        row = {"who": given.backend, "tokens": mark, "microseconds": microseconds(old)}
        rows.append(row | {"against_young": ratio(old, young), "resident_megabytes": resident_megabytes()})
    return rows


def theirs(given: argparse.Namespace) -> list[dict[str, Any]]:
    """The transformer's rows: the last 16 tokens or fewer before each length."""
    torch.set_num_threads(1)
    model = untrained(given.units, characters(given.vocabulary), given.embedding)
    parameters = sum(weights.size for weights in model.checkpoint.weights.values())
    gpt2 = Gpt2(parameters, given.vocabulary, given.context)
    work = gpt2.growing()
    rows = []
    done = 0
    for mark in watched(marks(min(64, given.context), given.context, 2), "GPT-2"):
        timed = min(16, mark // 4)
        work(mark - timed - done)
        seconds = [clock(work, 1) for _ in range(timed)]
        done = mark
        row = {"who": "GPT-2", "tokens": mark, "microseconds": rounded(1e6 * median(seconds))}
        rows.append(row | {"resident_megabytes": resident_megabytes(), "parameters": gpt2.parameters})
    return rows


def draw(rows: list[dict[str, Any]], label: str, path: Path) -> None:
    """The picture: time a token and memory over length, the same bytes for the same figures."""
    matplotlib, figures, ticker = map(optional, ("matplotlib", "matplotlib.figure", "matplotlib.ticker"))
    style = {"svg.hashsalt": "carousel", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    below, beside = {"xytext": (0, -7), "ha": "right", "va": "top"}, {"xytext": (7, 0), "ha": "left", "va": "center"}
    kinds = (
        (rows[0]["who"], label, "#1f5f8b", below),
        ("GPT-2", "transformer\nof the same size", "#b3541e", beside),
    )
    shown = (
        ("microseconds", 1e-3, "milliseconds a token", "log"),
        ("resident_megabytes", 1, "megabytes of memory", "linear"),
    )
    with matplotlib.rc_context(style):
        figure = figures.Figure(figsize=(7.2, 2.7), layout="constrained")
        for panel, (key, scale, title, kind) in zip(figure.subplots(1, 2), shown, strict=True):
            for who, name, colour, place in kinds:
                points = [(row["tokens"], scale * row[key]) for row in rows if row["who"] == who]
                panel.plot(*zip(*points, strict=True), "o-", color=colour, markersize=3.5)
                panel.annotate(name, points[-1], textcoords="offset points", color=colour, fontsize=8, **place)
            panel.set(xscale="log", yscale=kind, xlabel="tokens so far", title=title)
            low, high = (scale * change(row[key] for row in rows) for change in (min, max))
            panel.set_ylim(low / 2 if kind == "log" else 0, high * (2 if kind == "log" else 1.2))
            panel.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            panel.minorticks_off()
            panel.grid(alpha=0.3, linewidth=0.5)
            panel.spines[["top", "right"]].set_visible(False)
        with atomic_write(path) as file:
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def length(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    rows = []
    for measure in (ours, theirs):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            rows += pool.submit(measure, given).result()
    size = "x".join(map(str, given.units))
    if given.picture is not None:
        draw(rows, f"Carousel, {size.replace('x', ' × ')}, {given.backend}", given.picture)
    report("length", given, "transformers", "psutil", units=size, threads=1, rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("length", __doc__)
    made.add_argument("--units", type=units, default=(3, 512), metavar="LxH", help="(default: 3x512)")
    made.add_argument("--embedding", type=command.positive, default=128, metavar="N", help="(default: 128)")
    made.add_argument("--vocabulary", type=command.positive, default=256, metavar="N", help="(default: 256)")
    add_rounds(made, 15)
    made.add_argument("--backend", default="int8", help="(default: int8)")
    made.add_argument("--longest", type=command.positive, default=10**6, metavar="TOKENS", help="(default: 1000000)")
    made.add_argument("--context", type=command.positive, default=4096, metavar="TOKENS", help="(default: 4096)")
    made.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the figures into this file")
    return command.run(made, length, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
