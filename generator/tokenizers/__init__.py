"""Floor 1: pieces to token ids and back. Each tokenizer has a grammar and an incremental decoder."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from typing import Any

from generator.foundation.errors import CarouselError
from generator.tokenizers.base import Tokenizer
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.frames import FramesTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer

Kind = (
    type[CharTokenizer]
    | type[DrumsTokenizer]
    | type[FramesTokenizer]
    | type[PerformanceTokenizer]
    | type[ScoreTokenizer]
)
KINDS: dict[str, Kind] = {
    kind.kind: kind for kind in (CharTokenizer, DrumsTokenizer, FramesTokenizer, PerformanceTokenizer, ScoreTokenizer)
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


def with_instruments(tokenizer: Tokenizer, programs: Any) -> Tokenizer:
    """The tokenizer whose decoded scores have these General MIDI programs, by the names of their voices; its vocabulary
    is the same.

    Raises:
        CarouselError: there is no such voice or program.
    """
    if not isinstance(programs, dict):
        raise CarouselError(f"the instruments are {programs!r}; give programs by the names of voices")
    names = [voice.name for voice in tokenizer.voices]
    for name, program in programs.items():
        if name not in names:
            raise CarouselError(f"there is no voice {name!r}; there are {', '.join(names) or 'none'}")
        if type(program) is not int or not 0 <= program <= 127:
            raise CarouselError(f"the instrument of {name} is {program!r}; give a General MIDI program, 0 to 127")
    other = copy(tokenizer)
    other.voices = tuple(replace(voice, program=programs.get(voice.name, voice.program)) for voice in tokenizer.voices)
    return other


def instruments_of(tokenizer: Tokenizer) -> dict[str, int]:
    """The programs that `with_instruments` has set, by the names of their voices, where they differ from those of the
    vocabulary."""
    usual = from_json(tokenizer.to_json()).voices
    pairs = zip(tokenizer.voices, usual, strict=True)
    return {voice.name: voice.program for voice, own in pairs if voice.program != own.program}
