"""How long does a checkpoint remember? One note or character is changed, and its trace is looked for later.

    python -m benchmarks.memory_length checkpoints/bach checkpoints/shakespeare

Each checkpoint draws streams at temperature 1, all else off. In each, one token is changed after `BEFORE` tokens: a
character becomes another one of the same stream, a note moves by one to four semitones (in a performance its note-off
too), a hit goes to a drum up to four places away in the vocabulary. Then both versions are read on, with the same
tokens, in fp32. At a distance of d tokens the Kullback-Leibler divergence, in nats, compares what the model expects
next after the one and after the other: sum of p log(p / q), q after the change. A row is the mean over the distances
from `distance` to `to`, for what comes next is often plain, whatever came before; `median`, `low` and `high` are the
median and the quartiles of the streams.

`remembers` is the distance from which on the median stays below `SHARE` of its peak. A unit's time constant is
-1 / mean(log f) tokens, over its forget gates f: so slowly its cell would fade if nothing new came. `--cards` writes a
sentence into the checkpoints' cards.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from benchmarks.drawing import COLOURS, drawn
from benchmarks.measuring import engine_of, load, parser, report, rounded, watched
from generator.cli import command
from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.model.checkpoint import CARD
from generator.model.lstm import LanguageModel
from generator.streaming.engine import Model
from generator.training import card

BEFORE, SLACK = 500, 300
"""Tokens that are read before the change, and those among which a note is looked for."""
STEP = 250
"""Tokens that are read at once."""
SHARE = 0.01
INTERVALS = (-4, -3, -2, -1, 1, 2, 3, 4)
NOTES = {"score": ("pitch", None), "performance": ("note_on", "note_off"), "drums": ("drum", None)}
"""The kinds of tokens that a note's pitch is in, by the tokenizer's kind."""

Tokens = npt.NDArray[np.int64]


def bounds(longest: int) -> list[int]:
    """The first distance of each row, and the end of the last: from 1 to `longest` + 1, ever further apart."""
    return sorted({round(d) for d in np.geomspace(1, longest + 1, 32)})


def change(tokens: Tokens, model: Model, random: np.random.Generator) -> tuple[Tokens, int]:
    """The tokens with one changed, the first that can be from `BEFORE` on, and its position.

    Raises:
        CarouselError: there is none, or the checkpoint has neither characters nor notes.
    """
    changed, tokenizer = tokens.copy(), model.tokenizer
    if tokenizer.medium == "text":
        others = tokens[tokens != tokens[BEFORE]]
        if not len(others):
            raise CarouselError("this checkpoint repeats one character; nothing can be changed")
        changed[BEFORE] = random.choice(others)
        return changed, BEFORE
    if tokenizer.kind not in NOTES:
        raise CarouselError(f"a checkpoint of kind {tokenizer.kind} has no tokens for notes; give one of another kind")
    kinds = np.array([row.partition(" ")[0] for row in tokenizer.to_json()["vocabulary"]])
    start, stop = NOTES[tokenizer.kind]
    at = BEFORE + int(np.argmax(kinds[tokens[BEFORE:]] == start))
    intervals = [step for step in INTERVALS if kinds[max(0, tokens[at] + step)] == start]
    if kinds[tokens[at]] != start or not intervals:
        raise CarouselError("this checkpoint has drawn no note that can be changed")
    by = int(random.choice(intervals))
    changed[at] += by
    if stop:
        off = tokens[at] - int(np.argmax(kinds == start)) + int(np.argmax(kinds == stop))
        ends = at + np.flatnonzero(tokens[at:] == off)[:1]
        changed[ends] += by
    return changed, at


@torch.no_grad()
def divergences(
    network: LanguageModel, tokens: Tokens, changed: Tokens, features: Tokens, changed_features: Tokens
) -> npt.NDArray[np.float64]:
    """KL in nats, (distances, rows), between what is expected after tokens and after changed ones, both (rows, steps),
    which differ at `BEFORE`: of what is next d tokens later, from d = 1 on. The features after each token are (rows,
    steps, columns)."""
    rows = len(tokens)
    told = torch.from_numpy(np.concatenate([features, changed_features]))
    _, state = network.read(torch.from_numpy(tokens[:, :BEFORE]), network.zero_state(rows), told[:rows, :BEFORE])
    both = torch.from_numpy(np.concatenate([tokens, changed]))
    state = [(h.repeat(2, 1), c.repeat(2, 1)) for h, c in state]
    found = []
    for left in range(BEFORE, both.shape[1], STEP):
        part = slice(left, left + STEP)
        hidden, state = network.read(both[:, part], state, told[:, part])
        logs = F.log_softmax(network.logits(hidden).double(), dim=2)
        p, q = logs[:rows], logs[rows:]
        found.append((p.exp() * (p - q)).sum(dim=2).T.numpy())
    return np.concatenate(found)


def time_constants(model: Model, tokens: int) -> npt.NDArray[np.float64]:
    """Of each unit, (layers, units), from the forget gates of a stream of so many tokens."""
    stream = model.stream(seed=0, temperature=1.0)
    stream.pull(tokens)
    return stream.trace().time_constants()


def remember(folder: Path, given: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A row for each distance, and the summary."""
    model = load(folder)
    engine = engine_of(model, "int8", given.streams)
    streams = [engine.stream(seed=seed, temperature=1.0) for seed in range(given.streams)]
    drawn = [np.array(tokens) for tokens, _ in engine.draw(streams, BEFORE + SLACK + given.longest + 1)]
    random = np.random.default_rng(0)
    read: list[tuple[Tokens, ...]] = []
    for whole in drawn:
        other, position = change(whole, model, random)
        first, past = position - BEFORE, position + given.longest
        told = (model.tokenizer.grammar.features_before(both)[first + 1 : past + 1] for both in (whole, other))
        read.append((whole[first:past], other[first:past], *(ids.astype(np.int64) for ids in told)))
    found = divergences(model.checkpoint.model(), *map(np.array, zip(*read, strict=True)))
    edges = bounds(given.longest)
    means = [found[left - 1 : right - 1].mean(axis=0) for left, right in pairwise(edges)]
    low, median, high = np.quantile(means, (0.25, 0.5, 0.75), axis=1)
    rows = [
        {"who": folder.name, "distance": edges[n], "to": edges[n + 1] - 1}
        | {"median": rounded(median[n]), "low": rounded(low[n]), "high": rounded(high[n])}
        for n in range(len(means))
    ]
    last = int(np.flatnonzero(median >= SHARE * median.max())[-1])
    summary = {
        "who": folder.name,
        "changed": "character" if model.tokenizer.medium == "text" else "note",
        "remembers": edges[last + 1],
        "time_constants": np.sort(time_constants(model, given.longest)).round(3).tolist(),
    }
    return rows, summary


def sentences(name: str, summary: dict[str, Any]) -> str:
    """What the card of a checkpoint says of a summary."""
    units = np.ravel(summary["time_constants"])
    return (
        f"One {summary['changed']} that is changed moves what it expects next, at the median, by less than\n"
        f"{SHARE:.0%} of the peak from {summary['remembers']:,} tokens on. One unit in twenty has a time constant of "
        f"{np.quantile(units, 0.95):.1f} tokens\nor more. (`python -m benchmarks.memory_length checkpoints/{name}`)"
    )


def draw(rows: list[dict[str, Any]], summaries: list[dict[str, Any]], path: Path) -> None:
    """The picture: divergence over distance, and the time constants of all units, the longest first."""
    with drawn(path, 7.2, 3.2, columns=2) as (left, right):
        for summary, colour in zip(summaries, COLOURS, strict=False):
            own = [row for row in rows if row["who"] == summary["who"]]
            at = [(row["distance"] * row["to"]) ** 0.5 for row in own]
            left.plot(at, [row["median"] for row in own], color=colour, label=summary["who"])
            left.fill_between(at, *([row[key] for row in own] for key in ("low", "high")), color=colour, alpha=0.15)
            units = np.sort(np.ravel(summary["time_constants"]))[::-1]
            right.plot(100 * np.arange(len(units)) / len(units), units, color=colour)
        left.set(xscale="log", yscale="log", ylim=(1e-9, 10), xlabel="tokens since the change")
        left.set_title("divergence of what comes next, nats")
        left.legend(loc="lower left")
        right.set(yscale="log", xlabel="units, in per cent", title="time constant, tokens")


def memory_length(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    rows, summaries = [], []
    for folder in watched(given.checkpoints, "checkpoints"):
        found, summary = remember(folder, given)
        rows += found
        summaries.append(summary)
        if given.cards:
            changed = card.with_section(load(folder).card, "How long it remembers", sentences(folder.name, summary))
            with atomic_write(folder / CARD) as file:
                file.write(changed.encode())
    if given.picture is not None:
        draw(rows, summaries, given.picture)
    report("memory_length", given, rows=rows, summaries=summaries)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("memory_length", __doc__)
    made.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="folders")
    made.add_argument(
        "--streams", type=command.positive, default=48, metavar="N", help="each with a change (default: 48)"
    )
    made.add_argument("--longest", type=command.positive, default=2000, metavar="TOKENS", help="(default: 2000)")
    made.add_argument("--cards", action="store_true", help="write a sentence into the cards")
    made.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the figures into this file")
    return command.run(made, memory_length, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
