"""A few seconds of a checkpoint as sound, made in a process of its own while the page goes on."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Timer
from weakref import finalize

from generator.web.processes import end, start

SAMPLE_SECONDS = 12
LONGEST = 120.0
"""Seconds that a sample may take to be made."""
NOTHING = "Nothing could be made of the model as it is; try again after the next validation."


class Sample:
    """A sample that is being made, and then a WAV file. Its process ends with it: nobody waits for it any more then."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = str(checkpoint)
        folder = tempfile.TemporaryDirectory(prefix="carousel-", ignore_cleanup_errors=True)
        self._path = Path(folder.name) / "sample.wav"
        module = ["generator.sample", self.checkpoint, "--seconds", str(SAMPLE_SECONDS), "-o", str(self._path)]
        self._process = start(module, Path(folder.name), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        watch = Timer(LONGEST, self._process.kill)
        watch.daemon = True
        watch.start()
        self._ends = finalize(self, _clear, self._process, watch, folder)
        self._sound: bytes | None = None

    @property
    def is_made(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def sound(self) -> bytes | None:
        """The WAV file, once it is made; None if none could be made."""
        with suppress(OSError):  # also once it was read, and is no file any more
            self._sound = self._path.read_bytes()
        self._ends()
        return self._sound


def _clear(process: subprocess.Popen[str], watch: Timer, folder: tempfile.TemporaryDirectory[str]) -> None:
    watch.cancel()
    end(process)
    folder.cleanup()
