"""Control of a running stream: constraints are options that forbid some of the tokens that the grammar allows.

A constraint is a field of `SamplingOptions`, so it can be changed while the stream runs and is recorded in the take. It
is a function of the options and of the grammar's memory, which holds all that it needs of the past, so it has no state
of its own. Only `max_copy` also needs the index of a corpus, whose search has its own memory. `violations.py` describes
what happens if no token meets all constraints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, ClassVar, Protocol

import numpy as np

from generator.corpora.copies import Index
from generator.foundation.errors import CarouselError, Option, listed
from generator.foundation.jit import compiled
from generator.foundation.options import SamplingOptions
from generator.music.keys import KEYS, likely
from generator.streaming import drums_constraints, performance_constraints, score_constraints, text_constraints
from generator.streaming.drums_constraints import DrumsConstraints
from generator.streaming.performance_constraints import PerformanceConstraints
from generator.streaming.score_constraints import ScoreConstraints
from generator.streaming.text_constraints import TextConstraints
from generator.streaming.violations import PRIORITIES
from generator.tokenizers.base import Mask, Rows, Tokenizer
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer

NAMES = (*PRIORITIES, "scale", "starts_with")
"""All options that are constraints."""
KIND_NAMES = tuple(name for name in NAMES if name != "max_copy")
"""The constraints that depend on the kind of tokenizer: all but `max_copy`."""
_values = attrgetter(*KIND_NAMES)
DEFAULTS = _values(SamplingOptions())
INDEX = Option("the engine's index")
NO_CORPUS = Option("max_copy"), " needs the corpus that is not to be copied; name it with ", INDEX
PRIMER = "primer"
"""The value of the option `key` that stands for the primer's key."""


class Encoder(Protocol):
    """Encodes the constraints of one kind of tokenizer for compiled code."""

    names: ClassVar[tuple[str, ...]]
    """The options that this kind supports."""

    @property
    def size(self) -> int:
        """The length of an encoded row."""

    def encode(self, options: SamplingOptions) -> Rows:
        """The constraints among the options as one row of integers, shape (size,).

        Raises:
            CarouselError: an option is malformed, contradicts another one or is impossible with the vocabulary.
        """


Restrict = Callable[[Rows, int, Rows, Mask, Rows, Mask, Rows, Rows], None]
"""A compiled function that forbids tokens in the masks of n streams.

Args:
    rules: the grammar's rules.
    end: the token that ends a piece.
    constraints: encoded constraints, shape (n, `Encoder.size`); a row of zeros has none.
    given: whether a stream's next token is given, so that nothing is drawn, shape (n,).
    memory: the grammar's memory, shape (n, grammar.size).
    masks: the tokens that may be drawn, changed in place; no row becomes empty; shape (n, vocab_size).
    violations: overwritten, shape (vocab_size,).
    relaxed: the relaxed constraints; bit i, which stands for `PRIORITIES[i]`, is set in place; shape (n,).
"""


@compiled
def restrict_nothing(
    rules: Rows, end: int, constraints: Rows, given: Mask, memory: Rows, masks: Mask, violations: Rows, relaxed: Rows
) -> None:
    """`Restrict` for a tokenizer without constraints."""


def _encoder(tokenizer: Tokenizer) -> tuple[Encoder | None, Restrict]:
    if isinstance(tokenizer, ScoreTokenizer):
        return ScoreConstraints(tokenizer), score_constraints.restrict
    if isinstance(tokenizer, PerformanceTokenizer):
        return PerformanceConstraints(tokenizer), performance_constraints.restrict
    if isinstance(tokenizer, DrumsTokenizer):
        return DrumsConstraints(tokenizer), drums_constraints.restrict
    if isinstance(tokenizer, CharTokenizer):
        return TextConstraints(tokenizer), text_constraints.restrict
    return None, restrict_nothing


class Constraints:
    """The constraints that one tokenizer supports. Threads may share an instance."""

    def __init__(self, tokenizer: Tokenizer, index: Index | None = None) -> None:
        """`max_copy` needs the `index` of the corpus that is not to be copied."""
        self._tokenizer, self._index = tokenizer, index
        self._encoder, self.restrict = _encoder(tokenizer)
        self.size = 1 if self._encoder is None else self._encoder.size
        self._encode = lru_cache(maxsize=256)(self._encode_values)

    def settle(self, options: SamplingOptions, primer: Sequence[int]) -> SamplingOptions:
        """The options as a take records them, in which the key `primer` is replaced by the key of the primer.

        Raises:
            CarouselError: a constraint is malformed, is not supported by this tokenizer, or contradicts another one.
        """
        if options.key == PRIMER and self._tokenizer.medium == "music":
            piece = self._tokenizer.decode(np.array(primer, np.uint16))
            notes = [note for note in piece.notes if not piece.voices[note.voice].drum]
            if not notes:
                raise CarouselError(Option("key"), " primer follows the key of a primer; give ", Option("prime"))
            tokenizer = self._tokenizer
            key = tokenizer.key(primer) if isinstance(tokenizer, PerformanceTokenizer) else likely(notes)
            options = replace(options, key=KEYS[key])
        if options.melody and len(primer):
            raise CarouselError(Option("melody"), " begins with the stream; leave the primer out")
        self.encode(options)
        return options

    def encode(self, options: SamplingOptions) -> Rows | None:
        """The encoded constraints, read-only, shape (size,), or None without any; raises as `settle`."""
        if options.max_copy and self._index is None:
            raise CarouselError(*NO_CORPUS)
        values = _values(options)
        return None if values == DEFAULTS else self._encode(values, options.at_end)

    def _encode_values(self, values: tuple[Any, ...], at_end: str) -> Rows | None:
        known = () if self._encoder is None else self._encoder.names
        triples = zip(KIND_NAMES, values, DEFAULTS, strict=True)
        asked = {name: value for name, value, nothing in triples if value not in (nothing, "")}
        foreign = [name for name in asked if name not in known]
        if not asked:
            return None
        if foreign or self._encoder is None:
            others = f" is not for a checkpoint of kind {self._tokenizer.kind}, which supports "
            raise CarouselError(Option(foreign[0]), others, *(listed(known, ", ") or ["no constraints"]))
        encoded = self._encoder.encode(SamplingOptions(at_end=at_end, **asked))
        encoded.flags.writeable = False
        return encoded

    def write_melody_window(self, encoded: Rows, options: SamplingOptions, memory: Rows) -> None:
        """Write the next events of the option `melody`, if it is set, into encoded constraints; these suffice for one
        job of a stream with this memory of the grammar."""
        if options.melody and isinstance(self._encoder, ScoreConstraints):
            self._encoder.write_melody_window(encoded, options.melody, memory)

    def starting_text(self, changes: Sequence[tuple[int, SamplingOptions]], begun: int, position: int) -> list[int]:
        """The tokens of the text `starts_with` that the stream has not emitted yet.

        Args:
            changes: the stream's timeline.
            begun: the position after the primer, where the text can begin at the earliest.
            position: the position of the next token.
        """
        text = changes[-1][1].starts_with
        if not text:
            return []
        since = position
        for at, options in reversed(changes):
            if options.starts_with != text:
                break
            since = at
        done = position - max(since, begun)
        return self._tokenizer.encode(text)[:-1].tolist()[done:] if done < len(text) else []
