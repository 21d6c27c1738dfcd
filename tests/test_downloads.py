"""Downloads: what a request is answered with, and what becomes of the processes that make the files."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Omission
from generator.music import midi
from generator.music.lead_sheet import lead_sheet
from generator.music.score import Bar, Pedal, PieceEnd, Score
from generator.music.symbols import ChordSymbol
from generator.streaming.engine import Model
from generator.web import downloads, maker, routes, score_json
from generator.web.live_music import LiveMusic
from generator.web.live_text import LiveText
from generator.web.maker import Maker
from generator.web.visitors import Registry
from tests.conftest import four_voices, tiny
from tests.test_engraving import heights, notes_in

pytestmark = pytest.mark.usefixtures("no_hurry")

Answer = tuple[int, list[dict[str, Any]], bytes]
"""The status, what the lines say, and the file."""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The visitors of a server of its own."""
    made = Registry()
    monkeypatch.setattr(routes, "registry", lambda: made)
    return made


@pytest.fixture
def tune(music: Model) -> LiveMusic:
    """A take of which ten seconds have been heard."""
    take = LiveMusic(music.stream(seed=4), "tune")
    take.pull(0, 10.0)
    return take


async def download(app: Starlette, leave: asyncio.Event | None = None, **fields: Any) -> Answer:
    """Ask for a download; who asked leaves when `leave` is set."""
    status, body, unread = 0, b"", [json.dumps(fields).encode()]

    async def receive() -> dict[str, Any]:
        if unread:
            return {"type": "http.request", "body": unread.pop()}
        await (leave or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    scope = {"type": "http", "method": "POST", "path": "/carousel/download", "headers": [], "query_string": b""}
    await app({**scope, "root_path": ""}, receive, send)  # type: ignore[arg-type]
    lines, _, file = body.partition(b"\n\n")
    return status, [json.loads(line) for line in lines.splitlines()], file


def one(registry: Registry, take: LiveMusic | LiveText, **fields: Any) -> Answer:
    """The answer to a new visitor who has this take."""
    visitor = registry.admit()
    number = registry.visitor(visitor).start(take)
    app = Starlette(routes=routes.routes())
    return asyncio.run(download(app, visitor=visitor, take=number, **{"until": 8.0, **fields}))


def test_quick_formats_and_one_from_a_process(registry: Registry, tune: LiveMusic) -> None:
    heard = tune.heard(8.0)
    _, lines, file = one(registry, tune, format="mid")
    assert lines == [{"doing": "waiting"}] and midi.read(file).notes == midi.read(midi.to_bytes(heard)).notes
    _, _, file = one(registry, tune, format="take")
    assert file == tune.saved(8.0)
    status, lines, picture = one(registry, tune, format="svg")
    [(_, height)] = heights(picture)
    assert status == 200 and height > 0
    assert notes_in(picture) >= len(heard.notes) > 5, "a note that is tied is drawn twice"
    shares = [line["done"] for line in lines if line["doing"] == "making"]
    assert len(shares) > 1 and shares == sorted(shares) and shares[-1] <= 1
    assert not list(Path(tempfile.gettempdir()).glob("carousel-*/carousel.svg"))


def test_a_lead_sheet_has_the_melody_and_its_chords(
    registry: Registry, tune: LiveMusic, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Score] = []
    make = Maker.make

    def noted(self: Maker, piece: Score, path: Path) -> Iterator[float]:
        made.append(score_json.from_json(json.loads(json.dumps(score_json.to_json(piece)))))
        return make(self, piece, path)

    monkeypatch.setattr(Maker, "make", noted)
    _, _, sheet = one(registry, tune, format="lead.pdf")
    assert sheet.startswith(b"%PDF")
    wanted = lead_sheet(tune.heard(8.0))
    assert [(piece.notes, piece.voices, piece.chords) for piece in made] == [
        (wanted.notes, wanted.voices, wanted.chords)
    ]
    assert wanted.chords and len(wanted.voices) == 1
    assert "lead.pdf" in downloads.formats(tiny("score").tokenizer)
    assert "lead.pdf" not in downloads.formats(tiny("drums").tokenizer)


def test_a_file_has_the_instruments_that_were_chosen(registry: Registry, tune: LiveMusic) -> None:
    _, _, file = one(registry, tune, format="mid", instruments={"Alto": 40})
    [alto] = (voice for voice in midi.read(file).voices if voice.name == "Alto")
    assert alto.program == 40 and b'"instruments": {"Alto": 40' in file, "its origin names them"
    assert [voice.program for voice in tune.heard(8.0).voices if voice.name == "Alto"] != [40]
    for strange, words in (
        ({"Ophicleide": 1}, "no voice 'Ophicleide'"),
        ({"Alto": 128}, "0 to 127"),
        ([], "give programs"),
    ):
        status, [line], _ = one(registry, tune, format="mid", instruments=strange)
        assert status == 409 and words in line["error"]


def test_text_with_what_would_follow(registry: Registry, text: Model) -> None:
    take = LiveText(text.stream(seed=5), "words")
    take.pull(0, 100)
    _, lines, file = one(registry, take, format="txt", until=60, more=500)
    assert {line["doing"] for line in lines} == {"waiting", "drawing"} and lines[-1]["done"] == 1
    take.pull(1, 600)
    assert file.decode() == take.heard(560)


def test_what_would_follow_is_what_follows(tune: LiveMusic) -> None:
    """The take at the side has the live take's future, and the live take does not notice."""
    before = tune.snapshot(10.0)
    aside = tune.aside(8.0)
    while aside.draw(40.0) < 40.0:
        pass
    assert tune.snapshot(10.0) == before
    assert tune.pull(1, 10.0)["seq"] == 2
    tune.pull(2, 40.0)
    assert aside.heard(40.0).notes == tune.heard(40.0).notes
    tune.set(temperature=0.5)
    assert tune.aside(8.0).draw(12.0) == 12.0


def test_too_much_is_refused(registry: Registry, tune: LiveMusic) -> None:
    status, [line], _ = one(registry, tune, format="mid", more=1801.0)
    assert status == 409 and "1,800 more at most" in line["error"]
    status, [line], _ = one(registry, tune, format="txt")
    assert status == 409 and "choose one of mid, wav" in line["error"]


def test_nobody_gets_the_take_of_another_visitor(registry: Registry, tune: LiveMusic) -> None:
    one(registry, tune, format="mid")
    [owner] = registry._visitors.values()
    [number] = owner.takes
    app = Starlette(routes=routes.routes())
    for visitor in (registry.admit(), "guess"):
        status, _, file = asyncio.run(download(app, visitor=visitor, take=number, until=8.0, format="mid"))
        assert status == 410 and not file


def test_who_leaves_ends_the_process(registry: Registry, tune: LiveMusic, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any moment, also while others of the visitor's downloads wait; nothing is left behind."""
    made: list[Slow] = []

    class Slow(Maker):
        def __init__(self) -> None:
            super().__init__(1)  # too little memory: it ends at once
            self.ended = threading.Event()
            made.append(self)

        def make(self, piece: Score, path: Path) -> Any:
            yield 0.0
            self.ended.wait(60)

        def end(self) -> None:
            super().end()
            self.ended.set()

    monkeypatch.setattr(downloads, "Maker", Slow)
    visitor = registry.admit()
    number = registry.visitor(visitor).start(tune)
    app = Starlette(routes=routes.routes())
    fields = {"visitor": visitor, "take": number, "until": 8.0, "format": "wav"}

    async def come_and_leave() -> None:
        gone = asyncio.Event()
        asked = [asyncio.create_task(download(app, gone, **fields)) for _ in range(downloads.WAITING)]
        while not made:
            await asyncio.sleep(0.01)
        _, [refused], _ = await download(app, **fields)
        assert refused == {"error": "3 downloads are under way already; wait for one, or cancel one"}
        assert registry.visitor(visitor).downloads == downloads.WAITING and not made[0].ended.is_set()
        gone.set()
        await asyncio.wait_for(asyncio.gather(*asked), 60)

    asyncio.run(come_and_leave())
    assert made[0].ended.is_set() and registry.visitor(visitor).downloads == 0
    for each in made:
        each.end()


@pytest.mark.parametrize("memory_bytes", [1, maker.MEMORY_BYTES], ids=["no memory", "killed"])
def test_a_process_that_fails_is_one_error(tmp_path: Path, memory_bytes: int) -> None:
    process = Maker(memory_bytes)
    if memory_bytes > 1:
        process._process.kill()
    with pytest.raises(CarouselError, match=f"^({maker.FAILED}|{maker.TOO_LARGE})$"):
        list(process.make(four_voices(), tmp_path / "a.wav"))
    process.end()
    assert not process.alive


def test_what_cannot_be_written_is_said_by_the_process(tmp_path: Path) -> None:
    process = Maker()
    path = tmp_path / "a.abc"
    with pytest.raises(CarouselError, match=r"a\.abc: there are no notes to write; make the music longer$"):
        list(process.make(Score(480, (), ()), path))
    process.end()
    assert process._process.returncode is not None and not path.exists()


def test_a_download_that_fails_says_nothing_of_its_folder(registry: Registry, music: Model) -> None:
    _, lines, file = one(registry, LiveMusic(music.stream(seed=3), "tune"), format="mid", until=0.0)
    assert lines[-1] == {"error": "there are no notes to write; make the music longer"} and not file


def test_a_listener_does_not_wait_for_downloads(
    registry: Registry, tune: LiveMusic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are asked for, few are made at once, and none of them holds a thread that a pull needs."""
    monkeypatch.setattr(downloads, "write", lambda piece, path: (busy.append(1), free.wait(60), path.write_bytes(b"x")))
    busy: list[int] = []
    free = threading.Event()
    app = Starlette(routes=routes.routes())
    visitors = [registry.admit() for _ in range(50)]
    fields = [{"visitor": token, "take": registry.visitor(token).start(tune)} for token in visitors]

    async def rush() -> list[Answer]:
        asked = [asyncio.create_task(download(app, until=8.0, format="mid", **each)) for each in fields]
        while len(busy) < downloads.AT_ONCE:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(busy) == downloads.AT_ONCE
        await asyncio.wait_for(asyncio.to_thread(tune.pull, 1, 12.0), 60)
        free.set()
        return await asyncio.gather(*asked)

    assert {file for _, _, file in asyncio.run(rush())} == {b"x"}


def test_a_score_goes_from_one_process_to_another_as_it_is() -> None:
    piece = midi.read(midi.to_bytes(four_voices(2)))
    piece = replace(piece, pedals=(Pedal(0, True),), bars=(Bar(0),), piece_ends=(PieceEnd(3840),), origin="an origin")
    piece = replace(piece, omissions=(Omission(3, "note", "left out"),), length_ticks=5, style="reel")
    piece = replace(piece, chords=(ChordSymbol(0, 2, "minor", 5),))
    again = score_json.from_json(json.loads(json.dumps(score_json.to_json(piece))))
    for spec in fields(piece):
        assert getattr(again, spec.name) == getattr(piece, spec.name), spec.name
