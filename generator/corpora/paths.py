"""Corpora from a path: a text file or a music file, or a folder of such files."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from generator.corpora import folder, text
from generator.corpora.base import Corpus, Facts
from generator.foundation.errors import CarouselError
from generator.music.files import SUFFIXES

LICENCE = "not stated: whoever owns the files decides"


def open_path(path: Path) -> Corpus:
    """The corpus at a path.

    Raises:
        CarouselError: there is no such path, or it has neither music nor text.
    """
    if path.is_file():
        files = [path]
        music = files if path.suffix.lower() in SUFFIXES else []
        texts = files
    elif path.is_dir():
        files = all_files(path)
        music = [file for file in files if file.suffix.lower() in SUFFIXES]
        texts = [file for file in files if file.suffix.lower() in text.SUFFIXES]
    else:
        raise CarouselError(f"{path}: neither a file nor a folder; check the path")
    name = path.resolve().name or "root"
    if music:
        kind, reason = folder.suited_tokenizer(music)
        title = f"{_count(music)} from {name}"
        return folder.FolderCorpus(Facts(name, title, LICENCE, str(path), "music", kind, reason), named(music, path))
    if texts:
        title = f"{_count(texts)} from {name}"
        return text.TextCorpus(Facts(name, title, LICENCE, str(path), "text", "char"), named(texts, path))
    raise CarouselError(
        f"{path}: no music ({' '.join(SUFFIXES)}) and no text ({' '.join(text.SUFFIXES)}) in it; "
        f"it holds {_count(files)}; choose another folder"
    )


def all_files(root: Path) -> list[Path]:
    """All files in a folder and its subfolders, sorted. Hidden ones are left out, and links to folders not followed."""
    found: list[Path] = []
    for where, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(where, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def named(files: list[Path], root: Path) -> list[tuple[str, Path]]:
    """Each file with its path relative to `root`, which may be the file itself. Invalid UTF-8 is replaced."""
    names = (file.relative_to(root).as_posix() if file != root else file.name for file in files)
    return [(os.fsencode(name).decode("utf-8", "replace"), file) for name, file in zip(names, files, strict=True)]


def _count(files: list[Path]) -> str:
    """The number of files of each suffix, such as `3 .mid, 1 .abc`."""
    kinds = Counter(file.suffix.lower() or "files without a suffix" for file in files)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "no files"
