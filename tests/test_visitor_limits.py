"""What one visitor may ask for at a time, so that nobody else waits."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse

from generator.music.score import Score
from generator.streaming.engine import Model
from generator.web import downloads, routes
from generator.web.live_music import LiveMusic
from generator.web.maker import Maker
from generator.web.visitors import Registry

EXPENSIVE = {
    "sheet": ("bars", "sheet music"),
    "alternatives": ("alternatives", "what else could have come"),
    "surprises": ("surprises", "surprise"),
    "columns": ("columns", "the units"),
    "units": ("units", "what units follow"),
    "reasons": ("reasons", "why a token came"),
}
"""The routes, what answers them, and their words."""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The visitors of a server of its own."""
    made = Registry()
    monkeypatch.setattr(routes, "registry", lambda: made)
    return made


async def ask(app: Starlette, route: str, **fields: Any) -> tuple[int, dict[str, str], Any]:
    """The status, the headers and the JSON that answer a request."""
    status, headers, body, unread = 0, {}, b"", [json.dumps(fields).encode()]

    async def receive() -> dict[str, Any]:
        if unread:
            return {"type": "http.request", "body": unread.pop()}
        await asyncio.Event().wait()
        return {}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        status = message.get("status", status)
        headers.update({name.decode(): value.decode() for name, value in message.get("headers", ())})
        body += message.get("body", b"")

    scope = {"type": "http", "method": "POST", "path": f"/carousel/{route}", "headers": [], "query_string": b""}
    await app({**scope, "root_path": ""}, receive, send)  # type: ignore[arg-type]
    return status, headers, body


@pytest.mark.parametrize("route", EXPENSIVE)
def test_what_is_expensive_is_answered_one_at_a_time(
    route: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second request of the same visitor is told when to come again; other visitors, and other requests, are not."""
    free, begun = threading.Event(), threading.Event()

    def work(body: dict[str, Any]) -> JSONResponse:
        if body.get("slow"):
            begun.set()
            assert free.wait(60)
        return JSONResponse([])

    name, words = EXPENSIVE[route]
    monkeypatch.setattr(routes, name, work)
    app = Starlette(routes=routes.routes())
    one, other = registry.admit(), registry.admit()

    async def rush() -> None:
        first = asyncio.create_task(ask(app, route, visitor=one, slow=True))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        status, headers, body = await ask(app, route, visitor=one)
        assert (status, headers["retry-after"]) == (429, "1")
        assert json.loads(body)["error"].startswith(f"{words} is asked for already;")
        assert (await ask(app, route, visitor=other))[0] == 200
        assert (await ask(app, route, visitor="guess"))[0] == 410
        free.set()
        assert (await first)[0] == 200
        assert (await ask(app, route, visitor=one))[0] == 200

    asyncio.run(rush())


def test_an_error_lets_the_next_one_in(registry: Registry) -> None:
    app, visitor = Starlette(routes=routes.routes()), registry.admit()
    for _ in range(2):
        assert asyncio.run(ask(app, "surprises", visitor=visitor, take=1))[0] == 410
    assert not registry.visitor(visitor).asked


@pytest.mark.usefixtures("no_hurry")
def test_a_visitor_who_is_forgotten_ends_the_process(
    registry: Registry, music: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a proxy keeps the connection open; the file is for nobody."""
    made: list[Endless] = []

    class Endless(Maker):
        def __init__(self) -> None:
            super().__init__(1)  # too little memory: it ends at once
            self.ended = False
            made.append(self)

        def make(self, piece: Score, path: Path) -> Iterator[float]:
            while True:
                yield 0.0

        def end(self) -> None:
            super().end()
            self.ended = True

    monkeypatch.setattr(downloads, "Maker", Endless)
    take = LiveMusic(music.stream(seed=3), "tune")
    take.pull(0, 10.0)
    token = registry.admit()
    visitor = registry.visitor(token)
    number, app = visitor.start(take), Starlette(routes=routes.routes())

    async def forgotten() -> bytes:
        wanted = {"take": number, "until": 8.0, "format": "wav"}
        asked = asyncio.create_task(ask(app, "download", visitor=token, **wanted))
        while not made:
            await asyncio.sleep(0.01)
        visitor.closed, visitor.seen = True, -1e9
        registry.admit()  # somebody comes, and those who are gone are forgotten
        body: bytes = (await asyncio.wait_for(asked, 60))[2]
        return body

    assert b"no longer knows this page" in asyncio.run(forgotten()).splitlines()[-1]
    assert made[0].ended and visitor.downloads == 0
