"""Downloads: a take as a file, as far as it has been heard, or with what would follow.

The answer to a request is a stream: lines of JSON, an empty line, and the bytes of the file. A line is
`{"doing": "waiting"}`, `{"doing": "drawing", "done": 0.25}`, `{"doing": "making", "done": 0.25}`, or
`{"error": message}` as the last one. Who leaves, or closes the page, gives the file up: it is in nobody's way, and
nobody else can fetch it. So does a visitor who has lost the place, though the connection may seem to stand.

What is quick is done in a thread. What takes longer is made in a process of its own (`maker`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.responses import StreamingResponse
from starlette.types import Send

from generator.foundation.errors import CarouselError
from generator.music.lead_sheet import lead_sheet
from generator.music.score import Score
from generator.sinks import write
from generator.tokenizers.base import Tokenizer
from generator.web.fields import number, text, whole
from generator.web.live import Live
from generator.web.live_music import LiveMusic
from generator.web.maker import Maker
from generator.web.returning import drawn_again
from generator.web.visitors import UNKNOWN, Kept, Visitor

LEAD_SHEET = "lead.pdf"
"""The melody and the symbols of its chords."""
FORMATS = {
    "music": ("mid", "wav", "ogg", "flac", "pdf", LEAD_SHEET, "svg", "musicxml", "abc", "take"),
    "text": ("txt", "take"),
}
"""The formats in which a take can be downloaded, by medium."""
QUICK = ("mid", "txt")
"""The formats that are written in a thread."""
FURTHER = {"music": (300, 900, 1800), "text": (5000, 20_000)}
"""How much more than what has been heard the page offers, by medium; the last is the most that is drawn."""
AT_ONCE = 2
"""The most downloads that are made at the same time."""
WAITING = 3
"""The most downloads of one visitor that are under way; they are made one after another."""
CHUNK_BYTES = 1 << 18


@dataclass
class Makers:
    """What makes the downloads of a server: room for a few at a time, and a process that is ready for the next one."""

    room: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(AT_ONCE))
    _ready: Maker | None = None
    _lock: Lock = field(default_factory=Lock)

    def take(self) -> Maker:
        """A maker for one file."""
        with self._lock:
            ready, self._ready = self._ready, None
        return ready if ready and ready.alive else Maker()

    def prepare(self) -> None:
        """Have a maker ready for a download that is likely to come."""
        with self._lock:  # two visitors may come at the same moment
            if self._ready is None or not self._ready.alive:
                self._ready = Maker()


@dataclass(frozen=True)
class Order:
    """A download: of a take up to a position, and `more` beyond it, in the unit of positions."""

    visitor: Visitor
    take: Live | Kept
    form: str
    until: float
    more: float

    async def parts(self, makers: Makers) -> AsyncGenerator[bytes, None]:
        """The stream that answers the request."""
        if self.visitor.downloads >= WAITING:
            yield _line(error=f"{WAITING} downloads are under way already; wait for one, or cancel one")
            return
        self.visitor.downloads += 1
        path = Path()
        try:
            with TemporaryDirectory(prefix="carousel-") as folder:
                path = Path(folder) / f"carousel.{self.form}"
                yield _line(doing="waiting")
                async with self.visitor.turn, makers.room, aclosing(self._made(path, makers)) as lines:
                    async for line in lines:
                        if self.visitor.gone:
                            raise CarouselError(UNKNOWN)
                        yield line
                yield b"\n"
                async with await anyio.open_file(path, "rb") as file:
                    while data := await file.read(CHUNK_BYTES):
                        yield data
        except CarouselError as error:
            yield _line(error=str(error).removeprefix(f"{path}: "))
        finally:
            self.visitor.downloads -= 1

    async def _made(self, path: Path, makers: Makers) -> AsyncGenerator[bytes, None]:
        """Make the file; yields lines."""
        take, until = self.take, self.until
        if self.more:
            take, goal = await to_thread.run_sync(self._aside), until + self.more
            drawn = until
            while drawn < goal:
                drawn = await to_thread.run_sync(take.draw, goal)
                yield _line(doing="drawing", done=round(max(0.0, drawn - until) / self.more, 4))
            until = goal
        if self.form == "take":
            path.write_bytes(await to_thread.run_sync(take.saved, until))
            return
        piece = await to_thread.run_sync(take.heard, until)
        if self.form == LEAD_SHEET and isinstance(piece, Score):
            piece = await to_thread.run_sync(lead_sheet, piece)
        if self.form in QUICK:
            await to_thread.run_sync(write, piece, path)
            return
        yield _line(doing="making", done=0.0)
        maker = await to_thread.run_sync(makers.take)
        try:
            shares = maker.make(piece, path)
            while (done := await to_thread.run_sync(next, shares, None, abandon_on_cancel=True)) is not None:
                yield _line(doing="making", done=done)
        finally:
            maker.end()

    def _aside(self) -> Live:
        """A take that goes on from this one where the download begins to draw."""
        if isinstance(self.take, Live):
            return self.take.aside(self.until)
        return drawn_again(self.take.medium, self.take.origin, self.take.length).aside(self.take.length)


def formats(tokenizer: Tokenizer) -> list[str]:
    """The formats in which takes of these tokens can be downloaded: drums alone have no melody for a lead sheet."""
    drums = bool(tokenizer.voices) and all(voice.drum for voice in tokenizer.voices)
    return [form for form in FORMATS[tokenizer.medium] if not (drums and form == LEAD_SHEET)]


def ordered(visitor: Visitor, body: dict[str, Any]) -> Order:
    """The download that a visitor's request asks for.

    Raises:
        CarouselError: there is no such take or format, or it asks for too much.
    """
    take, form = visitor.take(whole(body, "take")), text(body, "format")
    if form not in FORMATS[take.medium]:
        raise CarouselError(
            f"{form!r} is not a format of {take.medium}; choose one of {', '.join(FORMATS[take.medium])}"
        )
    until, more = number(body, "until"), number({"more": 0, **body}, "more")
    if more > FURTHER[take.medium][-1]:
        raise CarouselError(f"a download draws {FURTHER[take.medium][-1]:,} more at most; ask for less")
    if isinstance(take, LiveMusic) and "instruments" in body:
        take = take.played_by(body["instruments"])
    return Order(visitor, take, form, take.length if isinstance(take, Kept) else until, more)


class Parts(StreamingResponse):
    """A stream of bytes that ends its source as soon as the browser is gone. It is not compressed: that would hold back
    its lines, and compressing a large file would stall the whole server."""

    def __init__(self, content: AsyncGenerator[bytes, None]) -> None:
        self._content = content
        super().__init__(
            content,
            media_type="application/octet-stream",
            headers={"Content-Encoding": "identity", "Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._content):
            await super().stream_response(send)


def _line(**told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n"
