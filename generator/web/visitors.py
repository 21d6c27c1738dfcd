"""Visitors and their takes. A visitor's takes can be reached only with that visitor's random token.

There is room for as many as the machine can serve: nobody is admitted who would make the music of the others stop.
Memory is bounded: there are at most `PLACES` visitors with at most `KEPT` kept takes each, and the kept takes of a
medium are together no larger than one live take may be. If all places are taken, a new visitor gets the place of the
one who has been away longest, whose next request is answered with an error. If there is no room for another kept take,
the oldest ones are removed.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from threading import Lock
from typing import Any

import anyio

from generator.foundation.errors import CarouselError
from generator.web.live import Live
from generator.web.live_music import MAX_EVENTS
from generator.web.live_text import MAX_CHARACTERS
from generator.web.load import WINDOW_SECONDS, Load

PLACES = 1000
"""The most visitors at a time, however little they ask for."""
FULL = 0.8
"""The share of the cores' time that visitors may use together; Streamlit's pages need the rest."""
FIRST_COST = 0.01
"""The share that a listener is taken to need as long as nothing was measured."""
MOST_COST = 0.05
"""More than this share is not a listener's: a model is loaded, or a file is made."""
KEPT = 20
"""The most kept takes of one visitor."""
AWAY_SECONDS = 60.0
"""A visitor without a request for this long may lose the place; the browser of a listener sends one every second."""
IDLE_SECONDS = 3600.0
"""A visitor without a request for this long loses the place in any case; a page that comes back brings its takes."""
CLOSED_SECONDS = 300.0
"""The same for a visitor whose page was closed, or has lost its connection."""
SHELF = {"music": MAX_EVENTS, "text": MAX_CHARACTERS}
"""The largest total `Kept.size` of a visitor's kept takes of a medium, unless the newest one alone is larger."""


UNKNOWN = "the server no longer knows this page: it was restarted, or full; press Start"


class Gone(CarouselError):
    """A visitor or a take that the server does not have (any more)."""


class Busy(CarouselError):
    """A visitor who asks for more at a time than one visitor may."""


@dataclass(frozen=True)
class Kept:
    """A kept take: its length in seconds or characters, and the origin of its stream as text. `draw` returns its piece,
    and the stream at its end as the bytes of a take."""

    medium: str
    title: str
    length: float
    origin: str
    draw: Callable[[], tuple[Any, bytes]]

    @cached_property
    def _drawn(self) -> tuple[Any, bytes]:
        return self.draw()

    def heard(self, position: float) -> Any:
        """The whole piece."""
        return self._drawn[0]

    def saved(self, position: float) -> bytes:
        """The bytes of the take at its end."""
        return self._drawn[1]

    @property
    def size(self) -> int:
        """The number of events or characters in memory."""
        if "_drawn" not in vars(self):
            return 0
        piece = self._drawn[0]
        if isinstance(piece, str):
            return len(piece)
        events = (piece.notes, piece.time_signatures, piece.tempos, piece.pedals, piece.bars, piece.piece_ends)
        return sum(map(len, events))


@dataclass
class Visitor:
    """One visitor: at most one live take of each medium, and kept takes, all by their numbers."""

    takes: dict[int, Live | Kept] = field(default_factory=dict)
    seen: float = field(default_factory=time.monotonic)
    """The time of the last request."""
    closed: bool = False
    """Whether the page was closed, or has lost its connection."""
    turn: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while one of the visitor's files is made; the others wait."""
    downloads: int = 0
    """The number of files that are asked for and not handed over yet."""
    asked: set[str] = field(default_factory=set)
    """What the visitor waits for and may have one of at a time."""
    gone: bool = False
    """Whether the place was lost: what is still made for this visitor is for nobody."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(secrets.randbelow(2**40) + 1))
    """The numbers for takes. They begin anywhere, so that no other visitor's number is taken for one's own."""

    @contextmanager
    def one_at_a_time(self, what: str) -> Iterator[None]:
        """Answer one request of a kind; to be entered in the thread of the event loop.

        Raises:
            Busy: another one of this kind is being answered.
        """
        if what in self.asked:
            raise Busy(f"{what} is asked for already; wait for the answer, or ask again in a moment")
        self.asked.add(what)
        try:
            yield
        finally:
            self.asked.discard(what)

    def start(self, live: Live) -> int:
        """Replace the live take of a medium by a new one; returns its number."""
        self.takes.pop(self.playing(live.medium)[0], None)
        return self._add(live)

    def keep(self, number: int, position: float) -> list[str]:
        """Keep a live take up to a position; returns the titles of older kept takes that were removed to make room.

        Raises:
            CarouselError: there is no such take, nothing of it has been heard yet, or `KEPT` takes are kept.
        """
        live = self.take(number)
        if not isinstance(live, Live):
            raise CarouselError("this take is kept already")
        if sum(isinstance(take, Kept) for take in self.takes.values()) >= KEPT:
            raise CarouselError(f"{KEPT} takes are kept already; remove one first")
        if position <= 0:
            raise CarouselError("nothing has been heard yet; press Start first")
        snapshot = live.snapshot(position)
        drawn = live.heard(position), snapshot.to_bytes()
        new = Kept(live.medium, live.title, position, snapshot.text(), lambda: drawn)
        new.heard(position)  # it is in memory, so it has a size
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
        """The take with this number.

        Raises:
            CarouselError: there is none, or it has been removed.
        """
        try:
            return self.takes[number]
        except KeyError:
            raise Gone("this take is no longer here; press Start for a new one") from None

    def remove(self, number: int) -> None:
        """Remove a kept take, if it exists."""
        if isinstance(self.takes.get(number), Kept):
            del self.takes[number]

    def playing(self, medium: str) -> tuple[int, Live | None]:
        """The number of the live take of a medium, and the take; (0, None) if there is none."""
        live = [
            (number, take) for number, take in self.takes.items() if isinstance(take, Live) and take.medium == medium
        ]
        return live[0] if live else (0, None)

    def kept(self, medium: str) -> dict[int, Kept]:
        """The kept takes of a medium by their numbers, the newest first."""
        kept = [
            (number, take) for number, take in self.takes.items() if isinstance(take, Kept) and take.medium == medium
        ]
        return dict(reversed(kept))

    def put_back(self, kept: Sequence[Kept]) -> None:
        """Add kept takes, the newest first, unless there are any of their medium."""
        if kept and not self.kept(kept[0].medium):
            for one in reversed(kept):
                self._add(one)

    def _add(self, take: Live | Kept) -> int:
        number = next(self._numbers)
        self.takes[number] = take
        return number


class Registry:
    """The visitors of a server, by their tokens."""

    def __init__(self, places: int = PLACES, load: Load | None = None) -> None:
        self._places = places
        self._load = load or Load()
        self._admitted: deque[float] = deque()
        self._visitors: dict[str, Visitor] = {}
        self._forgotten_at = 0.0
        self._lock = Lock()

    def admit(self) -> str:
        """Admit a new visitor; returns the token.

        Raises:
            CarouselError: all places are taken by visitors who are listening, or they keep the machine busy.
        """
        with self._lock:
            now = time.monotonic()
            self._forget(now)
            if len(self._visitors) >= self._places or self._expected_load(now) > FULL:
                raise CarouselError(
                    f"{len(self._visitors)} listeners keep this server busy; try again in a minute, or run Carousel "
                    f"yourself"
                )
            self._admitted.append(now)
            token = secrets.token_urlsafe()
            self._visitors[token] = Visitor()
            return token

    def _forget(self, now: float) -> None:
        """Remove the visitors who are gone, the longest gone first."""
        self._forgotten_at = now
        for token, visitor in sorted(self._visitors.items(), key=lambda item: item[1].seen):
            full = len(self._visitors) >= self._places
            patience = AWAY_SECONDS if full else CLOSED_SECONDS if visitor.closed else IDLE_SECONDS
            if now - visitor.seen > patience:
                del self._visitors[token]
                visitor.gone = True

    def note_page(self, token: str, *, closed: bool) -> None:
        """Note that a visitor's page is open, or that it was closed or has lost its connection."""
        visitor = self._visitors.get(token)
        if visitor is not None:
            visitor.closed = closed

    def renew(self, token: str) -> str:
        """Another token for the same visitor; the old one becomes invalid.

        Raises:
            CarouselError: the token is unknown.
        """
        visitor = self.visitor(token)
        with self._lock:
            new = secrets.token_urlsafe()
            if self._visitors.pop(token, None) is None:
                raise Gone(UNKNOWN)
            self._visitors[new] = visitor
        return new

    def _expected_load(self, now: float) -> float:
        """The load with one visitor more. Those who came just now do not show in what was measured."""
        while self._admitted and now - self._admitted[0] > WINDOW_SECONDS:
            self._admitted.popleft()
        listening = sum(now - visitor.seen < WINDOW_SECONDS for visitor in self._visitors.values())
        if not listening:
            return 0.0
        settled = listening - len(self._admitted)
        load = self._load.share()
        cost = min(load / settled, MOST_COST) if settled > 0 else FIRST_COST
        return load + cost * (len(self._admitted) + 1)

    def visitor(self, token: str) -> Visitor:
        """The visitor with this token; the time of the last request is set to now.

        Raises:
            CarouselError: the token is unknown: its place was given to someone else, or the server has been restarted.
        """
        visitor = self._visitors.get(token)
        if visitor is None:
            raise Gone(UNKNOWN)
        visitor.seen = now = time.monotonic()
        self._load.note()
        if now - self._forgotten_at > AWAY_SECONDS:
            with self._lock:
                self._forget(now)
        return visitor
