"""Processes that the app starts for heavy work, so that no listener waits for it: they yield to whatever plays.

They are started by their names, and not by `multiprocessing`, which would run the page again in them.
"""

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

from generator.foundation.places import PACKAGE

WAITED_FOR, LONG = 5, 10
"""How much a process yields that somebody waits for, and one that takes minutes: 10 leaves nine tenths of a core to
whatever else wants it, on Linux."""


def start(
    module: Sequence[str],
    cache: Path | None = None,
    niceness: int = WAITED_FOR,
    stdin: int = subprocess.DEVNULL,
    text: bool = True,
    **more: Any,
) -> subprocess.Popen[Any]:
    """Start a module of this package with its arguments. It is in a process group of its own, which a Ctrl-C in the
    server's terminal does not reach.

    Args:
        cache: where it keeps tokens; None if it keeps none.
        niceness: how much it yields to others.
        more: arguments of `subprocess.Popen`.
    """
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    if cache is not None:
        from generator.corpora.download import CACHE  # processes that keep none import this module too

        environment[CACHE] = str(cache)
    group = 0 if os.name == "posix" else None
    nice = ["nice", "-n", str(niceness)] if shutil.which("nice") else []
    command = [*nice, sys.executable, "-m", *module]
    return subprocess.Popen(command, stdin=stdin, text=text, env=environment, process_group=group, **more)


def limit(memory_bytes: int, seconds: int) -> None:
    """Let this process have no more memory and no more of the processor's time, where the system can do that."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def end(process: subprocess.Popen[Any]) -> None:
    """End a process and all that it has started, at once."""
    if process.poll() is None:
        end_group(process.pid)
    process.wait()
    for pipe in filter(None, (process.stdin, process.stdout)):
        with suppress(OSError):  # what was not sent yet
            pipe.close()


def end_group(pid: int) -> None:
    """End the process group that a process leads, at once."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)
