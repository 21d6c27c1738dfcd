"""States and places alone, without a server: what is signed, what is kept of a stream, who is let go."""

from __future__ import annotations

import asyncio
import base64
import time
import zlib

import psutil
import pytest
from itsdangerous import TimestampSigner
from starlette.types import Message, Receive, Scope, Send

from generator.serving import admission, service, states
from generator.serving.metrics import Metrics
from generator.serving.refusals import Refused
from generator.serving.states import LONGEST, States
from generator.streaming.course import quiet
from generator.streaming.engine import Model
from generator.streaming.snapshot import Snapshot
from tests.conftest import tiny
from tests.serving import KEY

MONTH = 30 * 24 * 3600


@pytest.fixture(scope="module")
def state() -> str:
    """A good state of a text."""
    stream = Model(tiny("char")).stream(seed=1)
    stream.pull(20)
    return States([KEY], MONTH).write(stream.snapshot())


def signed_in(state: str, seconds: int) -> str:
    """A state as a server writes it whose clock is ahead."""
    snapshot = States([KEY], MONTH).read(state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TimestampSigner, "get_timestamp", lambda _: int(time.time()) + seconds)
        return States([KEY], MONTH).write(snapshot)


def test_no_character_of_a_state_can_be_changed(state: str) -> None:
    reader = States([KEY], MONTH)
    assert reader.read(state).position == 20
    for place in range(0, len(state), 37):
        with pytest.raises(Refused):
            reader.read(f"{state[:place]}{'-' if state[place] != '-' else '_'}{state[place + 1 :]}")


def test_keys_can_be_changed(state: str) -> None:
    new = "a newer key of thirty-two letters"
    assert States([KEY, new], MONTH).read(state).position == 20
    newer = States([KEY, new], MONTH).write(States([KEY], MONTH).read(state))
    assert States([new], MONTH).read(newer).position == 20
    with pytest.raises(Refused, match="not signed"):
        States([KEY], MONTH).read(newer)


def test_the_clocks_of_servers_may_differ(state: str) -> None:
    assert States([KEY], MONTH).read(signed_in(state, 60)).position == 20


def test_a_state_is_unpacked_within_bounds() -> None:
    """Whoever has the key cannot fill the memory either."""
    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(2**25), 9)).rstrip(b"=")[: LONGEST // 2].decode()
    reader = States([KEY], MONTH)
    before = psutil.Process().memory_info().rss
    with pytest.raises(Exception, match="not a take"):
        reader.read(reader._signer.sign(f"1.{bomb}").decode())
    assert psutil.Process().memory_info().rss < before + 2**24


@pytest.mark.parametrize("drawn", [0, 3])
@pytest.mark.parametrize("texts", [(None,), (None, "abc"), ("abcdef", "xyz", "abcdef")], ids=str)
def test_a_state_without_the_past_has_the_same_future(drawn: int, texts: tuple[str | None, ...]) -> None:
    stream = Model(tiny("char")).stream(seed=1)
    stream.listen("a phrase")
    for temperature in (0.3, 0.5, 0.7):
        stream.set(temperature=temperature, lift=0.1)  # as the governor does
        stream.pull(50)
    for text in texts:
        stream.set(starts_with=text)
        stream.pull(drawn)
    snapshot = stream.snapshot()
    short = states.without_past(snapshot)
    assert len(snapshot.timeline) > 2 >= len(short.timeline) and not short.injected
    again = stream.engine.resume(Snapshot.from_bytes(short.to_bytes()))
    assert again.pull(300) == stream.pull(300) and again.options == stream.options


def test_a_stream_that_was_given_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "LONGEST", 500)
    with pytest.raises(Refused, match="too much"):
        States([KEY], MONTH).write(Model(tiny("char")).stream().snapshot())


def test_the_past_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "REMEMBERED", 10)
    monkeypatch.setattr(service, "_until_cancelled", quiet)
    model = Model(tiny("char"))
    own = service.Service([model], States([KEY], MONTH))
    stream = model.stream()
    stream.pull(11)
    with pytest.raises(Exception, match="earlier state"):
        own.past(own.state(stream)["state"])
    own.stepping.close()


def test_who_sends_or_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BODY_SECONDS", "SEND_SECONDS"):
        monkeypatch.setattr(admission, name, 0.05)
    places, told, scope = admission.Places(1, 1), list[Message](), {"type": "http", "client": ("10.0.0.1", 1)}

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await send({"type": "http.response.body", "body": b"more", "more_body": True})

    async def nothing(*_: Message) -> Message:
        return await asyncio.Future()

    async def tell(message: Message) -> None:
        told.append(message)

    async def meet() -> None:
        front = admission.Admission(endless, places, Metrics(), lambda _: True)
        await asyncio.wait_for(front(scope, nothing, tell), 20)
        parts = iter([asyncio.sleep(0, {"type": "http.request"})])
        await asyncio.wait_for(front(scope, lambda: next(parts, None) or nothing(), nothing), 20)

    asyncio.run(meet())
    assert told[0]["status"] == 408 and places.free
