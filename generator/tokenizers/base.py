"""What every tokenizer is: a vocabulary table, an encoder, a grammar, and a decoder that keeps to the grammar.

The grammar says what may come next, so that every sampled stream is a valid piece by construction. It works on many
streams at once, each of which is a row of integers. A decoder has one such row: it is fed one token at a time and
yields the events that are now complete. Its whole state is a small JSON value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from generator.foundation.omissions import Report
from generator.music.score import MusicEvent, Note, Voice

Tokens = npt.NDArray[np.uint16]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Event = str | MusicEvent

LARGEST_COUNT = 2**53
"""Of ticks, notes and characters in a state from outside: whole in every reader of JSON, and far from where an int64
overflows."""


class Grammar:
    """What may follow what, for `n` streams at once. All that it remembers of a stream is one row of int64."""

    size: int
    """int64s in a row."""
    rules: Rows
    """The vocabulary, as the loops read it."""
    loops: tuple[Callable[[Rows, Rows, Mask], None], Callable[[Rows, Rows, Rows], None]]
    """`allowed` and `advance`, compiled: functions of the rules and what these take."""

    def begin(self) -> Rows:
        """The row of a stream that has said nothing, shape (size,)."""
        raise NotImplementedError

    def allowed(self, memory: Rows, masks: Mask) -> None:
        """Write which tokens may come next into `masks`, shape (n, vocab_size); `memory` has shape (n, size).

        No row is all `False` while every token was allowed when it came.
        """
        self.loops[0](self.rules, memory, masks)

    def advance(self, memory: Rows, tokens: Rows) -> None:
        """Take one token a stream, shape (n,), each below vocab_size; `memory`, shape (n, size), changes in place."""
        self.loops[1](self.rules, memory, tokens)


class Decoder(Protocol):
    """Tokens to events, incrementally, and the grammar of what may follow."""

    @property
    def memory(self) -> Rows:
        """Its row of the grammar's memory, shape (size,), current after every `feed`."""

    def feed(self, token: int) -> list[Event]:
        """Take one token; return the events it completes (often none)."""

    def feed_all(self, tokens: Sequence[int]) -> list[Event]:
        """Take several tokens; return the events they complete."""

    def allowed(self) -> Mask:
        """Which tokens may come next, shape (vocab_size,); never all False. Read-only: copy before changing."""

    @property
    def horizon_ticks(self) -> int:
        """Every event that starts before this tick has been returned; for text, the count of characters."""

    @property
    def now_ticks(self) -> int:
        """The current time: what the next tokens say does not start before."""

    @property
    def now_ms(self) -> int:
        """The current time in milliseconds from the start of the stream, rounded down; 0 for text."""

    def started(self, token: int, events: list[Event]) -> list[int]:
        """The pitches of notes that are known to start now that a token has been fed and has completed these events."""

    def state(self) -> dict[str, Any]:
        """Everything the decoder remembers, as a JSON value; `Tokenizer.decoder(state)` goes on from it."""


class GrammarDecoder:
    """What every decoder is made of: one row of a grammar's memory, `memory`.

    Raises:
        ValueError: the state, which may come from outside, is not one of this grammar.
    """

    def __init__(self, grammar: Grammar, vocab_size: int, state: dict[str, Any] | None) -> None:
        self._grammar = grammar
        self._rows: Rows = grammar.begin()[np.newaxis]
        self._tokens: Rows = np.zeros(1, dtype=np.int64)
        self._masks: Mask = np.zeros((1, vocab_size), dtype=np.bool_)
        self._view: Mask = self._masks[0]
        self._view.flags.writeable = False
        self.memory: Rows = self._rows[0]
        if state is None:
            return
        try:
            self._restore(state)
        except (AttributeError, LookupError, TypeError) as error:
            raise ValueError("a decoder's state lacks a value or has one of the wrong kind") from error
        if not self.allowed().any():
            raise ValueError("nothing may follow a decoder's state")

    def _restore(self, state: dict[str, Any]) -> None:
        """Write the state into `memory`. Compiled code trusts that memory, so nothing unsound may get there."""
        raise NotImplementedError

    def feed(self, token: int) -> list[Event]:
        """As `Decoder.feed`."""
        raise NotImplementedError

    def feed_all(self, tokens: Sequence[int]) -> list[Event]:
        """As `Decoder.feed_all`."""
        return [event for token in tokens for event in self.feed(token)]

    def started(self, token: int, events: list[Event]) -> list[int]:
        """As `Decoder.started`, where notes are events as soon as they start."""
        return [event.pitch for event in events if isinstance(event, Note)]

    def allowed(self) -> Mask:
        """Shape (vocab_size,), read-only; it changes with the next call."""
        self._grammar.allowed(self._rows, self._masks)
        return self._view

    def _advance(self, token: int) -> None:
        self._tokens[0] = token
        self._grammar.advance(self._rows, self._tokens)


def whole(value: Any, low: int, high: int) -> int:
    """A value from outside, if it is a whole number from `low` to `high`.

    Raises:
        ValueError: it is not.
    """
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"a decoder's state holds a value that is no whole number from {low} to {high}")
    return value


class Tokenizer(Protocol):
    """Pieces to token ids and back. A piece is a `str` or a `Score`."""

    kind: ClassVar[str]
    """`char`, `score`, `performance` or `frames`: the tag in `tokenizer.json`."""
    medium: ClassVar[str]
    """`text` or `music`: what a piece is."""
    report: ClassVar[type[Report]]
    """Its own kind of report."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def voices(self) -> tuple[Voice, ...]:
        """Who plays; none for text."""

    @property
    def ticks_per_quarter(self) -> int:
        """Of the scores that it decodes to; 1 for text, where a tick is a character."""

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that it knows; their tokens are the last of the vocabulary. At most one opens a piece."""

    @property
    def bar_lines(self) -> range:
        """The tokens that are bar lines; none where there are no bars."""

    @property
    def end(self) -> int:
        """The token that ends a piece."""

    @property
    def start(self) -> int:
        """The token that a cold stream is fed first, with a zero state. It completes no event."""

    @property
    def grammar(self) -> Grammar: ...

    def encode(self, piece: Any) -> Tokens:
        """A piece as tokens, the end token last.

        Raises:
            CarouselError: the piece is empty, or nothing in it can be expressed.
        """

    def quantise(self, piece: Any) -> tuple[Any, Report]:
        """A piece as it comes back when it is encoded and decoded, but for its end, and what that loses.

        Raises:
            CarouselError: nothing in it can be expressed.
        """

    def decode(self, tokens: Tokens) -> Any:
        """The piece (or pieces, one after another) that the tokens spell."""

    def decoder(self, state: dict[str, Any] | None = None) -> Decoder: ...

    def augment(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        """A random musical variant of one encoded piece: transposed, stretched. Text comes back as it is."""

    def cold_starts(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """Indices into one encoded piece where a cold stream may begin: the token there follows `start`."""

    def collect(self, events: list[Any]) -> Any:
        """Events of a decoder as a piece: a `str`, or a `Score` with this tokenizer's voices."""

    def to_json(self) -> dict[str, Any]: ...
