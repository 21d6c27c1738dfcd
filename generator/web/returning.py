"""Takes that are drawn again from their origins: after a restart of the server, from the shelf, or by a link."""

from __future__ import annotations

from functools import partial
from typing import Any

from generator.foundation.errors import CarouselError
from generator.streaming.origin import Origin, read_text
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.web import primers
from generator.web.fields import number, text
from generator.web.live import Live
from generator.web.live_band import LiveBand
from generator.web.live_text import LiveText
from generator.web.models import find
from generator.web.visitors import KEPT, Kept

LONGEST_ORIGIN = 2**20
"""The most characters of an origin."""
LONGEST_TITLE = 200
TOO_LONG = "this take is too long for a page; go on from it with sample --resume"


def drawn_again(medium: str, origin: str, position: float) -> Live:
    """A live take that is drawn again from its origin, and heard from a position on.

    Raises:
        CarouselError: the origin is damaged or too long, or its checkpoint is not here.
    """
    if len(origin) > LONGEST_ORIGIN:
        raise CarouselError(TOO_LONG)
    found, *_ = read_text(origin, primers.MAX_PAST)
    primers.refuse_too_long(found, "this take")
    name, model = find(medium, found)
    return live_take(model.engine(found.backend).replay(found), name, position, found)


def live_take(stream: Stream, name: str, at: float | None = None, origin: Origin | None = None) -> Live:
    """A live take of a stream, with the drummer of its origin or take.

    Raises:
        CarouselError: the drummer's checkpoint is not here, or the two do not belong together.
    """
    if stream.engine.tokenizer.medium == "text":
        return LiveText(stream, name, at)
    if origin is None or origin.drums is None:
        return LiveBand(stream, name, at)
    engine = find("music", origin.drums)[1].engine(origin.drums.backend)
    drums = engine.resume(origin.drums) if isinstance(origin.drums, Snapshot) else engine.replay(origin.drums)
    return LiveBand(stream, name, at, drums, origin.entries)


def kept_again(medium: str, entries: Any) -> list[Kept]:
    """Kept takes that a browser remembers, the newest first. Each is drawn again when it is asked for.

    Raises:
        CarouselError: this is no list of kept takes, or one of them is too long.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CarouselError("the request's kept takes are not a list")
    kept = [(text(entry, "title"), number(entry, "length"), text(entry, "origin")) for entry in entries[:KEPT]]
    if any(len(title) > LONGEST_TITLE or len(origin) > LONGEST_ORIGIN for title, _, origin in kept):
        raise CarouselError(TOO_LONG)
    return [
        Kept(medium, title, length, origin, partial(_drawn, medium, origin, length)) for title, length, origin in kept
    ]


def _drawn(medium: str, origin: str, length: float) -> tuple[Any, bytes]:
    live = drawn_again(medium, origin, length)
    return live.heard(length), live.saved(length)
