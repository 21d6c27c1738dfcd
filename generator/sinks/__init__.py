"""Write a piece to a file. Each module here writes one kind of file; the suffix of the file's name chooses it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from generator.foundation.errors import CarouselError
from generator.music.score import Score

SINKS: dict[str, tuple[type, str]] = {
    ".txt": (str, "text"),
    ".mid": (Score, "midi"),
    ".midi": (Score, "midi"),
    ".wav": (Score, "sound"),
    ".ogg": (Score, "sound"),
    ".flac": (Score, "sound"),
    ".musicxml": (Score, "notation"),
    ".xml": (Score, "notation"),
    ".abc": (Score, "notation"),
    ".svg": (Score, "notation"),
    ".pdf": (Score, "notation"),
}
"""For each suffix the type of the piece and the module here whose `write(piece, path)` writes it. A module is imported
when it is first used."""

SLOW = ("sound", "notation")
"""The modules whose `write` says how far it is."""
Progress = Callable[[str, float, float, str], None]
"""Called during slow work with its name, how much is done, how much there is, and the unit of both."""
MEDIA: dict[type, str] = {str: "text", Score: "music"}


def write(
    piece: str | Score,
    path: str | Path | IO[bytes],
    suffix: str = "",
    progress: Progress | None = None,
) -> None:
    """Write a piece to a file, in the format that the suffix names, in either case. An existing file is replaced.

    Args:
        path: the name of the file, or a file that is open for writing bytes, which stays open.
        suffix: the format to write into an open file, such as `.mid`; the suffix of its name does not count.
        progress: called during slow work.

    Raises:
        CarouselError: the suffix is unknown or is for the other type of piece, the music has no notes, the folder does
            not exist, or the file cannot be written or is open for text.
    """
    if isinstance(path, str | Path):
        target = Path(path)
    else:
        try:
            path.write(b"")
        except (AttributeError, TypeError, ValueError) as error:
            raise CarouselError(
                f"cannot write to {type(path).__name__}; give a path, or a file that is open to write bytes"
            ) from error
        if not suffix:
            raise CarouselError("an open file does not say what it is to hold; give a suffix, such as .mid")
        target = Path(f"{Path(str(getattr(path, 'name', 'piece'))).stem}.{suffix.removeprefix('.')}")
    if not isinstance(piece, str | Score):
        raise CarouselError(f"{target}: a {type(piece).__name__} cannot be written; give a str or a Score")
    module = check(target, type(piece))
    if isinstance(piece, Score) and not piece.notes:
        raise CarouselError(f"{target}: there are no notes to write; make the music longer")
    sink: Callable[..., None] = import_module(f"generator.sinks.{module}").write
    if progress is not None and module in SLOW:
        sink = partial(sink, progress=progress)
    if isinstance(path, str | Path):
        sink(piece, target)
        return
    with TemporaryDirectory() as folder:
        whole = Path(folder, target.name)
        sink(piece, whole)
        try:
            with whole.open("rb") as file:
                shutil.copyfileobj(file, path)
        except OSError as error:
            raise CarouselError(
                f"{target}: cannot write: {error.strerror or error}; see that it can take more"
            ) from error


def check(path: Path, kind: type) -> str:
    """The name of the module that writes a piece of this type, `str` or `Score`, to this path. Called before the piece
    is made, it finds out whether it can be written.

    Raises:
        CarouselError: the suffix is unknown or is for the other type of piece, or the folder does not exist.
    """
    wanted, module = SINKS.get(path.suffix.lower(), (None, ""))
    if wanted is not kind:
        suffix = path.suffix or "a file without a suffix"
        raise CarouselError(f"{path}: {MEDIA[kind]} cannot be written as {suffix}; use {possible(kind)}")
    if not path.parent.is_dir():
        raise CarouselError(f"{path}: the folder {path.parent} does not exist; make it first")
    return module


def possible(kind: type) -> str:
    """The suffixes that a piece of this type, `str` or `Score`, can be written with, separated by spaces."""
    return " ".join(suffix for suffix, (wanted, _) in SINKS.items() if wanted is kind)
