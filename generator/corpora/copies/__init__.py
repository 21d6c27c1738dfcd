"""Is it copied? An index of a corpus's training split, which finds the longest run that it shares with a stream.

The index is a suffix array over characters, or over the intervals between notes. It lies beside the tokens as
`train.suffixes`, one uint32, little-endian, for each symbol: at most four bytes a training token. The symbols
themselves are read from the tokens. Whatever is there is checked in full when it is opened, and made anew if it is not
exactly the sorted suffixes.
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
    HEARD,
    RUN,
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
    """Where in the training split something stands: in which piece, and in which line, bar or second, from 1."""

    piece: str
    unit: str
    number: int

    def __str__(self) -> str:
        return f"{self.piece}, {self.unit} {self.number}"


@dataclass(frozen=True, slots=True)
class Runs:
    """What was found of each note or character of a stream; arrays of shape (notes or characters,)."""

    lengths: npt.NDArray[np.int64]
    """The length of the longest run that ends with it and stands in the training split too; 1 at least for a note."""
    places: npt.NDArray[np.int64]
    """Where that run begins, for `Index.place`; -1 where there is nothing to find."""
    heard: npt.NDArray[np.int64]
    """How many notes or characters its piece has so far: no run is longer."""


class Index:
    """The training split of a corpus, to be searched. What it remembers of a stream is one row of int64."""

    def __init__(
        self, split: Split, tokenizer: Tokenizer, suffixes: Suffixes, symbols: npt.NDArray[np.uint16], key: str
    ) -> None:
        self.tokenizer = tokenizer
        self.key = key
        """`TokenDataset.key`: indices with equal keys find the same."""
        self._split = split
        self._rules = rules(tokenizer)
        counts = np.bincount(symbols, minlength=int(self._rules[FIGURES, ALPHABET]))
        self._symbols, self._suffixes = symbols, suffixes
        self._buckets = np.append(0, np.cumsum(counts))

    @property
    def arrays(self) -> tuple[Rows, npt.NDArray[np.uint16], Suffixes, Rows]:
        """What the loops of `suffixes` read."""
        return self._rules, self._symbols, self._suffixes, self._buckets

    @property
    def unit(self) -> str:
        """What runs are counted in: `characters` or `notes`."""
        return "characters" if self.tokenizer.medium == "text" else "notes"

    def begin(self) -> Rows:
        """The memory of a stream that has said nothing, shape (SIZE,)."""
        return begin()

    def advance(self, memory: Rows, tokens: Rows) -> None:
        """Read one token a stream, shape (n,); `memory`, shape (n, SIZE), changes in place."""
        advance(self._rules, self._symbols, self._suffixes, self._buckets, memory, tokens)

    def follow(self, memory: Rows, tokens: Sequence[int] | Tokens) -> Runs:
        """Read a stream's next tokens, each below vocab_size; `memory`, shape (SIZE,), changes in place."""
        given = np.asarray(tokens, dtype=np.int64)
        said = np.empty((len(given), 3), dtype=np.int64)
        said = said[: follow(self._rules, self._symbols, self._suffixes, self._buckets, memory, given, said)]
        return Runs(said[:, RUN], said[:, AT], said[:, HEARD])

    def runs(self, tokens: Sequence[int] | Tokens) -> Runs:
        """Read a whole stream, or whole pieces."""
        return self.follow(self.begin(), tokens)

    def run(self, memory: Rows) -> int:
        """How many notes or characters long the run is that a stream is in."""
        return int(memory[LENGTH] + (memory[PITCH] != NONE))

    def where(self, memory: Rows) -> Place | None:
        """Where that run stands; None where there is nothing to find. Of music a piece is decoded."""
        at = begins(self._rules, memory)
        return None if at == NONE else self.place(at)

    def longest(self, memory: Rows) -> int:
        """How many notes or characters long the longest run is that a stream has been in."""
        return int(memory[MOST])

    def where_longest(self, memory: Rows) -> Place | None:
        """Where that one stands, as `where`."""
        return None if memory[MOST_AT] == NONE else self.place(int(memory[MOST_AT]))

    def check(self, memory: Rows) -> None:
        """Find out whether compiled code can trust a row from outside.

        Raises:
            ValueError: it cannot.
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
        """Write into `masks`, shape (n, vocab_size), which tokens would make each stream's run longer than its limit,
        shape (n,), which is 0 where there is none; `memory` has shape (n, SIZE)."""
        copying(self._rules, self._symbols, self._suffixes, memory, limits, masks)

    def spelled(self, events: Sequence[Event]) -> list[int]:
        """Tokens that say these events, as `reading.spelled` has it."""
        return spelled(self.tokenizer, self._rules, events)

    def place(self, at: int) -> Place:
        """The place with this number among `Runs.places`. Of music its piece is decoded."""
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
        """Where each piece begins among the symbols, shape (pieces,) or more."""
        if self.tokenizer.medium == "text":
            return self._split.offsets
        return np.flatnonzero(self._symbols == self._rules[FIGURES, BREAK])


def open_index(dataset: TokenDataset, progress: bool = True) -> Index:
    """The index of a corpus's training split, out of the cache or newly built.

    Args:
        progress: show a bar on standard error while building.

    Raises:
        CarouselError: the cache cannot be written, the corpus is too large, or copies are not looked for in its kind
            of tokens.
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
    """The sorted suffixes of these symbols, mapped from a file; None where there are none or they are damaged."""
    try:
        suffixes = np.asarray(np.memmap(path, dtype="<u4", mode="r"))
    except (OSError, ValueError):
        return None
    return suffixes if len(suffixes) == len(symbols) and is_sorted(symbols, suffixes, stop) else None
