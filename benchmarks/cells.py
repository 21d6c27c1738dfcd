"""What single units do: the cells that go with something that a reader can see, and a picture of them over a phrase.

    python -m benchmarks.cells checkpoints/shakespeare --picture docs/lstm/cells-shakespeare.svg

The checkpoint, of text or of written music, draws a stream, whose trace is compared with features of what it says, such
as the place in the line. For each feature the row names the unit whose cell has the highest correlation with it in the
first half of the stream (in size; it may be negative), and gives its correlation there and in the second half, which
shows whether it was chance. `range` is where the cell lies in nine of ten steps. The looking is that of Karpathy,
Johnson and Fei-Fei (2015), who found such cells by eye. The picture has these units' cells and forget gates, after each
token of a phrase of the second half.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.drawing import COLOURS, GREY, drawn
from benchmarks.measuring import load, parser, report, rounded
from generator.cli import command
from generator.foundation.errors import CarouselError
from generator.model.trace import Trace
from generator.streaming.engine import Model

Features = dict[str, npt.NDArray[np.float64]]
LINES = {"bar": "|", "end": "end"}


def of_text(text: str) -> Features:
    """What is true after each character: words begun in the line, whether it is in a speaker's name, a vowel."""
    words, names = np.zeros(len(text)), np.zeros(len(text))
    at = 0
    for line in text.splitlines(keepends=True):
        begun = [letter.isalpha() and not before.isalpha() for before, letter in zip(" " + line, line, strict=False)]
        words[at : at + len(line)] = np.cumsum(begun) * (np.array(list(line)) != "\n")
        names[at : at + len(line)] = line.rstrip().endswith(":")
        at += len(line)
    vowels = np.array([letter in "aeiou" for letter in text], float)
    return {"words begun in the line": words, "in a speaker's name": names, "a vowel": vowels}


def of_score(rows: Sequence[str], voices: int) -> Features:
    """What is true after each token, by its row of the vocabulary: the place in the bar, the mode, the bass."""
    found: dict[str, list[float]] = {"place in the bar": [], "minor key": [], "pitch of the bass": []}
    place = minor = voice = bass = 0.0
    for row in rows:
        kind, _, value = row.partition(" ")
        if kind == "bar":
            place, minor = 0.0, float("minor" in value)
        elif kind == "position":
            place = float(value)
        elif kind == "voice":
            voice = float(value)
        elif kind == "pitch" and voice == voices - 1:
            bass = float(value)
        for name, now in zip(found, (place, minor, bass), strict=True):
            found[name].append(now)
    return {name: np.array(values) for name, values in found.items()}


def said(model: Model, tokens: Sequence[int]) -> tuple[Features, list[str]]:
    """Features of tokens, and what an axis says of each: a character or a note; empty for what a note is made of."""
    tokenizer = model.tokenizer
    if tokenizer.kind == "char":
        text = tokenizer.decode(np.array(tokens, np.uint16))
        return of_text(text), ["↵" if letter == "\n" else letter for letter in text]
    if tokenizer.kind != "score":
        raise CarouselError(
            f"pictures of cells are of text and of written music; this checkpoint is of {tokenizer.kind}"
        )
    rows = [tokenizer.to_json()["vocabulary"][token] for token in tokens]
    decoder, labels = tokenizer.decoder(), []
    for token, row in zip(tokens, rows, strict=True):
        kind = row.partition(" ")[0]
        labels.append(decoder.describe(token) if kind == "pitch" else LINES.get(kind, ""))
        decoder.feed(token)
    return of_score(rows, len(tokenizer.voices)), labels


def closest(trace: Trace, features: Features) -> list[dict[str, Any]]:
    """For each feature the unit whose cell goes with it; one step more than features has been traced."""
    layers, units = trace.cell.shape[1:]
    cells = trace.cell[1:].reshape(-1, layers * units).astype(np.float64)
    half = len(cells) // 2
    rows = []
    for name, feature in features.items():
        first, second = (_correlations(cells[part], feature[part]) for part in (slice(half), slice(half, None)))
        best = int(np.argmax(np.abs(first)))
        low, high = np.quantile(cells[:, best], (0.05, 0.95))
        row = {"feature": name, "unit": f"{best // units}.{best % units}", "correlation": rounded(first[best])}
        rows.append(row | {"held_out": rounded(second[best]), "range": [rounded(low), rounded(high)]})
    return rows


def _correlations(cells: npt.NDArray[np.float64], feature: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each column with the feature; 0 where one of both never changes."""
    cells, feature = cells - cells.mean(axis=0), feature - feature.mean()
    size = np.sqrt((cells**2).sum(axis=0) * (feature**2).sum())
    return np.divide(feature @ cells, size, out=np.zeros(cells.shape[1]), where=size > 0)


def draw(rows: list[dict[str, Any]], trace: Trace, labels: Sequence[str], phrase: slice, path: Path) -> None:
    """The picture: for each row a panel over the labels of a phrase; `trace` has a step after each label."""
    labels, at = labels[phrase], np.arange(phrase.stop - phrase.start)
    with drawn(path, 9.6, 1.7 * len(rows), rows=len(rows), sharex=True, squeeze=False) as panels:
        for row, panel, colour in zip(rows, panels[:, 0], COLOURS, strict=False):
            layer, unit = map(int, row["unit"].split("."))
            cells = trace.cell[phrase, layer, unit]
            low, high = min(cells.min(), row["range"][0]), max(cells.max(), row["range"][1])
            room = 0.05 * (high - low)
            panel.plot(at, cells, "o-", color=colour, markersize=2.5, linewidth=1.2)
            panel.set_title(f"{row['feature']}: cell of unit {row['unit']}, and below its forget gate", color=colour)
            gates = panel.inset_axes([0, -0.32, 1, 0.24], sharex=panel)
            gate = np.repeat(trace.forget_gate[phrase, layer, unit], 2)
            gates.fill_between(
                np.repeat(at, 2) + np.tile((-0.4, 0.4), len(at)), gate, color=colour, alpha=0.6, linewidth=0
            )
            gates.set(ylim=(0, 1), yticks=(0, 1))
            gates.grid(visible=False)
            panel.tick_params(bottom=False, labelbottom=False)
            for place in np.flatnonzero(np.isin(labels, ("|", "↵", "end"))):
                for axes in (panel, gates):
                    axes.axvline(place + 0.5, color=GREY, linewidth=0.8, linestyle=":")
            shown = [index for index, label in enumerate(labels) if label.strip()]
            gates.set_xticks(shown, [labels[index] for index in shown], fontsize=7)
            gates.tick_params(length=0, labelbottom=True)
            panel.set(xlim=(-0.7, len(labels) - 0.3), ylim=(low - room, high + room))
            panel.grid(axis="x", visible=False)


def cells_of(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = load(given.checkpoint)
    stream = model.stream(seed=given.seed, temperature=0.8)
    ((tokens, _),) = model.engine().draw([stream], given.tokens + 1)
    trace = stream.trace()
    features, labels = said(model, tokens[:-1])
    rows = closest(trace, features)
    if given.picture is not None:
        begin = labels.index("|" if "|" in labels else "↵", given.tokens // 2) + 1
        draw(rows, trace[1:], labels, slice(begin, begin + given.shown), given.picture)
    report("cells", given, rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("cells", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder")
    made.add_argument("--tokens", type=command.positive, default=6000, metavar="N", help="(default: 6000)")
    made.add_argument("--shown", type=command.positive, default=100, metavar="N", help="in the picture (default: 100)")
    made.add_argument("--seed", type=int, default=1, metavar="N", help="(default: 1)")
    made.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the figures into this file")
    return command.run(made, cells_of, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
