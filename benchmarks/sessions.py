"""Does the music of one listener go on while many others stream, and is anything left of those who are gone? JSON, one
object.

    python -m benchmarks.sessions

A server with the shipped checkpoints and a headless Chromium run on this machine. `tabs` pages are opened one after
another; each starts a stream and is closed. Then the streams of the last of them are listened to by `clients`, who ask
for chunks at the pace of a page, while one page plays for `minutes`. `underruns` counts gaps in the sound of that page,
and `late` its notes that came after their time. `wait_ms` is how long the clients waited for a chunk, as percentiles.
`server` is what the server has of memory and threads at first, with all tabs closed, and at the end.
"""

from __future__ import annotations

import argparse
import threading
import time
from typing import Any

import numpy as np
import psutil
import requests
from playwright.sync_api import Browser, Request

from benchmarks.measuring import parser, report, watched
from generator.cli import command
from tests.browser import Visit, shipped_app

AHEAD = 8.0
"""The seconds that a page of music wants to have."""
CHECKPOINTS = ("bach", "folk", "piano")


class Client:
    """One listener: what a page asks for, at the pace of a page, from the chunk on that the page got last."""

    def __init__(self, url: str, last: dict[str, Any]) -> None:
        self.url, self.wanted = f"{url}/carousel/pull", dict(last)
        self.waits: list[float] = []
        self.lost = ""

    def listen(self, until: float) -> None:
        """Listen until a moment of `time.monotonic`."""
        session = requests.Session()
        begun = time.monotonic()
        horizon = 0.0
        while time.monotonic() < until and not self.lost:
            position = time.monotonic() - begun
            if horizon - position >= AHEAD:
                time.sleep(0.1)
                continue
            asked = time.monotonic()
            more = {"until": position + AHEAD * 1.1, "heard": position}
            answer = session.post(self.url, json=self.wanted | more, timeout=60)
            self.waits.append(1000 * (time.monotonic() - asked))
            chunk = answer.json()
            if not answer.ok:
                self.lost = str(chunk)
            elif chunk["ended"]:
                return
            else:
                self.wanted["have"], horizon = chunk["seq"], chunk["horizon"]


def opened(browser: Browser, url: str, checkpoint: str) -> dict[str, Any]:
    """Open a page, start a stream, and close it; returns what it asked for last."""
    visit = Visit(browser, url)
    if checkpoint != CHECKPOINTS[0]:
        visit.choose("Checkpoint", checkpoint)
    asked: list[Any] = []

    def note(request: Request) -> None:
        if request.url.endswith("/pull"):
            asked.append(request.post_data_json)

    visit.page.on("request", note)
    visit.start()
    visit.close()
    return dict(asked[-1])


def state(process: psutil.Process) -> dict[str, Any]:
    """What a server has."""
    with process.oneshot():
        return {"megabytes": round(process.memory_info().rss / 1e6), "threads": process.num_threads()}


def sessions(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    with shipped_app() as (browser, url):
        [process] = (child for child in psutil.Process().children() if "streamlit" in child.cmdline())
        for checkpoint in CHECKPOINTS:  # they are loaded once
            opened(browser, url, checkpoint)
        before = state(process)
        asked = [
            opened(browser, url, CHECKPOINTS[index % len(CHECKPOINTS)]) for index in watched(range(given.tabs), "tabs")
        ]
        closed = state(process)
        until = time.monotonic() + 60 * given.minutes
        clients = [Client(url, one) for one in asked[-given.clients :]]
        threads = [threading.Thread(target=client.listen, args=(until,)) for client in clients]
        visit = Visit(browser, url)
        visit.start()
        for thread in threads:
            thread.start()
        used = process.cpu_times()
        for thread in watched(threads, "listeners"):
            thread.join()
        now = process.cpu_times()
        heard = visit.report
        waits = np.concatenate([client.waits for client in clients])
        report(
            "sessions",
            given,
            "streamlit",
            "playwright",
            underruns=heard["underruns"],
            late=heard["late"],
            heard_seconds=round(heard["position"]),
            wait_ms={f"p{share}": round(float(np.percentile(waits, share))) for share in (50, 95, 99, 100)},
            lost=[client.lost for client in clients if client.lost],
            server_cores=round((now.user + now.system - used.user - used.system) / (60 * given.minutes), 2),
            server={"before": before, "closed": closed, "end": state(process)},
        )


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("sessions", __doc__)
    made.add_argument("--tabs", type=command.positive, default=200, metavar="N", help="(default: 200)")
    made.add_argument("--clients", type=command.positive, default=60, metavar="N", help="(default: 60)")
    made.add_argument("--minutes", type=command.positive, default=10, metavar="N", help="(default: 10)")
    return command.run(made, sessions, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
