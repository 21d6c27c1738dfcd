"""Floor 1: pieces to token ids and back, each tokenizer with its grammar and an incremental decoder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from generator.foundation.errors import CarouselError
from generator.tokenizers.base import Tokenizer
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.frames import FramesTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer

KINDS: dict[str, type[CharTokenizer] | type[FramesTokenizer] | type[PerformanceTokenizer] | type[ScoreTokenizer]] = {
    kind.kind: kind for kind in (CharTokenizer, FramesTokenizer, PerformanceTokenizer, ScoreTokenizer)
}


def fit(kind: str, pieces: Iterable[Any]) -> Tokenizer:
    """A tokenizer whose vocabulary covers the training pieces (`str` or `Score`, as the kind asks)."""
    return KINDS[kind].fit(pieces)


def from_json(data: dict[str, Any]) -> Tokenizer:
    """The tokenizer that `to_json` described.

    Raises:
        CarouselError: the kind is unknown or a field is missing or broken.
    """
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise CarouselError(f"unknown kind of tokenizer {kind!r}; it needs a newer Carousel")
    try:
        return KINDS[kind].from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CarouselError(f"a broken {kind} tokenizer ({error!r}); restore the checkpoint") from error
