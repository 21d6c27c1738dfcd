"""Text as a file in UTF-8; line ends are not changed."""

from __future__ import annotations

from pathlib import Path

from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError


def write(text: str, path: Path) -> None:
    """Write a text.

    Raises:
        CarouselError: the text contains half of a surrogate pair, or the file cannot be written.
    """
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CarouselError(f"{path}: character {error.start + 1} is half of a surrogate pair; take it out") from error
    with atomic_write(path) as file:
        file.write(data)
