"""Does a checkpoint of drums play like the people it learned from? JSON, one object.

    python -m benchmarks.drums checkpoints/drums groove-drums

For each held-out beat in 4/4 of at least eight bars a stream is drawn in its style, as far as the checkpoint knows it,
and at its tempo. Both are cut into windows of eight bars. Figures of a window:

- groove_consistency: one minus the mean share of the 16 positions in which the onsets of neighbouring bars differ
  (Wu and Yang 2020, "The Jazz Transformer on the Front Line").
- hits_per_bar.
- velocity: the mean at each of the 16 positions.
- timing: the mean offset in ms at each of the 16 positions; what is early is below 0.

`low` and `high` are the 5th and 95th percentile of the held-out windows, `mean` is that of the generated ones, and
`inside` says how many of them lie between, where 0.9 is as good as held-out windows are. `means_within` lists how many
figures have their mean between `low` and `high`; `means_outside` names the others.

`styles`: which of the styles with the most training pieces explains a held-out performance best? That is the one given
which its tokens are likeliest; a style counts with its fills. `share` is how many have their own one, and `commonest`
the share if always the commonest one were named.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measuring import load, parser, report, rounded, watched
from generator.cli import command
from generator.corpora import open_corpus
from generator.foundation.errors import CarouselError
from generator.music.score import Score
from generator.streaming.engine import Model
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.drums_grammar import STEP_TICKS, TICKS_PER_QUARTER

STEPS = 16
WINDOW_BARS = 8
BAR_TICKS = STEPS * STEP_TICKS
FILL = " fill"

Floats = npt.NDArray[np.float64]


def windows(piece: Score) -> list[Score]:
    """The whole windows of a piece in 4/4."""
    size = WINDOW_BARS * BAR_TICKS
    last = max((note.start_ticks for note in piece.notes), default=0)
    return [piece.between(start, start + size) for start in range(0, last - size + BAR_TICKS, size)]


def figures(window: Score) -> dict[str, float]:
    """Of one window; NaN at positions where nothing is struck."""
    starts = np.array([note.start_ticks for note in window.notes])
    velocities = np.array([note.velocity for note in window.notes])
    steps = np.rint(starts / STEP_TICKS).astype(int)
    milliseconds = 60_000 / TICKS_PER_QUARTER / window.tempos[0].quarters_per_minute
    offsets = (starts - steps * STEP_TICKS) * milliseconds
    struck = np.zeros((WINDOW_BARS + 1) * STEPS, np.bool_)
    struck[steps] = True
    bars = struck.reshape(-1, STEPS)[:WINDOW_BARS]
    found = {
        "groove_consistency": float(1 - (bars[1:] != bars[:-1]).mean()),
        "hits_per_bar": len(starts) / WINDOW_BARS,
    }
    for name, values in (("velocity", velocities), ("timing", offsets)):
        at = [values[steps % STEPS == step] for step in range(STEPS)]
        found |= {f"{name} {step}": float(here.mean()) if len(here) else np.nan for step, here in enumerate(at)}
    return found


def table(pieces: Sequence[Score]) -> dict[str, Floats]:
    """The figures of all windows that have a hit, shape (windows,) each."""
    rows = [figures(window) for piece in pieces for window in windows(piece) if window.notes]
    if not rows:
        raise CarouselError(f"no piece has {WINDOW_BARS} bars; give others")
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def beside(generated: dict[str, Floats], held_out: dict[str, Floats]) -> dict[str, Any]:
    """Each figure of generated windows beside those of held-out ones."""
    rows: dict[str, dict[str, float]] = {}
    for name, theirs in held_out.items():
        low, high = np.nanpercentile(theirs, (5, 95))
        ours = generated[name][~np.isnan(generated[name])]
        inside = ((ours >= low) & (ours <= high)).mean()
        row = {"low": low, "held_out": np.nanmean(theirs), "high": high, "mean": ours.mean(), "inside": inside}
        rows[name] = {key: rounded(float(value)) for key, value in row.items()}
    outside = [name for name, row in rows.items() if not row["low"] <= row["mean"] <= row["high"]]
    return {
        "windows": len(generated["hits_per_bar"]),
        "held_out_windows": len(held_out["hits_per_bar"]),
        "means_within": f"{len(rows) - len(outside)} of {len(rows)}",
        "means_outside": outside,
        "inside": rounded(float(np.mean([row["inside"] for row in rows.values()]))),
        "figures": rows,
    }


def drawn(model: Model, like: Sequence[Score], bars: int, options: dict[str, Any]) -> list[Score]:
    """A stream of so many bars for each of these pieces, in its style and at its tempo."""
    found = []
    for seed, piece in enumerate(watched(like, "streams")):
        style = piece.style if piece.style in model.tokenizer.styles else None
        tempo = piece.tempos[0].quarters_per_minute
        stream = model.stream(seed=seed, style=style, tempo=tempo, metre="4/4", at_end="never", **options)
        while len((score := model.tokenizer.collect(list(stream.past()))).bars) <= bars:
            stream.pull(64)
        found.append(score.between(0, bars * BAR_TICKS))
    return found


def styles(model: Model, training: Sequence[Score], held_out: Sequence[Score], count: int) -> dict[str, Any]:
    """How often a held-out piece is explained best by its own style."""
    known = Counter(piece.style.removesuffix(FILL) for piece in training)
    names = [name for name, _ in known.most_common(count)]
    tokens = {name: [style for style in (name, name + FILL) if style in model.tokenizer.styles] for name in names}
    right: dict[str, list[bool]] = {name: [] for name in names}
    beats: list[bool] = []
    network, start = model.checkpoint.model(), model.tokenizer.start
    variants = [style for name in names for style in tokens[name]]
    for piece in watched([piece for piece in held_out if piece.style.removesuffix(FILL) in names], "performances"):
        # A lane begins after the last token of the one before, which is the start token: every variant is read cold.
        read = np.concatenate([model.tokenizer.encode(replace(piece, style=style)) for style in variants])
        found = network.negative_log_likelihood(read, start, lanes=len(variants)).reshape(len(variants), -1)
        each = dict(zip(variants, found[:, 1:].sum(axis=1).tolist(), strict=True))
        nats = {name: min(each[style] for style in tokens[name]) for name in names if tokens[name]}
        own = piece.style.removesuffix(FILL)
        right[own].append(min(nats, key=nats.__getitem__) == own)
        if not piece.style.endswith(FILL):
            beats.append(right[own][-1])
    every = [hit for hits in right.values() for hit in hits]
    return {
        "performances": len(every),
        "share": rounded(float(np.mean(every))),
        "beats": len(beats),
        "share_of_beats": rounded(float(np.mean(beats))),
        "commonest": rounded(max(map(len, right.values())) / len(every)),
        "each": {name: f"{sum(hits)} of {len(hits)}" for name, hits in right.items()},
    }


def drums(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = load(given.checkpoint)
    if not isinstance(model.tokenizer, DrumsTokenizer):
        raise CarouselError(f"{given.checkpoint}: a checkpoint of kind {model.tokenizer.kind}; give one of drums")
    training: list[Score] = []
    held_out: list[Score] = []
    for split, piece in open_corpus(given.corpus).read():
        assert isinstance(piece.content, Score)
        grid, _ = model.tokenizer.quantise(piece.content)
        (training if split == "train" else held_out).append(replace(grid, style=piece.content.style))
    beats = [
        piece
        for piece in held_out
        if (piece.time_signatures[0].numerator, piece.time_signatures[0].denominator) == (4, 4) and windows(piece)
        if not piece.style.endswith(FILL)
    ]
    options = {"temperature": given.temperature, "top_p": given.top_p}
    streams = drawn(model, beats[: given.streams], given.bars, options)
    found = beside(table(streams), table(beats))
    report("drums", given, **found, styles=styles(model, training, held_out, given.styles))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("drums", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/drums")
    made.add_argument("corpus", metavar="CORPUS", help="what it learned from, such as groove-drums")
    made.add_argument("--temperature", type=float, default=1.0, metavar="T", help="(default: 1)")
    made.add_argument("--top-p", type=float, default=1.0, metavar="P", help="(default: 1)")
    made.add_argument("--streams", type=command.positive, default=100, metavar="N", help="at most (default: 100)")
    made.add_argument("--bars", type=command.positive, default=16, metavar="N", help="of each stream (default: 16)")
    made.add_argument("--styles", type=command.positive, default=6, metavar="N", help="told apart (default: 6)")
    return command.run(made, drums, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
