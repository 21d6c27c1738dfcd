"""The base class of corpora: facts about a corpus, and its pieces, each in one split, in a fixed order."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from generator.music.score import Score

Medium = str
"""`text` or `music`."""
Progress = Callable[[int, int], None]
"""A function that is called while a corpus is read, with the bytes or files read so far and those in all."""


@dataclass(frozen=True)
class Piece:
    """One text or one piece of music."""

    name: str
    content: str | Score


@dataclass(frozen=True)
class Facts:
    """The name of a corpus, its origin, and the tokenizer that suits it."""

    name: str
    title: str
    licence: str
    source: str
    medium: Medium
    tokenizer: str
    """`char`, `score`, `performance`, `drums` or `frames`."""
    reason: str = ""
    """Why that tokenizer was chosen, if it was chosen by looking at the files; else empty."""


class Corpus(ABC):
    """Pieces in splits. `skipped` is complete once the iterator of `read` or `pieces` is exhausted."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.skipped: list[tuple[str, str]] = []
        """(file or piece, reason) of everything that was left out."""

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def medium(self) -> Medium:
        return self.facts.medium

    @property
    def tokenizer(self) -> str:
        return self.facts.tokenizer

    @property
    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """`train`, `validation` and, if there is one, `test`."""

    @abstractmethod
    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        """(split, piece) for each piece, always in the same order. Empties `skipped` first.

        Raises:
            CarouselError: the corpus cannot be read at all.
        """

    def pieces(self, split: str) -> Iterator[Piece]:
        """The pieces of one split."""
        return (piece for where, piece in self.read() if where == split)

    @abstractmethod
    def fingerprint(self) -> str:
        """The SHA-256, as hex, of everything but the code that the result of `read` depends on: files and settings."""


def fingerprint(files: Iterable[tuple[str, Path]], *how: str) -> str:
    """The SHA-256, as hex, of the names and bytes of files, and of the settings `how` they are read with."""
    digest = hashlib.sha256("\0".join(how).encode())
    for name, path in files:
        digest.update(name.encode() + b"\0")
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:  # reported when the file is read
            digest.update(b"unreadable")
    return digest.hexdigest()
