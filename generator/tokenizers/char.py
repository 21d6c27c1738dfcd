"""Text with one token for each character of the training split, one for unknown characters and one for the end."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.foundation.jit import compiled
from generator.foundation.omissions import Report, cause
from generator.music.score import Voice
from generator.tokenizers import char_labels
from generator.tokenizers.base import LARGEST_COUNT, Event, Grammar, Loops, Mask, Rows, Tokens, whole
from generator.tokenizers.decoders import GrammarDecoder
from generator.tokenizers.labels import Labels

UNKNOWN = 0
END = 1
SPECIAL = ("<unknown>", "<end>")
MOST_CHARACTERS = 2**16 - len(SPECIAL)
NAMES = {" ": "space", "\n": "new line", "\t": "tab"}
REPLACEMENT = "\ufffd"
"""The unknown token decodes to Unicode's replacement character."""


@dataclass(frozen=True, slots=True)
class CharReport(Report):
    """How many characters of a text are not in the vocabulary."""

    characters: int
    unknown: int = cause(
        "character", "read as unknown", "not in the training split", remedy="write others", of="characters"
    )


@compiled
def allowed(rules: Rows, memory: Rows, masks: Mask) -> None:
    """`Grammar.allowed`. `rules`, shape (1, vocab_size), is 1 for the tokens that may come, else 0."""
    for stream in range(len(masks)):
        for token in range(masks.shape[1]):
            masks[stream, token] = rules[0, token] != 0


@compiled
def advance(rules: Rows, memory: Rows, tokens: Rows) -> None:
    """`Grammar.advance`: there is nothing to remember."""


class CharGrammar(Grammar):
    """Any token may follow any other, except that the unknown token is never sampled."""

    size: int = 0
    loops = Loops(allowed, advance)

    def __init__(self, allowed: Mask) -> None:
        """Make the grammar that allows the tokens in `allowed`, shape (vocab_size,)."""
        self.rules = allowed[np.newaxis].astype(np.int64)

    def begin(self) -> Rows:
        return np.zeros(0, dtype=np.int64)


class CharDecoder(GrammarDecoder):
    """Every token is one complete character."""

    def __init__(self, tokenizer: CharTokenizer, state: dict[str, Any] | None = None) -> None:
        self._texts = tokenizer.texts
        self._count = 0
        super().__init__(tokenizer.grammar, tokenizer.vocab_size, state)

    def _restore(self, state: dict[str, Any]) -> None:
        self._count = whole(state["count"], 0, LARGEST_COUNT)

    def feed(self, token: int) -> list[Event]:
        self._count += 1
        return [self._texts[token]]

    def feed_all(self, tokens: Sequence[int]) -> list[Event]:
        self._count += len(tokens)
        return [self._texts[token] for token in tokens]

    def skip(self, tokens: Sequence[int]) -> None:
        self._count += len(tokens)

    def describe(self, token: int) -> str:
        if token in (UNKNOWN, END):
            return ("unknown character", "end of the text")[token]
        character = self._texts[token]
        if unicodedata.category(character)[0] in "CZ":  # invisible
            return NAMES.get(character) or unicodedata.name(character, f"U+{ord(character):04X}").lower()
        return f"◌{character}" if unicodedata.combining(character) else character

    @property
    def horizon_ticks(self) -> int:
        return self._count

    now_ticks = horizon_ticks
    now_ms = 0

    def state(self) -> dict[str, Any]:
        return {"count": self._count}


class CharTokenizer:
    """Encodes text, one token a character. Token 0 is the unknown one and 1 the end; characters begin at 2."""

    kind: ClassVar[str] = "char"
    medium: ClassVar[str] = "text"
    styles: ClassVar[tuple[str, ...]] = ()
    end: int = END
    ticks_per_quarter: ClassVar[int] = 1
    bar_lines: ClassVar[range] = range(0)
    report: ClassVar[type[Report]] = CharReport

    def __init__(self, characters: str) -> None:
        """Make the vocabulary of these characters, which get their ids in this order.

        Raises:
            CarouselError: there are none or too many, two are equal, or one is a surrogate.
        """
        if not characters:
            raise CarouselError("a char tokenizer needs at least one character")
        if len(characters) > MOST_CHARACTERS:
            raise CarouselError(f"{len(characters)} different characters; tokens have 16 bits, for {MOST_CHARACTERS}")
        if len(set(characters)) < len(characters):
            raise CarouselError("a char tokenizer has a character twice; restore the checkpoint")
        if any("\ud800" <= character <= "\udfff" for character in characters):
            raise CarouselError("half a surrogate pair is no character; give text that is UTF-8")
        self.characters = characters
        self.voices: tuple[Voice, ...] = ()
        self._ids = {character: index + len(SPECIAL) for index, character in enumerate(characters)}
        self.texts = (REPLACEMENT, "\n", *characters)
        """The text of each token. All decoders share this tuple, so that it stays in the processor's cache."""
        self.vocab_size = len(SPECIAL) + len(characters)
        self.start = self._ids.get("\n", END)
        self.grammar = CharGrammar(np.arange(self.vocab_size) != UNKNOWN)

    @staticmethod
    def fit(pieces: Iterable[str]) -> CharTokenizer:
        """The tokenizer for all characters of the training pieces, in code point order.

        Raises:
            CarouselError: the pieces have no characters, or too many different ones.
        """
        seen: set[str] = set()
        for piece in pieces:
            seen.update(piece)
        return CharTokenizer("".join(sorted(seen)))

    def encode(self, piece: str) -> Tokens:
        """Text as ids, shape (characters + 1,), the end token last. Unknown characters become `UNKNOWN`.

        Raises:
            CarouselError: the text is empty.
        """
        if not piece:
            raise CarouselError("the text is empty; give at least one character")
        ids = self._ids
        count = len(piece)
        body = np.fromiter((ids.get(character, UNKNOWN) for character in piece), dtype=np.uint16, count=count)
        return np.append(body, np.uint16(END))

    def encoded(self, piece: str) -> tuple[Tokens, CharReport]:
        """As `Tokenizer.encoded`."""
        return self.encode(piece), self.quantise(piece)[1]

    def quantise(self, piece: str) -> tuple[str, CharReport]:
        """The text with unknown characters replaced by `REPLACEMENT`, and a report that counts these."""
        unknown = set(piece) - self._ids.keys()
        known = piece.translate({ord(character): REPLACEMENT for character in unknown}) if unknown else piece
        return known, CharReport(len(piece), sum(map(piece.count, unknown)))

    def decode(self, tokens: Tokens) -> str:
        decoder = self.decoder()
        return self.collect(decoder.feed_all(tokens.tolist()))

    def decoder(self, state: dict[str, Any] | None = None) -> CharDecoder:
        return CharDecoder(self, state)

    def labels(self, tokens: Tokens) -> Labels:
        return char_labels.labels("".join(self.texts[token] for token in tokens.tolist()))

    def augment(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        return tokens

    def cold_starts(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """The starts of paragraphs, which follow an empty line. If there are none, the starts of lines."""
        newline = tokens[:-1] == self.start
        paragraph = newline.copy()
        paragraph[1:] &= newline[:-1]
        paragraph[:1] = False
        return np.flatnonzero(paragraph if paragraph.any() else newline) + 1

    def collect(self, events: list[Any]) -> str:
        return "".join(events)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters}

    @staticmethod
    def from_json(data: dict[str, Any]) -> CharTokenizer:
        characters = data["characters"]
        if not isinstance(characters, str):
            raise CarouselError("a char tokenizer's characters are not one string; restore the checkpoint")
        return CharTokenizer(characters)
