"""The HTTP routes that the app serves beside its pages.

    POST /carousel/pull          {visitor, take, have, until, heard, phrase?}    the next chunk of a live take
    POST /carousel/alternatives  {visitor, take, at, pitch, voice}               what else could have come there
    POST /carousel/surprises     {visitor, take, since, until}                   how surprising characters were
    POST /carousel/units         {visitor, take}                                 what its units are (`memory`)
    POST /carousel/columns       {visitor, take, since, at, until, layer, …}     what they did at each token
    POST /carousel/reasons       {visitor, take, position}                       which gates made a token come
    POST /carousel/clamp         {visitor, take, clamp}                          hold some of them at a value
    POST /carousel/sheet         {visitor, take, from, until, width, transpose}  bars of it as sheet music
    POST /carousel/download      {visitor, take, until, more, format, …}         a take as a file (`downloads`)
    POST /carousel/prepare       {visitor}                                       a download is likely to come
    POST /carousel/phrase        {phrase}                                        a phrase that was played, as MIDI
    GET  /carousel/instrument    ?program=&drum=                                 a soundfont program (`samples.pack`)
    GET  /carousel/static/…                                                      JavaScript modules, style sheets

The first eight answer with JSON. Under a base path (`--server.baseUrlPath`) all are below it. The visitor's token is in
the body of a request, so that it appears in no log and in no `Referer` header. An error is answered with a JSON object,
`{"error": message}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.web import listening, memory
from generator.web.downloads import Makers, Parts, ordered
from generator.web.fields import body_of, number, text, whole
from generator.web.live import Live
from generator.web.live_music import LiveMusic
from generator.web.live_text import LiveText
from generator.web.samples import pack
from generator.web.sheet import MOST_SEMITONES, sheet
from generator.web.visitors import Busy, Gone, Registry

STATIC = Path(__file__).parent / "static"
LOOKS = 2
"""The most looks at what else could have come at the same time: each draws a part of the past again."""
SHEETS = 4
"""The most requests for sheet music that wait for the process that engraves."""
RETRY_SECONDS = 1
"""After so long a visitor who was told to wait may ask again."""
CHOICES = 8
"""The number of likeliest tokens that a page shows."""


@st.cache_resource(show_spinner=False)
def registry() -> Registry:
    """The registry of this server, which its pages and routes share."""
    return Registry()


def routes() -> list[BaseRoute]:
    """The routes that the app adds to those of Streamlit, under the same base path."""
    path = str(st.get_option("server.baseUrlPath")).strip("/")
    base = f"/{path}" if path else ""
    makers = Makers()
    looks = CapacityLimiter(LOOKS)

    async def answer_download(body: dict[str, Any]) -> Response:
        visitor = registry().visitor(text(body, "visitor"))
        return Parts(ordered(visitor, body).parts(makers))

    async def answer_prepare(body: dict[str, Any]) -> Response:
        registry().visitor(text(body, "visitor"))
        await to_thread.run_sync(makers.prepare)
        return Response(status_code=204)

    return [
        Route(f"{base}/carousel/pull", _answered(_in_thread(pull)), methods=["POST"]),
        Route(
            f"{base}/carousel/alternatives",
            _answered(_one_each("what else could have come", alternatives, looks)),
            methods=["POST"],
        ),
        Route(f"{base}/carousel/surprises", _answered(_one_each("surprise", surprises, looks)), methods=["POST"]),
        Route(f"{base}/carousel/columns", _answered(_one_each("the units", columns, looks)), methods=["POST"]),
        Route(f"{base}/carousel/units", _answered(_one_each("what units follow", units, looks)), methods=["POST"]),
        Route(f"{base}/carousel/reasons", _answered(_one_each("why a token came", reasons, looks)), methods=["POST"]),
        Route(f"{base}/carousel/clamp", _answered(_in_thread(clamp)), methods=["POST"]),
        Route(
            f"{base}/carousel/sheet",
            _answered(_one_each("sheet music", bars, CapacityLimiter(SHEETS))),
            methods=["POST"],
        ),
        Route(f"{base}/carousel/download", _answered(answer_download), methods=["POST"]),
        Route(f"{base}/carousel/prepare", _answered(answer_prepare), methods=["POST"]),
        Route(f"{base}/carousel/phrase", _answered(_in_thread(phrase)), methods=["POST"]),
        Route(f"{base}/carousel/instrument", _instrument),
        Mount(f"{base}/carousel/static", Modules(directory=STATIC)),
    ]


def pull(body: dict[str, Any]) -> Response:
    """Answer with the next chunk of a live take."""
    played = listening.read(body["phrase"]) if "phrase" in body else None
    return JSONResponse(_live(body).pull(whole(body, "have"), number(body, "until"), number(body, "heard"), played))


def alternatives(body: dict[str, Any]) -> Response:
    """Answer with the decisions that made a note or a character of a live take, and what else could have come."""
    stream, decisions = _live(body).decisions(number(body, "at"), whole(body, "pitch"), whole(body, "voice"))
    return JSONResponse(
        [
            {"name": name, "position": at, "choices": [asdict(choice) for choice in stream.alternatives(at, CHOICES)]}
            for name, at in decisions.items()
        ]
    )


def surprises(body: dict[str, Any]) -> Response:
    """Answer with the nats of the characters of a live text from one position to before another."""
    live = _live(body)
    if not isinstance(live, LiveText):
        raise CarouselError("only characters are told one by one how surprising they were")
    return JSONResponse(live.surprises(whole(body, "since"), whole(body, "until")))


def columns(body: dict[str, Any]) -> Response:
    """Answer with what the units of a live take did at some tokens."""
    return memory.columns(_live(body), body)


def units(body: dict[str, Any]) -> Response:
    """Answer with what is known of the units of the checkpoint that a live take is drawn from."""
    return memory.units(_live(body))


def reasons(body: dict[str, Any]) -> Response:
    """Answer with the gates that made a token of a live take come."""
    return memory.reasons(_live(body), body)


def clamp(body: dict[str, Any]) -> Response:
    """Hold parts of units of a live take at a value, or let go of them."""
    return memory.clamp(_live(body), body)


def phrase(body: dict[str, Any]) -> Response:
    """Answer with a phrase that was played, as a MIDI file."""
    return Response(midi.to_bytes(listening.read(body.get("phrase")).score()), media_type="audio/midi")


def _live(body: dict[str, Any]) -> Live:
    """The live take that a request names.

    Raises:
        CarouselError: there is no such take, or it is a kept one.
    """
    take = registry().visitor(text(body, "visitor")).take(whole(body, "take"))
    if not isinstance(take, Live):
        raise CarouselError("this take is finished; press Start for a new one")
    return take


def bars(body: dict[str, Any]) -> Response:
    """Answer with some bars of a live take as sheet music."""
    take = _live(body)
    if not isinstance(take, LiveMusic):
        raise CarouselError("only music that plays has sheet music")
    since, until, width = (number(body, name) for name in ("from", "until", "width"))
    return JSONResponse(sheet(take, since, until, width, whole(body, "transpose", -MOST_SEMITONES, MOST_SEMITONES)))


def _in_thread(
    work: Callable[[dict[str, Any]], Response], threads: CapacityLimiter | None = None
) -> Callable[[dict[str, Any]], Awaitable[Response]]:
    """`work` in a thread.

    Args:
        threads: limits how many calls run at the same time; None for the limit of the server.
    """

    async def answer(body: dict[str, Any]) -> Response:
        return await to_thread.run_sync(work, body, limiter=threads)

    return answer


def _one_each(
    what: str, work: Callable[[dict[str, Any]], Response], threads: CapacityLimiter
) -> Callable[[dict[str, Any]], Awaitable[Response]]:
    """`work` in a thread, for one request of a visitor at a time: it is expensive, and others wait for it too."""
    answer = _in_thread(work, threads)

    async def answer_one(body: dict[str, Any]) -> Response:
        with registry().visitor(text(body, "visitor")).one_at_a_time(what):
            return await answer(body)

    return answer_one


def _answered(work: Callable[[dict[str, Any]], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a route: it reads a small JSON object, and answers with what `work` makes of it, or with the
    message of a `CarouselError`."""

    async def endpoint(request: Request) -> Response:
        try:
            return await work(await body_of(request))
        except Busy as error:
            return JSONResponse({"error": str(error)}, 429, {"Retry-After": str(RETRY_SECONDS)})
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
