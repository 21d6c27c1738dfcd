"""Is it music? Pieces that a checkpoint writes, measured beside the pieces it learned from. JSON, one object.

    python -m benchmarks.music checkpoints/bach bach-chorales

Figures, each the mean over pieces:

- scale_consistency: the largest share of notes that one major or minor scale holds (Mogren 2016).
- voices_sounding: share of beats, from the first note to the end of the last, at whose start every voice sounds.
- notes_in_range: share of notes within the range that their voice has in the corpus's training split.
- tonic_ending: share of pieces whose last chord lies in the tonic triad, major or minor, of the key that music21's
  analysis finds (the method of Krumhansl and Schmuckler with the weights of Aarden and Essen), with the tonic in its
  lowest note.
- whole_bars: share of bars, but for a piece's first and last, that their notes fill: the first begins with the bar, the
  last ends with it, and none is silent for a quarter or more.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.measuring import load
from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.music.keys import likely
from generator.music.score import Score
from generator.streaming.engine import Model

MAJOR, MINOR = {0, 2, 4, 5, 7, 9, 11}, {0, 2, 3, 5, 7, 8, 11}


def scale_consistency(score: Score) -> float:
    classes = [note.pitch % 12 for note in score.notes]
    scales = [{(step + root) % 12 for step in scale} for root in range(12) for scale in (MAJOR, MINOR)]
    return max(sum(pitch in scale for pitch in classes) for scale in scales) / len(classes)


def voices_sounding(score: Score) -> float:
    beat = score.ticks_per_quarter
    first = score.notes[0].start_ticks
    beats = range(-(-first // beat) * beat, score.end_ticks, beat)
    voices = len(score.voices)
    sounding = {at: set() for at in beats}
    for note in score.notes:
        start = -(-note.start_ticks // beat) * beat
        for at in range(start, note.end_ticks, beat):
            sounding[at].add(note.voice)
    return mean(len(found) == voices for found in sounding.values()) if sounding else 0.0  # shorter than a beat


def tonic_ending(score: Score) -> bool:
    tonic = likely(score.notes) % 12
    last = [note for note in score.notes if note.end_ticks == score.end_ticks]
    classes = {(note.pitch - tonic) % 12 for note in last}
    lowest = (min(note.pitch for note in last) - tonic) % 12
    return lowest == 0 and (classes <= {0, 4, 7} or classes <= {0, 3, 7})


def whole_bars(score: Score) -> list[bool]:
    per = score.ticks_per_quarter
    bars = [(start, start + metre.bar_ticks(per)) for start, metre in score.bar_starts()]
    found = []
    for start, end in bars[1:-1]:
        inside = [(note.start_ticks, note.end_ticks) for note in score.notes if start <= note.start_ticks < end]
        found.append(
            bool(inside)
            and inside[0][0] == start
            and inside[-1][1] == end
            and all(after[0] - before[1] < per for before, after in pairwise(inside))
        )
    return found


def measure(pieces: list[Score], ranges: list[tuple[int, int]]) -> dict[str, Any]:
    """The mean figures over some pieces."""
    notes = [note for piece in pieces for note in piece.notes]
    bars = [whole for piece in pieces for whole in whole_bars(piece)]
    return {
        "pieces": len(pieces),
        "notes": len(notes),
        "scale_consistency": round(mean(map(scale_consistency, pieces)), 4),
        "voices_sounding": round(mean(map(voices_sounding, pieces)), 4),
        "notes_in_range": round(mean(ranges[n.voice][0] <= n.pitch <= ranges[n.voice][1] for n in notes), 4),
        "tonic_ending": round(mean(map(tonic_ending, pieces)), 4),
        "whole_bars": round(mean(bars), 4) if bars else None,
    }


def of_corpus(model: Model, dataset: TokenDataset, split: str, count: int) -> list[Score]:
    part = dataset.split(split)
    return [model.tokenizer.decode(part[index]) for index in range(min(count, len(part)))]


def generated(model: Model, count: int, **options: Any) -> list[Score]:
    """One piece a seed, from a cold start to its end."""
    engine = model.engine()
    streams = [engine.stream(seed=seed, at_end="stop", **options) for seed in range(count)]
    pieces = [model.tokenizer.collect(events) for events in engine.pull(streams, 20_000)]
    return [piece for piece in pieces if piece.notes]


def compare(model: Model, dataset: TokenDataset, pieces: int, **options: Any) -> dict[str, dict[str, Any]]:
    """The figures of so many generated pieces, beside those of as many training and validation pieces."""
    train = of_corpus(model, dataset, "train", 10**9)
    ranges = []
    for voice in range(len(model.tokenizer.voices)):
        pitches = [note.pitch for piece in train for note in piece.notes if note.voice == voice]
        ranges.append((min(pitches), max(pitches)))
    return {
        "generated": measure(generated(model, pieces, **options), ranges),
        "train": measure(train[:pieces], ranges),
        "validation": measure(of_corpus(model, dataset, "validation", pieces), ranges),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("corpus")
    parser.add_argument("--pieces", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    given = parser.parse_args()
    model = load(given.checkpoint)
    dataset = prepare(open_corpus(given.corpus), model.tokenizer)
    options = {"temperature": given.temperature, "top_p": given.top_p}
    found = compare(model, dataset, given.pieces, **options)
    print(json.dumps({"checkpoint": given.checkpoint.name, "corpus": given.corpus, **options, **found}, indent=2))


if __name__ == "__main__":
    main()
