"""A checkpoint's own defaults: sampling options and instruments in the optional file `defaults.json` of its folder.

The file holds one JSON object: options by name, and under `instruments` General MIDI programs by the names of voices.
It is no part of the fingerprint. Takes record all options, so they do not change with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions, changed
from generator.tokenizers import instruments_of, with_instruments
from generator.tokenizers.base import Tokenizer

FILE = "defaults.json"
INSTRUMENTS = "instruments"
NOT_DEFAULTS = ("lift", "max_copy", "melody")
"""Options that are no defaults: the governor's own, and those that need a corpus or belong to one piece."""


def from_json(data: Mapping[str, Any], tokenizer: Tokenizer) -> tuple[SamplingOptions, Tokenizer]:
    """The options in the content of the file, and the tokenizer with the instruments there.

    Raises:
        CarouselError: there is no such option or voice, or a value is not one that it can have.
    """
    options = {name: value for name, value in data.items() if name != INSTRUMENTS}
    for name in NOT_DEFAULTS:
        if name in options:
            raise CarouselError(f"{name!r} cannot have a default")
    return changed(SamplingOptions(), options), with_instruments(tokenizer, data.get(INSTRUMENTS, {}))


def to_json(defaults: SamplingOptions, tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of the file; empty where it would say nothing new."""
    usual = asdict(SamplingOptions())
    options = {name: value for name, value in asdict(defaults).items() if value != usual[name]}
    instruments = instruments_of(tokenizer)
    return options | ({INSTRUMENTS: instruments} if instruments else {})
