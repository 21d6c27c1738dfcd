"""The training of this machine: there is one at a time, in a process of its own, on a bench of its own.

The bench is a folder of the user's own, with the uploaded files and their tokens, what is to be done (`Job`), the log,
and at last how it ended. The process holds a lock as long as it lives, so whoever looks at the bench sees whether it
does, also after a restart of the server. The checkpoint is made where the app finds its checkpoints.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import NoReturn

from generator.foundation import places
from generator.foundation.atomic import atomic_write, make_folder, newest
from generator.foundation.errors import CarouselError
from generator.foundation.locks import alone, is_held
from generator.foundation.places import CONFIG
from generator.training.run_folder import STATE
from generator.web.processes import LONG, end, end_group, start

FILES, CACHE, JOB, LOG, END, LOCK = "uploaded files", "tokens", "job.json", "log.txt", "end.json", ".lock"
"""What lies on the bench."""
BEGUN = "begun\n"
"""The line in the log where a process begins."""
QUICK_MINUTES = 20
"""A shorter run trains the small model of the preset `quick`."""
VALIDATIONS = 20
START_SECONDS = 60.0
"""The longest that a process may take to begin."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,39}")
BUSY = "a training is running on this machine already, and there is room for one; try again when it has ended"


@dataclass(frozen=True)
class Job:
    """What is to be trained, and for whom."""

    name: str
    medium: str
    minutes: float
    out: str
    """The checkpoint's folder."""
    owner: str
    """A digest of the token that whoever has begun it holds."""
    pid: int = 0
    """The number of the process; 0 as long as it is not started."""
    began: float = 0.0
    """Seconds since the epoch."""

    @staticmethod
    def load(path: Path) -> Job:
        """The job in a file.

        Raises:
            OSError, TypeError, ValueError: there is none.
        """
        return Job(**json.loads(path.read_text(encoding="utf-8")))

    def arguments(self, bench: Path) -> list[str]:
        """Those of the command `train`."""
        preset = "quick" if self.minutes < QUICK_MINUTES else "standard"
        options = {"--preset": preset, "--minutes": f"{self.minutes:g}", "--validations": str(VALIDATIONS)}
        return [str(bench / FILES), "--out", self.out, *(word for pair in options.items() for word in pair)]


@dataclass(frozen=True)
class Training:
    """The training at a moment."""

    job: Job
    phase: str
    """`running`, `done`, `stopped` (which keeps the best so far), `failed`, or `killed`."""
    words: str
    """Why it failed."""
    has_checkpoint: bool
    can_resume: bool

    def belongs_to(self, token: str) -> bool:
        """Whether it is the training of whoever holds this token."""
        return hmac.compare_digest(self.job.owner, digest(token))


def bench() -> Path:
    """The folder of the training."""
    return places.own("training")


def digest(token: str) -> str:
    """What the bench remembers of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def look() -> Training | None:
    """The training that is on the bench, if there is one."""
    folder = bench()
    try:
        is_running = is_held(folder / LOCK)  # first: what it wrote before its end is there when it has ended
        job = Job.load(folder / JOB)
    except (OSError, TypeError, ValueError):
        return None
    out = Path(job.out)
    kept = newest(out / CONFIG).is_file()
    resumable = (folder / FILES).is_dir()
    if is_running:
        return Training(job, "running", "", kept, False)
    try:
        ended = json.loads((folder / END).read_bytes())
        phase = {0: "done", 130: "stopped"}.get(ended["status"], "failed")
        return Training(job, phase, str(ended["words"]), kept, resumable and phase != "done")
    except (OSError, ValueError, KeyError, TypeError):
        return Training(job, "killed", "", kept, resumable)


def check_name(name: str, known: list[str]) -> str:
    """The name of a new checkpoint, without spaces around it.

    Args:
        known: the names that there are.

    Raises:
        CarouselError: it is no name, or another checkpoint has it.
    """
    name = name.strip()
    if not NAME.fullmatch(name):
        raise CarouselError("a name has up to 40 letters, digits, spaces, - and _, and begins with a letter or a digit")
    if name.casefold() in map(str.casefold, known):
        raise CarouselError(f"there is a checkpoint called {name} already; choose another name")
    return name


def free_name(known: Collection[str]) -> str:
    """A name for a new checkpoint that none of the known ones has."""
    names = (f"my-model-{number}" if number > 1 else "my-model" for number in count(1))
    return next(name for name in names if name not in known)


def begin(upload: Path, name: str, medium: str, minutes: float, checkpoints: Path) -> str:
    """Begin to train on the files in an upload, which moves to the bench; returns the token of its owner.

    Args:
        upload: a folder with the folders `FILES` and `CACHE`.
        name: of the checkpoint, as `check_name` returns it.
        checkpoints: the folder to make it in.

    Raises:
        CarouselError: another training is running, the name is taken, or the system refuses.
    """
    token, out = secrets.token_urlsafe(), (checkpoints / name).absolute()
    with _alone():
        if out.exists():
            raise CarouselError(f"{out}: there is something already; choose another name")
        make_folder(checkpoints)
        try:
            shutil.rmtree(bench(), ignore_errors=True)
            shutil.move(upload, bench())
            _launch(Job(name, medium, minutes, str(out), digest(token)))
        except CarouselError:
            shutil.rmtree(bench(), ignore_errors=True)
            raise
        except OSError as error:
            shutil.rmtree(bench(), ignore_errors=True)
            raise CarouselError(f"the files cannot be kept: {error.strerror or error}; free some space") from error
    return token


def resume(token: str) -> None:
    """Go on where the training was interrupted, from the beginning if it had saved nothing.

    Raises:
        CarouselError: it is somebody else's, it runs, there is nothing to go on with, or the system refuses.
    """
    with _alone():
        training = _of(token)
        if not training.can_resume:
            raise CarouselError("there is nothing to go on with; begin anew with the files")
        try:
            has_state = newest(Path(training.job.out) / STATE).is_file()
            _launch(training.job, *["--resume"] * has_state)
        except OSError as error:
            raise CarouselError(f"{bench()}: cannot go on: {error.strerror or error}; free some space") from error


def stop(token: str) -> None:
    """Let the training save its state and end, as Ctrl-C does; the best checkpoint so far is kept.

    Raises:
        CarouselError: it is somebody else's.
    """
    training = _of(token)
    if training.phase == "running" and training.job.pid:
        with suppress(OSError):
            os.kill(training.job.pid, signal.SIGINT)


def discard(token: str) -> None:
    """End the training, and remove its checkpoint and its files.

    Raises:
        CarouselError: it is somebody else's, or it does not end.
    """
    training = _of(token)
    if training.phase == "running" and training.job.pid:
        end_group(training.job.pid)
        _wait(lambda: not is_held(bench() / LOCK))
    shutil.rmtree(training.job.out, ignore_errors=True)
    clear(token)


def clear(token: str) -> None:
    """Remove the files of a training that has ended; its checkpoint stays.

    Raises:
        CarouselError: it is somebody else's, or it runs.
    """
    with _alone():
        _of(token)
        shutil.rmtree(bench(), ignore_errors=True)


def _of(token: str) -> Training:
    training = look()
    if training is None or not training.belongs_to(token):
        raise CarouselError("this training is not here any more")
    return training


@contextmanager
def _alone() -> Iterator[None]:
    """Keep others from beginning or clearing a training in this block.

    Raises:
        CarouselError: one is running, or somebody is beginning one.
    """

    def busy() -> NoReturn:
        raise CarouselError(BUSY)

    make_folder(bench().parent)
    with alone(bench().with_name(".training.lock"), busy, "free some space"):
        if is_held(bench() / LOCK):
            busy()
        yield


def _launch(job: Job, *more: str) -> None:
    """Start the process, and wait until it holds its lock or has ended.

    Raises:
        CarouselError, OSError: the system refuses.
    """
    folder = bench()
    (folder / END).unlink(missing_ok=True)
    job = replace(job, pid=0, began=time.time())
    _write(folder / JOB, job)
    with (folder / LOG).open("a") as log:
        log.write(BEGUN)
        log.flush()
        module = ["generator.web.training_process", str(folder), *more]
        process = start(module, folder / CACHE, LONG, stdout=log, stderr=subprocess.STDOUT)
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay as a zombie
    try:
        _write(folder / JOB, replace(job, pid=process.pid))
    except CarouselError:
        end(process)  # nobody could stop it
        raise
    _wait(lambda: is_held(folder / LOCK) or process.poll() is not None)


def _write(path: Path, job: Job) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(asdict(job)).encode())


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not until() and time.monotonic() < deadline:
        time.sleep(0.05)
