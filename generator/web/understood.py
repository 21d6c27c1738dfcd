"""What was understood of uploaded files before anything is trained, from the process that reads them (`reading.py`).

A file at which that process crashes, or hangs, is left out by name, and the others are read again.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Sentence
from generator.web.processes import end, start
from generator.web.uploads import Skipped

FILE_SECONDS = 60.0
"""A file that is read for longer is left out."""
TOKENS_SECONDS = 900.0
"""The longest that all files together may take to become tokens."""
MAX_CRASHES = 5
"""After so many files that crash their reader the rest is not tried any more."""
MAX_ROWS = 2000
"""The most pieces that are listed."""
TICK_SECONDS = 0.3


class Step(NamedTuple):
    """How far the reading is: the file that is read, how many are done, and how many there are. Without a file all
    have been read, and are made into tokens."""

    name: str
    done: int
    total: int


@dataclass
class Understood:
    """What a model can learn from some files."""

    medium: str = ""
    tokenizer: str = ""
    reason: str = ""
    """Why this tokenizer; may be empty."""
    pieces: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    """How many there are in each split."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """What is known of each piece, at most of `MAX_ROWS`."""
    skipped: list[Skipped] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    """What was dropped or changed."""
    error: str = ""
    """Why nothing can be learnt from the files; empty if it can."""


class _Stuck(CarouselError):
    """The process ended early, or was too slow, while it read the file that the message names; the reason follows."""


def understand(folder: Path, cache: Path, skipped: list[Skipped]) -> Generator[Step, None, Understood]:
    """Read the files in a folder, and yield how far it is from time to time; closed early, it ends the process.

    Args:
        cache: where the tokens are kept.
        skipped: the files that were left out before.
    """
    crashed: list[Skipped] = []
    while True:
        try:
            found = yield from _attempt(folder, cache)
        except _Stuck as stuck:
            name, reason = stuck.args
            if not name or len(crashed) == MAX_CRASHES:
                return Understood(skipped=[*skipped, *crashed], error=reason)
            crashed.append(Skipped(name, reason))
            (folder / name).unlink(missing_ok=True)
            if not any(folder.iterdir()):
                return Understood(skipped=[*skipped, *crashed], error="no file is left that can be read")
            continue
        found.skipped = [*skipped, *crashed, *found.skipped]
        return found


def _attempt(folder: Path, cache: Path) -> Generator[Step, None, Understood]:
    """Read all the files that are there.

    Raises:
        _Stuck: the process crashed or was too slow.
    """
    process = start(["generator.web.reading", str(folder)], cache, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
    found, broken, step, since = Understood(), list[Skipped](), Step("", 0, 0), time.monotonic()
    try:
        while True:
            yield step
            try:
                line = lines.get(timeout=TICK_SECONDS)
            except queue.Empty:
                most = FILE_SECONDS if step.name else TOKENS_SECONDS
                if time.monotonic() - since > most:
                    raise _Stuck(step.name, f"not read within {most:g} seconds") from None
                continue
            if not line.endswith("\n"):  # the end, or what it could write before it crashed
                what = f"its reader crashed (status {process.wait()})"
                raise _Stuck(step.name, what if step.name else "the files can be read, but not made into tokens")
            said = json.loads(line)
            if "reading" in said:
                step, since = Step(said["reading"], said["done"], said["total"]), time.monotonic()
            elif "piece" in said:
                if len(found.rows) < MAX_ROWS:
                    found.rows.append(said["piece"])
            elif "skipped" in said:
                broken.append(Skipped(said["skipped"], said["reason"]))
            elif "error" in said:
                found.skipped, found.error = broken, said["error"]
                return found
            else:
                facts = said["dataset"]
                found.skipped = list(dict.fromkeys(Skipped(*one) for one in facts.pop("skipped")))
                found.sentences = [Sentence(*one) for one in facts.pop("sentences")]
                for name, value in facts.items():
                    setattr(found, name, value)
                return found
    finally:
        end(process)


def _pump(process: subprocess.Popen[str], lines: queue.SimpleQueue[str]) -> None:
    """Hand on each line that a process prints, and at its end an empty one."""
    assert process.stdout
    with suppress(ValueError, OSError):  # it was ended, and its output closed
        for line in process.stdout:
            lines.put(line)
    lines.put("")
