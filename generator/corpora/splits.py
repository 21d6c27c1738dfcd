"""Which split a piece belongs to: a function of its name alone, so that it never moves when others come or go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from generator.corpora.base import Piece
from generator.errors import CarouselError
from generator.music.score import Score

VALIDATION_FROM, TEST_FROM = 0.90, 0.95


def share(group: str) -> float:
    """A stable number in [0, 1) for a group of pieces that belong together."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64


def split_of(group: str) -> str:
    """90 % train, 5 % validation, 5 % test, by groups."""
    where = share(group)
    return "train" if where < VALIDATION_FROM else "validation" if where < TEST_FROM else "test"


def train_and_validation(pieces: Iterable[Piece]) -> Iterator[tuple[str, Piece]]:
    """90 % train and 10 % validation, yet some of each: of few pieces the one with the largest share validates, and a
    single piece is cut in two."""
    held: Piece | None = None
    validated = trained = False
    for piece in pieces:
        if share(piece.name) >= VALIDATION_FROM:
            if not trained and held is None and not validated:
                held = piece
                continue
            validated = True
            yield "validation", piece
            continue
        if not validated and (held is None or share(piece.name) > share(held.name)):
            held, piece = piece, held  # type: ignore[assignment]
        if piece is not None:
            trained = True
            yield "train", piece
    if held is None:
        return
    if trained or validated:
        yield "train" if validated and share(held.name) < VALIDATION_FROM else "validation", held
    else:
        first, last = cut(held)
        yield "train", first
        yield "validation", last


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
    return Piece(piece.name, _span(content, 0, at)), Piece(
        f"{piece.name} (last tenth)", _span(content, at, content.end_ticks)
    )


def _span(score: Score, start: int, end: int) -> Score:
    """What starts from `start` on and before `end`, a bar line, moved to begin at 0 with the metre and tempo in force."""

    def moved(events):  # type: ignore[no-untyped-def]
        return tuple(replace(e, start_ticks=e.start_ticks - start) for e in events if start <= e.start_ticks < end)

    def in_force(events):  # type: ignore[no-untyped-def]
        before = [e for e in events if e.start_ticks < start]
        later = moved(events)
        if before and not (later and later[0].start_ticks == 0):
            return (replace(before[-1], start_ticks=0), *later)
        return later

    return replace(
        score,
        notes=tuple(
            replace(n, duration_ticks=min(n.duration_ticks, end - start - n.start_ticks)) for n in moved(score.notes)
        ),
        time_signatures=in_force(score.time_signatures),
        tempos=in_force(score.tempos),
        pedals=moved(score.pedals),
        bars=moved(score.bars),
        piece_ends=(),
    )
