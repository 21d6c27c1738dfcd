"""Files appear whole or not at all: written to a temporary file beside the target, synced, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from generator.errors import CarouselError


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
        if path.exists() and not path.is_file():  # a folder, or a device, which a rename would do away with
            raise CarouselError(f"{path}: there is something that is not a file; choose another name")
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with unfinished.open("xb") as file:
            temporary = unfinished
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise CarouselError(
            f"{path}: cannot write: {error.strerror or error}; free some space or choose another place"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
