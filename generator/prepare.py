"""Read a corpus, encode it and keep the tokens, so that training starts at once.

CORPUS is a name from data/corpora.toml or a path: a text file, a folder of texts, or a file or folder of
MIDI, MusicXML, ABC or Humdrum. Training does the same by itself; this shows what there is to learn from.

example:
  python -m generator.prepare bach-chorales
  python -m generator.prepare ~/Music/midi
"""

from __future__ import annotations

from generator import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import sys
from collections.abc import Iterable

from generator.corpora import open_corpus
from generator.corpora.shards import Shards, prepare
from generator.losses import many, sentences
from generator.terminal import printable
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


def summary(shards: Shards) -> str:
    """What a corpus holds, for people."""
    facts = shards.facts
    kind = shards.tokenizer.kind
    because = f": {facts.reason}" if facts.reason and kind == facts.tokenizer else ""
    lines = [
        f"{facts.name}: {facts.title}",
        f"  licence     {facts.licence}",
        f"  source      {facts.source}",
        f"  tokenizer   {kind}, {shards.tokenizer.vocab_size} tokens{because}",
    ]
    for name in shards.splits:
        split = shards.split(name)
        lines.append(f"  {name:<11} {many(len(split), 'piece')}, {many(len(split.tokens), 'token')}")
    if shards.styles:
        known = [style for style in shards.styles if style in shards.tokenizer.styles]
        others = [style for style in shards.styles if style not in shards.tokenizer.styles]
        lines.append("  styles      " + (_counted(shards, known) or "none that enough pieces have, and not all"))
        if others:
            more = f" and {len(others) - NAMED:,} more" if others[NAMED:] else ""
            lines.append(f"  left out    {_counted(shards, others[:NAMED])}{more}")
    report = shards.tokenizer.report(**shards.report)
    unit, kept = next(iter(shards.report.items()))
    errors = {name: value for name, value in shards.report.items() if name.startswith(("max_", "mean_"))}
    lines.append(f"  as tokens   {kept:,} {unit}" + (f" of {kept + report.dropped:,}" if report.dropped else ""))
    if errors:
        lines.append("              " + _listed(f"{name} {value:.4g}" for name, value in errors.items()))
    lines += [f"    {sentence}" for sentence in sentences(report, shards.omissions)]
    if shards.skipped:
        lines.append(f"  skipped     {len(shards.skipped):,}, listed in {shards.skipped_list}")
        lines += [f"    {name}: {reason}" for name, reason in shards.skipped[:NAMED]]
        if len(shards.skipped) > NAMED:
            lines.append(f"    and {len(shards.skipped) - NAMED:,} more")
    lines.append(f"  kept in     {shards.folder}")
    return "\n".join(map(printable, lines))


def _counted(shards: Shards, styles: Iterable[str]) -> str:
    return ", ".join(f"{style} {shards.styles[style]:,}" for style in styles)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words).replace("_", " ")


if __name__ == "__main__":
    sys.exit(main())
