"""The process that trains: the command `train`, with its log, how it ended, and the machine's lock meanwhile.

    python -m generator.web.training_process BENCH [--resume]

It outlives the server that has started it. The room for how it ended is taken at the beginning, so that it can be
written also where the disk is full by then.
"""

from __future__ import annotations

import io
import json
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from generator.foundation.locks import alone
from generator.web.trainings import CACHE, END, FILES, JOB, LOCK, LOG, Job

ROOM = 4096
"""Bytes for how it ended."""
TAIL = 1000


class Log(io.TextIOBase):
    """A log that remembers its last lines, and does not mind a full disk."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        self.tail = ""

    def write(self, text: str) -> int:
        self.tail = (self.tail + text)[-TAIL:]
        with suppress(OSError):
            self.file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self.file.flush()


def main(bench: Path, *more: str) -> None:
    """Train as the job on the bench says."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also if the server was started in the background
    job = Job.load(bench / JOB)
    with alone(bench / LOCK, lambda: None, "free some space"), (bench / END).open("wb+") as end:
        end.write(b" " * ROOM)
        end.flush()
        log = sys.stdout = sys.stderr = Log(bench / LOG)
        try:
            from generator import train  # takes seconds, and may be stopped meanwhile

            status = train.main([*job.arguments(bench), *more])
        except KeyboardInterrupt:
            status = 130
        except BaseException as error:
            status = 1
            log.write(f"\n{type(error).__name__}: {error}")
        words = log.tail.strip().rpartition("\n")[2].rpartition("train: ")[2] if status not in (0, 130) else ""
        end.seek(0)
        end.write(json.dumps({"status": status, "words": words}).encode()[:ROOM])
        end.flush()
        if status == 0:
            for name in (FILES, CACHE):
                shutil.rmtree(bench / name, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
