"""How like its corpus is what a checkpoint writes? An overlapping area for each feature of music. JSON, one object.

    python -m benchmarks.likeness checkpoints/bach bach-chorales --temperature 0.9

Generated pieces, from a cold start to their end, are compared with held-out ones, which are the validation and test
splits; `ceiling` compares as many training pieces, drawn by chance, with the same held-out ones, and `ratio` is the one
over the other. What is measured stands in `benchmarks/music_statistics.py`; `seconds` is the length of a piece.

A feature's overlap is the area that two densities share, 1 for equal ones (Yang and Lerch 2020, "On the evaluation of
generative models in music"): Gaussian kernel density estimates of one number a piece, with one bandwidth, Scott's for
both samples together; or histograms over all notes.

An overlap grows with the sizes of the samples, and held-out sets are small. So all three sides have the same size: 400
times, as many pieces as the smallest set has are drawn from each, with replacement and a fixed seed, and the areas are
averaged. `low` and `high` are the 5th and the 95th percentile of the 400 ratios: how much the choice of the pieces
matters, of the held-out ones too.

Performances have no end to compare: up to 8 excerpts of 30 seconds, evenly spread, stand for each, and whenever a piece
is drawn so is one of its excerpts. `--excerpt` does the same to pieces, which leaves their lengths out of the figures:
what is shorter than an excerpt is not compared, and `compared` says how many pieces of each side are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measuring import load, parser, report, rounded, watched
from benchmarks.music import generated
from benchmarks.music_statistics import HISTOGRAMS, cuts, features, names
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.foundation.errors import CarouselError
from generator.music.score import Score
from generator.streaming.engine import Model

DRAWS = 400
EXCERPT_SECONDS = 30.0
MOST_EXCERPTS = 8
WANTED = 0.9
SIDES = ("generated", "train", "held_out")

Floats = npt.NDArray[np.float64]
Table = dict[str, list[Floats]]
"""Of each feature, an array a piece: numbers, shape (excerpts,), or histograms, shape (excerpts, bins)."""


def area(some: Floats, others: Floats) -> float:
    """What two histograms or sampled densities, shape (bins,) each, have in common once each adds up to 1."""
    return float(np.minimum(some / some.sum(), others / others.sum()).sum())


def overlap(some: Floats, others: Floats) -> float:
    """The overlapping area of two samples, shape (n,) each, or of the sums of histograms, shape (n, bins) each."""
    if some.ndim == 2:
        return area(some.sum(0), others.sum(0))
    both = np.concatenate((some, others))
    width = both.std() * len(both) ** -0.2
    if width < 1e-9:
        return 1.0
    grid = np.linspace(both.min() - 3 * width, both.max() + 3 * width, 200)
    first, second = (np.exp(-0.5 * ((grid[:, None] - sample) / width) ** 2).sum(1) for sample in (some, others))
    return area(first, second)


def compare(generated: list[Floats], train: list[Floats], held_out: list[Floats]) -> dict[str, float]:
    """One feature's row."""
    sides = (generated, train, held_out)
    count = min(map(len, sides))
    random = np.random.default_rng(0)
    pairs = []
    for _ in range(DRAWS):
        drawn = [
            np.stack(
                [side[piece][random.integers(len(side[piece]))] for piece in random.integers(len(side), size=count)]
            )
            for side in sides
        ]
        pairs.append((overlap(drawn[0], drawn[2]), overlap(drawn[1], drawn[2])))
    ours, ceiling = np.array(pairs).T
    low, high = np.percentile(ours / ceiling, (5, 95))
    ratio = ours.mean() / ceiling.mean()
    found = {"overlap": ours.mean(), "ceiling": ceiling.mean(), "ratio": ratio, "low": low, "high": high}
    return {name: rounded(value) for name, value in found.items()}


def excerpts(piece: Score, seconds: float | None) -> list[tuple[Score, float]]:
    """Up to eight stretches of so many seconds, evenly spread, none of a shorter piece; without seconds, the whole."""
    if seconds is None:
        return [(piece, piece.clock().seconds(piece.end_ticks))]
    found = list(cuts(piece, seconds))
    if not found:
        return []
    places = np.unique(np.linspace(0, len(found) - 1, MOST_EXCERPTS).round().astype(int))
    return [found[place] for place in places]


def measure(pieces: list[Score], seconds: float | None) -> Table:
    """The features of some pieces, or of excerpts of them; what an excerpt is too short to have is left out."""
    table: Table = {}
    for piece in watched(pieces, "pieces"):
        stretches = excerpts(piece, seconds)
        rows = [features(*stretch) | {"seconds": stretch[1]} for stretch in stretches]
        for name in rows[0] if rows else ():
            values = np.array([row[name] for row in rows], np.float64)
            values = values[values.any(1) if values.ndim == 2 else ~np.isnan(values)]
            if len(values):
                table.setdefault(name, []).append(values)
    return table


def held_out(dataset: TokenDataset) -> list[Score]:
    """The pieces of the validation and the test split, as the tokenizer tells them."""
    parts = [dataset.split(name) for name in dataset.splits if name != "train"]
    return [dataset.tokenizer.decode(part[index]) for part in parts for index in range(len(part))]


def drawn(dataset: TokenDataset, count: int) -> list[Score]:
    """So many training pieces, by chance."""
    part = dataset.split("train")
    chosen = np.random.default_rng(0).permutation(len(part))[:count]
    return [dataset.tokenizer.decode(part[index]) for index in chosen]


def rows(model: Model, dataset: TokenDataset, pieces: int, seconds: float | None, **options: Any) -> dict[str, Any]:
    """A row a feature, of whole pieces or of excerpts of so many seconds, and how many pieces were compared."""
    sides = (generated(model, pieces, **options), drawn(dataset, pieces), held_out(dataset))
    tables = [measure(side, seconds) for side in sides]
    found = []
    for name in names(model.tokenizer) + ["seconds"] * (seconds is None):
        columns = [table.get(name, []) for table in tables]
        if not all(columns):
            raise CarouselError(f"no piece is long enough to have a {name}; ask for more pieces or a shorter --excerpt")
        row: dict[str, Any] = {"feature": name}
        if name not in HISTOGRAMS:
            for side, column in zip(SIDES, columns, strict=True):
                row[side] = rounded(float(np.mean([values.mean() for values in column])))
        found.append(row | compare(*columns))
    compared = {side: len(table["notes_per_second"]) for side, table in zip(SIDES, tables, strict=True)}
    return {"rows": found, "compared": compared}


def music_model(folder: Path) -> Model:
    """A checkpoint that writes music.

    Raises:
        CarouselError: it writes text.
    """
    model = load(folder)
    if model.tokenizer.medium != "music":
        raise CarouselError(f"{folder} writes {model.tokenizer.medium}; give a checkpoint that writes music")
    return model


def likeness(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = music_model(given.checkpoint)
    dataset = prepare(open_corpus(given.corpus), model.tokenizer)
    if given.excerpt is None and model.tokenizer.kind == "performance":
        given.excerpt = EXCERPT_SECONDS
    found = rows(model, dataset, given.pieces, given.excerpt, temperature=given.temperature, top_p=given.top_p)
    below = [row["feature"] for row in found["rows"] if row["ratio"] < WANTED]
    report("likeness", given, "muspy", **found, below=below)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("likeness", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    made.add_argument("corpus", metavar="CORPUS", help="what it learned from, such as bach-chorales")
    made.add_argument("--pieces", type=command.positive, default=200, metavar="N", help="(default: 200)")
    made.add_argument("--excerpt", type=command.positive_seconds, metavar="S", help="(default: 30 for performances)")
    made.add_argument("--temperature", type=float, default=1.0, help="(default: 1.0)")
    made.add_argument("--top-p", type=float, default=1.0, help="(default: 1.0)")
    return command.run(made, likeness, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
