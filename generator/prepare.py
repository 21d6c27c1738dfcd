"""Read a corpus, encode it and keep the tokens, so that training starts at once.

CORPUS is a name from data/corpora.toml or a path: a text file, a folder of texts, or a file or folder of
MIDI, MusicXML, ABC or Humdrum. Training does the same by itself; this shows what there is to learn from.

example:
  python -m generator.prepare bach-chorales
  python -m generator.prepare ~/Music/midi
"""

from __future__ import annotations

from generator.cli import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import sys
from collections.abc import Iterable

from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.foundation.omissions import many, sentences
from generator.foundation.terminal import printable
from generator.tokenizers import KINDS

NAMED = 10
"""How many skipped files are named at most."""


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = command.parser("prepare", __doc__)
    parser.add_argument("corpus", metavar="CORPUS", help="a name or a path")
    parser.add_argument("--tokenizer", choices=sorted(KINDS), help="in place of the kind that suits the corpus")
    return command.run(parser, _prepare, arguments)


def _prepare(given: argparse.Namespace) -> None:
    print(summary(prepare(open_corpus(given.corpus), given.tokenizer)))


def summary(dataset: TokenDataset) -> str:
    """What a corpus holds, for people."""
    facts = dataset.facts
    kind = dataset.tokenizer.kind
    because = f": {facts.reason}" if facts.reason and kind == facts.tokenizer else ""
    lines = [
        f"{facts.name}: {facts.title}",
        f"  licence     {facts.licence}",
        f"  source      {facts.source}",
        f"  tokenizer   {kind}, {dataset.tokenizer.vocab_size} tokens{because}",
    ]
    for name in dataset.splits:
        split = dataset.split(name)
        lines.append(f"  {name:<11} {many(len(split), 'piece')}, {many(len(split.tokens), 'token')}")
    if dataset.styles:
        known = [style for style in dataset.styles if style in dataset.tokenizer.styles]
        others = [style for style in dataset.styles if style not in dataset.tokenizer.styles]
        lines.append("  styles      " + (_counted(dataset, known) or "none that enough pieces have, and not all"))
        if others:
            more = f" and {len(others) - NAMED:,} more" if others[NAMED:] else ""
            lines.append(f"  left out    {_counted(dataset, others[:NAMED])}{more}")
    report = dataset.tokenizer.report(**dataset.report)
    unit, kept = next(iter(dataset.report.items()))
    errors = {name: value for name, value in dataset.report.items() if name.startswith(("max_", "mean_"))}
    lines.append(f"  as tokens   {kept:,} {unit}" + (f" of {kept + report.dropped:,}" if report.dropped else ""))
    if errors:
        lines.append("              " + _listed(f"{name} {value:.4g}" for name, value in errors.items()))
    lines += [f"    {sentence}" for sentence in sentences(report, dataset.omissions)]
    if dataset.skipped:
        lines.append(f"  skipped     {len(dataset.skipped):,}, listed in {dataset.skipped_list}")
        lines += [f"    {name}: {reason}" for name, reason in dataset.skipped[:NAMED]]
        if len(dataset.skipped) > NAMED:
            lines.append(f"    and {len(dataset.skipped) - NAMED:,} more")
    lines.append(f"  kept in     {dataset.folder}")
    return "\n".join(map(printable, lines))


def _counted(dataset: TokenDataset, styles: Iterable[str]) -> str:
    return ", ".join(f"{style} {dataset.styles[style]:,}" for style in styles)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words).replace("_", " ")


if __name__ == "__main__":
    sys.exit(main())
