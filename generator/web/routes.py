"""The routes beside the pages: what comes next, a download, an instrument's samples, the browser's own modules.

    POST /carousel/pull        {visitor, take, have, until}     the next chunk of a live take, as JSON
    POST /carousel/download    {visitor, take, until, format}   what has been heard, as a file
    GET  /carousel/instrument  ?program=&drum=                  a soundfont program (`instruments.pack`)
    GET  /carousel/static/…                                     modules and styles

A request carries its visitor's token in the body, where no log and no other site sees it. An error is one line of JSON.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st
from anyio import CapacityLimiter, to_thread
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from generator.foundation.errors import CarouselError
from generator.sinks import write
from generator.web.instruments import pack
from generator.web.live import Live
from generator.web.visitors import Registry

STATIC = Path(__file__).parent / "static"
MAX_BODY_BYTES = 4096
FORMATS = {"music": ("mid", "wav", "musicxml", "svg", "take"), "text": ("txt", "take")}
"""What a take can be downloaded as, by medium."""
DOWNLOADS = 2
"""So many are built at once, in threads of their own: a slow WAV file must not keep a listener waiting."""
MAX_POSITION = 1e9


@st.cache_resource(show_spinner=False)
def registry() -> Registry:
    """The one registry of this server, which the pages and the routes share."""
    return Registry()


def routes() -> list[BaseRoute]:
    """Everything the app serves beside Streamlit's own routes."""
    return [
        Route("/carousel/pull", _answer(pull), methods=["POST"]),
        Route("/carousel/download", _answer(download, CapacityLimiter(DOWNLOADS)), methods=["POST"]),
        Route("/carousel/instrument", _instrument),
        Mount("/carousel/static", Modules(directory=STATIC)),
    ]


def pull(body: dict[str, Any]) -> Response:
    """The next chunk of a live take."""
    take = registry().visitor(text(body, "visitor")).take(whole(body, "take"))
    if not isinstance(take, Live):
        raise CarouselError("this take is finished; press Start for a new one")
    return JSONResponse(take.pull(whole(body, "have"), number(body, "until")))


def download(body: dict[str, Any]) -> Response:
    """What has been heard of a take, built now, as the file its format names."""
    take = registry().visitor(text(body, "visitor")).take(whole(body, "take"))
    kind = text(body, "format")
    if kind not in FORMATS[take.medium]:
        raise CarouselError(
            f"{kind!r} is not a format of {take.medium}; choose one of {', '.join(FORMATS[take.medium])}"
        )
    until = number(body, "until")
    if kind == "take":
        return Response(take.saved(until), media_type="application/octet-stream")
    piece = take.heard(until)
    folder = tempfile.TemporaryDirectory(prefix="carousel-")
    try:
        path = Path(folder.name) / f"carousel.{kind}"
        write(piece, path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(path, filename=path.name, background=BackgroundTask(folder.cleanup))


def _answer(
    work: Callable[[dict[str, Any]], Response], threads: CapacityLimiter | None = None
) -> Callable[[Request], Any]:
    """A route that reads a small JSON object, works in a thread, and answers a `CarouselError` with its one line.

    Args:
        threads: how many may work at once; None for the server's own threads.
    """

    async def endpoint(request: Request) -> Response:
        try:
            data = b""
            async for part in request.stream():
                data += part
                if len(data) > MAX_BODY_BYTES:
                    raise CarouselError("the request is too long")
            try:
                body = json.loads(data)
            except (ValueError, RecursionError):
                raise CarouselError("the request is not JSON") from None
            if not isinstance(body, dict):
                raise CarouselError("the request is not a JSON object")
            return await to_thread.run_sync(work, body, limiter=threads)
        except CarouselError as error:
            return JSONResponse({"error": str(error)}, status_code=409)

    return endpoint


async def _instrument(request: Request) -> Response:
    try:
        program, drum = (int(request.query_params.get(name, "0")) for name in ("program", "drum"))
        data = await to_thread.run_sync(pack, program, bool(drum))
    except (ValueError, CarouselError) as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "public, max-age=86400"})


class Modules(StaticFiles):
    """Static files that a browser asks about each time, so that an upgrade never mixes old modules with new ones."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def text(body: dict[str, Any], name: str) -> str:
    """A field that is a string."""
    value = body.get(name)
    if not isinstance(value, str):
        raise CarouselError(f"the request's {name} is not a text")
    return value


def whole(body: dict[str, Any], name: str) -> int:
    """A field that is a whole number, not negative."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CarouselError(f"the request's {name} is not a whole number")
    return value


def number(body: dict[str, Any], name: str) -> float:
    """A field that is a number between 0 and `MAX_POSITION`."""
    value = body.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MAX_POSITION:
        raise CarouselError(f"the request's {name} is not a number")
    return float(value)
