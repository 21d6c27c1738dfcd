"""What a server refuses, it refuses in one line and without work; whoever is admitted is served."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from generator import serve
from generator.foundation.terminal import printable
from generator.music import midi
from generator.serving import admission
from generator.serving.refusals import LONGEST_LINE
from generator.serving.states import KEYS, LONGEST, States
from generator.streaming.engine import Model
from tests.conftest import four_voices, tiny
from tests.serving import KEY, Server, read, serving
from tests.test_serving_states import MONTH, signed_in


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Server]:
    """A server of music and text, on which few requests have room."""
    with serving(folder / "tune", folder / "words", flags=("--streams", "3", "--streams-each", "2")) as server:
        yield server


@pytest.fixture(scope="module")
def state(served: Server) -> str:
    """A good state of a text."""
    held: str = served.ok("/streams/pull", state=served.begin("words", seed=1), tokens=20)["state"]
    return held


def line(answer: requests.Response, status: int) -> str:
    """The one line of a refusal."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type"}
    message: str = error["message"]
    assert printable(message) == message and 0 < len(message) <= LONGEST_LINE
    return message


def other_take() -> str:
    """The state of a checkpoint that no server has."""
    return States([KEY], MONTH).write(Model(tiny("frames")).stream().snapshot())


def aged(state: str) -> str:
    """A state as of two months ago, well signed."""
    return signed_in(state, -2 * MONTH)


ALTERED: dict[str, tuple[int, Callable[[str], str]]] = {
    "empty": (403, lambda _: ""),
    "no state": (403, lambda _: "é.1.2"),
    "a bit": (403, lambda good: good[:200] + ("a" if good[200] != "a" else "b") + good[201:]),
    "the position": (403, lambda good: "1" + good),
    "the last character": (403, lambda good: good[:-1] + chr(ord(good[-1]) + 1)),
    "cut off": (403, lambda good: good[:-20]),
    "unsigned": (403, lambda good: good.rpartition(".")[0]),
    "another key": (403, lambda good: States(["k" * 32], MONTH).write(States([KEY], MONTH).read(good))),
    "too old": (410, aged),
    "too long": (413, lambda good: "1" * (LONGEST + 1)),
    "another checkpoint": (409, lambda _: other_take()),
}


@pytest.mark.parametrize("how", ALTERED)
def test_a_bad_state_is_refused_before_any_work(how: str, served: Server, state: str) -> None:
    status, alter = ALTERED[how]
    bad = alter(state)
    drawn = served.metric("carousel_tokens_total")
    for path, more in (("pull", {}), ("set", {"options": {}}), ("rewind", {}), ("file", {"format": "txt"})):
        line(served.post(f"/streams/{path}", state=bad, **more), status)
    if bad and bad.isascii():
        with served.events(state, bad) as answer:
            line(answer, status)
    assert served.metric("carousel_tokens_total") == drawn


def small(*tracks: bytes) -> str:
    return base64.b64encode(b"MThd\0\0\0\6\0\0\0\1\1\xe0" + b"".join(tracks)).decode()


SONG = base64.b64encode(midi.to_bytes(four_voices(200))).decode()
WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "no checkpoint": ("", {"checkpoint": "mozart"}),
    "an option that is none": ("", {"checkpoint": "words", "options": {"warmth": 1}}),
    "an option out of bounds": ("", {"checkpoint": "words", "options": {"temperature": -1}}),
    "an option of another type": ("", {"checkpoint": "words", "options": {"seed": [[{}]]}}),
    "a constraint of music": ("", {"checkpoint": "words", "options": {"key": "D minor"}}),
    "half a character": ("", {"checkpoint": "words", "prime": "\ud800"}),
    "unknown characters": ("", {"checkpoint": "words", "prime": "\0\x1b[31"}),
    "music for text": ("", {"checkpoint": "words", "midi": SONG}),
    "text for music": ("", {"checkpoint": "tune", "prime": "la la"}),
    "both": ("", {"checkpoint": "tune", "prime": "la la", "midi": SONG}),
    "no base64": ("", {"checkpoint": "tune", "midi": "la la"}),
    "no MIDI": ("", {"checkpoint": "tune", "midi": "AAAA"}),
    "MIDI cut off": ("", {"checkpoint": "tune", "midi": SONG[:400]}),
    "MIDI without notes": ("", {"checkpoint": "tune", "midi": small(b"MTrk\0\0\0\4\0\xff\x2f\0")}),
    "MIDI that claims gigabytes": ("", {"checkpoint": "tune", "midi": small(b"MTrk\xff\xff\xff\xff\0\x90")}),
    "nothing to hear": ("/listen", {}),
    "a long text": ("/listen", {"text": "a" * 3000}),
    "a phrase of music": ("/listen", {"midi": SONG}),
    "no tokens": ("/pull", {"tokens": 0}),
    "too many tokens": ("/pull", {"tokens": 10**9}),
    "another field": ("/pull", {"token": 9}),
    "bars of a text": ("/rewind", {"bars": 2}),
    "a negative rewind": ("/rewind", {"tokens": -2}),
    "another format": ("/file", {"format": "exe"}),
    "a text as MIDI": ("/file", {"format": "mid"}),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_refused_in_a_line(what: str, served: Server, state: str) -> None:
    path, asked = WRONG[what]
    answer = served.post(f"/streams{path}", **({"state": state} if path else {}), **asked)
    line(answer, 404 if what == "no checkpoint" else 422)


def test_what_is_no_request_is_refused_in_a_line(served: Server) -> None:
    for body in (b"", b"{", b"[" * 10_000, b'"\\ud800"', b"\xff\xfe"):
        answer = served.session.post(f"{served.url}/streams/pull", body, headers={"Content-Type": "application/json"})
        line(answer, 422 if answer.status_code == 422 else 400)
    line(served.session.get(f"{served.url}/nothing"), 404)
    line(served.session.delete(f"{served.url}/streams"), 405)
    line(served.post("/streams", checkpoint="words", prime="a" * admission.MOST_BODY), 413)
    line(served.post("/v1/completions", model="tune", prompt="la"), 422)


def test_a_phrase_of_music_may_not_be_endless(served: Server) -> None:
    assert "parts" in line(served.post("/streams/listen", state=served.begin("tune"), midi=SONG), 422)


def test_who_would_be_too_many_is_told_when_to_come_again(served: Server) -> None:
    begun = served.begin("words", seed=1)
    with served.events(begun, rate=0.1, page=1) as one, served.events(begun, rate=0.1, page=1) as two:
        assert one.status_code == two.status_code == 200
        served.until("carousel_streams_in_play", 2)
        refused = served.post("/streams/pull", state=begun)
        assert "2 of your requests" in line(refused, 429) and int(refused.headers["Retry-After"]) > 0
        assert served.session.get(f"{served.url}/ready").status_code == 200, "others may come"
    served.until("carousel_streams_in_play", 0)
    assert served.ok("/streams/pull", state=begun, tokens=5)["position"] == 5


def test_a_full_server_says_so_and_serves_whom_it_has(served: Server) -> None:
    """Its clients come through a proxy here."""
    begun = served.begin("words", seed=1)
    with ExitStack() as stack:
        answers = [
            stack.enter_context(served.events(begun, until=30, rate=20, page=1, client=f"10.0.0.{number}"))
            for number in range(3)
        ]
        served.until("carousel_streams_in_play", 3)
        assert "all that this server takes" in line(served.post("/streams/pull", state=begun), 429)
        assert served.session.get(f"{served.url}/ready").status_code == 503
        assert served.session.get(f"{served.url}/health").status_code == 200
        assert [len(read(answer)) for answer in answers] == [30] * 3
    served.until("carousel_streams_in_play", 0)
    assert served.session.get(f"{served.url}/ready").status_code == 200


def test_a_slow_reader_costs_nothing_but_its_connection(served: Server) -> None:
    begun, before = served.begin("words", seed=1), served.metric("carousel_tokens_total")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(served.address)
        slow.sendall(f"GET /streams/events?state={begun}&page=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert slow.recv(15) == b"HTTP/1.1 200 OK"
        drawn = served.settled("carousel_tokens_total")
        assert drawn < before + 10_000, "what the system keeps for a connection"
        assert served.ok("/streams/pull", state=begun, tokens=5)["position"] == 5
        assert served.metric("carousel_tokens_total") == drawn + 5
    served.until("carousel_streams_in_play", 0)
    assert served.settled("carousel_tokens_total") <= drawn + 5 + 1, "who has gone costs nothing"


@pytest.mark.parametrize(
    "examples", [2, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])], ids=["few", "many"]
)
def test_no_request_makes_the_server_fail(examples: int, served: Server, state: str) -> None:
    """Requests that the OpenAPI document allows and others, half of them with a state that is good."""
    document = served.session.get(f"{served.url}/openapi.json").json()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        @given(st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode]), st.booleans())
        def ask(case: Case, good: bool) -> None:
            for place in (case.body, case.query):
                if good and isinstance(place, dict) and "state" in place:
                    place["state"] = state
                    if "events" in case.path:
                        place["until"] = 40
            answer = case.call(base_url=served.url, session=served.session, timeout=60)
            assert answer.status_code < 500, (case.path, answer.text)
            if answer.status_code >= 400 and answer.content:
                message = json.loads(answer.text)["error"]["message"]
                assert printable(message) == message

        ask()


def test_the_extra_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert serve.main(["words"]) == 2
    assert capsys.readouterr().err == (
        "python -m generator.serve: the server needs fastapi; install Carousel with its extra [serve]\n"
    )


def test_what_cannot_be_served_is_one_line(
    folder: Path, served: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, port = str(folder / "words"), str(served.address[1])
    for key, arguments, said in (
        (KEY, [words, "--port", port], f"127.0.0.1:{port}: "),
        (KEY, [words, words], "two checkpoints have one name"),
        (KEY, [str(folder / "nothing")], "nothing"),
        ("short", [words], f"{KEYS}: a key has at least 16 characters"),
    ):
        monkeypatch.setenv(KEYS, key)
        assert serve.main(arguments) == 2
        told = capsys.readouterr().err
        assert said in told and told.count("\n") == 1, told
