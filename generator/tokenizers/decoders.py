"""What the decoders of all tokenizers have in common: a row of the grammar's memory, and how it is restored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from generator.music.score import Note
from generator.tokenizers.base import Event, Grammar, Mask, Rows


class GrammarDecoder:
    """The base of all decoders. It holds one row of the grammar's memory.

    Raises:
        ValueError: the state, which may come from outside, is not valid for this grammar.
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
            raise ValueError("a decoder's state lacks a value, or a value has the wrong type") from error
        if not self.allowed().any():
            raise ValueError("a decoder's state allows no next token")

    def _restore(self, state: dict[str, Any]) -> None:
        """Check the state and write it into `memory`. Compiled code reads `memory` without checking it again.

        Raises:
            ValueError: the state is not valid.
            AttributeError, LookupError, TypeError: a value is missing or has the wrong type.
        """
        raise NotImplementedError

    def feed(self, token: int) -> list[Event]:
        """As `Decoder.feed`."""
        raise NotImplementedError

    def feed_all(self, tokens: Sequence[int]) -> list[Event]:
        """As `Decoder.feed_all`."""
        return [event for token in tokens for event in self.feed(token)]

    def skip(self, tokens: Sequence[int]) -> None:
        """As `Decoder.skip`."""
        for token in tokens:
            self._advance(token)

    def started(self, token: int, events: list[Event]) -> list[int]:
        """As `Decoder.started`, for tokenizers whose notes are complete as soon as they start."""
        return [event.pitch for event in events if isinstance(event, Note)]

    def decisions(self, tokens: Sequence[int], note: Note) -> dict[str, int]:
        """As `Decoder.decisions`, for text, which has no notes."""
        return {}

    def allowed(self) -> Mask:
        """As `Decoder.allowed`."""
        self._grammar.allowed(self._rows, self._masks)
        return self._view

    def _advance(self, token: int) -> None:
        self._tokens[0] = token
        self._grammar.advance(self._rows, self._tokens)


class SoundingNotesDecoder(GrammarDecoder):
    """A decoder whose notes are complete when they end. The first field of its memory is the current tick."""

    _starts: Rows
    """The tick at which the note of each key started, or `SILENT`: a view of `memory`."""

    @property
    def horizon_ticks(self) -> int:
        """As `Decoder.horizon_ticks`: the start of the earliest note that still sounds, or the current tick."""
        return min(int(self._starts.min()), self.now_ticks)

    @property
    def now_ticks(self) -> int:
        """As `Decoder.now_ticks`."""
        return int(self.memory[0])
