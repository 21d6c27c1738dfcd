"""What a stream goes on from: an uploaded file, read, checked, and cut to what a listener will wait for.

A take holds its own past, so that is not cut: it is drawn again, if it is not too long to wait for.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from generator.cli import reporting
from generator.cli.takes import TAKE
from generator.corpora import text
from generator.corpora.primer import read_primer
from generator.foundation.errors import CarouselError, Option
from generator.foundation.omissions import Sentence, many
from generator.music import files
from generator.music.score import Score
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.base import Tokenizer

SUFFIXES = {"music": (*files.SUFFIXES, TAKE), "text": (*text.SUFFIXES, TAKE)}
"""The files that may be uploaded, by medium."""
MAX_CHARACTERS = 2000
MAX_NOTES = 400
"""A primer is read token by token before the first sound, so only its last part counts."""
MAX_PAST = 60_000
"""Tokens of a take: half an hour of music."""
MAX_CHANGES = 10_000
"""Changes of options in a take: each of them breaks off a job when it is drawn again."""


def read(name: str, data: bytes, medium: str) -> str | Score | Snapshot:
    """An uploaded file as a piece, or as the end of a stream. Of several tunes in one file the first counts.

    Raises:
        CarouselError: the file is of another kind, is broken, or is a take with too long a past or too many changes.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES[medium]:
        raise CarouselError(f"{name}: not a primer for {medium}; choose one of {' '.join(SUFFIXES[medium])}")
    with tempfile.TemporaryDirectory(prefix="carousel-") as temporary:
        path = Path(temporary) / f"primer{suffix}"
        path.write_bytes(data)
        try:
            if suffix != TAKE:
                return read_primer(str(path), medium)
            snapshot = Snapshot.load(path)
            sizes = (("tokens", snapshot.position, MAX_PAST), ("changes", len(snapshot.timeline), MAX_CHANGES))
            for unit, count, most in sizes:
                if count > most:
                    raise CarouselError(
                        f"{name}: a take of {count:,} {unit}; the app goes on from {most:,} at most, and "
                        f"sample --resume from any"
                    )
            return snapshot
        except CarouselError as error:
            parts = (part if isinstance(part, Option) else part.replace(str(path), name) for part in error.args)
            raise CarouselError(*parts) from None


def last_part(piece: str | Score | Snapshot) -> str | Score | Snapshot:
    """The end of a piece; of music from a bar line on, where there is one."""
    if isinstance(piece, Snapshot):
        return piece
    if isinstance(piece, str):
        return piece[-MAX_CHARACTERS:]
    if len(piece.notes) <= MAX_NOTES:
        return piece
    start = piece.notes[-MAX_NOTES].start_ticks
    bars = [bar for bar, _ in piece.bar_starts() if bar <= start]
    return piece.between(bars[-1] if bars else start, piece.end_ticks + 1)


def losses(piece: str | Score, tokenizer: Tokenizer) -> list[Sentence]:
    """What a stream does not get to know of a primer, of which only the last part counts.

    Raises:
        CarouselError: nothing of that can be expressed.
    """
    last = last_part(piece)
    assert not isinstance(last, Snapshot)
    said = reporting.losses(last, tokenizer)
    left = _length(piece) - _length(last)
    if left:
        thing = "character" if isinstance(piece, str) else "note"
        said.append(Sentence(f"the first {many(left, thing)} left out: only the last part counts", loud=False))
    return said


def _length(piece: str | Score) -> int:
    return len(piece) if isinstance(piece, str) else len(piece.notes)
