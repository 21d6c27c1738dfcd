"""Copies: an index of a corpus's training split, which finds the longest run that a stream shares with it.

A run is a number of notes or characters in a row. The index is a suffix array over characters, or over the intervals
between notes. Its file `train.suffixes` is beside the tokens, with one uint32, little-endian, for each symbol: at most
four bytes a training token. The symbols themselves are computed from the tokens. The file is checked in full when it is
opened, and made anew if it is not exactly the sorted suffixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from generator.corpora.copies.reading import (
    ABOVE_C,
    ALPHABET,
    BREAK,
    DRUM,
    FIGURES,
    LENGTH,
    MOST,
    MOST_AT,
    NONE,
    PITCH,
    PLACE,
    SIZE,
    UNISON,
    begin,
    in_order,
    rules,
    spelled,
    symbols_of,
)
from generator.corpora.copies.suffixes import (
    AT,
    RUN,
    SO_FAR,
    Suffixes,
    advance,
    begins,
    copying,
    follow,
    is_sorted,
    sort_suffixes,
)
from generator.corpora.dataset import Split, TokenDataset
from generator.corpora.download import CACHE
from generator.corpora.progress import bar
from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.tokenizers.base import LARGEST_COUNT, Event, Mask, Rows, Tokenizer, Tokens

FILE = "train.suffixes"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the training split: the piece, and in it the line, bar or second, counted from 1."""

    piece: str
    unit: str
    """`line`, `bar` or `second`."""
    number: int

    def __str__(self) -> str:
        return f"{self.piece}, {self.unit} {self.number}"


@dataclass(frozen=True, slots=True)
class Runs:
    """For each note or character of a stream, the longest run in the training split that ends with it. The arrays have
    shape (notes or characters,)."""

    lengths: npt.NDArray[np.int64]
    """The length of that run in notes or characters; at least 1 for a note."""
    places: npt.NDArray[np.int64]
    """Where that run begins in the training split, for `Index.place`; -1 if there is no run."""
    so_far: npt.NDArray[np.int64]
    """The number of notes or characters of its piece up to it, which no run exceeds."""


class Index:
    """The training split of a corpus, made searchable. All that it needs of a stream's past is in a row of int64, the
    stream's memory."""

    def __init__(
        self, split: Split, tokenizer: Tokenizer, suffixes: Suffixes, symbols: npt.NDArray[np.uint16], key: str
    ) -> None:
        self.tokenizer = tokenizer
        self.key = key
        """`TokenDataset.key`; indices with equal keys give equal results."""
        self._split = split
        self._rules = rules(tokenizer)
        counts = np.bincount(symbols, minlength=int(self._rules[FIGURES, ALPHABET]))
        self._symbols, self._suffixes = symbols, suffixes
        self._buckets = np.append(0, np.cumsum(counts))

    @property
    def arrays(self) -> tuple[Rows, npt.NDArray[np.uint16], Suffixes, Rows]:
        """The arrays that the compiled loops in `suffixes.py` read: rules, symbols, suffixes and buckets."""
        return self._rules, self._symbols, self._suffixes, self._buckets

    @property
    def unit(self) -> str:
        """The unit of the length of runs: `characters` or `notes`."""
        return "characters" if self.tokenizer.medium == "text" else "notes"

    def begin(self) -> Rows:
        """The memory of a stream that has no tokens yet, shape (SIZE,)."""
        return begin()

    def advance(self, memory: Rows, tokens: Rows) -> None:
        """Read the next token of each of n streams, shape (n,); `memory`, shape (n, SIZE), is updated in place."""
        advance(self._rules, self._symbols, self._suffixes, self._buckets, memory, tokens)

    def follow(self, memory: Rows, tokens: Sequence[int] | Tokens) -> Runs:
        """Read the next tokens of one stream, each below vocab_size; `memory`, shape (SIZE,), is updated in place."""
        given = np.asarray(tokens, dtype=np.int64)
        found = np.empty((len(given), 3), dtype=np.int64)
        found = found[: follow(self._rules, self._symbols, self._suffixes, self._buckets, memory, given, found)]
        return Runs(found[:, RUN], found[:, AT], found[:, SO_FAR])

    def runs(self, tokens: Sequence[int] | Tokens) -> Runs:
        """The runs of a whole stream, or of whole pieces."""
        return self.follow(self.begin(), tokens)

    def run(self, memory: Rows) -> int:
        """The length, in notes or characters, of the run that the stream is in."""
        return int(memory[LENGTH] + (memory[PITCH] != NONE))

    def where(self, memory: Rows) -> Place | None:
        """The place of the run that the stream is in; None if it is in none. For music this decodes a piece."""
        at = begins(self._rules, memory)
        return None if at == NONE else self.place(at)

    def longest(self, memory: Rows) -> int:
        """The length, in notes or characters, of the longest run of the stream so far."""
        return int(memory[MOST])

    def where_longest(self, memory: Rows) -> Place | None:
        """The place of the longest run so far, as `where`."""
        return None if memory[MOST_AT] == NONE else self.place(int(memory[MOST_AT]))

    def check(self, memory: Rows) -> None:
        """Check a memory that was read from a file: compiled loops index arrays by its values without bounds checks.

        Raises:
            ValueError: its shape, its type or a value is not one that a memory can have.
        """
        if memory.shape != (SIZE,) or memory.dtype != np.int64:
            raise ValueError("no row of memory")
        lowest, highest = np.zeros(SIZE, np.int64), np.full(SIZE, LARGEST_COUNT)
        lowest[[ABOVE_C, PITCH, MOST_AT]] = -6, NONE, NONE
        highest[[DRUM, ABOVE_C, PITCH]] = 1, 6, 2 * UNISON
        highest[[PLACE, MOST_AT]] = max(0, len(self._symbols) - 1)
        if (memory < lowest).any() or (memory > highest).any() or memory[LENGTH] > memory[PLACE] + 1:
            raise ValueError("a row of memory is out of its bounds")

    def copying(self, memory: Rows, limits: Rows, masks: Mask) -> None:
        """Find the tokens that would make a stream's run longer than its limit.

        Args:
            memory: shape (n, SIZE).
            limits: in notes or characters, shape (n,); 0 for no limit.
            masks: where the result is written, shape (n, vocab_size).
        """
        copying(self._rules, self._symbols, self._suffixes, memory, limits, masks)

    def spelled(self, events: Sequence[Event]) -> list[int]:
        """Tokens for the notes or characters of these events; see `reading.spelled`."""
        return spelled(self.tokenizer, self._rules, events)

    def place(self, at: int) -> Place:
        """The place for a value of `Runs.places`. For music this decodes its piece."""
        begins = self._begins
        piece = int(np.searchsorted(begins, at, side="right")) - 1
        name, tokens, within = self._split.names[piece], self._split[piece], at - int(begins[piece])
        if self.tokenizer.medium == "text":
            return Place(name, "line", 1 + int((tokens[:within] == self.tokenizer.start).sum()))
        score = self.tokenizer.decode(tokens)
        note = in_order(self.tokenizer, score.notes)[within]
        if score.bars:
            return Place(name, "bar", sum(line.start_ticks <= note.start_ticks for line in score.bars))
        return Place(name, "second", 1 + int(score.clock().seconds(note.start_ticks)))

    @cached_property
    def _begins(self) -> npt.NDArray[np.int64]:
        """Where each piece begins among the symbols, ascending, shape (at least pieces,)."""
        if self.tokenizer.medium == "text":
            return self._split.offsets
        return np.flatnonzero(self._symbols == self._rules[FIGURES, BREAK])


def open_index(dataset: TokenDataset, progress: bool = True) -> Index:
    """The index of a corpus's training split, from the cache or newly built.

    Args:
        progress: show a bar on standard error while building.

    Raises:
        CarouselError: the cache cannot be written, the corpus is too large, or copies are not defined for its kind of
            tokens.
    """
    from rich.progress import TaskProgressColumn, TimeElapsedColumn

    split, path = dataset.split("train"), dataset.folder / FILE
    table = rules(dataset.tokenizer)
    symbols, stop = symbols_of(table, split.tokens), int(table[FIGURES, BREAK])
    suffixes = _load(path, symbols, stop)
    if suffixes is None:
        if len(symbols) >= 2**32:
            raise CarouselError(
                f"{dataset.facts.name}: an index holds at most {2**32:,} symbols; take a smaller corpus"
            )
        label = f"{Path(dataset.facts.name).name}: indexing"
        with bar(label, TaskProgressColumn(), TimeElapsedColumn(), visible=progress) as show:
            made = sort_suffixes(symbols, stop, lambda done, total: show(completed=done, total=total))
        with atomic_write(path) as file:
            file.write(made.astype("<u4").tobytes())
        suffixes = _load(path, symbols, stop)
        if suffixes is None:
            raise CarouselError(f"{path}: what was written cannot be read back; check the disk or set {CACHE}")
    return Index(split, dataset.tokenizer, suffixes, symbols, dataset.key)


def _load(path: Path, symbols: npt.NDArray[np.uint16], stop: int) -> Suffixes | None:
    """The sorted suffixes of these symbols, memory-mapped from a file; None if it is missing or wrong."""
    try:
        suffixes = np.asarray(np.memmap(path, dtype="<u4", mode="r"))
    except (OSError, ValueError):
        return None
    return suffixes if len(suffixes) == len(symbols) and is_sorted(symbols, suffixes, stop) else None
