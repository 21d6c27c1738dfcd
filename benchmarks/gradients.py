"""The vanishing gradient: how much of the gradient of a loss arrives d tokens earlier, in an LSTM and in a tanh RNN.

    python -m benchmarks.gradients tinyshakespeare checkpoints/shakespeare

Both networks have a layer of as many units and are trained the same way on the corpus's training split
(`benchmarks/networks.py`; what is trained is kept in a folder). They, both as they were before training, and the
checkpoints read rows of the held-out split. The loss of the last token alone, its negative log-likelihood, is
differentiated by the state d tokens before: by `h`, and of an LSTM by `c`, over all layers. Each row has the median of
the norms of these gradients over the texts, with the quartiles, and its `share` of that at d = 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.drawing import COLOURS, drawn
from benchmarks.measuring import load, parser, report, rounded, watched
from benchmarks.networks import KINDS, Network, State, add_networks, trained
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.evaluate import default_split

BEFORE = 200
"""Tokens that are read first, from a zero state, without a gradient."""

FAINTEST = 1e-12
SHOWN = 300
"""The lowest share and the largest distance in the picture."""

Norms = dict[str, npt.NDArray[np.float64]]


def norms_of(network: Network, tokens: Tensor) -> Norms:
    """The norms of the gradients of the last token's loss with respect to h, and c where there is one, d tokens before,
    (longest, rows), from d = 1 on; tokens (rows, BEFORE + longest + 2)."""
    with torch.no_grad():
        state: State = network(tokens[:, :BEFORE])[1]
    kept: list[tuple[Tensor, ...]] = []
    for step in range(BEFORE, tokens.shape[1] - 1):
        logits, state = network(tokens[:, step : step + 1], state)
        assert state is not None
        parts = (state,) if isinstance(state, Tensor) else state
        kept.append(parts)
    loss = F.cross_entropy(logits[:, -1], tokens[:, -1], reduction="sum")
    wanted = [part for parts in kept[:-1] for part in parts]
    found = torch.autograd.grad(loss, wanted)
    names = ("h", "c")[: len(kept[0])]
    norms: Norms = {}
    for index, name in enumerate(names):
        of_part = torch.stack(found[index :: len(names)])  # (steps, layers, rows, units)
        norms[name] = of_part.double().square().sum(dim=(1, 3)).sqrt().flip(0).numpy()
    return norms


def rows_of(who: str, network: Network, tokens: Tensor) -> list[dict[str, Any]]:
    """The rows of one network."""
    rows = []
    for part, norms in norms_of(network, tokens).items():
        low, median, high = np.quantile(norms, (0.25, 0.5, 0.75), axis=1)
        for d in sorted({round(d) for d in np.geomspace(1, len(norms), 40)}):
            row = {"who": who, "by": part, "distance": d, "median": rounded(median[d - 1])}
            row |= {"low": rounded(low[d - 1]), "high": rounded(high[d - 1])}
            row["share"] = rounded(median[d - 1] / median[0])
            rows.append(row)
    return rows


def texts(dataset: TokenDataset, count: int, length: int) -> Tensor:
    """Stretches of the held-out split, (count, length), evenly spread."""
    tokens = dataset.split(default_split(dataset)).tokens
    starts = np.linspace(0, len(tokens) - length, count).astype(int)
    return torch.from_numpy(np.array([tokens[start : start + length] for start in starts], np.int64))


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The picture: what of the gradient at d = 1 is left; by c for an LSTM, by h for an RNN."""
    with drawn(path, 7.2, 3.2) as panel:
        names = dict.fromkeys(row["who"] for row in rows)
        for name in names:
            part = "c" if any(row["who"] == name and row["by"] == "c" for row in rows) else "h"
            own = [row for row in rows if row["who"] == name and row["by"] == part and row["share"] > 0]
            colour = COLOURS[1 if "RNN" in name else 0 if "LSTM" in name else 2]
            style = ":" if "untrained" in name else "-"
            panel.plot(*([row[key] for row in own] for key in ("distance", "share")), style, color=colour, label=name)
        panel.set(yscale="log", ylim=(FAINTEST, 2), xlim=(0, SHOWN), xlabel="tokens back")
        panel.set_title("gradient of the loss, as a share of that one token back")
        panel.legend(loc="upper left", bbox_to_anchor=(1, 1))


def gradients(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    dataset = prepare(open_corpus(given.corpus))
    length = BEFORE + given.longest + 2
    rows, trained_ones = [], []
    tokens = texts(dataset, given.texts, length)
    for kind in KINDS:
        torch.manual_seed(0)
        rows += rows_of(f"{kind}, untrained", Network.new(kind, dataset.tokenizer.vocab_size, given.units), tokens)
        network = trained(kind, dataset, given.units, given.passes, given.keep)
        rows += rows_of(kind, network, tokens)
        split = dataset.split(default_split(dataset))
        nats = network.negative_log_likelihood(split.tokens, dataset.tokenizer.start)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        trained_ones.append({"who": kind, "nats_per_token": rounded(nats), "parameters": parameters})
    for folder in watched(given.checkpoints, "checkpoints"):
        model = load(folder)
        own = texts(prepare(open_corpus(given.corpus), model.tokenizer), given.texts, length)
        rows += rows_of(folder.name, Network.of(model.checkpoint.model()), own)
    if given.picture is not None:
        draw(rows, given.picture)
    report("gradients", given, rows=rows, networks=trained_ones)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("gradients", __doc__)
    made.add_argument("corpus", metavar="CORPUS", help="a name from data/corpora.toml, or a file or folder")
    made.add_argument("checkpoints", type=Path, nargs="*", metavar="CHECKPOINT", help="folders")
    made.add_argument("--longest", type=command.positive, default=500, metavar="TOKENS", help="(default: 500)")
    made.add_argument("--texts", type=command.positive, default=32, metavar="N", help="(default: 32)")
    made.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the figures into this file")
    add_networks(made)
    return command.run(made, gradients, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
