"""How well can the styles of drummers be told apart at all, and how much of that is the split? JSON, one object.

    python -m benchmarks.styles groove-drums

What is asked is what `benchmarks.drums` asks a checkpoint: which of the styles with the most training pieces, fills
among them, does a held-out performance have? Here simple guesses answer:

- commonest: always the commonest style of the training pieces.
- tempo_of_session: the commonest style of the training pieces at the same tempo in the same session, which is the
  folder of a file; where there is none, the commonest of all. It hears no note. What it gets right need not be heard:
  fills were recorded in rows at one tempo, and the split has parts of a row on both sides.
- nearest: the style of the training piece whose features are nearest.
- regression: multinomial logistic regression of the features.

Features are the hits a bar of each drum at each of 16 positions, their loudness, their times within a beat, the tempo,
hits a bar and the length. `without_tempo` leaves the tempo out. `other_sessions` learns from all performances, held out
or not, but those of the same session, so that only a style that crosses sessions counts. `share` is that of all
held-out performances that are named right; `beats` and `fills` are the shares of these, and `long` that of performances
of at least 16 bars.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from benchmarks.drums import FILL, STEPS
from benchmarks.measuring import parser, report, rounded
from generator.cli import command
from generator.corpora import open_corpus
from generator.foundation.errors import CarouselError
from generator.music.score import DEFAULT_TEMPO, Score

LONG = 16
"""Bars in 4/4."""
PENALTY = 0.01
"""What the sum of the squares of the regression's weights is multiplied by in its loss, which is in nats a piece."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Guess = Callable[[Floats, Labels, Floats], Labels]
"""Takes the features of known pieces, their styles and the features of those that are asked about."""


@dataclass(frozen=True)
class Performance:
    """One piece of the corpus."""

    training: bool
    session: str
    style: str
    """Without the word for fills."""
    fill: bool
    tempo: float
    bars: float
    features: Floats
    """The last one is the tempo's."""


def performance(split: str, name: str, score: Score) -> Performance:
    """What the guesses are told of a piece with notes."""
    tempo = score.tempos[0].quarters_per_minute if score.tempos else DEFAULT_TEMPO
    quarters = np.array([note.start_ticks for note in score.notes]) / score.ticks_per_quarter
    drums = np.array([note.pitch for note in score.notes])
    loudness = np.array([note.velocity for note in score.notes]) / 127
    bars = max(1.0, float(quarters.max()) / 4)
    at = drums * STEPS + np.rint(quarters * 4).astype(int) % STEPS
    within = np.rint(quarters * 12).astype(int) % 12
    parts: list[npt.ArrayLike] = [
        np.bincount(at, minlength=128 * STEPS) / bars,
        np.bincount(at, loudness, minlength=128 * STEPS) / bars,
        np.bincount(within, minlength=12) / len(within),
        [len(drums) / bars, np.log(bars), np.log(tempo)],
    ]
    return Performance(
        training=split == "train",
        session=name.rpartition("/")[0],
        style=score.style.removesuffix(FILL),
        fill=score.style.endswith(FILL),
        tempo=tempo,
        bars=bars,
        features=np.concatenate([np.asarray(part, dtype=np.float64) for part in parts]),
    )


def nearest(known: Floats, styles: Labels, asked: Floats) -> Labels:
    """The style of the nearest row of `known`, for each row of `asked`."""
    distances = (asked**2).sum(1)[:, None] - 2 * asked @ known.T + (known**2).sum(1)
    found: Labels = styles[distances.argmin(axis=1)]
    return found


def regression(known: Floats, styles: Labels, asked: Floats) -> Labels:
    """The likeliest style by logistic regression, for each row of `asked`."""
    x, y = torch.from_numpy(known).float(), torch.from_numpy(styles)
    weights = torch.zeros(x.shape[1], int(y.max()) + 1, requires_grad=True)
    bias = torch.zeros(weights.shape[1], requires_grad=True)
    search = torch.optim.LBFGS([weights, bias], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        found: torch.Tensor = F.cross_entropy(x @ weights + bias, y) + PENALTY * weights.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    search.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return (torch.from_numpy(asked).float() @ weights + bias).argmax(dim=1).numpy()


def guessed(guess: Guess, known: Sequence[Performance], asked: Sequence[Performance], tempo: bool = True) -> list[str]:
    """The style that a guess names for each performance that is asked about."""
    names = sorted({one.style for one in known})
    columns = slice(None if tempo else -1)
    learned, given = (np.array([one.features[columns] for one in these]) for these in (known, asked))
    varied = learned.std(axis=0) > 0
    mean, spread = learned[:, varied].mean(axis=0), learned[:, varied].std(axis=0)
    styles = np.array([names.index(one.style) for one in known])
    found = guess((learned[:, varied] - mean) / spread, styles, (given[:, varied] - mean) / spread)
    return [names[style] for style in found]


def tempo_of_session(known: Sequence[Performance], asked: Sequence[Performance]) -> list[str]:
    """The commonest style at the same tempo in the same session, else the commonest of all."""
    of: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for one in known:
        of[one.session, round(one.tempo)][one.style] += 1
    every = Counter(one.style for one in known)
    return [(of.get((one.session, round(one.tempo))) or every).most_common(1)[0][0] for one in asked]


def share(asked: Sequence[Performance], named: Sequence[str]) -> dict[str, float]:
    """How many have the style that is named."""
    right = np.array([one.style == name for one, name in zip(asked, named, strict=True)])
    fills, bars = np.array([one.fill for one in asked]), np.array([one.bars for one in asked])
    parts = {"share": fills | True, "beats": ~fills, "fills": fills, "long": bars >= LONG}
    return {name: rounded(float(right[part].mean())) for name, part in parts.items() if part.any()}


def styles(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    pieces = [
        performance(split, piece.name, piece.content)
        for split, piece in open_corpus(given.corpus).read()
        if isinstance(piece.content, Score) and piece.content.notes and piece.content.style
    ]
    names = [name for name, _ in Counter(one.style for one in pieces if one.training).most_common(given.styles)]
    pieces = [one for one in pieces if one.style in names]
    known, asked = ([one for one in pieces if one.training == training] for training in (True, False))
    if len(names) < 2 or not asked:
        raise CarouselError(f"{given.corpus}: it has no held-out pieces of two styles; give another corpus")
    guesses: dict[str, Guess] = {"nearest": nearest, "regression": regression}
    others: dict[str, dict[int, str]] = {name: {} for name in guesses}
    for session in sorted({one.session for one in asked}):
        here = [one for one in asked if one.session == session]
        rest = [one for one in pieces if one.session != session]
        for name, guess in guesses.items():
            others[name] |= zip(map(id, here), guessed(guess, rest, here), strict=True)
    found = {
        "commonest": share(asked, [names[0]] * len(asked)),
        "tempo_of_session": share(asked, tempo_of_session(known, asked)),
        **{name: share(asked, guessed(guess, known, asked)) for name, guess in guesses.items()},
        "without_tempo": {name: share(asked, guessed(guess, known, asked, False)) for name, guess in guesses.items()},
        "other_sessions": {name: share(asked, [others[name][id(one)] for one in asked]) for name in guesses},
    }
    counts = {"beats": sum(not one.fill for one in asked), "long": sum(one.bars >= LONG for one in asked)}
    report("styles", given, training=len(known), performances=len(asked), **counts, styles=names, guesses=found)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("styles", __doc__)
    made.add_argument("corpus", metavar="CORPUS", help="drums with styles, such as groove-drums")
    made.add_argument("--styles", type=command.positive, default=6, metavar="N", help="told apart (default: 6)")
    return command.run(made, styles, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
