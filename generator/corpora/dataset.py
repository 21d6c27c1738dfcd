"""Tokens on disk: each split of a corpus as one memory-mapped row of token ids, built once.

A folder per corpus and tokenizer in the cache, named after what went into it:

    index.json           the tokenizer, the splits, the pieces' names, their styles, what was skipped or moved, each
                         file's SHA-256
    train.tokens         uint16, little-endian: the pieces one after another, each ending with the end token
    train.offsets        int64, little-endian: where each piece begins, and at last where the last one ends
    validation.tokens …

The folder appears whole, by one rename. What does not fit its hashes is built again. Of several processes that want the
same one builds it and the others wait. What was left out of it is listed in a text of its name in the folder `skipped`,
also where too little was left to build anything of.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from itertools import tee
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

import generator.tokenizers
from generator.corpora.base import Corpus, Facts, Piece, Progress
from generator.corpora.download import CACHE, cache_folder
from generator.corpora.progress import bar
from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.foundation.locks import alone
from generator.foundation.omissions import Omission, summed
from generator.foundation.terminal import printable, tell
from generator.music.score import Score
from generator.tokenizers.base import Tokenizer, Tokens
from generator.tokenizers.performance import PerformanceTokenizer

INDEX = "index.json"
FORMAT = 1


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

    def beginning(self, tokens: int) -> Split:
        """The first so many tokens, at least one; the last piece ends where they end."""
        tokens = min(tokens, len(self.tokens))
        ends = np.append(self.offsets[1:][self.offsets[1:] < tokens], tokens)
        return Split(self.tokens[:tokens], np.append(0, ends), self.names[: len(ends)])


@dataclass(frozen=True)
class TokenDataset:
    """A corpus as tokens."""

    folder: Path
    facts: Facts
    tokenizer: Tokenizer
    key: str
    """SHA-256, as hex, of the tokenizer and of all tokens: equal keys train alike."""
    skipped: tuple[tuple[str, str], ...]
    """(file or piece, reason) of everything left out; `skipped_list` has it too."""
    report: dict[str, float]
    """What the tokenizer could not express, by the names of its report's fields, over all pieces."""
    omissions: tuple[Omission, ...]
    """What the readers of files left out, over all pieces."""
    styles: dict[str, int]
    """How many pieces have each style, the commonest first; also those that the tokenizer leaves out."""
    _splits: dict[str, Split]

    @property
    def skipped_list(self) -> Path:
        """Where what was left out is listed, a line each; no file where nothing was."""
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
    """The corpus as tokens, out of the cache or newly built.

    Args:
        tokenizer: one to encode with, or the kind to fit to the training split; None for what suits the corpus.
        progress: show a bar on standard error while building, and say there what is waited for.

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
    digest = hashlib.sha256("\0".join((str(FORMAT), corpus.fingerprint(), wanted, _code())).encode()).hexdigest()
    folder = cache_folder() / "shards" / f"{Path(corpus.name).stem[:40]}-{digest[:16]}"
    dataset = _load(folder, corpus.facts)
    if dataset is None:

        def wait() -> None:
            if progress:
                tell(f"{Path(corpus.name).name}: another process is reading it; waiting")

        _make_place(folder.parent)
        with _alone(folder, wait):
            dataset = _load(folder, corpus.facts) or _built(corpus, tokenizer, folder, progress)
    corpus.skipped = list(dataset.skipped)
    return dataset


def _code() -> str:
    """A digest of the source that reads and encodes pieces: tokens that another version made are not reused."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> list[Path]:
    root = Path(generator.tokenizers.__file__).parents[1]
    readers = (path for path in (root / "corpora").glob("*.py") if path.name != "batches.py")
    writers = ("engraving.py", "layout.py", "soundfont.py", "soundfont_format.py")
    music = (path for path in (root / "music").glob("*.py") if path.name not in writers)
    return sorted([*(root / "tokenizers").glob("*.py"), *readers, *music])


def _make_place(parent: Path) -> None:
    """Make the folder of all datasets, and remove in it what killed processes have begun."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(parent, error) from error

    def busy() -> NoReturn:
        raise CarouselError("a living process is building it")

    for left in sorted(parent.glob(".*.????????")):
        if left.is_dir():
            with suppress(CarouselError), _alone(parent / left.name[1:-9], busy):
                shutil.rmtree(left, ignore_errors=True)


def _alone(folder: Path, busy: Callable[[], object]) -> AbstractContextManager[None]:
    """Keep the place of a dataset from other processes."""
    return alone(folder.with_name(f".{folder.name}.lock"), busy, f"set {CACHE} to another folder")


def _built(corpus: Corpus, tokenizer: Tokenizer | str, folder: Path, progress: bool) -> TokenDataset:
    """Build the dataset; a damaged folder that is there goes."""
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
            told = _skipped_list(folder)
            _write(corpus, tokenizer, made, lambda done, total: show(completed=done, total=total), told)
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    except OSError as error:
        raise _refused(folder, error) from error
    dataset = _load(folder, corpus.facts)
    if dataset is None:
        raise CarouselError(f"{folder}: what was written cannot be read back; check the disk or set {CACHE}")
    return dataset


def _refused(path: Path, error: OSError) -> CarouselError:
    reason = error.strerror or error
    return CarouselError(f"{error.filename or path}: {reason}; free some space or set {CACHE} to another folder")


def _skipped_list(folder: Path) -> Path:
    return folder.parents[1] / "skipped" / f"{folder.name}.txt"


def _write(corpus: Corpus, tokenizer: Tokenizer | str, folder: Path, progress: Progress, skipped_list: Path) -> None:
    if isinstance(tokenizer, str):
        try:
            tokenizer, pieces = _fitted(corpus, tokenizer, progress)
        except CarouselError as error:
            raise CarouselError(f"{error}{_write_skipped(corpus.skipped, skipped_list)}") from error
    else:
        pieces = corpus.read(progress)
    if tokenizer.vocab_size > 2**16:
        raise CarouselError(f"{corpus.name}: {tokenizer.vocab_size} different tokens; a dataset holds at most {2**16}")
    files = {split: (folder / f"{split}.tokens").open("wb") for split in corpus.splits}
    offsets: dict[str, list[int]] = {split: [0] for split in corpus.splits}
    names: dict[str, list[str]] = {split: [] for split in corpus.splits}
    unencoded: list[tuple[str, str]] = []
    reports: list[dict[str, float]] = []
    styles: Counter[str] = Counter()
    omissions: list[Omission] = []
    try:
        for split, piece in pieces:
            try:
                tokens = tokenizer.encode(piece.content)
            except CarouselError as error:
                unencoded.append((piece.name, str(error)))
                continue
            files[split].write(np.ascontiguousarray(tokens, dtype="<u2").tobytes())
            offsets[split].append(offsets[split][-1] + len(tokens))
            names[split].append(piece.name)
            if isinstance(piece.content, Score):
                omissions += piece.content.omissions
                if piece.content.style:
                    styles[piece.content.style] += 1
            reports.append(asdict(tokenizer.quantise(piece.content)[1]))
    finally:
        for file in files.values():
            file.close()
    skipped = [*corpus.skipped, *unencoded]
    why = _write_skipped(skipped, skipped_list)
    for split in ("train", "validation"):
        if not names[split]:
            raise CarouselError(f"{corpus.name}: no piece for the {split} split{why}")
    for split, ends in offsets.items():
        np.array(ends, dtype="<i8").tofile(folder / f"{split}.offsets")
    filled = {split: found for split, found in names.items() if found}
    index = {
        "tokenizer": tokenizer.to_json(),
        "splits": filled,
        "styles": dict(styles.most_common()),
        "skipped": skipped,
        "report": _total(reports),
        "omissions": [asdict(omission) for omission in summed(omissions)],
        "sha256": {
            f"{split}.{what}": _sha256(folder / f"{split}.{what}") for split in filled for what in ("tokens", "offsets")
        },
    }
    (folder / INDEX).write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")


def _write_skipped(skipped: Sequence[tuple[str, str]], path: Path) -> str:
    """Write the list of what was left out, if anything was; returns what an error says of it."""
    if not skipped:
        return ""
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as file:
        file.write("".join(f"{printable(name)}: {printable(reason)}\n" for name, reason in skipped).encode())
    return f"; {len(skipped)} were skipped, first {skipped[0][0]}: {skipped[0][1]}; {path} has all"


def _fitted(corpus: Corpus, kind: str, progress: Progress) -> tuple[Tokenizer, Iterator[tuple[str, Piece]]]:
    """A tokenizer of the training split, and all pieces."""
    training = corpus.read(progress)
    pieces = None
    if kind != PerformanceTokenizer.kind:  # recordings are large, and quickly read again
        training, pieces = tee(training)  # what the fit has consumed waits in memory for the encoder
    tokenizer = generator.tokenizers.fit(kind, (piece.content for split, piece in training if split == "train"))
    return tokenizer, pieces or corpus.read(progress)


def _total(reports: list[dict[str, float]]) -> dict[str, float]:
    """The reports of many pieces as one: the largest `max`, the `mean` over all notes, the sum of everything else."""
    total: dict[str, float] = {}
    for name in reports[0] if reports else ():
        if name.startswith("max_"):
            total[name] = max(report[name] for report in reports)
        elif name.startswith("mean_"):
            notes = sum(report["notes"] for report in reports)
            total[name] = sum(report[name] * report["notes"] for report in reports) / notes
        else:
            total[name] = sum(report[name] for report in reports)
    return total


def _load(folder: Path, facts: Facts) -> TokenDataset | None:
    """The dataset in a folder, or None where there is none or it is damaged."""
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if any(_sha256(folder / name) != expected for name, expected in index["sha256"].items()):
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
