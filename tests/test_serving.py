"""Over HTTP a stream says what it says in Python, at one server or at several, whatever happens to them."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import generator
from generator.foundation.options import SamplingOptions
from generator.music import midi
from generator.serving import service, sse
from generator.serving.messages import said
from generator.serving.service import Service
from generator.serving.states import States
from generator.streaming.course import quiet
from generator.streaming.engine import Model, load
from generator.streaming.runtime import Runtime
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.web import primers
from tests.conftest import four_voices
from tests.serving import KEY, Server, read, serving

OPTIONS = {"seed": 7, "temperature": 0.9, "top_p": 0.95}
KINDS = ("tune", "words")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Server]:
    """A server of written music and of text."""
    with serving(*(folder / name for name in KINDS)) as server:
        yield server


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Model]:
    """The same checkpoints in this process."""
    return {name: load(folder / name) for name in KINDS}


def page_of(stream: Stream, tokens: int) -> dict[str, Any]:
    """What a stream says next, as JSON has it."""
    found: dict[str, Any] = json.loads(json.dumps(said(stream.engine.tokenizer.medium, stream.pull(tokens))))
    return found


def joined(pages: list[dict[str, Any]]) -> dict[str, Any]:
    """Pages as one."""
    if "text" in pages[0]:
        return {"text": "".join(page["text"] for page in pages)}
    return {"events": [event for page in pages for event in page["events"]]}


@pytest.mark.parametrize("name", KINDS)
def test_pages_are_what_the_library_says(name: str, served: Server, models: dict[str, Model]) -> None:
    state, pages = served.begin(name, **OPTIONS), []
    for tokens in (1, 64, 100, 7):
        pages.append(served.ok("/streams/pull", state=state, tokens=tokens))
        state = pages[-1]["state"]
    assert joined(pages) == page_of(models[name].stream(**OPTIONS), 172)
    assert pages[-1]["position"] == 172 and state.startswith("172.") and not pages[-1]["ended"]


def test_events_go_on_at_another_server_once_the_first_is_killed(
    folder: Path, served: Server, models: dict[str, Model]
) -> None:
    with serving(*(folder / name for name in KINDS)) as first:
        begun = {name: first.begin(name, **OPTIONS) for name in KINDS}
        heard = {name: read(first.events(state, page=10, until=200), most=3) for name, state in begun.items()}
        first.end(signal.SIGKILL)
    for name, state in begun.items():
        last = heard[name][-1][0]
        assert last.startswith("30.")
        heard[name] += read(served.events(state, last, page=16, until=200))
        stream = models[name].stream(**OPTIONS)
        assert joined([page for _, page in heard[name]]) == page_of(stream, 200)
        with served.events(state, heard[name][-1][0], until=200) as over:
            assert over.status_code == 204, "a browser asks no more"
        assert joined([served.ok("/streams/pull", state=heard[name][-1][0], tokens=9)]) == page_of(stream, 9)


def test_a_state_goes_on_without_drawing_the_past(models: dict[str, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    own = Service(list(models.values()), States([KEY], 3600))
    monkeypatch.setattr(service, "_until_cancelled", quiet)
    for model in models.values():
        stream = model.stream(**OPTIONS)
        stream.pull(5000)
        state = own.state(stream)["state"]
        with monkeypatch.context() as patch:
            patch.setattr(Runtime, "run", None)
            again = own.stream(state)
        assert again.pull(100) == stream.pull(100)
    own.stepping.close()


def test_events_can_be_posted_for(served: Server, models: dict[str, Model]) -> None:
    """And come no faster than one asks."""
    asked = {"state": served.begin("words", **OPTIONS), "until": 20, "page": 5, "rate": 100}
    heard = read(served.session.post(f"{served.url}/streams/events", json=asked, stream=True))
    assert [page["position"] for _, page in heard] == [5, 10, 15, 20]
    assert joined([page for _, page in heard]) == page_of(models["words"].stream(**OPTIONS), 20)


@pytest.mark.parametrize("name", KINDS)
def test_changes_are_those_of_the_library(name: str, served: Server, models: dict[str, Model]) -> None:
    stream = models[name].stream(**OPTIONS)
    stream.pull(100)
    state = served.ok("/streams/pull", state=served.begin(name, **OPTIONS), tokens=100)["state"]
    for path, change in (("set", {"temperature": 1.3}), ("fork", {"seed": 8})):
        state = served.ok(f"/streams/{path}", state=state, options=change)["state"]
        stream.set(**change)
    page = served.ok("/streams/pull", state=state, tokens=50)
    assert joined([page]) == page_of(stream, 50)
    state = served.ok("/streams/rewind", state=page["state"], tokens=20)["state"]
    stream.rewind(20)
    phrase = "a phrase" if name == "words" else four_voices(1)
    given = {"text": phrase} if isinstance(phrase, str) else {"midi": encoded(midi.to_bytes(phrase))}
    page = served.ok("/streams/listen", state=state, **given)
    assert joined([page]) == json.loads(json.dumps(said(stream.engine.tokenizer.medium, stream.listen(phrase))))
    assert page["position"] == stream.position
    assert joined([served.ok("/streams/pull", state=page["state"], tokens=30)]) == page_of(stream, 30)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_primer_is_heard_and_what_it_loses_is_said(served: Server, models: dict[str, Model]) -> None:
    begun = served.ok("/streams", checkpoint="words", options=OPTIONS, prime="a day 7\ud800")
    assert begun["omitted"] == [one.text for one in primers.omissions("a day 7\ud800", models["words"].tokenizer)]
    page = served.ok("/streams/pull", state=begun["state"], tokens=40)
    assert joined([page]) == page_of(models["words"].stream("a day 7\ud800", **OPTIONS), 40)
    song = midi.to_bytes(four_voices())
    begun = served.ok("/streams", checkpoint="tune", options=OPTIONS, midi=encoded(song))
    page = served.ok("/streams/pull", state=begun["state"], tokens=40)
    assert page["position"] == begun["position"] + 40 > 100


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("tune", "mid"),
        ("tune", "take"),
        ("words", "txt"),
        pytest.param("tune", "wav", marks=pytest.mark.slow),
        pytest.param("tune", "musicxml", marks=pytest.mark.slow),
    ],
)
def test_files_are_those_of_the_library(
    name: str, form: str, served: Server, models: dict[str, Model], tmp_path: Path
) -> None:
    stream = models[name].stream(**OPTIONS)
    stream.pull(150)
    state = served.ok("/streams/pull", state=served.begin(name, **OPTIONS), tokens=150)["state"]
    answer = served.post("/streams/file", state=state, format=form)
    assert answer.status_code == 200, answer.text
    if form == "take":
        assert Snapshot.from_bytes(answer.content) == stream.snapshot()
    else:
        generator.write(stream.history(), tmp_path / f"carousel.{form}")
        assert answer.content == (tmp_path / f"carousel.{form}").read_bytes()


def test_completions_have_the_shape_of_openai(served: Server, models: dict[str, Model]) -> None:
    asked = {"model": "words", "prompt": "a day", "max_tokens": 150, "seed": 3}
    whole = served.ok("/v1/completions", **asked)
    assert whole["object"] == "text_completion" and whole["choices"][0]["finish_reason"] == "length"
    assert whole["usage"] == {"prompt_tokens": 5, "completion_tokens": 150, "total_tokens": 155}
    stream = models["words"].stream("a day", seed=3)
    assert whole["choices"][0]["text"] == "".join(map(str, stream.pull(150)))
    assert joined([served.ok("/streams/pull", state=whole["state"], tokens=9)]) == page_of(stream, 9)
    *parts, done = re.findall(r"^data: (.+)$", served.post("/v1/completions", **asked, stream=True).text, re.M)
    chunks = [json.loads(part)["choices"][0] for part in parts]
    assert done == "[DONE]" and len(chunks) > 1
    assert "".join(chunk["text"] for chunk in chunks) == whole["choices"][0]["text"]
    assert [chunk["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["length"]


def test_the_server_tells_what_it_has_and_how_it_is(served: Server) -> None:
    cards = served.session.get(f"{served.url}/checkpoints").json()
    assert [(card["name"], card["medium"], card["card"]) for card in cards] == [
        ("tune", "music", "# tiny\n"),
        ("words", "text", "# tiny\n"),
    ]
    for path in ("health", "ready"):
        assert served.session.get(f"{served.url}/{path}").status_code == 200
    before = served.metric("carousel_tokens_total")
    served.ok("/streams/pull", state=served.begin("words"), tokens=33)
    assert served.metric("carousel_tokens_total") == before + 33
    assert served.metric("carousel_wait_seconds_count") > 0
    schema = served.session.get(f"{served.url}/openapi.json").json()
    options = schema["components"]["schemas"]["Begin"]["properties"]["options"]["properties"]
    assert options.keys() == {name for name in SamplingOptions.__dataclass_fields__ if name != "lift"}


def test_who_waits_gets_a_comment_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    pages = iter([b"one", b"two", None])

    async def slowly() -> bytes | None:
        await asyncio.sleep(0.05)
        return next(pages)

    async def heard() -> list[bytes]:
        body: AsyncIterator[Any] = sse.event_stream(slowly).body_iterator
        return [part async for part in body]

    found = asyncio.run(heard())
    assert [part for part in found if part != sse.COMMENT] == [b"one", b"two"] and found[0] == sse.COMMENT
