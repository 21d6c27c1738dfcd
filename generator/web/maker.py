"""Files are made in processes of their own, one for each file: nobody who listens waits for one, a crash is one error,
and a file that nobody wants any more is given up by ending its process.

    python -m generator.web.maker BYTES     # make one file, with so much memory

A maker loads what slow formats need, and waits. On standard input it gets a path and a piece, as a line of JSON. It
writes lines of JSON: `{"done": 0.25}` from time to time, and `{"error": message}` if the piece cannot be written.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from generator.foundation.errors import CarouselError
from generator.music.score import Score
from generator.sinks import write
from generator.web import score_json
from generator.web.processes import end, limit, start

MEMORY_BYTES = 2 << 30
SECONDS = 900
"""The processor time after which a maker is ended."""
IDLE_SECONDS = 120
"""A maker without work ends after this time."""
TOLD_SECONDS = 0.2
"""The shortest time between two lines."""
SLOW_TO_LOAD = ("numpy", "generator.sinks.sound", "music21", "generator.music.engraving", "generator.music.pdf")
"""What a maker loads while it waits. With work at hand it loads what that needs."""
FAILED = "this file could not be made; take less of the music, or another format"
TOO_LARGE = "this is too much music for such a file; take less of it, or MIDI"


class Maker:
    """A process that makes one file."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        module, pipe = ["generator.web.maker", str(memory_bytes)], subprocess.PIPE
        self._process = start(module, stdin=pipe, stdout=pipe, text=False)

    @property
    def alive(self) -> bool:
        """Whether it waits or works."""
        return self._process.poll() is None

    def make(self, piece: Score, path: Path) -> Iterator[float]:
        """Write a piece to a path; yields the share that is done, again and again.

        Raises:
            CarouselError: the piece cannot be written, or the process has ended.
        """
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(json.dumps({"path": str(path), "piece": score_json.to_json(piece)}).encode() + b"\n")
        for line in self._process.stdout:
            told = json.loads(line)
            if "error" in told:
                raise CarouselError(told["error"])
            yield told["done"]
        if self._process.wait():
            raise CarouselError(FAILED)

    def end(self) -> None:
        """End the process, whatever it does."""
        end(self._process)


def main(memory_bytes: int) -> None:
    """Wait for a piece, and write it."""
    if hasattr(signal, "alarm"):
        signal.alarm(IDLE_SECONDS)
    limit(memory_bytes, SECONDS)
    for module in SLOW_TO_LOAD:
        if not has_work():
            importlib.import_module(module)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # nobody needs it
        return
    work = json.loads(line)
    if hasattr(signal, "alarm"):
        signal.alarm(0)
    told = 0.0

    def tell(what: str, done: float, total: float, unit: str) -> None:
        nonlocal told
        if time.monotonic() > told + TOLD_SECONDS:
            told = time.monotonic()
            print(json.dumps({"done": round(done / total, 4) if total else 0.0}), flush=True)

    try:
        write(score_json.from_json(work["piece"]), Path(work["path"]), progress=tell)
    except CarouselError as error:
        print(json.dumps({"error": str(error)}), flush=True)
    except MemoryError:
        print(json.dumps({"error": TOO_LARGE}), flush=True)


def has_work() -> bool:
    """Whether there is something on standard input, as far as the system can tell."""
    return os.name == "posix" and bool(select.select([sys.stdin], [], [], 0)[0])


if __name__ == "__main__":
    main(int(sys.argv[1]))
