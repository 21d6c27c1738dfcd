"""The split of a piece: a function of its name alone, so that it does not change when pieces are added or removed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from generator.corpora.base import Piece
from generator.foundation.errors import CarouselError

VALIDATION_FROM, TEST_FROM = 0.90, 0.95
"""The values of `share` from which on groups belong to validation and to test."""


def share(group: str) -> float:
    """A number in [0, 1) that depends on nothing but the name of a group of pieces that have to stay together."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64


def split_of(group: str) -> str:
    """The split of a group: of all groups 90 % are in train, 5 % in validation and 5 % in test."""
    where = share(group)
    return "train" if where < VALIDATION_FROM else "validation" if where < TEST_FROM else "test"


def train_and_validation(pieces: Iterable[Piece]) -> Iterator[tuple[str, Piece]]:
    """Each piece with its split: 90 % are in train and 10 % in validation, but at least one in each. A single piece is
    cut in two."""
    extremes: list[Piece] = []  # the pieces with the smallest and the largest share so far, for train and validation
    for piece in pieces:
        extremes = sorted([*extremes, piece], key=lambda piece: share(piece.name))
        if len(extremes) == 3:
            middle = extremes.pop(1)
            yield "train" if share(middle.name) < VALIDATION_FROM else "validation", middle
    if len(extremes) == 1:
        extremes = list(cut(extremes[0]))
    yield from zip(("train", "validation"), extremes, strict=False)


def cut(piece: Piece) -> tuple[Piece, Piece]:
    """The first nine tenths of a piece and the last tenth: of a text by characters, of music by notes, at a bar line.

    Raises:
        CarouselError: the piece is too short to be cut.
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
