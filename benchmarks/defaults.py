"""Which temperature and top-p suit a checkpoint? What it writes with each pair, beside held-out pieces. JSON.

    python -m benchmarks.defaults checkpoints/bach bach-chorales
    python -m benchmarks.defaults checkpoints/shakespeare tinyshakespeare

Streams from a cold start, one a seed, each of so many tokens. Figures:

- lifts: how often the governor stepped in, in all streams; relaxed: how often a constraint was relaxed.
- copied: share of notes or characters at which a run of the training split has lasted for 16 notes or 50 characters;
  longest_copy is the longest such run.
- of text: no_words, the share of words that the corpus does not have in any split, and different_words, how many of the
  first 5,000 words are different ones.
- of music: likeness, the mean over all features of the ratio of `benchmarks.likeness`, for so many pieces, and least,
  the lowest of these ratios with its feature; of written music in several voices also the chords, crossings and
  parallels of `benchmarks.harmony`.
"""

from __future__ import annotations

import argparse
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harmony, likeness
from benchmarks.measuring import load, parser, report, rounded, watched
from benchmarks.music import generated
from benchmarks.music_statistics import names
from generator.analysis.originality import WINDOWS
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.copies import Index, open_index
from generator.corpora.dataset import TokenDataset, prepare
from generator.music.score import Score
from generator.streaming.engine import Model
from generator.tokenizers.base import Tokens

WORD = re.compile(r"[a-z']+")
WORDS = 5000


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def common(index: Index, pieces: list[Tokens], whole: list[Any], known: set[str]) -> dict[str, Any]:
    """The figures of generated streams and of held-out pieces alike: given as tokens, and decoded."""
    lengths = np.concatenate([index.runs(tokens).lengths for tokens in pieces])
    row = {"copied": rounded((lengths >= WINDOWS[index.unit]).mean()), "longest_copy": int(lengths.max())}
    if known:
        said = words("".join(whole))
        return row | {
            "no_words": rounded(sum(word not in known for word in said) / len(said)),
            "different_words": len(set(said[:WORDS])),
        }
    if len(whole[0].voices) > 1:
        row |= harmony.figures(whole)
    return row


def alike(model: Model, tables: list[likeness.Table], pieces: list[Score], seconds: float | None) -> dict[str, Any]:
    """How like its corpus these pieces are."""
    table = likeness.measure(pieces, seconds)
    features = [name for name in names(model.tokenizer) if name in table]
    ratios = {name: likeness.compare(table[name], *(side[name] for side in tables))["ratio"] for name in features}
    least = min(ratios, key=ratios.__getitem__)
    return {"likeness": rounded(float(np.mean(list(ratios.values())))), "least": f"{ratios[least]:.2f} {least}"}


def rows(model: Model, dataset: TokenDataset, given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for the held-out pieces, and one for each pair of a temperature and a top-p."""
    index, engine, music = open_index(dataset), model.engine(), model.tokenizer.medium == "music"
    every = [tokens for name in dataset.splits for tokens in dataset.split(name)]
    known = set() if music else set(words("".join(map(model.tokenizer.decode, every))))
    seconds = likeness.EXCERPT_SECONDS if model.tokenizer.kind == "performance" else None
    held_out = [tokens for name in dataset.splits if name != "train" for tokens in dataset.split(name)]
    whole = [model.tokenizer.decode(tokens) for tokens in held_out]
    sides = (likeness.drawn(dataset, given.pieces), whole) if music else ()
    tables = [likeness.measure(side, seconds) for side in sides]
    found = [{"who": "held out", **common(index, held_out, whole, known)}]
    for temperature, top_p in watched(product(given.temperatures, given.top_ps), "pairs"):
        options = {"temperature": temperature, "top_p": top_p, "parallels": not given.no_parallels}
        streams = [engine.stream(seed=seed, at_end="next", **options) for seed in range(given.streams)]
        drawn = engine.draw(streams, given.tokens)
        pieces = [model.tokenizer.collect(events) for _, events in drawn]
        row = options | {"lifts": sum(stream.lifts for stream in streams)}
        row["relaxed"] = sum(sum(stream.relaxed.values()) for stream in streams)
        row |= common(index, [np.array(tokens, np.uint16) for tokens, _ in drawn], pieces, known)
        if music:
            row |= alike(model, tables, generated(model, given.pieces, **options), seconds)
        found.append(row)
    return found


def defaults(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = load(given.checkpoint)
    dataset = prepare(open_corpus(given.corpus), model.tokenizer)
    report("defaults", given, "muspy", rows=rows(model, dataset, given))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("defaults", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    made.add_argument("corpus", metavar="CORPUS", help="what it learned from, such as bach-chorales")
    made.add_argument("--temperatures", type=float, nargs="+", default=[0.8, 0.9, 1.0], metavar="T")
    made.add_argument("--top-ps", type=float, nargs="+", default=[0.92, 0.95, 1.0], metavar="P")
    made.add_argument("--no-parallels", action="store_true", help="forbid parallel fifths and octaves")
    made.add_argument("--streams", type=command.positive, default=16, metavar="N", help="(default: 16)")
    made.add_argument("--tokens", type=command.positive, default=4000, metavar="N", help="of each (default: 4000)")
    made.add_argument("--pieces", type=command.positive, default=100, metavar="N", help="for likeness (default: 100)")
    return command.run(made, defaults, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
