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

# The rows of `rules`: whether a token may be sampled, and whether it is a line break or the end of a piece, or neither.
SAMPLED, BREAKS = range(2)
NO_BREAK, LINE_BREAK, PIECE_END = range(3)
# A row of memory: the lines of this paragraph that have ended, and whether the present line has characters. Paragraphs
# are separated by empty lines.
LINES, IN_LINE = range(2)


@dataclass(frozen=True, slots=True)
class CharReport(Report):
    """How many characters of a text are not in the vocabulary."""

    characters: int
    unknown: int = cause(
        "character", "read as unknown", "not in the training split", remedy="write others", of="characters"
    )


@compiled
def allowed(rules: Rows, memory: Rows, masks: Mask) -> None:
    """`Grammar.allowed`; `rules` has the shape (2, vocab_size)."""
    for stream in range(len(masks)):
        for token in range(masks.shape[1]):
            masks[stream, token] = rules[SAMPLED, token] != 0


@compiled
def advance(rules: Rows, memory: Rows, tokens: Rows) -> None:
    """`Grammar.advance`."""
    for stream in range(len(tokens)):
        follow(rules, memory[stream], tokens[stream : stream + 1])


@compiled
def follow(rules: Rows, row: Rows, tokens: Rows) -> None:
    """Add several tokens to one stream, in place."""
    for token in tokens:
        breaks = rules[BREAKS, token]
        if breaks == NO_BREAK:
            row[IN_LINE] = 1
        else:
            row[LINES] = row[LINES] + 1 if breaks == LINE_BREAK and row[IN_LINE] else 0
            row[IN_LINE] = 0


class CharGrammar(Grammar):
    """Any token may follow any other, except that the unknown token is never sampled. It counts lines, for
    constraints."""

    size: int = 2
    loops = Loops(allowed, advance)

    def __init__(self, texts: Sequence[str]) -> None:
        """Make the grammar of the tokens that decode to these texts."""
        self.rules = np.zeros((2, len(texts)), np.int64)
        self.rules[SAMPLED] = np.arange(len(texts)) != UNKNOWN
        self.rules[BREAKS] = [LINE_BREAK * (text == "\n") for text in texts]
        self.rules[BREAKS, END] = PIECE_END

    def begin(self) -> Rows:
        return np.zeros(self.size, dtype=np.int64)


class CharDecoder(GrammarDecoder):
    """Every token is one complete character."""

    def __init__(self, tokenizer: CharTokenizer, state: dict[str, Any] | None = None) -> None:
        self._texts = tokenizer.texts
        self._count = 0
        super().__init__(tokenizer.grammar, tokenizer.vocab_size, state)

    def _restore(self, state: dict[str, Any]) -> None:
        self._count = whole(state["count"], 0, LARGEST_COUNT)
        lines = state.get("lines", [0, 0])  # older takes lack it
        self.memory[:] = whole(lines[LINES], 0, self._count), whole(lines[IN_LINE], 0, 1)

    def feed(self, token: int) -> list[Event]:
        return self.feed_all([token])

    def feed_all(self, tokens: Sequence[int]) -> list[Event]:
        self.skip(tokens)
        return [self._texts[token] for token in tokens]

    def skip(self, tokens: Sequence[int]) -> None:
        self._count += len(tokens)
        follow(self._grammar.rules, self.memory, np.array(tokens, np.int64))

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
        return {"count": self._count, "lines": self.memory.tolist()}


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
        self.grammar = CharGrammar(self.texts)

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
