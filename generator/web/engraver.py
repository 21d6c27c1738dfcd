"""A process of its own that engraves sheet music, so that no listener waits for it. Requests and answers are lines of
JSON. It ends with the server, because then nothing more can be read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from functools import lru_cache
from threading import Lock, Timer
from typing import Any

from generator.foundation.errors import CarouselError
from generator.music.engraving import Whole
from generator.music.excerpt import Excerpt, Picture, engrave
from generator.web import score_json
from generator.web.processes import LONG, end, start

PATIENCE_SECONDS = 60.0
"""A process that has not answered for so long is ended; the first answer waits for its imports."""
CACHED = 64
"""The number of pictures that are remembered, of some 60 kB each."""


class Engraver:
    """The process, which is started with the first request. Requests wait for one another."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[Any] | None = None
        self._lock = Lock()
        self.engraved = lru_cache(maxsize=CACHED)(self._engraved)
        """What `engrave` returns; the same bars are not engraved twice."""

    def _engraved(self, excerpt: Excerpt, width: int) -> Picture:
        """
        Raises:
            CarouselError: the bars cannot be drawn, or the process has ended.
        """
        line = json.dumps({"width": width, **_plain(excerpt)})
        with self._lock:
            answer = json.loads(self._answer(line) or '{"error": "the sheet could not be drawn; it is tried again"}')
        if "error" in answer:
            raise CarouselError(answer["error"])
        notes = [(name, start, end) for name, start, end in answer["notes"]]
        return Picture(answer["svg"], notes, answer["voices"])

    def _answer(self, line: str) -> str:
        """The answer of the process to a line; empty if it ends instead."""
        if self._process is None or self._process.poll() is not None:
            if self._process is not None:
                end(self._process)
            module, pipe = ["generator.web.engraver"], subprocess.PIPE
            self._process = start(module, niceness=LONG, stdin=pipe, stdout=pipe)
        process = self._process
        assert process.stdin and process.stdout
        watch = Timer(PATIENCE_SECONDS, process.kill)
        watch.start()
        try:
            print(line, file=process.stdin, flush=True)
            answer = str(process.stdout.readline())
            return answer if answer.endswith("\n") else ""
        except OSError:
            return ""
        finally:
            watch.cancel()


def _plain(excerpt: Excerpt) -> dict[str, Any]:
    """An excerpt as a JSON object."""
    shown, whole = [excerpt.start, excerpt.end], [excerpt.whole.key, excerpt.whole.centres]
    return {"shown": shown, "whole": whole, "score": score_json.to_json(excerpt.score)}


def _excerpt(data: dict[str, Any]) -> Excerpt:
    """The excerpt that `_plain` has written."""
    key, centres = data["whole"]
    start, end = data["shown"]
    return Excerpt(score_json.from_json(data["score"]), start, end, Whole(key, tuple(centres)))


def main() -> None:
    """Answer each line of the input."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Verovio's warnings are no answers
    for line in sys.stdin:
        data = json.loads(line)
        try:
            answer = asdict(engrave(_excerpt(data), data["width"]))
        except CarouselError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
