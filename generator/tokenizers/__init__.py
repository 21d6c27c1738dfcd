"""Floor 1: pieces to token ids and back. Each tokenizer has a grammar and an incremental decoder."""

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
    """A tokenizer of this kind, with a vocabulary that covers the training pieces (`str` for text, `Score` for music).

    Raises:
        CarouselError: no vocabulary can be made of these pieces.
    """
    return KINDS[kind].fit(pieces)


def from_json(data: dict[str, Any]) -> Tokenizer:
    """The tokenizer that `Tokenizer.to_json` wrote.

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
