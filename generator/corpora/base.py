"""What every corpus is: facts about it, and its pieces, each in one split, read once and in a fixed order."""

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
"""Called while reading with how much is read (bytes, or files) and how much there is."""


@dataclass(frozen=True)
class Piece:
    """One text or one piece of music."""

    name: str
    content: str | Score


@dataclass(frozen=True)
class Facts:
    """What a corpus is called, who owns it, and which tokenizer suits it."""

    name: str
    title: str
    licence: str
    source: str
    medium: Medium
    tokenizer: str
    """`char`, `score`, `performance` or `frames`."""
    reason: str = ""
    """Why that tokenizer, where it was chosen from the files themselves."""


class Corpus(ABC):
    """Pieces in splits. `skipped` is complete once `read` or `pieces` has been run to its end."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.skipped: list[tuple[str, str]] = []
        """(file or piece, reason) of everything left out."""

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
        """`train`, `validation` and, where there is one, `test`."""

    @abstractmethod
    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        """Every piece once, with its split, always in the same order. Starts `skipped` afresh.

        Raises:
            CarouselError: the corpus cannot be read at all.
        """

    def pieces(self, split: str) -> Iterator[Piece]:
        """The pieces of one split."""
        return (piece for where, piece in self.read() if where == split)

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256, as hex, over what decides, beside the code, what `read` gives: files and how they are read."""


def fingerprint(files: Iterable[tuple[str, Path]], *how: str) -> str:
    """SHA-256 over how files are read and over each file's name and bytes."""
    digest = hashlib.sha256("\0".join(how).encode())
    for name, path in files:
        digest.update(name.encode() + b"\0")
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:  # the reader will name it
            digest.update(b"unreadable")
    return digest.hexdigest()
