"""Where a piece goes: one file a sink, chosen by the suffix of the name that it is given."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from generator.errors import CarouselError
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


def write(piece: str | Score, path: str | Path) -> None:
    """Write a piece to a file; the suffix, in capitals or not, says as what. An existing file is replaced.

    Raises:
        CarouselError: the suffix is unknown or is for the other kind of piece, the music has no notes, the folder does
            not exist, or the file cannot be written.
    """
    path = Path(path)
    if not isinstance(piece, str | Score):
        raise CarouselError(f"{path}: a {type(piece).__name__} cannot be written; give a str or a Score")
    module = check(path, type(piece))
    if isinstance(piece, Score) and not piece.notes:
        raise CarouselError(f"{path}: there are no notes to write; make the music longer")
    sink: Callable[[str | Score, Path], None] = import_module(f"generator.sinks.{module}").write
    sink(piece, path)


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
