"""Text files in UTF-8, each of them one piece. All line ends become `\\n`; nothing else is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from generator.corpora.base import Corpus, Facts, Piece, Progress, fingerprint
from generator.corpora.splits import train_and_validation
from generator.foundation.errors import CarouselError

SUFFIXES = (".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org")
"""The suffixes of the text files in a folder. The name of a single file may have any suffix."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
"""Control characters that are no line end, tab or page break."""
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def read_text(path: Path) -> str:
    """A file's text, without a byte order mark and with `\\n` line ends.

    Raises:
        CarouselError: the file cannot be read, is empty, is not UTF-8, or has control characters.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CarouselError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = _BYTE_ORDER_MARKS.get(data[:2], "another encoding")
        raise CarouselError(
            f"{path}: not UTF-8 at byte {error.start} ({kind}?); convert it, as with iconv -t UTF-8"
        ) from error
    if found := _CONTROL.search(text):
        kind = "UTF-16 without a mark" if "\0" in text else "no plain text"
        raise CarouselError(
            f"{path}: a control character at {found.start()} ({kind}?); convert it, as with iconv -f UTF-16 -t UTF-8"
        )
    if not text.strip():
        raise CarouselError(f"{path}: the file is empty; choose one with text in it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


class TextCorpus(Corpus):
    """Text files. Each belongs to a split; a single file is cut in two."""

    splits = ("train", "validation")

    def __init__(self, facts: Facts, files: Sequence[tuple[str, Path]]) -> None:
        super().__init__(facts)
        self.files = files

    def fingerprint(self) -> str:
        return fingerprint(self.files)

    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        self.skipped = []
        return train_and_validation(self._pieces(progress))

    def _pieces(self, progress: Progress | None) -> Iterator[Piece]:
        sizes = [path.stat().st_size for _, path in self.files]
        done = 0
        for (name, path), size in zip(self.files, sizes, strict=True):
            try:
                yield Piece(name, read_text(path))
            except CarouselError as error:
                if len(self.files) == 1:
                    raise
                self.skipped.append((name, str(error).split(": ", 1)[-1]))
            done += size
            if progress:
                progress(done, sum(sizes))
