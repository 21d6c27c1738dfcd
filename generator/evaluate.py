"""Measure a checkpoint on a corpus: surprise in nats, read as one carried stream.

python -m generator.evaluate checkpoints/shakespeare tinyshakespeare
"""

from __future__ import annotations

from generator import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import json
import math
from pathlib import Path
from typing import Any

from generator.corpora import open_corpus
from generator.corpora.shards import Shards, Split, prepare
from generator.model.backends import BACKENDS, surprise
from generator.model.backends import prepare as prepare_backend
from generator.model.checkpoint import Checkpoint
from generator.tokenizers.base import Tokenizer

CONVENTION = "one carried stream from a cold start, END tokens included"


def evaluate(checkpoint: Checkpoint, shards: Shards, split: str, backend: str | None = None) -> dict[str, Any]:
    """The scores of one split, as `evaluate` prints them.

    Args:
        backend: read through this backend's steps, as a stream does, not through torch's LSTM.

    Raises:
        CarouselError: the corpus has no such split, or there is no such backend.
    """
    part = shards.split(split)
    start = checkpoint.tokenizer.start
    if backend is None:
        nats = float(checkpoint.model().surprise(part.tokens, start).sum())
    else:
        nats = float(surprise(prepare_backend(backend, checkpoint), part.tokens, start).sum())
    scores: dict[str, Any] = {
        "corpus": shards.facts.name,
        "split": split,
        "convention": CONVENTION,
        **({"backend": backend} if backend else {}),
        "pieces": len(part),
        "tokens": len(part.tokens),
        "nats_per_token": nats / len(part.tokens),
    }
    if checkpoint.tokenizer.medium == "text":
        characters = len(part.tokens) - len(part)
        scores |= {
            "characters": characters,
            "nats_per_character": nats / characters,
            "bits_per_character": nats / characters / math.log(2),
        }
    else:
        notes, seconds = _extent(part, checkpoint.tokenizer)
        scores |= {
            "notes": notes,
            "seconds": round(seconds, 3),
            "nats_per_note": nats / notes,
            "nats_per_second": nats / seconds,
        }
    return scores


def _extent(split: Split, tokenizer: Tokenizer) -> tuple[int, float]:
    """Notes and seconds of music, from each piece's start to the end of its last note."""
    notes, seconds = 0, 0.0
    for index in range(len(split)):
        score = tokenizer.decode(split[index])
        notes += len(score.notes)
        seconds += score.clock().seconds(score.end_ticks)
    return notes, seconds


def default_split(shards: Shards) -> str:
    """The test split where there is one, else the validation split."""
    return "test" if "test" in shards.splits else "validation"


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("evaluate", __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    parser.add_argument("corpus", metavar="CORPUS", help="a name from data/corpora.toml, or a file or folder")
    parser.add_argument("--split", help="train, validation or test (default: test where there is one, else validation)")

    parser.add_argument("--backend", choices=BACKENDS, help="read token by token through it, as a stream does")

    def run(given: argparse.Namespace) -> None:
        checkpoint = Checkpoint.load(given.checkpoint)
        shards = prepare(open_corpus(given.corpus), checkpoint.tokenizer)
        print(json.dumps(evaluate(checkpoint, shards, given.split or default_split(shards), given.backend), indent=2))

    return command.run(parser, run, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
