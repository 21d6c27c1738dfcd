"""Constraints on text: the characters that a stream may use, and the text that it starts with."""

from __future__ import annotations

from typing import ClassVar

from generator.foundation.errors import CarouselError, Option
from generator.foundation.jit import compiled
from generator.foundation.options import SamplingOptions
from generator.streaming.violations import CHARACTERS, CONSTRAINED, NEVER_ENDS, TABLE, close_violating, encode_shared
from generator.tokenizers.base import Mask, Rows
from generator.tokenizers.char import UNKNOWN, CharTokenizer

MOST_LISTED = 100
"""The maximum number of characters that an error message lists."""


@compiled
def restrict(
    rules: Rows, end: int, constraints: Rows, given: Mask, memory: Rows, masks: Mask, violations: Rows, relaxed: Rows
) -> None:
    """See `constraints.Restrict`."""
    for stream in range(len(masks)):
        encoded, mask = constraints[stream], masks[stream]
        if encoded[CONSTRAINED] and not given[stream]:
            if encoded[NEVER_ENDS]:
                mask[end] = False
            relaxed[stream] |= close_violating(mask, encoded[TABLE:])


class TextConstraints:
    """Encodes the constraints on text for one vocabulary."""

    names: ClassVar[tuple[str, ...]] = ("starts_with", "characters")

    def __init__(self, tokenizer: CharTokenizer) -> None:
        self._tokenizer = tokenizer
        self.size = TABLE + tokenizer.vocab_size

    def encode(self, options: SamplingOptions) -> Rows:
        encoded = encode_shared(options, self.size - TABLE)
        self._tokens("starts_with", options.starts_with)  # raises if a character is unknown
        if options.characters:
            encoded[TABLE:] = CHARACTERS
            encoded[TABLE:][self._tokens("characters", options.characters)] = 0
            # The end of a piece is decoded as a line break.
            encoded[TABLE + self._tokenizer.end] = 0 if "\n" in options.characters else CHARACTERS
        return encoded

    def _tokens(self, name: str, text: str | None) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text)[:-1].tolist() if text else []
        unknown = {character for character, token in zip(text or "", tokens, strict=True) if token == UNKNOWN}
        if unknown:
            raise CarouselError(
                Option(name),
                f" has {' '.join(map(repr, sorted(unknown)))}, unknown to this checkpoint; "
                f"it knows {self._tokenizer.characters[:MOST_LISTED]!r}",
            )
        return tokens
