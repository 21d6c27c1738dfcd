"""How it harmonises: melodies of held-out pieces, harmonised by a checkpoint, beside what the composer wrote. JSON.

    python -m benchmarks.harmony checkpoints/bach bach-chorales

The melody is each piece's first voice, of the validation split, then of the test split. Figures, over all pieces:

- melody_kept: share of the melody's notes that come back with their start, length and pitch.
- chords: share of beats at whose start two voices or more sound, where what sounds is a triad or a seventh chord (of
  the latter, the fifth may be missing), whatever its inversion.
- crossings: share of these beats at which some voice sounds above a higher voice.
- parallels_per_100_bars: fifths, octaves and unisons between any two voices that move in parallel, as music21's
  `VoiceLeadingQuartet` finds them.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import music21

from benchmarks.measuring import load, parser, report
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.music.score import Score
from generator.streaming.best import candidates
from generator.streaming.engine import Model

CHORDS = {
    *(frozenset(chord) for chord in ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8))),
    *(frozenset((*chord, 10)) for chord in ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4), (0, 3))),
    *(frozenset((*chord, 11)) for chord in ((0, 4, 7), (0, 3, 7), (0, 4), (0, 3))),
    frozenset((0, 3, 6, 9)),
}
"""Semitones above the root."""
LONGEST = 20_000
"""Tokens of a piece."""


def is_chord(pitches: list[int]) -> bool:
    return any(frozenset((pitch - root) % 12 for pitch in pitches) in CHORDS for root in pitches)


def beats(score: Score) -> list[dict[int, int]]:
    """What sounds at the start of each beat, voice to pitch, where two voices or more do."""
    per = score.ticks_per_quarter
    sounding: list[dict[int, int]] = [{} for _ in range(0, score.end_ticks, per)]
    for note in score.notes:
        for beat in range(-(-note.start_ticks // per), -(-note.end_ticks // per)):
            sounding[beat][note.voice] = note.pitch
    return [found for found in sounding if len(found) > 1]


def crosses(found: dict[int, int]) -> bool:
    pitches = [found[voice] for voice in sorted(found)]
    return pitches != sorted(pitches, reverse=True)


def parallels(score: Score) -> int:
    whole: Any = music21.stream.Score()
    per = score.ticks_per_quarter
    for index, voice in enumerate(score.voices):
        part: Any = music21.stream.Part(id=voice.name)
        for note in score.notes:
            if note.voice == index:
                part.insert(
                    note.start_ticks / per, music21.note.Note(note.pitch, quarterLength=note.duration_ticks / per)
                )
        whole.insert(0, part)
    quartets = music21.voiceLeading.iterateAllVoiceLeadingQuartets(whole)
    kinds = ("parallelFifth", "parallelOctave", "parallelUnison")
    return sum(any(getattr(quartet, kind)() for kind in kinds) for quartet in quartets)


def figures(pieces: list[Score]) -> dict[str, Any]:
    """All but `melody_kept`; what sounds alone throughout has neither chords nor crossings."""
    found = [beat for piece in pieces for beat in beats(piece)]
    bars = sum(1 for piece in pieces for _ in piece.bar_starts())
    return {
        "bars": bars,
        "beats": len(found),
        "chords": round(sum(is_chord(list(beat.values())) for beat in found) / max(1, len(found)), 4),
        "crossings": round(sum(map(crosses, found)) / max(1, len(found)), 4),
        "parallels_per_100_bars": round(100 * sum(map(parallels, pieces)) / bars, 2),
    }


def harmonise(model: Model, pieces: list[Score], best_of: int = 1, **options: Any) -> list[Score]:
    """Each piece's melody with other voices."""
    engine = model.engine()
    streams = [engine.stream(melody=model.melody(piece), at_end="stop", **options) for piece in pieces]
    for stream in streams if best_of > 1 else ():
        stream.set(seed=candidates(model, stream, best_of)[0].seed)
    return [model.tokenizer.collect(events) for events in engine.pull(streams, LONGEST)]


def kept(pieces: list[Score], harmonies: list[Score]) -> float:
    melodies = [[note for note in piece.notes if note.voice == 0] for piece in pieces]
    same = sum(len({*melody} & {*other.notes}) for melody, other in zip(melodies, harmonies, strict=True))
    return same / sum(map(len, melodies))


def compare(model: Model, pieces: list[Score], best_of: int, **options: Any) -> list[dict[str, Any]]:
    """The figures of one harmony of each, of the best of several, both without parallels too, and of the pieces
    themselves."""
    rows = []
    for count, strict in product(sorted({1, best_of}), (False, True)):
        harmonies = harmonise(model, pieces, count, parallels=not strict, **options)
        name = f"best of {count}" + ", no parallels" * strict
        rows.append({"harmony": name, "melody_kept": kept(pieces, harmonies), **figures(harmonies)})
    return [*rows, {"harmony": "the composer's", "melody_kept": 1.0, **figures(pieces)}]


def harmony(given: argparse.Namespace) -> None:
    """Measure and print."""
    model = load(given.checkpoint)
    corpus = open_corpus(given.corpus)
    dataset = prepare(corpus, model.tokenizer)
    held_out = [split for split in ("validation", "test") if split in corpus.splits]
    pieces = [model.tokenizer.decode(tokens) for split in held_out for tokens in dataset.split(split)][: given.pieces]
    options = {"temperature": given.temperature, "seed": given.seed}
    report("harmony", given, "music21", pieces=len(pieces), rows=compare(model, pieces, given.best_of, **options))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("harmony", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="of written music, such as checkpoints/bach")
    made.add_argument("corpus", metavar="CORPUS", help="such as bach-chorales")
    made.add_argument("--pieces", type=command.positive, default=20, metavar="N", help="at most (default: 20)")
    made.add_argument("--best-of", type=command.positive, default=8, metavar="N", help="candidates (default: 8)")
    made.add_argument("--temperature", type=float, default=0.7, metavar="T", help="(default: 0.7)")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="(default: 0)")
    return command.run(made, harmony, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
