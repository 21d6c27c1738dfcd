"""The server as an ASGI application, for uvicorn or whatever else runs such."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import Scope

from generator.foundation.errors import CarouselError
from generator.music.score import Score
from generator.serving import messages
from generator.serving.admission import Admission, Places
from generator.serving.completions import complete
from generator.serving.files import file
from generator.serving.refusals import Refused, answer_of
from generator.serving.service import Service, score_of
from generator.serving.sse import follow
from generator.serving.states import States
from generator.streaming.engine import Model
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event
from generator.web.primers import MAX_NOTES

EVENTS = "/streams/events"
FOLLOWED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Pages, each with the state after it as its id."},
    204: {"description": "The stream ends here."},
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": messages.Error, "description": what}
    for status, what in {
        403: "The state was forged or changed.",
        404: "There is no such checkpoint.",
        409: "The state is of a checkpoint that is not here.",
        410: "The state is too old.",
        413: "The state or the request is too large.",
        422: "The input is wrong; the line says how.",
        429: "Too many are in play; ask again after `Retry-After` seconds.",
    }.items()
}


def application(
    models: Sequence[Model],
    keys: Sequence[str],
    *,
    streams: int = 256,
    streams_each: int = 32,
    seconds: int = 30 * 24 * 3600,
) -> FastAPI:
    """A server of the streams of some checkpoints.

    Args:
        keys: what states are signed with, by the last of them; those of the others are accepted too.
        streams: the most requests in play, and `streams_each` of one client.
        seconds: how long a state is valid.

    Raises:
        CarouselError: two checkpoints have one name.
    """
    service = Service(models, States(keys, seconds))
    places = Places(streams, streams_each)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.stepping.close()

    app = FastAPI(title="Carousel", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Admission, places=places, metrics=service.metrics, costs=_costs)
    _answer_errors(app, service)
    _report(app, service, places)
    _stream(app, service)
    return app


def _costs(scope: Scope) -> bool:
    return bool(scope["method"] == "POST" or scope["path"] == EVENTS)


def _answer_errors(app: FastAPI, service: Service) -> None:
    """Answer whatever is refused with one line."""

    @app.exception_handler(CarouselError)
    async def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, CarouselError)
        return answer_of(error, service.metrics)

    @app.exception_handler(RequestValidationError)
    async def refuse_malformed(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return answer_of(CarouselError(f"{place}: {first['msg'].lower()}; see /openapi.json"), service.metrics)

    @app.exception_handler(HTTPException)
    async def refuse_unknown(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer_of(
            Refused(error.status_code, "request", f"{error.detail}; see /openapi.json".lower()), service.metrics
        )


def _report(app: FastAPI, service: Service, places: Places) -> None:
    """The routes that tell how the server is and what it has."""

    @app.get("/health")
    async def health() -> Response:
        """Whether the server works."""
        return JSONResponse({"alive": service.stepping.alive}, 200 if service.stepping.alive else 503)

    @app.get("/ready")
    async def ready() -> Response:
        """Whether it takes another stream now."""
        found = service.stepping.alive and places.free
        return JSONResponse({"ready": found}, 200 if found else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """What it counts, for Prometheus."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/checkpoints", response_model=list[messages.Card])
    async def checkpoints() -> Response:
        """The checkpoints with their cards."""
        return JSONResponse([_card(model) for model in service.models.values()])


def _card(model: Model) -> dict[str, Any]:
    tokenizer = model.tokenizer
    return {
        "name": model.checkpoint.name,
        "medium": tokenizer.medium,
        "kind": tokenizer.kind,
        "fingerprint": model.checkpoint.fingerprint,
        "voices": [voice.name for voice in tokenizer.voices],
        "ticks_per_quarter": tokenizer.ticks_per_quarter,
        "defaults": asdict(model.defaults),
        "card": model.card,
    }


def _stream(app: FastAPI, service: Service) -> None:
    """The routes of streams."""

    @app.post("/streams", response_model=messages.Begun, responses=REFUSALS)
    async def begin(asked: messages.Begin) -> Response:
        """Begin a stream."""

        def work() -> dict[str, Any]:
            prime = _either(asked.prime, asked.midi)
            stream, omitted = service.begin(asked.checkpoint, prime, asked.options)
            return service.state(stream) | {"omitted": omitted}

        return JSONResponse(await service.slow(work))

    @app.post("/streams/pull", response_model=messages.Page, responses=REFUSALS)
    async def pull(asked: messages.Pull) -> Response:
        """Draw more tokens."""
        stream = await service.quick(lambda: service.stream(asked.state))
        events = await service.stepping.draw(stream, asked.tokens)
        return JSONResponse(await service.quick(lambda: service.page(stream, events)))

    @app.post("/streams/set", response_model=messages.State, responses=REFUSALS)
    @app.post("/streams/fork", response_model=messages.State, responses=REFUSALS)
    async def change(asked: messages.Change) -> Response:
        """Change options from here on. The state that was sent stays good, so this is a fork too."""

        def work() -> dict[str, Any]:
            stream = service.stream(asked.state)
            stream.set(**asked.options)
            return service.state(stream)

        return JSONResponse(await service.quick(work))

    @app.post("/streams/listen", response_model=messages.Page, responses=REFUSALS)
    async def listen(asked: messages.Listen) -> Response:
        """Let the stream hear a phrase, and go on from it."""

        def work() -> dict[str, Any]:
            phrase = _either(asked.text, asked.midi)
            if phrase is None:
                raise CarouselError("there is nothing to hear; send text or midi")
            if isinstance(phrase, Score) and len(phrase.notes) > MAX_NOTES:
                raise CarouselError(f"a phrase has {MAX_NOTES} notes at most; play it in parts")
            stream = service.stream(asked.state)
            events: list[Event] = stream.listen(phrase, asked.voice)
            return service.page(stream, events)

        return JSONResponse(await service.slow(work))

    @app.post("/streams/rewind", response_model=messages.State, responses=REFUSALS)
    async def rewind(asked: messages.Rewind) -> Response:
        """Go back by tokens or bars. To go back to an answer, send its state, which costs nothing."""

        def work() -> dict[str, Any]:
            stream: Stream = service.past(asked.state)
            stream.rewind(asked.tokens, bars=asked.bars)
            return service.state(stream)

        return JSONResponse(await service.slow(work))

    @app.post("/streams/file", response_class=Response, responses=REFUSALS)
    async def download(asked: messages.File) -> Response:
        """All of the stream so far, as a take, MIDI, WAV, MusicXML or text."""
        return await file(service, asked)

    @app.get(EVENTS, response_class=Response, responses=FOLLOWED | REFUSALS)
    async def events(
        asked: Annotated[messages.Follow, Query()], last_event_id: Annotated[str | None, Header()] = None
    ) -> Response:
        """The stream as Server-Sent Events, for `EventSource`. The id of an event is the state after it."""
        return await follow(service, asked.model_copy(update={"state": last_event_id or asked.state}))

    @app.post(EVENTS, response_class=Response, responses=FOLLOWED | REFUSALS)
    async def posted_events(asked: messages.Follow, last_event_id: Annotated[str | None, Header()] = None) -> Response:
        """The same for clients that can POST, which keeps the state out of the address."""
        return await follow(service, asked.model_copy(update={"state": last_event_id or asked.state}))

    @app.post("/v1/completions", response_class=Response, responses=REFUSALS)
    async def completions(asked: messages.Completion) -> Response:
        """A text that a prompt begins, as in OpenAI's API."""
        return await complete(service, asked)


def _either(text: str | None, midi: str | None) -> str | Score | None:
    """What a request gives a stream: text, music, or nothing.

    Raises:
        CarouselError: it gives both, or the music cannot be read.
    """
    if text and midi:
        raise CarouselError("give text or midi, not both")
    return score_of(midi) if midi else text or None
