"""A corpus out of memory. Second processes import it too, so it needs nothing that takes long."""

from __future__ import annotations

from collections.abc import Iterator

from generator.corpora.base import Corpus, Facts, Piece, Progress
from generator.music.score import Score

TEXTS = {"train": ["to be", "or not"], "validation": ["to bee"], "test": ["not to"]}


class Given(Corpus):
    """Pieces out of memory, which counts how often it is read."""

    splits = ("train", "validation", "test")

    def __init__(self, pieces: dict[str, list[str]] | dict[str, list[Score]], medium: str = "text") -> None:
        super().__init__(Facts("given", "a test", "none", "here", medium, "char" if medium == "text" else "score"))
        self.given = pieces
        self.reads = 0

    def fingerprint(self) -> str:
        return repr(self.given)

    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        self.skipped = [("lost.txt", "it was lost")]
        self.reads += 1
        for split, contents in self.given.items():
            for number, content in enumerate(contents):
                if progress:
                    progress(number, 10)
                yield split, Piece(f"{split} {number}", content)
