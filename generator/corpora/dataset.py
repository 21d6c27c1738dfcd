"""Token datasets: a corpus as token ids on disk, each split one memory-mapped array, built once and cached.

Each pair of corpus and tokenizer has a folder in the cache, named after a digest of both and of the code that reads and
encodes; `encoding.py` describes its files. The folder appears whole, by one rename. A folder whose files do not match
their hashes is built again. If several processes want the same dataset, one builds it and the others wait. What was
left out of it is listed in a text file of the same name in the folder `skipped`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

import generator.tokenizers
from generator.corpora.base import Corpus, Facts
from generator.corpora.download import CACHE, cache_folder
from generator.corpora.encoding import INDEX, sha256_of, write_dataset
from generator.corpora.progress import bar
from generator.foundation.errors import CarouselError
from generator.foundation.locks import alone
from generator.foundation.omissions import Omission
from generator.foundation.terminal import tell
from generator.tokenizers.base import Tokenizer, Tokens

FORMAT = 1
"""The version of the files; a dataset of another version is not reused."""


@dataclass(frozen=True)
class Split:
    """The encoded pieces of one split."""

    tokens: Tokens
    """All pieces one after another, shape (tokens,)."""
    offsets: npt.NDArray[np.int64]
    """Where each piece begins, and the end of the last: shape (pieces + 1,)."""
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, piece: int) -> Tokens:
        """The tokens of one piece, the end token last."""
        if not -len(self) <= piece < len(self):
            raise IndexError(piece)
        piece %= len(self)
        return self.tokens[self.offsets[piece] : self.offsets[piece + 1]]

    def part(self, first: int, past: int) -> Split:
        """The tokens from `first` to before `past`, at least one; the pieces at both ends may be cut."""
        first = max(0, min(first, len(self.tokens) - 1))
        past = max(first + 1, min(past, len(self.tokens)))
        piece = int(np.searchsorted(self.offsets, first, side="right")) - 1
        inner = self.offsets[(self.offsets > first) & (self.offsets < past)]
        offsets = np.array([first, *inner, past], np.int64) - first
        return Split(self.tokens[first:past], offsets, self.names[piece : piece + len(offsets) - 1])

    def beginning(self, tokens: int) -> Split:
        """The first `tokens` tokens, at least one; the last piece may be cut."""
        return self.part(0, tokens)


@dataclass(frozen=True)
class TokenDataset:
    """A corpus as tokens, in the folder of the cache that holds its files."""

    folder: Path
    facts: Facts
    tokenizer: Tokenizer
    key: str
    """SHA-256, as hex, of the tokenizer and of all tokens. Datasets with equal keys have equal contents."""
    skipped: tuple[tuple[str, str], ...]
    """(file or piece, reason) of everything that was left out."""
    report: dict[str, float]
    """What the tokenizer could not express in all pieces together, by the names of its report's fields."""
    omissions: tuple[Omission, ...]
    """What the readers of music files left out of all pieces together."""
    styles: dict[str, int]
    """How many pieces have each style, the most frequent first; styles that the tokenizer lacks are counted too."""
    _splits: dict[str, Split]

    @property
    def skipped_list(self) -> Path:
        """The text file that lists what was left out, a line each. It does not exist if nothing was left out."""
        return _skipped_list(self.folder)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have pieces."""
        return tuple(self._splits)

    def split(self, name: str) -> Split:
        """One split.

        Raises:
            CarouselError: the corpus has no such split.
        """
        if name not in self._splits:
            raise CarouselError(f"{self.facts.name} has no split {name}; choose one of {', '.join(self._splits)}")
        return self._splits[name]


def prepare(corpus: Corpus, tokenizer: Tokenizer | str | None = None, progress: bool = True) -> TokenDataset:
    """The corpus as tokens, from the cache or newly built.

    Args:
        tokenizer: one to encode with, or the kind to fit to the training split; None for the kind that suits the
            corpus.
        progress: show a bar on standard error while building, and a line there while another process builds.

    Raises:
        CarouselError: the corpus cannot be read, has no piece that can be encoded, is of another medium than the
            tokenizer, or the cache cannot be written.
    """
    tokenizer = tokenizer or corpus.tokenizer
    medium = (generator.tokenizers.KINDS[tokenizer] if isinstance(tokenizer, str) else tokenizer).medium
    if medium != corpus.medium:
        raise CarouselError(
            f"{corpus.name}: it holds {corpus.medium}, the tokenizer is for {medium}; choose another corpus"
        )
    wanted = tokenizer if isinstance(tokenizer, str) else json.dumps(tokenizer.to_json(), sort_keys=True)
    digest = hashlib.sha256("\0".join((str(FORMAT), corpus.fingerprint(), wanted, _code_digest())).encode()).hexdigest()
    folder = cache_folder() / "shards" / f"{Path(corpus.name).stem[:40]}-{digest[:16]}"
    dataset = _load(folder, corpus.facts)
    if dataset is None:

        def wait() -> None:
            if progress:
                tell(f"{Path(corpus.name).name}: another process is reading it; waiting")

        _prepare_cache(folder.parent)
        with _locked(folder, wait):
            dataset = _load(folder, corpus.facts) or _build(corpus, tokenizer, folder, progress)
    corpus.skipped = list(dataset.skipped)
    return dataset


def _code_digest() -> str:
    """The SHA-256 of the source code that reads and encodes pieces, so that no tokens of another version are reused."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> list[Path]:
    """The files of that source code."""
    root = Path(generator.tokenizers.__file__).parents[1]
    readers = (path for path in (root / "corpora").glob("*.py") if path.name != "batches.py")
    writers = ("engraving.py", "layout.py", "instruments.py", "soundfont_format.py")
    music = (path for path in (root / "music").glob("*.py") if path.name not in writers)
    return sorted([*(root / "tokenizers").glob("*.py"), *readers, *music])


def _prepare_cache(parent: Path) -> None:
    """Make the folder of all datasets, and remove the unfinished ones that killed processes have left there."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(parent, error) from error

    def busy() -> NoReturn:
        raise CarouselError("a living process is building it")

    for left in sorted(parent.glob(".*.????????")):
        if left.is_dir():
            with suppress(CarouselError), _locked(parent / left.name[1:-9], busy):
                shutil.rmtree(left, ignore_errors=True)


def _locked(folder: Path, busy: Callable[[], object]) -> AbstractContextManager[None]:
    """Lock a dataset's folder, which need not exist yet; `busy` is called if another process has locked it."""
    return alone(folder.with_name(f".{folder.name}.lock"), busy, f"set {CACHE} to another folder")


def _build(corpus: Corpus, tokenizer: Tokenizer | str, folder: Path, progress: bool) -> TokenDataset:
    """Build the dataset, and replace a damaged one if it is there."""
    from rich.progress import TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    times = (TimeElapsedColumn(), TextColumn("elapsed,"), TimeRemainingColumn(), TextColumn("left"))
    label = f"{Path(corpus.name).name}: reading"
    try:
        with (
            bar(label, TaskProgressColumn(show_speed=True), *times, visible=progress) as show,
            tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary,
        ):
            made = Path(temporary) / folder.name
            made.mkdir()
            skipped_list = _skipped_list(folder)
            write_dataset(corpus, tokenizer, made, lambda done, total: show(completed=done, total=total), skipped_list)
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    dataset = _load(folder, corpus.facts)
    if dataset is None:
        raise CarouselError(f"{folder}: what was written cannot be read back; check the disk or set {CACHE}")
    return dataset


def _cannot_write(path: Path, error: OSError) -> CarouselError:
    reason = error.strerror or error
    return CarouselError(f"{error.filename or path}: {reason}; free some space or set {CACHE} to another folder")


def _skipped_list(folder: Path) -> Path:
    return folder.parents[1] / "skipped" / f"{folder.name}.txt"


def _load(folder: Path, facts: Facts) -> TokenDataset | None:
    """The dataset in a folder; None if there is none or it is damaged."""
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if any(sha256_of(folder / name) != expected for name, expected in index["sha256"].items()):
            return None
        splits = {
            split: Split(
                np.memmap(folder / f"{split}.tokens", dtype="<u2", mode="r"),
                np.fromfile(folder / f"{split}.offsets", dtype="<i8"),
                tuple(names),
            )
            for split, names in index["splits"].items()
        }
        content = json.dumps([index["tokenizer"], index["splits"], index["sha256"]], sort_keys=True)
        return TokenDataset(
            folder,
            facts,
            generator.tokenizers.from_json(index["tokenizer"]),
            hashlib.sha256(content.encode()).hexdigest(),
            tuple((name, reason) for name, reason in index["skipped"]),
            index["report"],
            tuple(Omission(**omission) for omission in index["omissions"]),
            dict(index["styles"]),
            splits,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
