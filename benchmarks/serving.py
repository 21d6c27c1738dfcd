"""How much of the engine's speed is left over HTTP. JSON, one object.

    python -m benchmarks.serving checkpoints/bach

A server runs in a process of its own. Clients in this process, one connection each, ask it for JSON pages, each as soon
as the last one is there. In turn with that, `engine.pull` advances as many streams in this process by as many tokens a
call. A rate is tokens a second of all streams together. `ratio` compares the rates by the clock, for which the clients
need the cores too; `processor` compares tokens a second of the processor's time, which the clients do not share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.measuring import add_rounds, load, parser, ratio, report, rounded, watched
from generator.cli import command
from generator.foundation.options import SamplingOptions
from tests.browser import ROOT, free_port

HOST = "127.0.0.1"


@contextmanager
def server(checkpoint: Path, clients: int) -> Iterator[tuple[int, psutil.Process]]:
    """The port and the process of a server, while it runs."""
    port = free_port()
    most = [f"--streams={clients}", f"--streams-each={clients}"]
    line = [sys.executable, "-m", "generator.serve", str(checkpoint.resolve()), f"--port={port}", *most]
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        while " at http" not in (told := process.stderr.readline()):
            if not told:
                raise SystemExit(f"the server has ended: {process.wait()}")
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


async def ask(port: int, states: list[str], page: int, pages: int) -> None:
    """Ask for pages of all streams, each over a connection of its own; the states become those after them."""

    async def client(index: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        for _ in range(pages):
            body = json.dumps({"state": states[index], "tokens": page}).encode()
            head = f"POST /streams/pull HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answered = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = answered.partition("content-length: ")[2].partition("\r\n")[0]
            data = await reader.readexactly(int(length))
            if " 200 " not in answered:
                raise SystemExit(data.decode())
            states[index] = json.loads(data)["state"]
        writer.close()

    await asyncio.gather(*(client(index) for index in range(len(states))))


def seconds(process: psutil.Process) -> float:
    """The processor's time that a process has taken."""
    taken = process.cpu_times()
    return taken.user + taken.system


def serving(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    model = load(given.checkpoint)
    options = [
        {name: value for name, value in asdict(SamplingOptions(seed=seed)).items() if name != "lift"}
        for seed in range(max(given.clients))
    ]
    rows: list[dict[str, Any]] = []
    with server(given.checkpoint, max(given.clients)) as (port, process):
        url, name = f"http://{HOST}:{port}/streams", given.checkpoint.resolve().name
        for clients in watched(given.clients, "clients"):
            engine = model.engine()
            streams = [engine.stream(**options[seed]) for seed in range(clients)]
            begun = [requests.post(url, json={"checkpoint": name, "options": options[seed]}) for seed in range(clients)]
            states = [answer.json()["state"] for answer in begun]
            found: dict[str, list[float]] = {"http": [], "pull": [], "http processor": [], "pull processor": []}
            for number in range(given.rounds + 1):
                taken, start = seconds(process), time.perf_counter()
                asyncio.run(ask(port, states, given.page, given.pages))
                http = time.perf_counter() - start, seconds(process) - taken
                taken, start = time.process_time(), time.perf_counter()
                for _ in range(given.pages):
                    engine.pull(streams, given.page)
                pull = time.perf_counter() - start, time.process_time() - taken
                if number:  # the first one brings what is read into the caches
                    tokens = clients * given.page * given.pages
                    found["http"].append(tokens / http[0])
                    found["pull"].append(tokens / pull[0])
                    found["http processor"].append(tokens / http[1])
                    found["pull processor"].append(tokens / pull[1])
            rows.append(
                {
                    "clients": clients,
                    "http_tokens_per_second": rounded(sorted(found["http"])[given.rounds // 2]),
                    "pull_tokens_per_second": rounded(sorted(found["pull"])[given.rounds // 2]),
                    "ratio": ratio(found["http"], found["pull"]),
                    "processor": ratio(found["http processor"], found["pull processor"]),
                }
            )
    report("serving", given, "fastapi", "uvicorn", rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("serving", __doc__)
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    made.add_argument("--clients", type=command.positive, nargs="+", default=[1, 16, 64], metavar="N")
    made.add_argument("--page", type=command.positive, default=256, metavar="N", help="tokens (default: 256)")
    made.add_argument("--pages", type=command.positive, default=8, metavar="N", help="a round (default: 8)")
    add_rounds(made)
    return command.run(made, serving, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
