"""Processes that the app starts for heavy work, so that no listener waits for it: they yield to whatever plays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from generator.corpora.download import CACHE
from generator.foundation.places import PACKAGE

WAITED_FOR, LONG = 5, 10
"""How much a process yields that somebody waits for, and one that takes minutes: 10 leaves nine tenths of a core to
whatever else wants it, on Linux."""


def start(module: Sequence[str], cache: Path, niceness: int = WAITED_FOR, **more: Any) -> subprocess.Popen[str]:
    """Start a module of this package with its arguments. It is in a process group of its own, which a Ctrl-C in the
    server's terminal does not reach.

    Args:
        cache: where it keeps tokens.
        niceness: how much it yields to others.
        more: arguments of `subprocess.Popen`.
    """
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), CACHE: str(cache)}
    group = 0 if os.name == "posix" else None
    nice = ["nice", "-n", str(niceness)] if shutil.which("nice") else []
    command = [*nice, sys.executable, "-m", *module]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, text=True, process_group=group, **more)


def end(process: subprocess.Popen[str]) -> None:
    """End a process and all that it has started, at once."""
    if process.poll() is None:
        end_group(process.pid)
    process.wait()
    if process.stdout:
        process.stdout.close()


def end_group(pid: int) -> None:
    """End the process group that a process leads, at once."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)
