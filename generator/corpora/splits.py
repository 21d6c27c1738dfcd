"""Which split a piece belongs to: a function of its name alone, so that it never moves when others come or go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from generator.corpora.base import Piece
from generator.foundation.errors import CarouselError

VALIDATION_FROM, TEST_FROM = 0.90, 0.95


def share(group: str) -> float:
    """A stable number in [0, 1) for a group of pieces that belong together."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64


def split_of(group: str) -> str:
    """90 % train, 5 % validation, 5 % test, by groups."""
    where = share(group)
    return "train" if where < VALIDATION_FROM else "validation" if where < TEST_FROM else "test"


def train_and_validation(pieces: Iterable[Piece]) -> Iterator[tuple[str, Piece]]:
    """90 % train and 10 % validation, some of each however few there are; a piece that is alone is cut in two."""
    extremes: list[Piece] = []  # of the pieces so far, the one with the smallest share and the one with the largest
    for piece in pieces:
        extremes = sorted([*extremes, piece], key=lambda piece: share(piece.name))
        if len(extremes) == 3:
            middle = extremes.pop(1)
            yield "train" if share(middle.name) < VALIDATION_FROM else "validation", middle
    if len(extremes) == 1:
        extremes = list(cut(extremes[0]))
    yield from zip(("train", "validation"), extremes, strict=False)


def cut(piece: Piece) -> tuple[Piece, Piece]:
    """Nine tenths and the last tenth of a piece: of a text by characters, of music at a bar line.

    Raises:
        CarouselError: the piece is too short for that.
    """
    content = piece.content
    if isinstance(content, str):
        at = len(content) * 9 // 10
        if at == 0 or at == len(content):
            raise CarouselError(
                f"{piece.name}: {len(content)} characters are too few to learn from; give a longer text"
            )
        return Piece(piece.name, content[:at]), Piece(f"{piece.name} (last tenth)", content[at:])
    wanted = content.notes[len(content.notes) * 9 // 10].start_ticks
    at = max((start for start, _ in content.bar_starts() if start <= wanted), default=0)
    if at == 0:
        raise CarouselError(f"{piece.name}: a single piece of so few bars is too little to learn from; give more music")
    first, last = content.between(0, at), content.between(at, content.end_ticks)
    return Piece(piece.name, first), Piece(f"{piece.name} (last tenth)", last)
