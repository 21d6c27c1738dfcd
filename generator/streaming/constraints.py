"""Musical control of a running stream: options that close some of the tokens that the grammar leaves open.

A constraint is a field of `SamplingOptions`, so it can be changed while the stream runs and is recorded in the take. It
is a function of the options and of the grammar's memory, which holds what a constraint has to know of the past; so it
needs no state of its own. Only `max_copy` asks the index of a corpus, which has a memory too. `violations.py` says what
happens where no token keeps to all of them.
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
from generator.streaming import performance_constraints, score_constraints, text_constraints
from generator.streaming.performance_constraints import PerformanceConstraints
from generator.streaming.score_constraints import ScoreConstraints
from generator.streaming.text_constraints import TextConstraints
from generator.streaming.violations import PRIORITIES
from generator.tokenizers.base import Mask, Rows, Tokenizer
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer

NAMES = (*PRIORITIES, "scale", "starts_with")
"""The options that are constraints."""
BY_KIND = tuple(name for name in NAMES if name != "max_copy")
"""Those that are matters of the tokenizer's kind."""
_values = attrgetter(*BY_KIND)
NOTHING = _values(SamplingOptions())
INDEX = Option("the engine's index")
NO_CORPUS = Option("max_copy"), " needs the corpus that is not to be copied; name it with ", INDEX
PRIMER = "primer"
"""In the place of a key: the primer's."""


class Rules(Protocol):
    """What constraints mean to one kind of tokenizer, for many streams at once."""

    names: ClassVar[tuple[str, ...]]
    """The options that it understands."""

    @property
    def size(self) -> int:
        """int64s of encoded constraints."""

    def encode(self, options: SamplingOptions) -> Rows:
        """What options ask for, shape (size,).

        Raises:
            CarouselError: they cannot be read, or contradict each other or the vocabulary.
        """


Judge = Callable[[Rows, int, Rows, Mask, Rows, Mask, Rows, Rows], None]
"""Compiled: closes tokens in the grammar's masks, for many streams at once.

Args:
    rules: of the grammar.
    end: the token that ends a piece.
    constraints: shape (n, `Rules.size`); encoded, a row a stream; a row of zeros asks for nothing.
    waiting: streams whose next token is given, so that nothing is to be done; shape (n,).
    memory: of the grammar, shape (n, its size).
    masks: changed in place, none to be empty; shape (n, vocab_size).
    violations: room for numbers, shape (vocab_size,).
    relaxed: the constraints that are relaxed, a bit for each in the order of `PRIORITIES`; shape (n,).
"""


@compiled
def judge_nothing(
    rules: Rows, end: int, constraints: Rows, waiting: Mask, memory: Rows, masks: Mask, violations: Rows, relaxed: Rows
) -> None:
    """`Judge` for a tokenizer without constraints."""


def _rules(tokenizer: Tokenizer) -> tuple[Rules | None, Judge]:
    if isinstance(tokenizer, ScoreTokenizer):
        return ScoreConstraints(tokenizer), score_constraints.judge
    if isinstance(tokenizer, PerformanceTokenizer):
        return PerformanceConstraints(tokenizer), performance_constraints.judge
    if isinstance(tokenizer, CharTokenizer):
        return TextConstraints(tokenizer), text_constraints.judge
    return None, judge_nothing


class Constraints:
    """Those that streams of one tokenizer can be under. Threads may share it."""

    def __init__(self, tokenizer: Tokenizer, index: Index | None = None) -> None:
        """With the index of a corpus, streams can be kept from copying it."""
        self._tokenizer, self._index = tokenizer, index
        self._rules, self.judge = _rules(tokenizer)
        self.size = 1 if self._rules is None else self._rules.size
        self._encoded = lru_cache(maxsize=256)(self._make)

    def settle(self, options: SamplingOptions, primer: Sequence[int]) -> SamplingOptions:
        """The options as a take records them, with the primer's key by name.

        Raises:
            CarouselError: a constraint cannot be read, is not for this kind of stream, or contradicts another one.
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
        """What the options ask for, shape (size,), read-only; None if nothing."""
        if options.max_copy and self._index is None:
            raise CarouselError(*NO_CORPUS)
        values = _values(options)
        return None if values == NOTHING else self._encoded(values, options.at_end)

    def _make(self, values: tuple[Any, ...], at_end: str) -> Rows | None:
        known = () if self._rules is None else self._rules.names
        triples = zip(BY_KIND, values, NOTHING, strict=True)
        asked = {name: value for name, value, nothing in triples if value not in (nothing, "")}
        foreign = [name for name in asked if name not in known]
        if not asked:
            return None
        if foreign or self._rules is None:
            kind, obeyed = self._tokenizer.kind, listed(known, ", ") or ["no constraints"]
            raise CarouselError(Option(foreign[0]), f" is not for a checkpoint of kind {kind}, which obeys ", *obeyed)
        encoded = self._rules.encode(SamplingOptions(at_end=at_end, **asked))
        encoded.flags.writeable = False
        return encoded

    def write_due(self, encoded: Rows, options: SamplingOptions, memory: Rows) -> None:
        """Write into a copy of encoded constraints what is due in a stream's next job; `memory` is its grammar's."""
        if options.melody and isinstance(self._rules, ScoreConstraints):
            self._rules.write_due(encoded, options.melody, memory)

    def start(self, changes: Sequence[tuple[int, SamplingOptions]], begun: int, position: int) -> list[int]:
        """What is still to be said of the text that `starts_with` asks for, as tokens.

        Args:
            changes: the stream's timeline.
            begun: the position after the primer, before which no text can have been asked for.
            position: of the next token.
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
