"""Who is listening: every visitor's takes, reachable only by that visitor's unguessable token.

The registry is small on purpose: so many visitors, so many kept takes each, and of each medium no more of them than one
live take may remember. In a full house the visitor who has been away longest gives the place to the next one, and is
told so; on a full shelf the oldest take makes room for the new one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import Any

from generator.foundation.errors import CarouselError
from generator.web.live import MAX_CHARACTERS, Live
from generator.web.live_music import MAX_EVENTS

PLACES = 32
KEPT = 20
AWAY_SECONDS = 60.0
"""Who has asked for nothing for this long may have to give up the place; a listener's browser asks every second."""
IDLE_SECONDS = 12 * 3600.0
"""After this long the place is free in any case."""
SHELF = {"music": MAX_EVENTS, "text": MAX_CHARACTERS}
"""What a visitor's kept takes of a medium hold together, as `Kept.size`, unless the newest alone holds more."""


@dataclass(frozen=True)
class Kept:
    """A take that is finished: a piece, its length in seconds or characters, and its end as a file to go on from."""

    medium: str
    title: str
    piece: Any
    length: float
    take: bytes

    def heard(self, position: float) -> Any:
        """The whole piece."""
        return self.piece

    def saved(self, position: float) -> bytes:
        """Its end as a take."""
        return self.take

    @property
    def size(self) -> int:
        """Events or characters."""
        piece = self.piece
        if isinstance(piece, str):
            return len(piece)
        events = (piece.notes, piece.time_signatures, piece.tempos, piece.pedals, piece.bars, piece.piece_ends)
        return sum(map(len, events))


@dataclass
class Visitor:
    """What one visitor has, by number: one live take of each medium at most, and kept ones."""

    takes: dict[int, Live | Kept] = field(default_factory=dict)
    seen: float = field(default_factory=time.monotonic)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def start(self, live: Live) -> int:
        """Put a new live take in the place of the old one; its number."""
        self.takes.pop(self.playing(live.medium)[0], None)
        return self._add(live)

    def keep(self, number: int, position: float) -> list[str]:
        """Keep what has been heard of a live take; the titles of the older ones that had to go for it.

        Raises:
            CarouselError: nothing has been heard yet, or too many are kept.
        """
        live = self.take(number)
        if sum(isinstance(take, Kept) for take in self.takes.values()) >= KEPT:
            raise CarouselError(f"{KEPT} takes are kept already; remove one first")
        if position <= 0:
            raise CarouselError("nothing has been heard yet; press Start first")
        new = Kept(live.medium, live.title, live.heard(position), position, live.saved(position))
        room = SHELF[live.medium] - new.size
        gone = []
        for older, kept in self.kept(live.medium).items():
            room -= kept.size
            if room < 0:
                self.remove(older)
                gone.append(kept.title)
        self._add(new)
        return gone

    def take(self, number: int) -> Live | Kept:
        """The take of this number.

        Raises:
            CarouselError: there is none (any more).
        """
        try:
            return self.takes[number]
        except KeyError:
            raise CarouselError("this take is no longer here; press Start for a new one") from None

    def remove(self, number: int) -> None:
        """Forget a kept take, if it is there."""
        if isinstance(self.takes.get(number), Kept):
            del self.takes[number]

    def playing(self, medium: str) -> tuple[int, Live | None]:
        """The live take of a medium with its number, or (0, None)."""
        live = [
            (number, take) for number, take in self.takes.items() if isinstance(take, Live) and take.medium == medium
        ]
        return live[0] if live else (0, None)

    def kept(self, medium: str) -> dict[int, Kept]:
        """The kept takes of a medium, the newest first."""
        kept = [
            (number, take) for number, take in self.takes.items() if isinstance(take, Kept) and take.medium == medium
        ]
        return dict(reversed(kept))

    def _add(self, take: Live | Kept) -> int:
        number = next(self._numbers)
        self.takes[number] = take
        return number


class Registry:
    """Visitors by token."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = places
        self._visitors: dict[str, Visitor] = {}
        self._lock = Lock()

    def admit(self) -> str:
        """A token for a new visitor.

        Raises:
            CarouselError: every place is taken by someone who listens.
        """
        with self._lock:
            now = time.monotonic()
            for token, visitor in sorted(self._visitors.items(), key=lambda item: item[1].seen):
                full = len(self._visitors) >= self._places
                if now - visitor.seen > (AWAY_SECONDS if full else IDLE_SECONDS):
                    del self._visitors[token]
            if len(self._visitors) >= self._places:
                raise CarouselError(f"all {self._places} places are taken; try again in a minute")
            token = secrets.token_urlsafe()
            self._visitors[token] = Visitor()
            return token

    def visitor(self, token: str) -> Visitor:
        """The visitor with this token, who is here now.

        Raises:
            CarouselError: the token is unknown, or its place was given to someone else.
        """
        visitor = self._visitors.get(token)
        if visitor is None:
            raise CarouselError("your place was given to another listener; press Start for a new stream")
        visitor.seen = time.monotonic()
        return visitor
