"""Uploaded primers and takes: read, checked, and limited to what a listener can be asked to wait for.

Of a primer only the last part is used. The past of a take cannot be cut, because it is drawn again; takes that would
need too long are refused.
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
from generator.streaming.origin import Origin
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.base import Tokenizer

SUFFIXES = {"music": (*files.SUFFIXES, TAKE), "text": (*text.SUFFIXES, TAKE)}
"""The suffixes of files that can be uploaded, by medium."""
MAX_CHARACTERS, MAX_NOTES = 2000, 400
"""The length of the part of a primer that is used. It is read token by token before the first sound."""
MAX_PAST = 60_000
"""The most tokens of a take, about half an hour of music."""
MAX_CHANGES = 10_000
"""The most changes of options in a take: each of them ends a job of the scheduler when the take is drawn again."""


def read(name: str, data: bytes, medium: str) -> str | Score | Snapshot:
    """The piece in an uploaded file, the first of several, or the snapshot in an uploaded take.

    Raises:
        CarouselError: the file is of the wrong kind or broken, or a take with too long a past or too many changes.
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
            refuse_too_long(snapshot, name)
            return snapshot
        except CarouselError as error:
            parts = (part if isinstance(part, Option) else part.replace(str(path), name) for part in error.args)
            raise CarouselError(*parts) from None


def refuse_too_long(origin: Origin, name: str) -> None:
    """Raise a CarouselError if a stream would take too long to be drawn again."""
    sizes = (("tokens", origin.position, MAX_PAST), ("changes", len(origin.timeline), MAX_CHANGES))
    for unit, count, most in sizes:
        if count > most:
            raise CarouselError(
                f"{name}: a take of {count:,} {unit}; the app goes on from {most:,} at most, and "
                f"sample --resume from any"
            )
    if origin.drums is not None:
        refuse_too_long(origin.drums, name)


def last_part(piece: str | Score | Snapshot) -> str | Score | Snapshot:
    """The last part of a piece, of music from a bar line on if it has bars; a snapshot is returned as it is."""
    if isinstance(piece, Snapshot):
        return piece
    if isinstance(piece, str):
        return piece[-MAX_CHARACTERS:]
    if len(piece.notes) <= MAX_NOTES:
        return piece
    start = piece.notes[-MAX_NOTES].start_ticks
    bars = [bar for bar, _ in piece.bar_starts() if bar <= start]
    return piece.between(bars[-1] if bars else start, piece.end_ticks + 1)


def omissions(piece: str | Score, tokenizer: Tokenizer) -> list[Sentence]:
    """Sentences about the parts of a primer that the stream does not get: those that are cut off, and those that the
    tokenizer cannot express.

    Raises:
        CarouselError: the tokenizer can express nothing of it.
    """
    last = last_part(piece)
    assert not isinstance(last, Snapshot)
    found = reporting.primer_omissions(last, tokenizer)
    left = _length(piece) - _length(last)
    if left:
        thing = "character" if isinstance(piece, str) else "note"
        found.append(Sentence(f"the first {many(left, thing)} left out: only the last part counts", loud=False))
    return found


def _length(piece: str | Score) -> int:
    return len(piece) if isinstance(piece, str) else len(piece.notes)
