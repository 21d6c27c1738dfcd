"""Other Python processes for the tests. They are forked from one that has imported what commands need and done nothing
else, because the imports take longer than most of what is tested.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["generator.sample", "generator.evaluate", "generator.train", "generator.serving.application", "torch._dynamo"]
)


class Python:
    """A process that does what `python` does with these arguments: `-m MODULE …`, `-c CODE …` or `FILE …`."""

    def __init__(
        self, *arguments: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None, **more: str
    ) -> None:
        """Start it, with the environment `env`, by default that of this process, and `more` variables."""
        self._folder = tempfile.TemporaryDirectory(prefix="carousel-test-")
        self._outputs = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        self._arguments = list(map(str, arguments))
        environment = dict(os.environ if env is None else env) | more
        self._process = CONTEXT.Process(target=_run, args=(self._arguments, str(cwd), environment, self._outputs))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """As `subprocess.Popen.returncode`, but up to date."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        """What it has written, and how it ended. To be called once.

        Raises:
            subprocess.TimeoutExpired: after so many seconds it still runs.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._arguments, timeout or 0)
        stdout, stderr = (path.read_bytes().decode() if path.exists() else "" for path in self._outputs)
        self._folder.cleanup()
        return subprocess.CompletedProcess(self._arguments, self._process.exitcode, stdout, stderr)

    def until(self, path: Path, seconds: float = 120) -> None:
        """Wait until the process has made a file."""
        deadline = time.monotonic() + seconds
        while not path.exists():
            assert self.returncode is None and time.monotonic() < deadline, self._outputs[1].read_text()
            time.sleep(0.05)


def python(
    *arguments: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """What `python` has written with these arguments, and how it ended."""
    return Python(*arguments, cwd=cwd, env=env, **more).wait()


def _run(arguments: Sequence[str], cwd: str, environment: Mapping[str, str], outputs: Sequence[Path]) -> None:
    for number, path in zip((1, 2), outputs, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    kind, *rest = arguments
    if kind == "-m":
        sys.argv, sys.path[0] = rest, cwd
        sys.modules.pop(rest[0], None)  # it runs as `__main__`
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], cwd
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv, sys.path[0] = list(arguments), str(Path(kind).parent)
        runpy.run_path(kind, run_name="__main__")
