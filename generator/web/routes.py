"""The HTTP routes that the app serves beside its pages.

    POST /carousel/pull        {visitor, take, have, until, heard}  the next chunk of a live take, as JSON
    POST /carousel/download    {visitor, take, until, format}       the take as far as it has been heard, as a file
    POST /carousel/sheet       {visitor, take, from, until, width, transpose}  bars of it as sheet music
    GET  /carousel/instrument  ?program=&drum=                      a soundfont program (`instruments.pack`)
    GET  /carousel/static/…                                         JavaScript modules and style sheets

Under a base path (`--server.baseUrlPath`) they are below it. The visitor's token is in the body of a request, so that
it appears in no log and in no `Referer` header. An error is answered with a JSON object, `{"error": message}`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
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
from generator.web.live import Live
from generator.web.live_music import LiveMusic
from generator.web.samples import pack
from generator.web.sheet import MOST_SEMITONES, sheet
from generator.web.visitors import Gone, Registry

STATIC = Path(__file__).parent / "static"
MAX_BODY_BYTES = 4096
FORMATS = {"music": ("mid", "wav", "musicxml", "svg", "take"), "text": ("txt", "take")}
"""The formats in which a take can be downloaded, by medium."""
DOWNLOADS = 2
"""The most downloads that are made at the same time, in threads of their own, so that no listener waits for them."""
SHEETS = 4
"""The most requests for sheet music that wait for the process that engraves."""
MAX_POSITION = 1e9
"""The largest position in a request; the unit is that of the take."""


@st.cache_resource(show_spinner=False)
def registry() -> Registry:
    """The registry of this server, which its pages and routes share."""
    return Registry()


def routes() -> list[BaseRoute]:
    """The routes that the app adds to those of Streamlit, under the same base path."""
    path = str(st.get_option("server.baseUrlPath")).strip("/")
    base = f"/{path}" if path else ""
    return [
        Route(f"{base}/carousel/pull", _answer(pull), methods=["POST"]),
        Route(f"{base}/carousel/download", _answer(download, CapacityLimiter(DOWNLOADS)), methods=["POST"]),
        Route(f"{base}/carousel/sheet", _answer(read, CapacityLimiter(SHEETS)), methods=["POST"]),
        Route(f"{base}/carousel/instrument", _instrument),
        Mount(f"{base}/carousel/static", Modules(directory=STATIC)),
    ]


def pull(body: dict[str, Any]) -> Response:
    """Answer with the next chunk of a live take."""
    take = registry().visitor(text(body, "visitor")).take(whole(body, "take"))
    if not isinstance(take, Live):
        raise CarouselError("this take is finished; press Start for a new one")
    return JSONResponse(take.pull(whole(body, "have"), number(body, "until"), number(body, "heard")))


def read(body: dict[str, Any]) -> Response:
    """Answer with some bars of a live take as sheet music."""
    take = registry().visitor(text(body, "visitor")).take(whole(body, "take"))
    if not isinstance(take, LiveMusic):
        raise CarouselError("only music that plays has sheet music")
    since, until, width = (number(body, name) for name in ("from", "until", "width"))
    return JSONResponse(sheet(take, since, until, width, between(body, "transpose", -MOST_SEMITONES, MOST_SEMITONES)))


def download(body: dict[str, Any]) -> Response:
    """Answer with a take, as far as it has been heard, as a file in the format that is asked for."""
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
    """The handler of a route: it reads a small JSON object, calls `work` with it in a thread, and answers with the
    result, or with the message of a `CarouselError`.

    Args:
        threads: limits how many calls run at the same time; None for the limit of the server.
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
            return await to_thread.run_sync(work, fields(body), limiter=threads)
        except CarouselError as error:
            return JSONResponse({"error": str(error)}, status_code=410 if isinstance(error, Gone) else 409)

    return endpoint


async def _instrument(request: Request) -> Response:
    try:
        program, drum = (_whole_in_query(request, name) for name in ("program", "drum"))
        data = await to_thread.run_sync(pack, program, bool(drum))
    except CarouselError as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "public, max-age=86400"})


def _whole_in_query(request: Request, name: str) -> int:
    """A whole number in the query of a request, 0 if it is missing.

    Raises:
        CarouselError: it is no such number.
    """
    value = request.query_params.get(name, "0")
    try:
        return int(value)
    except ValueError:
        raise CarouselError(f"the request's {name} is not a whole number: {value!r:.40}") from None


class Modules(StaticFiles):
    """Static files that a browser revalidates each time, so that an upgrade never mixes old modules with new ones."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def fields(body: Any) -> dict[str, Any]:
    """The fields of a request.

    Raises:
        CarouselError: it is no JSON object.
    """
    if not isinstance(body, Mapping):
        raise CarouselError("the request is not a JSON object")
    return dict(body)


def text(body: dict[str, Any], name: str) -> str:
    """A field of a request that is a string.

    Raises:
        CarouselError: it is missing or no string.
    """
    value = body.get(name)
    if not isinstance(value, str):
        raise CarouselError(f"the request's {name} is not a text")
    return value


def whole(body: dict[str, Any], name: str) -> int:
    """A field of a request that is a whole number, 0 or more.

    Raises:
        CarouselError: it is missing or no such number.
    """
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CarouselError(f"the request's {name} is not a whole number")
    return value


def between(body: dict[str, Any], name: str, least: int, most: int) -> int:
    """A field of a request that is a whole number within bounds.

    Raises:
        CarouselError: it is missing or no such number.
    """
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise CarouselError(f"the request's {name} is not a whole number from {least} to {most}")
    return value


def number(body: dict[str, Any], name: str) -> float:
    """A field of a request that is a number from 0 to `MAX_POSITION`.

    Raises:
        CarouselError: it is missing or no such number.
    """
    value = body.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MAX_POSITION:
        raise CarouselError(f"the request's {name} is not a number")
    return float(value)
