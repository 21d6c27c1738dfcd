"""The files of a token dataset, written: pieces are read from a corpus, encoded, and appended to their split's file.

index.json           the tokenizer, the splits with the names of their pieces, how many pieces have each style, what
                     was skipped or could not be expressed, and the SHA-256 of each other file
train.tokens         uint16, little-endian: the pieces one after another, each with the end token last
train.offsets        int64, little-endian: where each piece begins, and at last where the last one ends
validation.tokens …
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from itertools import tee
from pathlib import Path

import numpy as np

import generator.tokenizers
from generator.corpora.base import Corpus, Piece, Progress
from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Omission, Report, summed
from generator.foundation.terminal import printable
from generator.music.score import Score
from generator.tokenizers.base import Tokenizer
from generator.tokenizers.performance import PerformanceTokenizer

INDEX = "index.json"


def write_dataset(
    corpus: Corpus, tokenizer: Tokenizer | str, folder: Path, progress: Progress, skipped_list: Path
) -> None:
    """Encode a corpus into an empty folder.

    Args:
        tokenizer: one to encode with, or the kind to fit to the training split.
        skipped_list: the text file that lists what was left out; it is also written if too little is left to encode.

    Raises:
        CarouselError: the corpus cannot be read, has no piece for training or validation, or has too many different
            tokens for uint16.
        OSError: a file cannot be written.
    """
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
    reports: list[Report] = []
    styles: Counter[str] = Counter()
    omissions: list[Omission] = []
    try:
        for split, piece in pieces:
            try:
                tokens, report = tokenizer.encoded(piece.content)
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
            reports.append(report)
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
        "report": _merged(reports),
        "omissions": [asdict(omission) for omission in summed(omissions)],
        "sha256": {
            f"{split}.{what}": sha256_of(folder / f"{split}.{what}")
            for split in filled
            for what in ("tokens", "offsets")
        },
    }
    (folder / INDEX).write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")


def _write_skipped(skipped: Sequence[tuple[str, str]], path: Path) -> str:
    """Write the list of what was left out, if anything was; returns the part of an error message about it."""
    if not skipped:
        return ""
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as file:
        file.write("".join(f"{printable(name)}: {printable(reason)}\n" for name, reason in skipped).encode())
    return f"; {len(skipped)} were skipped, first {skipped[0][0]}: {skipped[0][1]}; {path} has all"


def _fitted(corpus: Corpus, kind: str, progress: Progress) -> tuple[Tokenizer, Iterator[tuple[str, Piece]]]:
    """A tokenizer fitted to the training split, and all pieces with their splits."""
    training = corpus.read(progress)
    pieces = None
    if kind != PerformanceTokenizer.kind:  # recorded performances are large, and can quickly be read a second time
        training, pieces = tee(training)  # keeps in memory what the fit has consumed, for the encoder
    tokenizer = generator.tokenizers.fit(kind, (piece.content for split, piece in training if split == "train"))
    return tokenizer, pieces or corpus.read(progress)


def _merged(reports: list[Report]) -> dict[str, float]:
    """The tokenizer's reports on many pieces as one: of `max_…` the largest, of `mean_…` the mean over all notes, of
    everything else the sum."""
    total: dict[str, float] = {}
    values = {spec.name: [getattr(report, spec.name) for report in reports] for spec in fields(reports[0])}
    for name, of_pieces in values.items():
        if name.startswith("max_"):
            total[name] = max(of_pieces)
        elif name.startswith("mean_"):
            weighted = sum(mean * notes for mean, notes in zip(of_pieces, values["notes"], strict=True))
            total[name] = weighted / sum(values["notes"])
        else:
            total[name] = sum(of_pieces)
    return total


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
