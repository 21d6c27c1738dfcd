"""Where a piece goes: one file a sink, chosen by the suffix of the name that it is given."""

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
    ".wav": (Score, "wav"),
    ".musicxml": (Score, "notation"),
    ".xml": (Score, "notation"),
    ".svg": (Score, "notation"),
}
"""For each suffix the kind of piece and the module here whose `write(piece, path)` takes it; loaded when first used."""

MEDIA: dict[type, str] = {str: "text", Score: "music"}


def write(
    piece: str | Score,
    path: str | Path | IO[bytes],
    suffix: str = "",
    progress: Callable[[str, float, float, str], None] | None = None,
) -> None:
    """Write a piece to a file; the suffix, in capitals or not, says as what. An existing file is replaced.

    Args:
        path: or a file that is open for bytes, which stays open.
        suffix: of an open file, such as `.mid`: what its name ends in does not count.
        progress: is told of what takes long: what it is, how much is done, how much there is, and of what.

    Raises:
        CarouselError: the suffix is unknown or is for the other kind of piece, the music has no notes, the folder does
            not exist, the file cannot be written, or is open for text.
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
    if progress is not None and module == "wav":
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
    """The module whose `write` takes a piece of this kind, `str` or `Score`, for this path: to know before the work.

    Raises:
        CarouselError: the suffix is unknown or is for the other kind of piece, or the folder does not exist.
    """
    wanted, module = SINKS.get(path.suffix.lower(), (None, ""))
    if wanted is not kind:
        suffix = path.suffix or "a file without a suffix"
        raise CarouselError(f"{path}: {MEDIA[kind]} cannot be written as {suffix}; use {possible(kind)}")
    if not path.parent.is_dir():
        raise CarouselError(f"{path}: the folder {path.parent} does not exist; make it first")
    return module


def possible(kind: type) -> str:
    """The suffixes that a kind of piece, `str` or `Score`, can be written with, as words."""
    return " ".join(suffix for suffix, (wanted, _) in SINKS.items() if wanted is kind)
