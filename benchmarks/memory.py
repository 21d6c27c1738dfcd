"""How far back does it remember? The adding problem and copy memory, at lengths where a plain RNN can only guess.

    python -m benchmarks.memory adding --length 600
    python -m benchmarks.memory copy --length 100 200

- adding (Hochreiter and Schmidhuber 1997, as in Le and others 2015): T numbers from 0 to 1, two of them marked, one in
  each half; to say at the end: their sum. Mean squared error; whoever says 1 each time has 1/6.
- copy (Arjovsky and others 2016): ten digits out of eight, T - 1 blanks, a sign; to say after it: the ten digits.
  Nats a step over all T + 20 steps; whoever knows when to speak but not what has 10 ln 8 / (T + 20).

Every sequence is new, so nothing can be learned by heart, and the figures are over sequences that come after training.

- lstm: torch's LSTM as `generator.model.lstm` initialises it, with forget biases for spans up to T.
- lstm, biases 1: the same without them, as models of text and music begin.
- rnn: torch's plain tanh RNN of as many units, orthogonal.
- window: what the last N steps tell, by counting or by least squares: all that an n-gram can know.

Each network has so many minutes at most, and stops early once it is ten times better than wanted. All begin with short
sequences, which grow whenever the network does as well as is wanted, and at the latest so that the second half of its
time is spent at the full length (a curriculum, as Zaremba and Sutskever 2014 have it).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.drawing import COLOURS, GREY, drawn
from benchmarks.measuring import parser, report, rounded
from generator.cli import command
from generator.corpora.progress import bar
from generator.foundation.errors import CarouselError
from generator.model.lstm import initialise

DIGITS, COPIED = 8, 10
BLANK, SPEAK = DIGITS, DIGITS + 1
REPORTS = 20
"""Rows of the curve, at most."""
GROWTH = 1.5
"""Of the length, when the network does as well as is wanted."""
TESTED = 2_000
"""Sequences after training."""


@dataclass(frozen=True)
class Problem:
    """Sequences, what is said about them, and how wrong that is."""

    batch: Callable[[int, int], tuple[Tensor, Tensor]]
    """Inputs (sequences, steps, features) and targets, from a count and a length."""
    features: int
    outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]
    """From what the network says at every step, (sequences, steps, outputs), and the targets."""
    guessing: Callable[[int], float]
    """The loss of whoever remembers nothing, by length."""
    wanted: Callable[[int], float]


def adding(count: int, length: int) -> tuple[Tensor, Tensor]:
    values, marks = torch.rand(count, length), torch.zeros(count, length)
    half = length // 2
    first, second = torch.randint(half, (count, 1)), torch.randint(half, length, (count, 1))
    marks.scatter_(1, first, 1.0).scatter_(1, second, 1.0)
    return torch.stack([values, marks], dim=2), (values * marks).sum(dim=1)


def copying(count: int, length: int) -> tuple[Tensor, Tensor]:
    digits = torch.randint(DIGITS, (count, COPIED))
    steps = torch.full((count, length + 2 * COPIED), BLANK)
    steps[:, :COPIED] = digits
    steps[:, length + COPIED - 1] = SPEAK
    targets = torch.full_like(steps, BLANK)
    targets[:, -COPIED:] = digits
    return F.one_hot(steps, DIGITS + 2).float(), targets


PROBLEMS = {
    "adding": Problem(
        adding,
        features=2,
        outputs=1,
        loss=lambda said, targets: F.mse_loss(said[:, -1, 0], targets),
        guessing=lambda length: 1 / 6,
        wanted=lambda length: 0.01,
    ),
    "copy": Problem(
        copying,
        features=DIGITS + 2,
        outputs=DIGITS + 1,
        loss=lambda said, targets: F.cross_entropy(said.flatten(0, 1), targets.flatten()),
        guessing=lambda length: COPIED * math.log(DIGITS) / (length + 2 * COPIED),
        wanted=lambda length: COPIED * math.log(DIGITS) / (length + 2 * COPIED) / 10,
    ),
}


class Network(nn.Module):
    """A recurrent layer and a linear one."""

    def __init__(self, kind: str, problem: Problem, units: int, time_scale: int) -> None:
        super().__init__()
        self.recurrent: nn.RNNBase
        if kind == "rnn":
            self.recurrent = nn.RNN(problem.features, units, batch_first=True)
            nn.init.orthogonal_(self.recurrent.weight_hh_l0)
        else:
            self.recurrent = nn.LSTM(problem.features, units, batch_first=True)
            initialise(self.recurrent, time_scale if kind == "lstm" else 0)
        self.output = nn.Linear(units, problem.outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.output(self.recurrent(inputs)[0])


def learn(kind: str, problem: Problem, given: argparse.Namespace, rate: float) -> dict[str, Any]:
    """Train one network; the row of what it has learned."""
    torch.manual_seed(given.seed)
    network = Network(kind, problem, given.units, given.length)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    enough, recent, updates, curve = problem.wanted(given.length) / 10, math.inf, 0, []
    length = min(given.shortest, given.length)
    begun = time.monotonic()
    with bar(f"{kind}, {given.length} steps") as show:
        while (share := _share(given, begun, updates)) < 1 and (length < given.length or recent > enough):
            due = min(given.length, round(2 * share * given.length))
            if recent <= problem.wanted(length):
                due = max(due, min(given.length, round(GROWTH * length)))
            if due > length:
                length, recent = due, math.inf
            inputs, targets = problem.batch(given.batch, length)
            loss = problem.loss(network(inputs), targets)
            optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * share))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            updates += 1
            recent = loss.item() if recent is math.inf else 0.98 * recent + 0.02 * loss.item()
            if share * REPORTS >= len(curve):
                curve.append([updates, length, rounded(recent)])
            show(completed=share, total=1.0)
    with torch.no_grad():
        tested = [problem.loss(network(inputs), targets).item() for inputs, targets in _tests(problem, given)]
    return {
        "who": kind,
        "loss": rounded(sum(tested) / len(tested)),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "updates": updates,
        "minutes": rounded((time.monotonic() - begun) / 60),
        "curve": curve,
    }


def _share(given: argparse.Namespace, begun: float, updates: int) -> float:
    """How much of the run is over."""
    by_time = (time.monotonic() - begun) / 60 / given.minutes
    return max(by_time, updates / given.updates if given.updates else 0.0)


def _tests(problem: Problem, given: argparse.Namespace) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(given.seed + 1)
    return [problem.batch(given.batch, given.length) for _ in range(-(-TESTED // given.batch))]


def window(problem: Problem, given: argparse.Namespace) -> dict[str, Any]:
    """The best guess from the last steps alone: least squares for numbers, counts for digits."""
    torch.manual_seed(given.seed)
    inputs, targets = problem.batch(4 * TESTED, given.length)
    if problem.outputs == 1:
        seen = inputs[:, -given.window :].flatten(1)
        both = [torch.cat([part, torch.ones(len(part), 1)], dim=1) for part in seen.split([3 * TESTED, TESTED])]
        weights = torch.linalg.lstsq(both[0], targets[: 3 * TESTED, None]).solution
        loss = F.mse_loss((both[1] @ weights)[:, 0], targets[3 * TESTED :]).item()
    else:
        # Only how long ago the sign was can be seen, and that tells when to speak; what is said was counted before.
        spoken = torch.bincount(targets[: 3 * TESTED, -COPIED:].flatten(), minlength=DIGITS) / (3 * TESTED * COPIED)
        loss = -spoken.log()[targets[3 * TESTED :, -COPIED:]].sum().item() / TESTED / (given.length + 2 * COPIED)
    return {"who": f"window of {given.window}", "loss": rounded(loss)}


def memory(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    problem = PROBLEMS[given.problem]
    if len(given.learning_rate) not in (1, len(given.networks)):
        raise CarouselError("give one --learning-rate, or one for each of the --networks")
    rates = given.learning_rate if len(given.learning_rate) > 1 else given.learning_rate * len(given.networks)
    rows = []
    for length in given.length:
        own = argparse.Namespace(**vars(given) | {"length": length})
        found = [learn(kind, problem, own, rate) for kind, rate in zip(given.networks, rates, strict=True)]
        found.append(window(problem, own))
        found.append({"who": "guessing", "loss": rounded(problem.guessing(length))})
        rows += [{"length": length} | row for row in found]
    unit = "mean squared error" if problem.outputs == 1 else "nats a step"
    if given.picture is not None:
        draw(rows, unit, given.picture)
    report("memory", given, unit=unit, rows=rows)


def draw(rows: list[dict[str, Any]], unit: str, path: Path) -> None:
    """The picture: the loss of everyone over the length."""
    with drawn(path, 7.2, 3.0) as panel:
        names = dict.fromkeys(row["who"] for row in rows)
        colours = {"rnn": COLOURS[1], "lstm": COLOURS[0], "lstm, biases 1": COLOURS[2], "guessing": GREY}
        for name in names:
            own = [row for row in rows if row["who"] == name]
            style = "--" if name == "guessing" else "o-"
            label = {"rnn": "tanh RNN", "lstm": "LSTM", "lstm, biases 1": "LSTM, forget biases of 1"}.get(name, name)
            at = [row["length"] for row in own]
            panel.plot(at, [row["loss"] for row in own], style, color=colours.get(name, COLOURS[3]), label=label)
        panel.set(xscale="log", yscale="log", xlabel="steps", title=unit, xticks=at, xticklabels=at)
        panel.minorticks_off()
        panel.legend()


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("memory", __doc__)
    made.add_argument("problem", choices=PROBLEMS)
    made.add_argument("--length", type=command.positive, nargs="+", default=[200], metavar="T", help="(default: 200)")
    kinds = ("lstm", "lstm, biases 1", "rnn")
    made.add_argument("--shortest", type=command.positive, default=50, metavar="T", help="at first (default: 50)")
    made.add_argument("--networks", nargs="+", choices=kinds, default=kinds)
    made.add_argument("--units", type=command.positive, default=128, metavar="N", help="(default: 128)")
    made.add_argument("--batch", type=command.positive, default=64, metavar="N", help="sequences (default: 64)")
    made.add_argument("--window", type=command.positive, default=16, metavar="N", help="steps (default: 16)")
    made.add_argument("--minutes", type=command.positive_seconds, default=15.0, metavar="M", help="(default: 15)")
    made.add_argument("--updates", type=int, default=0, metavar="N", help="at most; 0: as many as there is time for")
    made.add_argument(
        "--learning-rate",
        type=float,
        nargs="+",
        default=[2e-3],
        metavar="R",
        help="Adam's, one for all or one for each of the networks (default: 0.002)",
    )
    made.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the figures into this file")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="(default: 0)")
    return command.run(made, memory, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
