"""Have the pieces that a checkpoint writes a form, and that which is asked for? JSON, one object.

    python -m benchmarks.form checkpoints/folk folk-tunes --pieces 200
    python -m benchmarks.form checkpoints/bach bach-chorales --pieces 200 --temperature 0.9

`free` are pieces from a cold start to their end, and `corpus` is the validation and the test split. If the checkpoint
counts bars, `asked` are as many pieces again, each asked for a `--length` of the corpus and to `--close`, and
`asked_form` as many that are asked for `--form AABB` and to `--close`. Figures:

- bars: the number of bars, its 5th, 50th and 95th percentile, and the most.
- longer: share of pieces that are longer than any training piece.
- early: share that end before their eighth bar; of the corpus too.
- returns: share of bars from the ninth on that equal the bar eight before. Bars are equal whose notes have the same
  onsets, pitches and voices.
- aabb: share of pieces in which bars 1 to 8 come again at once, and so do the eight bars after those, which are others.
  Eight bars come again if at least six of them are equal, for endings differ. A first bar that begins with silence is
  an upbeat and not counted.
- tonic_ending: as in `benchmarks.music`.
- exact: share of pieces with as many bars as were asked.
- relaxed: how often a constraint had to be relaxed, by its name.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import load, parser, report
from benchmarks.music import generated, of_corpus, tonic_ending
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.music.score import Score
from generator.streaming.engine import Engine
from generator.streaming.stream import Stream

SECTION, ALIKE = 8, 6
LONGEST = 20_000
"""Tokens of a piece at most."""

Bars = list[frozenset[tuple[int, int, int]]]


def bars_of(piece: Score) -> Bars:
    """The notes of each bar: onset in the bar, pitch, voice. An upbeat is left out."""
    starts = [start for start, _ in piece.bar_starts()]
    found: list[set[tuple[int, int, int]]] = [set() for _ in starts]
    for note in piece.notes:
        bar = int(np.searchsorted(starts, note.start_ticks, side="right")) - 1
        found[bar].add((note.start_ticks - starts[bar], note.pitch, note.voice))
    upbeat = bool(piece.notes) and piece.notes[0].start_ticks > starts[0]
    return [frozenset(bar) for bar in found[upbeat:]]


def alike(bars: Bars, one: int, other: int) -> bool:
    """Whether the sections that begin with these two bars are mostly equal."""
    pairs = zip(bars[one : one + SECTION], bars[other : other + SECTION], strict=False)
    return sum(first == second for first, second in pairs) >= ALIKE


def is_aabb(bars: Bars) -> bool:
    return alike(bars, 0, SECTION) and alike(bars, 2 * SECTION, 3 * SECTION) and not alike(bars, 0, 2 * SECTION)


def figures(pieces: Sequence[Score], most: int) -> dict[str, Any]:
    """The figures of some pieces; `most` are the bars of the longest training piece."""
    lengths = [len(list(piece.bar_starts())) for piece in pieces]
    bars = list(map(bars_of, pieces))
    returns = [one == other for piece in bars for one, other in zip(piece, piece[SECTION:], strict=False)]
    return {
        "pieces": len(pieces),
        "bars": [*map(int, np.percentile(lengths, (5, 50, 95))), max(lengths)],
        "longer": round(float(np.mean([length > most for length in lengths])), 4),
        "early": round(float(np.mean([length < SECTION for length in lengths])), 4),
        "returns": round(float(np.mean(returns)), 4) if returns else None,
        "aabb": round(float(np.mean(list(map(is_aabb, bars)))), 4),
        "tonic_ending": round(float(np.mean(list(map(tonic_ending, pieces)))), 4),
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """`free`, `corpus`, `asked` and `asked_form`."""
    model = load(given.checkpoint)
    dataset = prepare(open_corpus(given.corpus), model.tokenizer)
    training = of_corpus(model, dataset, "train", 10**9)
    held_out = [piece for split in ("validation", "test") for piece in of_corpus(model, dataset, split, 10**9)]
    most = max(len(list(piece.bar_starts())) for piece in training)
    options = {"temperature": given.temperature, "parallels": not given.no_parallels}
    free = generated(model, given.pieces, **options)
    lengths = [len(list(piece.bar_starts())) for piece in held_out]
    wanted = [lengths[index] for index in np.random.default_rng(0).integers(len(lengths), size=given.pieces).tolist()]
    found = {"free": figures(free, most), "corpus": figures(held_out, most)}
    if not getattr(model.tokenizer, "counted_bars", 0):  # a checkpoint that cannot be asked for a length
        return found
    engine = model.engine()
    streams = [
        engine.stream(seed=seed, at_end="stop", length=length, close=True, **options)
        for seed, length in enumerate(wanted)
    ]
    asked, relaxed = whole(engine, streams)
    exact = [len(list(piece.bar_starts())) == length for piece, length in zip(asked, wanted, strict=True)]
    found["asked"] = figures(asked, most) | {"exact": round(float(np.mean(exact)), 4), "relaxed": relaxed}
    streams = [
        engine.stream(seed=seed, at_end="stop", form="AABB", close=True, **options) for seed in range(given.pieces)
    ]
    asked, relaxed = whole(engine, streams)
    return found | {"asked_form": figures(asked, most) | {"relaxed": relaxed}}


def whole(engine: Engine, streams: Sequence[Stream]) -> tuple[list[Score], dict[str, int]]:
    """The pieces of these streams, and how often each constraint was relaxed."""
    pieces = [engine.tokenizer.collect(events) for events in engine.pull(streams, LONGEST)]
    relaxed: Counter[str] = Counter()
    for stream in streams:
        relaxed.update(stream.relaxed)
    return pieces, dict(relaxed)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("form", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    made.add_argument("corpus", metavar="CORPUS")
    made.add_argument("--pieces", type=command.positive, default=200, metavar="N", help="(default: 200)")
    made.add_argument("--temperature", type=float, default=0.9, metavar="T", help="(default: 0.9)")
    made.add_argument("--no-parallels", action="store_true", help="forbid parallel fifths and octaves")

    def work(given: argparse.Namespace) -> None:
        report("form", given, **measure(given))

    return command.run(made, work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
