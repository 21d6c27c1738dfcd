"""The interface of every tokenizer: a vocabulary, an encoder, a grammar and an incremental decoder.

The grammar decides which tokens may come next, so every sampled stream is a valid piece. It works on many streams at
once; all that it remembers of a stream is one row of integers. A decoder holds one such row. It takes one token at a
time and returns the events that are now complete. Its whole state is a small JSON value; `decoders` has what the
decoders share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled, specialised
from generator.foundation.omissions import Report
from generator.music.score import MusicEvent, Note, Voice
from generator.tokenizers.labels import Labels

Tokens = npt.NDArray[np.uint16]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Event = str | MusicEvent
FeatureIds = npt.NDArray[np.uint16]

LARGEST_COUNT = 2**53
"""The largest number of ticks, notes or characters that is accepted in a state from outside. Every JSON reader keeps it
exact, and sums with it do not overflow an int64."""
SILENT = 2**62
"""Stands for the start of a note where no note sounds. It is later than every tick."""


@compiled
def no_features(rules: Rows, memory: Rows, ids: Rows) -> None:
    """`Grammar.features` of a grammar without features."""


class Loops(NamedTuple):
    """The methods of a grammar as compiled functions, which take `rules` before their other arguments."""

    allowed: Callable[[Rows, Rows, Mask], None]
    advance: Callable[[Rows, Rows, Rows], None]
    features: Callable[[Rows, Rows, Rows], None] = no_features


class Grammar:
    """Which tokens may follow which, for `n` streams at once. A stream's memory is one row of int64."""

    size: int
    """The length of a row of memory."""
    rules: Rows
    """The vocabulary, as an array for the compiled loops."""
    loops: Loops
    columns: int = 0
    """The number of features, which a model may read besides each token; 0 if there are none."""
    feature_rows: int = 0
    """The number of values of all features together; the ids of one feature follow those of another."""

    def begin(self) -> Rows:
        """The memory of a stream without any tokens, shape (size,)."""
        raise NotImplementedError

    def allowed(self, memory: Rows, masks: Mask) -> None:
        """Write into `masks`, shape (n, vocab_size), which tokens may come next; `memory` has shape (n, size).

        A row of the mask has at least one `True` if every token so far was allowed.
        """
        self.loops.allowed(self.rules, memory, masks)

    def advance(self, memory: Rows, tokens: Rows) -> None:
        """Add one token to each stream. `tokens`, shape (n,), are below vocab_size; `memory`, shape (n, size), changes
        in place."""
        self.loops.advance(self.rules, memory, tokens)

    def features(self, memory: Rows, ids: Rows) -> None:
        """Write into `ids`, shape (n, columns), the ids of the features before the next token, each below
        `feature_rows`; `memory` has shape (n, size)."""
        if self.columns:  # the loop of a kind that may have features writes them all
            self.loops.features(self.rules, memory, ids)

    def features_before(self, tokens: npt.NDArray[np.integer[Any]], memory: Rows | None = None) -> FeatureIds:
        """The ids of the features before each token of one stream, (tokens, columns), which goes on from a row of
        memory, by default from its start."""
        ids = np.empty((len(tokens), self.columns), np.uint16)
        if self.columns:
            rows = (self.begin() if memory is None else memory)[np.newaxis].copy()
            found = np.empty((1, self.columns), np.int64)
            _compiled_for(self.loops)(self.rules, rows, np.asarray(tokens, np.int64), found, ids)
        return ids

    def ask_length(self, memory: Rows, bars: int) -> None:
        """Tell the features in a row of memory how many bars its pieces are to have; 0 if any number will do,
        and negative if the bar of an upbeat is not one of them."""

    def memories(self, tokens: npt.NDArray[np.integer[Any]], part: int = 4096) -> Iterator[Rows]:
        """The memory of one stream before each token of `tokens`, (tokens, size), in parts, of which the next one
        overwrites the last."""
        memory, rows = self.begin()[np.newaxis], np.empty((part, self.size), np.int64)
        given = np.asarray(tokens, np.int64)
        for first in range(0, len(given), part):
            some = given[first : first + part]
            for row in range(len(some)):
                rows[row] = memory[0]
                self.advance(memory, some[row : row + 1])
            yield rows[: len(some)]

    def masks(self, tokens: npt.NDArray[np.integer[Any]], vocab_size: int, part: int) -> Iterator[Mask]:
        """Which tokens may come where each of `tokens` comes, (part or fewer, vocab_size), part by part."""
        for rows in self.memories(tokens, part):
            masks = np.empty((len(rows), vocab_size), np.bool_)
            self.allowed(rows, masks)
            yield masks


features: Any
advance: Any
features = advance = None
"""What `specialised` replaces in `_features_before`."""


def _features_before(rules: Rows, memory: Rows, tokens: Rows, found: Rows, ids: FeatureIds) -> None:
    for step in range(len(tokens)):
        features(rules, memory, found)
        for column in range(ids.shape[1]):
            ids[step, column] = found[0, column]
        advance(rules, memory, tokens[step : step + 1])


@cache
def _compiled_for(loops: Loops) -> Any:
    names = {"advance": loops.advance, "features": loops.features}
    return specialised(_features_before, loops.features.__module__.rpartition(".")[2], **names)


class Decoder(Protocol):
    """Decodes tokens to events incrementally, and determines which tokens may come next."""

    @property
    def memory(self) -> Rows:
        """Its row of the grammar's memory, shape (size,); `feed` changes it in place."""

    def feed(self, token: int) -> list[Event]:
        """Take one token, and return the events that it completes (often none)."""

    def feed_all(self, tokens: Sequence[int]) -> list[Event]:
        """Take several tokens, and return the events that they complete."""

    def skip(self, tokens: Sequence[int]) -> None:
        """Take several tokens, and make no events of them, which is faster."""

    def allowed(self) -> Mask:
        """Which tokens may come next, shape (vocab_size,), at least one. The array is read-only, and the next call
        overwrites it."""

    @property
    def horizon_ticks(self) -> int:
        """All events that start before this tick have been returned. For text, the number of characters."""

    @property
    def now_ticks(self) -> int:
        """The current time, before which no later token can start a note. For text, the number of characters."""

    @property
    def now_ms(self) -> int:
        """The current time in milliseconds from the start of the stream, rounded down; 0 for text."""

    def started(self, token: int, events: list[Event]) -> list[int]:
        """The pitches of the notes that start with a token that was just fed, given the events that it completed."""

    def describe(self, token: int) -> str:
        """What a token would mean here, in a few words: `C♯5`, `dotted quarter`, `next bar`, `space`."""

    def decisions(self, tokens: Sequence[int], note: Note) -> dict[str, int]:
        """The decisions that made a note, by their names: each was so many tokens before the last one of `tokens`,
        which have just been fed. Empty if that token does not begin this note."""

    def state(self) -> dict[str, Any]:
        """The whole state as a JSON value; `Tokenizer.decoder(state)` continues from it."""


def whole(value: Any, low: int, high: int) -> int:
    """Check that a value from outside is an integer from `low` to `high`, and return it.

    Raises:
        ValueError: it is not.
    """
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"a decoder's state holds a value that is no whole number from {low} to {high}")
    return value


class Tokenizer(Protocol):
    """Encodes pieces as token ids and decodes them. A piece is a `str` or a `Score`."""

    kind: ClassVar[str]
    """`char`, `score`, `performance`, `drums` or `frames`, as in `tokenizer.json`."""
    medium: ClassVar[str]
    """`text` if pieces are `str`, `music` if they are `Score`."""
    report: ClassVar[type[Report]]
    """The class of the reports that `quantise` returns."""

    @property
    def vocab_size(self) -> int: ...

    voices: tuple[Voice, ...]
    """The voices of decoded scores; empty for text."""

    @property
    def ticks_per_quarter(self) -> int:
        """The resolution of decoded scores; 1 for text, where a character counts as a tick."""

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles in the vocabulary, whose tokens are its last ones. A piece may begin with one of them."""

    @property
    def bar_lines(self) -> range:
        """The tokens that are bar lines; empty if the vocabulary has none."""

    @property
    def end(self) -> int:
        """The token that ends a piece."""

    @property
    def start(self) -> int:
        """The token that the model reads first in a stream without a primer. It completes no event."""

    @property
    def grammar(self) -> Grammar: ...

    def encode(self, piece: Any) -> Tokens:
        """Encode a piece, shape (tokens,); the last token is `end`.

        Raises:
            CarouselError: the piece is empty, or the vocabulary can express nothing of it.
        """

    def encoded(self, piece: Any) -> tuple[Tokens, Report]:
        """The tokens of `encode`, and a report of what they lose."""

    def quantise(self, piece: Any) -> tuple[Any, Report]:
        """The piece that encoding and decoding give, except for its end, and a report of what they lose.

        Raises:
            CarouselError: the vocabulary can express nothing of the piece.
        """

    def decode(self, tokens: Tokens) -> Any:
        """Decode tokens, shape (tokens,). Several encoded pieces become one piece, one after another.

        Raises:
            CarouselError: the tokens do not follow the grammar, where the decoder checks that.
        """

    def decoder(self, state: dict[str, Any] | None = None) -> Decoder:
        """A decoder at the start of a stream, or one that continues from the `Decoder.state` of another one.

        Raises:
            ValueError: the state is not valid.
        """

    def labels(self, tokens: Tokens) -> Labels:
        """What is known before each of the tokens of encoded pieces, by names that people can read; see `labels`."""

    def augment(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        """A random variant of one encoded piece for training: music is transposed or stretched, text is unchanged."""

    def cold_starts(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """Where a training sequence may begin in one encoded piece, as indices; `start` is put before that token."""

    def collect(self, events: list[Any]) -> Any:
        """Make a piece of decoded events: a `str`, or a `Score` with this tokenizer's voices."""

    def to_json(self) -> dict[str, Any]:
        """The tokenizer as a JSON value, from which `generator.tokenizers.from_json` makes an equal one."""
