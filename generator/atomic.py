"""Files appear whole or not at all: written to a temporary file beside the target, synced, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from generator.errors import CarouselError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that replaces `path` when the block ends, and leaves no trace when it raises.

    Raises:
        CarouselError: the folder does not exist, or the system refuses the write (no space, no permission).
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise CarouselError(f"{path}: the folder {path.parent} does not exist; make it first")
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise CarouselError(
            f"{path}: cannot write: {error.strerror or error}; free some space or choose another place"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
