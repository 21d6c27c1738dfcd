"""What memory is worth: n-grams of characters, which see the last n - 1 alone, beside a tanh RNN and LSTMs.

    python -m benchmarks.ngram tinyshakespeare checkpoints/shakespeare

An n-gram here is interpolated Kneser-Ney (Kneser and Ney 1995, in the form of Chen and Goodman 1999): each count is
lowered by the discount D, and what that frees goes to the next shorter context, whose counts are the numbers of
different characters that came before. Below the empty context every token of the vocabulary gets the same. D is
n1 / (n1 + 2 n2) for each length of the context, where n1 and n2 grams were counted once and twice. The networks are
those of `benchmarks/networks.py`. The held-out split is read as one stream; figures are nats a token.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.drawing import COLOURS, drawn
from benchmarks.measuring import load, parser, report, rounded, watched
from benchmarks.networks import KINDS, add_networks, trained
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.evaluate import default_split, evaluate

Context = tuple[int, ...]


class KneserNey:
    """Probabilities of the next token from the last `order` - 1."""

    def __init__(self, tokens: Sequence[int], order: int, vocab_size: int) -> None:
        self.order, self.vocab_size = order, vocab_size
        self.counts: list[dict[Context, Counter[int]]] = [defaultdict(Counter) for _ in range(order)]
        seen: set[Context] = set()
        for at in range(order - 1, len(tokens)):
            gram = tuple(tokens[at - order + 1 : at + 1])
            self.counts[-1][gram[:-1]][gram[-1]] += 1
            while gram not in seen and len(gram) > 1:  # a new gram is one more that its ending follows
                seen.add(gram)
                gram = gram[1:]
                self.counts[len(gram) - 1][gram[:-1]][gram[-1]] += 1
        self.totals = [{context: found.total() for context, found in level.items()} for level in self.counts]
        self.discounts = [_discount(level) for level in self.counts]

    def probability(self, token: int, context: Context) -> float:
        """Of a token after a context of `order` - 1 tokens."""
        found = 1 / self.vocab_size
        for length in range(self.order):
            after = self.counts[length].get(context[len(context) - length :])
            if after is None:  # and so no longer context was seen either
                break
            discount, total = self.discounts[length], self.totals[length][context[len(context) - length :]]
            found = (max(after[token] - discount, 0.0) + discount * len(after) * found) / total
        return found

    def nats(self, tokens: Sequence[int], before: Sequence[int]) -> float:
        """The mean negative log-likelihood of tokens that follow others."""
        whole = [*before[len(before) - self.order + 1 :], *tokens]
        width = self.order - 1
        return -sum(
            math.log(self.probability(whole[at], tuple(whole[at - width : at]))) for at in range(width, len(whole))
        ) / len(tokens)


def _discount(level: dict[Context, Counter[int]]) -> float:
    often = Counter(count for found in level.values() for count in found.values())
    return often[1] / (often[1] + 2 * often[2]) if often[1] else 0.0


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The picture: a curve of the n-grams, and a line for each network."""
    with drawn(path, 7.2, 3.0) as panel:
        ours = [row for row in rows if "order" in row]
        panel.plot(*([row[key] for row in ours] for key in ("order", "nats")), "o-", color=COLOURS[3], markersize=4)
        panel.annotate(
            "n-grams",
            (2, ours[min(1, len(ours) - 1)]["nats"]),
            xytext=(8, 4),
            textcoords="offset points",
            color=COLOURS[3],
        )
        for row in rows[len(ours) :]:
            colour = COLOURS[1 if "RNN" in row["who"] else 0 if "LSTM" in row["who"] else 2]
            panel.axhline(row["nats"], color=colour)
            panel.annotate(
                f"{row['who']}, {row['nats']:.2f}",
                (1, row["nats"]),
                xytext=(0, 3),
                textcoords="offset points",
                color=colour,
            )
        panel.set(
            xlabel="n: characters that an n-gram looks at, the next one included",
            title="nats a character, held-out text",
        )


def ngram(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    dataset = prepare(open_corpus(given.corpus))
    split, start = default_split(dataset), dataset.tokenizer.start
    learned, held_out = dataset.split("train").tokens.tolist(), dataset.split(split).tokens
    rows = []
    for order in watched(range(1, given.longest + 1), "n-grams"):
        model = KneserNey([start] * (order - 1) + learned, order, dataset.tokenizer.vocab_size)
        nats = model.nats(held_out.tolist(), [start] * (order - 1))
        numbers = sum(len(found) for level in model.counts for found in level.values())
        rows.append({"who": f"{order}-gram", "order": order, "nats": rounded(nats), "numbers": numbers})
    for kind in KINDS:
        network = trained(kind, dataset, given.units, given.passes, given.keep)
        numbers = sum(parameter.numel() for parameter in network.parameters())
        rows.append(
            {"who": kind, "nats": rounded(network.negative_log_likelihood(held_out, start)), "numbers": numbers}
        )
    for folder in given.checkpoints:
        checkpoint = load(folder).checkpoint
        scores = evaluate(checkpoint, prepare(open_corpus(given.corpus), checkpoint.tokenizer), split)
        numbers = sum(weights.size for weights in checkpoint.weights.values())
        rows.append({"who": folder.name, "nats": rounded(scores["nats_per_token"]), "numbers": numbers})
    if given.picture is not None:
        draw(rows, given.picture)
    report("ngram", given, split=split, unit="nats a token", rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("ngram", __doc__)
    made.add_argument("corpus", metavar="CORPUS", help="a text: a name from data/corpora.toml, or a file")
    made.add_argument("checkpoints", type=Path, nargs="*", metavar="CHECKPOINT", help="folders")
    made.add_argument("--longest", type=command.positive, default=7, metavar="N", help="n of the longest (default: 7)")
    made.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the figures into this file")
    add_networks(made)
    return command.run(made, ngram, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
