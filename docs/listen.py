"""Make the listening test, docs/listen.html: ten pairs of a chorale by Bach and a piece of `bach`, to be told apart.

    python -m docs.listen
    python -m docs.listen checkpoints/folk folk-tunes --by "a fiddler" --out folk.html

Nothing is chosen by ear: the pieces of the corpus are drawn at random from its validation and test split, which the
model did not learn from, and the model's are those of the seeds 0, 1, 2 and so on, as it plays with its defaults. Of
both the first bars are heard, equally many, by the same instrument in the same tempo. A piece with fewer bars is passed
over.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np

import generator
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.foundation.atomic import atomic_write
from generator.music.score import Score

PAGE = Path(__file__).with_name("listen.html")
DATA = '<script type="application/json" id="data">'
MOST_TOKENS = 20_000

Heard = list[tuple[float, float, int]]
"""Notes: when each begins and ends, in quarters, and its MIDI pitch."""


def opening(piece: Score, bars: int) -> Heard | None:
    """The notes that begin in the first bars, up to the end of the last of these; None if the piece is shorter."""
    starts = [start for start, _ in piece.bar_starts()]
    if len(starts) <= bars:
        return None
    per, end = piece.ticks_per_quarter, starts[bars]
    return [
        (round(note.start_ticks / per, 3), round(min(note.end_ticks, end) / per, 3), note.pitch)
        for note in piece.notes
        if note.start_ticks < end
    ]


def of_corpus(model: generator.Model, dataset: TokenDataset, bars: int) -> Iterator[tuple[str, Heard]]:
    """The openings of held-out pieces, in random order, each with its name."""
    pieces = [
        (split.names[index], split[index])
        for split in map(dataset.split, ("validation", "test"))
        for index in range(len(split))
    ]
    for index in np.random.default_rng(0).permutation(len(pieces)).tolist():
        name, tokens = pieces[index]
        heard = opening(model.tokenizer.decode(tokens), bars)
        if heard:
            yield name, heard


def of_model(model: generator.Model, bars: int) -> Iterator[tuple[str, Heard]]:
    """The openings of the pieces of seeds 0, 1, 2, ..."""
    for seed in count():
        stream = model.stream(seed=seed, at_end="stop")
        heard = opening(model.tokenizer.collect(stream.pull(MOST_TOKENS)), bars)
        if heard:
            yield f"seed {seed}", heard


def page(model: generator.Model, corpus: str, by: str, pairs: int, bars: int) -> str:
    """The page as HTML, which needs no other file: docs/listen.html with other data."""
    dataset = prepare(open_corpus(corpus), model.tokenizer)
    found = [
        {"corpus": {"name": theirs, "notes": notes}, "model": {"name": ours, "notes": written}}
        for (theirs, notes), (ours, written) in islice(
            zip(of_corpus(model, dataset, bars), of_model(model, bars), strict=False), pairs
        )
    ]
    facts = dataset.facts
    said = {"by": by, "model": model.checkpoint.name, "source": facts.source, "licence": facts.licence}
    data = json.dumps({"pairs": found, **said}, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(DATA)
    return before + DATA + data + rest[rest.index("</script>") :]


def work(given: argparse.Namespace) -> None:
    """Write the page."""
    text = page(generator.load(given.checkpoint), given.corpus, given.by, given.pairs, given.bars)
    with atomic_write(given.out) as file:
        file.write(text.encode())


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = argparse.ArgumentParser(
        "python -m docs.listen", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("checkpoint", nargs="?", default="checkpoints/bach", metavar="CHECKPOINT")
    made.add_argument("corpus", nargs="?", default="bach-chorales", metavar="CORPUS")
    made.add_argument("--by", default="Bach", metavar="WHOM", help="who wrote the corpus (default: Bach)")
    made.add_argument("--pairs", type=command.positive, default=10, metavar="N", help="(default: 10)")
    made.add_argument("--bars", type=command.positive, default=6, metavar="N", help="bars of each piece (default: 6)")
    made.add_argument("--out", type=Path, default=PAGE, metavar="FILE", help="(default: docs/listen.html)")
    return command.run(made, work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
