"""Text as a UTF-8 file, its line ends as they are."""

from __future__ import annotations

from pathlib import Path

from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError


def write(text: str, path: Path) -> None:
    """Write a text.

    Raises:
        CarouselError: the text holds half of a character, or the file cannot be written.
    """
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CarouselError(f"{path}: character {error.start + 1} is half of a surrogate pair; take it out") from error
    with atomic_write(path) as file:
        file.write(data)
