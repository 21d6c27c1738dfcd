"""Constraints on text: its characters, the lines of its paragraphs, and the text that it starts with."""

from __future__ import annotations

from typing import ClassVar

from generator.foundation.errors import CarouselError, Option
from generator.foundation.jit import compiled
from generator.foundation.options import SamplingOptions
from generator.streaming.violations import CHARACTERS, LINES, LINES_ASKED, TABLE, encode_shared, restricting
from generator.tokenizers import char
from generator.tokenizers.base import Mask, Rows
from generator.tokenizers.char import UNKNOWN, CharTokenizer

MOST_LISTED = 100
"""The maximum number of characters that an error message lists."""


@compiled
def write_violations(rules: Rows, encoded: Rows, row: Rows, mask: Mask, violations: Rows) -> None:
    """Write the violation of each allowed token."""
    asked = encoded[LINES_ASKED]
    for token in range(len(mask)):
        violations[token] = encoded[TABLE + token]
        if asked > 0 and breaks_count(asked, row, rules[char.BREAKS, token]):
            violations[token] |= LINES


@compiled
def breaks_count(asked: int, row: Rows, breaks: int) -> bool:
    """Whether a token, of which `rules` says how it `breaks`, gives a paragraph more or less than `asked` lines."""
    if row[char.IN_LINE]:  # its line may end, but not the piece with it
        return bool(breaks == char.PIECE_END)
    return bool((breaks == char.NO_BREAK) == (row[char.LINES] >= asked))


restrict = restricting("text", write_violations)


class TextConstraints:
    """Encodes the constraints on text for one vocabulary."""

    names: ClassVar[tuple[str, ...]] = ("starts_with", "lines", "characters")

    def __init__(self, tokenizer: CharTokenizer) -> None:
        self._tokenizer = tokenizer
        self.size = TABLE + tokenizer.vocab_size

    def encode(self, options: SamplingOptions) -> Rows:
        encoded = encode_shared(options, self.size - TABLE)
        self._tokens("starts_with", options.starts_with)  # raises if a character is unknown
        if options.lines:
            encoded[LINES_ASKED] = options.lines
            if "\n" not in self._tokenizer.characters:
                raise CarouselError(Option("lines"), " needs a checkpoint that knows line breaks; this one knows none")
            if options.characters and ("\n" not in options.characters or not options.characters.strip("\n")):
                raise CarouselError(
                    Option("lines"), " needs line breaks and something between them; add to ", Option("characters")
                )
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
