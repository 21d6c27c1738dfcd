"""Uploaded files on their way to a corpus: their names made harmless, their number and size limited, and what is no
music or text, or does not go with the others, left out by name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from generator.corpora import text
from generator.foundation.errors import CarouselError
from generator.foundation.omissions import many
from generator.foundation.terminal import CONTROLS
from generator.music import files

SUFFIXES = (*files.SUFFIXES, *text.SUFFIXES)
MAX_FILES = 300
MAX_MEGABYTES = 50
"""The most files of an upload, and the most that they may have together."""
LONGEST_NAME = 80
"""In characters, without the suffix."""
_HARMFUL = re.compile(r'[<>:"|?*/\\]')


class Skipped(NamedTuple):
    """A file that was left out, and why."""

    name: str
    reason: str


def harmless(name: str, taken: Iterable[str] = ()) -> str:
    """The name that an uploaded file gets: one within its folder, that is not hidden and that nobody else has.

    Args:
        taken: the names that other files have.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    plain = _HARMFUL.sub("_", CONTROLS.sub("", last)).strip()
    path = PurePosixPath(plain.lstrip(". ") or "file")
    suffix = path.suffix.lower() if path.suffix.lower() in SUFFIXES else ""
    stem = (path.name[: -len(suffix)] if suffix else path.name).strip()[:LONGEST_NAME] or "file"
    stem = stem.encode("utf-8", "replace")[: 2 * LONGEST_NAME].decode("utf-8", "ignore")
    known = {one.casefold() for one in taken}
    found, number = f"{stem}{suffix}", 2
    while found.casefold() in known:
        found, number = f"{stem} ({number}){suffix}", number + 1
    return found


def store(uploads: Iterable[tuple[str, int, bytes]], folder: Path) -> list[Skipped]:
    """Write uploaded files into an empty folder; returns those that are left out.

    Args:
        uploads: the name, the size in bytes and the content of each.

    Raises:
        CarouselError: the system refuses.
    """
    skipped: list[Skipped] = []
    kept: dict[str, bytes] = {}
    room = MAX_MEGABYTES * 2**20
    has_music = False
    for name, size, data in uploads:
        found = harmless(name, kept)
        suffix = PurePosixPath(found).suffix
        if suffix not in SUFFIXES:
            skipped.append(Skipped(found, f"neither music ({' '.join(files.SUFFIXES)}) nor text"))
        elif len(kept) >= MAX_FILES:
            skipped.append(Skipped(found, f"more than {many(MAX_FILES, 'file')}; for more there is the command train"))
        elif size > room:
            skipped.append(
                Skipped(found, f"more than {MAX_MEGABYTES} MB together; for more there is the command train")
            )
        else:
            kept[found] = data
            room -= size
            has_music |= suffix in files.SUFFIXES
    for name, data in kept.items():
        if has_music and PurePosixPath(name).suffix not in files.SUFFIXES:
            skipped.append(
                Skipped(name, "text among music; a model learns one of them, so upload the texts by themselves")
            )
            continue
        try:
            (folder / name).write_bytes(data)
        except OSError as error:
            raise CarouselError(f"{name}: cannot be written: {error.strerror or error}; free some space") from error
    return skipped
