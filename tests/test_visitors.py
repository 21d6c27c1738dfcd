"""Visitors: what each of them keeps, and how many there is room for."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from starlette.applications import Starlette

from generator.foundation.errors import CarouselError
from generator.streaming.engine import Model
from generator.streaming.scheduler import cores
from generator.web import routes, visitors
from generator.web.live_music import LiveMusic
from generator.web.live_text import LiveText
from generator.web.load import Load
from generator.web.visitors import CLOSED_SECONDS, FIRST_COST, FULL, IDLE_SECONDS, KEPT, Gone, Kept, Registry, Visitor

pytestmark = pytest.mark.usefixtures("no_hurry")


async def ask(app: Starlette, data: bytes) -> tuple[int, bytes]:
    """The status and the body with which the app answers a pull of these bytes."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/carousel/pull", "headers": [], "query_string": b""}
    await app({**scope, "root_path": ""}, receive, send)  # type: ignore[arg-type]
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def test_takes_are_kept_and_removed(text: Model) -> None:
    visitor = Visitor()
    number = visitor.start(LiveText(text.stream(), "a"))
    take = visitor.playing("text")[1]
    assert isinstance(take, LiveText)
    with pytest.raises(CarouselError, match="nothing has been heard"):
        visitor.keep(number, 0)
    take.pull(0, 50)
    for index in range(KEPT):
        assert visitor.keep(number, 10 + index) == []
    kept = list(visitor.kept("text"))[::-1]
    with pytest.raises(CarouselError, match="remove one"):
        visitor.keep(number, 10)
    assert list(visitor.kept("text")) == kept[::-1] and not visitor.kept("music")
    assert len(visitor.take(kept[3]).heard(1e9)) == 13
    visitor.remove(kept[3])
    with pytest.raises(CarouselError, match="no longer here"):
        visitor.take(kept[3])
    assert visitor.start(LiveText(text.stream(), "b")) != number
    with pytest.raises(CarouselError, match="no longer here"):
        visitor.take(number)


def test_a_full_shelf_lets_the_oldest_takes_go(text: Model, music: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of a medium is bounded by what it holds, not by its number alone; the newest always stays."""
    monkeypatch.setitem(visitors.SHELF, "text", 100)
    visitor = Visitor()
    lines, tune = LiveText(text.stream(), "lines"), LiveMusic(music.stream(seed=3), "tune")
    numbers = {take: visitor.start(take) for take in (lines, tune)}
    lines.pull(0, 200)
    tune.pull(0, 20.0)
    assert [visitor.keep(numbers[lines], length) for length in (40, 30, 30)] == [[], [], []]
    for length, gone, left in ((20, 1, [20, 30, 30]), (60, 2, [60, 20]), (200, 2, [200])):
        assert visitor.keep(numbers[lines], length) == ["lines, seed 0"] * gone
        assert [kept.size for kept in visitor.kept("text").values()] == left
    assert visitor.keep(numbers[tune], 9.0) == [], "the shelves of the two media are apart"
    [size] = [kept.size for kept in visitor.kept("music").values()]
    monkeypatch.setitem(visitors.SHELF, "music", 2 * size)
    assert size > 0 and [visitor.keep(numbers[tune], 9.0) for _ in range(2)] == [[], ["tune, seed 3"]]
    assert visitor.playing("music") == (numbers[tune], tune)


def test_another_token_for_the_same_visitor() -> None:
    """A page that was loaded again takes its place with it."""
    registry = Registry(places=1)
    token = registry.admit()
    visitor = registry.visitor(token)
    other = registry.renew(token)
    assert registry.visitor(other) is visitor and other != token
    for call in (registry.visitor, registry.renew):
        with pytest.raises(Gone):
            call(token)


def test_kept_takes_are_put_back_once(text: Model) -> None:
    """Each is drawn when it is asked for; what is there already is not doubled."""
    drawn: list[int] = []

    def draw(number: int) -> tuple[str, bytes]:
        drawn.append(number)
        return "to be", b"take"

    visitor = Visitor()
    visitor.put_back([Kept("text", str(number), 5.0, "origin", partial(draw, number)) for number in (2, 1)])
    visitor.put_back([Kept("text", "again", 5.0, "origin", partial(draw, 3))])
    shelf = visitor.kept("text")
    assert [kept.title for kept in shelf.values()] == ["2", "1"] and not drawn
    number = next(iter(shelf))
    assert shelf[number].size == 0 and shelf[number].heard(5) == "to be" and shelf[number].saved(5) == b"take"
    assert drawn == [2] and shelf[number].size == 5
    with pytest.raises(CarouselError, match="kept already"):
        visitor.keep(number, 3.0)


def test_a_full_house_gives_away_the_place_of_who_is_long_gone() -> None:
    registry = Registry(places=2, load=Load(lambda: 0.0, lambda: 0.0))
    first, second = registry.admit(), registry.admit()
    assert first != second and len(first) >= 32
    with pytest.raises(CarouselError, match="try again"):
        registry.admit()
    registry.visitor(first).seen -= 61
    third = registry.admit()
    with pytest.raises(CarouselError, match="restarted, or full; press Start"):
        registry.visitor(first)
    assert registry.visitor(second) is not registry.visitor(third)


def test_who_closed_the_page_is_soon_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(visitors.time, "monotonic", lambda: now[0])
    registry = Registry(load=Load(lambda: 0.0, lambda: 0.0))
    closed, paused, here = (registry.admit() for _ in range(3))
    for token in (closed, paused):
        registry.visitor(token)
        registry.note_page(token, closed=True)
    registry.note_page(paused, closed=False)  # it is connected again
    registry.note_page("nobody", closed=True)
    now[0] = CLOSED_SECONDS + 1
    registry.visitor(here)  # whoever asks next
    with pytest.raises(Gone):
        registry.visitor(closed)
    assert registry.visitor(paused)
    now[0] += IDLE_SECONDS + 1
    registry.visitor(here)
    with pytest.raises(Gone):
        registry.visitor(paused)


def test_as_many_are_admitted_as_the_machine_can_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of a hundred at once; of listeners who need a fiftieth of the machine each, forty."""
    now, used = [0.0], [0.0]
    load = Load(lambda: now[0], lambda: used[0])
    monkeypatch.setattr(visitors.time, "monotonic", lambda: now[0])
    registry = Registry(load=load)
    machine = cores()
    inside: list[str] = []
    with pytest.raises(CarouselError, match="keep this server busy"):
        for _ in range(1000):
            inside.append(registry.admit())
    assert len(inside) == pytest.approx(FULL / FIRST_COST, abs=1)
    registry, inside = Registry(load=load), []
    for _ in range(3000):
        now[0] += 0.1
        used[0] += 0.1 * machine * len(inside) / 50
        for token in inside:
            registry.visitor(token)
        try:
            inside.append(registry.admit())
        except CarouselError:
            continue
    assert 34 <= len(inside) <= 42  # what was measured lags a little behind
    inside.clear()
    now[0] += 61  # all went away
    used[0] += 1
    assert registry.admit()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not JSON", "the request is not JSON"),
        (b"[" * 4000, "the request is not JSON"),
        (b"[]", "the request is not a JSON object"),
        (b" " * 100_000, "the request is too long"),
    ],
)
def test_what_is_no_request_is_answered_in_a_line(data: bytes, words: str) -> None:
    status, body = asyncio.run(ask(Starlette(routes=routes.routes()), data))
    assert status == 409 and json.loads(body) == {"error": words}
