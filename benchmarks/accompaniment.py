"""Does the accompaniment fit the melody? Streams of written music beside held-out pieces. JSON, one object.

    python -m benchmarks.accompaniment checkpoints/pop pop909

The first voice is the melody, all others accompany it. Of each of its notes that begins on a strong beat, which is the
first one of a bar or the one in the middle, it is asked whether its pitch class is among those that accompany it: of
the notes that sound there or begin before the next strong beat. `fits` is the share of those for which it is,
`by_chance` the same where each melody goes with the accompaniment of eight strong beats later, and `classes` how many
pitch classes accompany on average, of which more would fit more. `silent` is the share of strong beats with a melody
but without accompaniment.
"""

from __future__ import annotations

import argparse
from bisect import bisect_right
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.measuring import load, parser, report
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.foundation.errors import CarouselError
from generator.music.score import Score
from generator.streaming.engine import Model

LATER = 8
"""In strong beats: by chance a melody meets the accompaniment of so much later."""


def strong_beats(score: Score) -> list[tuple[set[int], set[int]]]:
    """The pitch classes of the melody that begin on each strong beat, and those that accompany it."""
    starts = []
    for start, metre in score.bar_starts():
        half = metre.bar_ticks(score.ticks_per_quarter) // 2
        starts += [start, start + half] if metre.numerator % 2 == 0 else [start]
    found: list[tuple[set[int], set[int]]] = [(set(), set()) for _ in starts]
    for note in score.notes:
        first, last = (bisect_right(starts, tick) - 1 for tick in (note.start_ticks, note.end_ticks - 1))
        if note.voice:
            for _, classes in found[first : last + 1]:
                classes.add(note.pitch % 12)
        elif note.start_ticks == starts[first]:
            found[first][0].add(note.pitch % 12)
    return found


def figures(pieces: list[Score]) -> dict[str, Any]:
    """Over all pieces."""
    fits, chances, sizes, sung = [], [], [], 0
    for piece in pieces:
        beats = strong_beats(piece)
        for at, (melody, classes) in enumerate(beats):
            sung += bool(melody)
            later = beats[(at + LATER) % len(beats)][1]
            if melody and classes:
                fits += [pitch in classes for pitch in melody]
                sizes.append(len(classes))
            if melody and later:
                chances += [pitch in later for pitch in melody]
    if not fits:
        raise CarouselError("no melody begins on a strong beat with an accompaniment; choose pieces in voices")
    return {
        "pieces": len(pieces),
        "notes": len(fits),
        "fits": round(mean(fits), 4),
        "by_chance": round(mean(chances or [False]), 4),
        "classes": round(mean(sizes), 2),
        "silent": round(1 - len(sizes) / sung, 4),
    }


def streams(model: Model, count: int, tokens: int, **options: Any) -> list[Score]:
    """The music of so many streams from a cold start, one a seed."""
    engine = model.engine()
    opened = [engine.stream(seed=seed, **options) for seed in range(count)]
    return [model.tokenizer.collect(events) for events in engine.pull(opened, tokens)]


def accompaniment(given: argparse.Namespace) -> None:
    """Measure and print."""
    model = load(given.checkpoint)
    corpus = open_corpus(given.corpus)
    dataset = prepare(corpus, model.tokenizer)
    held_out = [dataset.split(split) for split in ("validation", "test") if split in corpus.splits]
    pieces = [model.tokenizer.decode(split[index]) for split in held_out for index in range(len(split))]
    options = {"temperature": given.temperature, "top_p": given.top_p}
    rows = {
        "generated": figures(streams(model, given.streams, given.tokens, **options)),
        "held_out": figures(pieces),
    }
    report("accompaniment", given, **rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("accompaniment", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="of written music, such as checkpoints/pop")
    made.add_argument("corpus", metavar="CORPUS", help="such as pop909")
    made.add_argument("--streams", type=command.positive, default=16, metavar="N", help="(default: 16)")
    made.add_argument("--tokens", type=command.positive, default=4000, metavar="N", help="of each (default: 4000)")
    made.add_argument("--temperature", type=float, default=0.9, help="(default: 0.9)")
    made.add_argument("--top-p", type=float, default=1.0, help="(default: 1.0)")
    return command.run(made, accompaniment, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
