"""Servers in other processes, and what clients do with them."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from generator.serving.states import KEYS
from tests.browser import free_port
from tests.process import Python

KEY = "a key for the tests of 32 letters"
PATIENCE_SECONDS = 60


class Server:
    """A server and a client of it."""

    def __init__(self, *checkpoints: Path, flags: tuple[str, ...] = (), key: str = KEY) -> None:
        port = free_port()
        self.address, self.url = ("127.0.0.1", port), f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        self.process = Python("-m", "generator.serve", *checkpoints, f"--port={port}", *flags, **{KEYS: key})

    def until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                assert self.session.get(f"{self.url}/ready").status_code == 200
                return
            except requests.ConnectionError:
                assert self.process.returncode is None, self.process.wait().stderr
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def post(self, path: str, **asked: Any) -> requests.Response:
        return self.session.post(f"{self.url}{path}", json=asked)

    def ok(self, path: str, **asked: Any) -> dict[str, Any]:
        """The answer to a request that is not refused."""
        answer = self.post(path, **asked)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def begin(self, checkpoint: str, **options: Any) -> str:
        """The state of a new stream."""
        state: str = self.ok("/streams", checkpoint=checkpoint, options=options)["state"]
        return state

    def events(self, state: str, last: str = "", client: str = "127.0.0.1", **asked: Any) -> requests.Response:
        """A response with events, to a client that a proxy names."""
        headers = {"Last-Event-ID": last, "X-Forwarded-For": client}
        return requests.get(
            f"{self.url}/streams/events", {"state": state} | asked, stream=True, headers=headers, timeout=60
        )

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        text = self.session.get(f"{self.url}/metrics").text
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (.+)$", text, re.M))

    def until(self, name: str, value: float) -> None:
        """Wait until a metric has a value."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.metric(name) != value:
            assert time.monotonic() < deadline, name
            time.sleep(0.05)

    def settled(self, name: str) -> float:
        """Wait until a metric grows no more; returns it."""
        before, now = -1.0, self.metric(name)
        while now != before:
            time.sleep(0.7)
            before, now = now, self.metric(name)
        return now

    def end(self, number: int = signal.SIGTERM) -> None:
        self.session.close()
        if self.process.returncode is None:
            self.process.send_signal(number)
        self.process.wait(PATIENCE_SECONDS)


@contextmanager
def serving(*checkpoints: Path, flags: tuple[str, ...] = (), key: str = KEY) -> Iterator[Server]:
    """A server that answers."""
    server = Server(*checkpoints, flags=flags, key=key)
    try:
        server.until_ready()
        yield server
    finally:
        server.end()


def read(response: requests.Response, most: int | None = None) -> list[tuple[str, dict[str, Any]]]:
    """The ids and data of so many events, by default of all."""
    found: list[tuple[str, dict[str, Any]]] = []
    with response:
        assert response.status_code == 200, response.text
        id_ = ""
        for line in response.iter_lines(chunk_size=1):
            name, _, value = line.decode().partition(": ")
            if name == "id":
                id_ = value
            elif name == "data":
                found.append((id_, json.loads(value)))
                if len(found) == most:
                    break
    return found
