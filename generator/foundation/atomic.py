"""Files appear whole or not at all, one by one or several together.

One file is written to a temporary file beside the target, synced, then renamed. Several are written to a folder among
the targets; one rename says that all of them are whole, and from then on they count, though they take their places one
after another. What a killed process left unfinished goes when the next one writes the same.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from generator.foundation.errors import CarouselError

READY = ".ready"
"""The folder of files that are whole, on the way to their places."""


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that replaces `path` when the block ends, and leaves no trace when it raises.

    Raises:
        CarouselError: the folder does not exist, `path` is something other than a file, or the system refuses the write
            (no space, no permission).
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise CarouselError(f"{path}: the folder {path.parent} does not exist; make it first")
    temporary = None
    try:
        _only_a_file(path)
        _clean(path)
        with _new(path) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
            temporary = None
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder to write files into, which replace those in `folder` together when the block ends, or not at all.

    Until all have taken their places, `newest` says where each is. Only one process at a time may do this in a folder.

    Raises:
        CarouselError: in a file's place is something else, or the system refuses the write.
    """
    make_folder(folder)
    _settle(folder)
    made = _beside(folder / READY)
    try:
        made.mkdir()
        yield made
        for path in made.iterdir():
            _only_a_file(folder / path.name)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        made.rename(folder / READY)
    except OSError as error:
        raise _refused(folder, error) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    _settle(folder)


def tidy(folder: Path) -> None:
    """Finish what a killed process had ready for a folder, and remove the rest; nobody else may be writing there.

    Raises:
        CarouselError: the system refuses.
    """
    _settle(folder)
    for left in _unfinished(folder / READY):
        shutil.rmtree(left, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Let the files that are ready take their places."""
    ready = folder / READY
    try:
        if ready.is_dir():
            for path in sorted(ready.iterdir()):
                path.replace(folder / path.name)
            ready.rmdir()
    except OSError as error:
        raise _refused(folder, error) from error


def newest(path: Path) -> Path:
    """Where the file is whose place is `path`: there, or still on its way."""
    ready = path.parent / READY / path.name
    return ready if ready.exists() else path


def make_folder(folder: Path) -> None:
    """Make a folder, if it is not there.

    Raises:
        CarouselError: the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CarouselError(f"{folder}: cannot make this folder: {error.strerror}; choose another place") from error


def _beside(path: Path) -> Path:
    """A name for something unfinished that is to take the place of `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _unfinished(path: Path) -> list[Path]:
    """What lies beside `path` under such a name."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}")
    with suppress(OSError):  # a folder that one may write into, but not list
        return [found for found in path.parent.iterdir() if name.fullmatch(found.name)]
    return []


def _new(path: Path) -> IO[bytes]:
    """A temporary file beside `path`, locked as long as it is open."""
    from filelock import lock_descriptor  # slow to import, and who reads needs none

    while True:
        file = _beside(path).open("xb")
        try:
            locked = lock_descriptor(file.fileno(), blocking=False)
        except OSError:  # no locks in this file system, so nobody will clean up either
            return file
        if locked and os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # between open and lock another process took it for one that was left behind


def _clean(path: Path) -> None:
    """Remove the temporary files beside `path` that nobody writes any more."""
    from filelock import lock_descriptor

    for left in _unfinished(path):
        with suppress(OSError), left.open("r+b") as file:
            if lock_descriptor(file.fileno(), blocking=False):
                left.unlink()


def _only_a_file(path: Path) -> None:
    """A rename would do away with a folder or a device."""
    if path.exists() and not path.is_file():
        raise CarouselError(f"{path}: there is something that is not a file; choose another name")


def _refused(path: Path, error: OSError) -> CarouselError:
    reason = error.strerror or error
    return CarouselError(f"{path}: cannot write: {reason}; free some space or choose another place")
