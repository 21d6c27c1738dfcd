"""The HTTP routes that the app serves beside its pages.

    POST /carousel/pull        {visitor, take, have, until, heard}    the next chunk of a live take, as JSON
    POST /carousel/download    {visitor, take, until, more, format}   a take as a file, as `downloads` has it
    POST /carousel/prepare     {visitor}                              a download is likely to come
    GET  /carousel/instrument  ?program=&drum=                        a soundfont program (`instruments.pack`)
    GET  /carousel/static/…                                           JavaScript modules and style sheets

Under a base path (`--server.baseUrlPath`) they are below it. The visitor's token is in the body of a request, so that
it appears in no log and in no `Referer` header. An error is answered with a JSON object, `{"error": message}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import streamlit as st
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from generator.foundation.errors import CarouselError
from generator.web.downloads import Makers, Parts, ordered
from generator.web.fields import body_of, number, text, whole
from generator.web.live import Live
from generator.web.samples import pack
from generator.web.visitors import Gone, Registry

STATIC = Path(__file__).parent / "static"


@st.cache_resource(show_spinner=False)
def registry() -> Registry:
    """The registry of this server, which its pages and routes share."""
    return Registry()


def routes() -> list[BaseRoute]:
    """The routes that the app adds to those of Streamlit, under the same base path."""
    path = str(st.get_option("server.baseUrlPath")).strip("/")
    base = f"/{path}" if path else ""
    makers = Makers()

    async def answer_pull(body: dict[str, Any]) -> Response:
        return await to_thread.run_sync(pull, body)

    async def answer_download(body: dict[str, Any]) -> Response:
        visitor = registry().visitor(text(body, "visitor"))
        return Parts(ordered(visitor, body).parts(makers))

    async def answer_prepare(body: dict[str, Any]) -> Response:
        registry().visitor(text(body, "visitor"))
        await to_thread.run_sync(makers.prepare)
        return Response(status_code=204)

    return [
        Route(f"{base}/carousel/pull", _answered(answer_pull), methods=["POST"]),
        Route(f"{base}/carousel/download", _answered(answer_download), methods=["POST"]),
        Route(f"{base}/carousel/prepare", _answered(answer_prepare), methods=["POST"]),
        Route(f"{base}/carousel/instrument", _instrument),
        Mount(f"{base}/carousel/static", Modules(directory=STATIC)),
    ]


def pull(body: dict[str, Any]) -> Response:
    """Answer with the next chunk of a live take."""
    take = registry().visitor(text(body, "visitor")).take(whole(body, "take"))
    if not isinstance(take, Live):
        raise CarouselError("this take is finished; press Start for a new one")
    return JSONResponse(take.pull(whole(body, "have"), number(body, "until"), number(body, "heard")))


def _answered(work: Callable[[dict[str, Any]], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a route: it reads a small JSON object, and answers with what `work` makes of it, or with the
    message of a `CarouselError`."""

    async def endpoint(request: Request) -> Response:
        try:
            return await work(await body_of(request))
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
