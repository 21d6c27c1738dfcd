"""What every tokenizer is: a vocabulary table, an encoder, and a decoder that is also the grammar.

A decoder is fed one token at a time and yields the events that are now complete. `allowed()` masks what may come next,
so that every sampled stream is a valid piece by construction. Its whole state is a small JSON value.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from generator.music.score import MusicEvent, Voice

Tokens = npt.NDArray[np.uint16]
Mask = npt.NDArray[np.bool_]
Event = str | MusicEvent


class Decoder(Protocol):
    """Tokens to events, incrementally, and the grammar of what may follow."""

    def feed(self, token: int) -> list[Event]:
        """Take one token; return the events it completes (often none)."""

    def allowed(self) -> Mask:
        """Which tokens may come next, shape (vocab_size,); never all False. Read-only: copy before changing."""

    @property
    def horizon_ticks(self) -> int:
        """Every event that starts before this tick has been returned; for text, the count of characters."""

    def state(self) -> dict[str, Any]:
        """Everything the decoder remembers, as a JSON value; `Tokenizer.decoder(state)` goes on from it."""


class Tokenizer(Protocol):
    """Pieces to token ids and back. A piece is a `str` or a `Score`."""

    kind: ClassVar[str]
    """`char`, `score` or `performance`: the tag in `tokenizer.json`."""
    medium: ClassVar[str]
    """`text` or `music`: what a piece is."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def voices(self) -> tuple[Voice, ...]:
        """Who plays; none for text."""

    @property
    def ticks_per_quarter(self) -> int:
        """Of the scores that it decodes to; 1 for text, where a tick is a character."""

    @property
    def end(self) -> int:
        """The token that ends a piece."""

    @property
    def start(self) -> int:
        """The token that a cold stream is fed first, with a zero state. It completes no event."""

    def encode(self, piece: Any) -> Tokens:
        """A piece as tokens, the end token last.

        Raises:
            CarouselError: the piece is empty, or nothing in it can be expressed.
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
