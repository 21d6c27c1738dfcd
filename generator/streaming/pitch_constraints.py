"""The options `key`, `scale` and `ranges`: which pitches of each voice violate them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError, Option, listed
from generator.foundation.options import SamplingOptions
from generator.music.keys import KEYS, SCALES, read_key
from generator.streaming.violations import KEY, RANGES
from generator.tokenizers.score_vocabulary import Part

PITCHES = 128


def key_of(options: SamplingOptions) -> int:
    """The index into `KEYS` of the option `key`, -1 if it is not set.

    Raises:
        CarouselError: `key` or `scale` is malformed, or there is a scale without a key.
    """
    if options.scale and options.scale not in SCALES:
        raise CarouselError(Option("scale"), f" is {options.scale!r}; choose one of {', '.join(SCALES)}")
    if options.scale and not options.key:
        raise CarouselError(Option("scale"), " needs a tonic; give ", Option("key"), " too, such as 'D minor'")
    try:
        return read_key(options.key) if options.key else -1
    except ValueError as error:
        raise CarouselError(
            Option("key"),
            f" is {options.key!r}; give a tonic and major or minor, such as 'D minor' or 'F# major', or primer",
        ) from error


def pitch_violations(options: SamplingOptions, parts: Sequence[Part]) -> npt.NDArray[np.int64]:
    """The violation of each pitch of each voice by `key` and `ranges`, shape (voices, 128). Drums have no key.

    Raises:
        CarouselError: an option is malformed, no voice has a pitch left, or a voice that `ranges` names has none.
    """
    violations = np.zeros((len(parts), PITCHES), np.int64)
    pitches = np.arange(PITCHES)
    key = key_of(options)
    if key >= 0:
        outside = ~np.isin((pitches - key) % 12, SCALES[options.scale or KEYS[key].split()[1]])
        violations[[not part.drum for part in parts]] += KEY * outside
    named: set[int] = set()
    for voice, low, high in _ranges(options.ranges, parts):
        voices = [index for index, part in enumerate(parts) if not part.drum] if voice is None else [voice]
        named.update(() if voice is None else voices)
        violations[voices] = violations[voices] & ~RANGES | RANGES * ((pitches < low) | (pitches > high))
    left = [bool((row[part.low : part.high + 1] == 0).any()) for part, row in zip(parts, violations, strict=True)]
    for index, part in enumerate(parts):
        if not left[index] and (index in named or not any(left)):
            asked = listed((name for name in ("ranges", "key") if getattr(options, name)), " with ")
            raise CarouselError(*asked, f" leaves {part.name} no pitch; it has those from {part.low} to {part.high}")
    return violations


def _ranges(text: str | None, parts: Sequence[Part]) -> list[tuple[int | None, int, int]]:
    """(voice, lowest, highest) of each entry of the option `ranges`; the voice None stands for all but drums."""
    found: list[tuple[int | None, int, int]] = []
    names = [part.name.lower() for part in parts]
    for entry in text.split(",") if text else ():
        match = re.fullmatch(r"\s*(?:(.*\S)\s*:)?\s*(\d{1,3})\s*-\s*(\d{1,3})\s*", entry, re.ASCII)
        if match is None or not int(match[2]) <= int(match[3]) < PITCHES:
            raise CarouselError(
                Option("ranges"),
                f" has {entry!r}; give lowest and highest MIDI pitch, such as 60-79 or Soprano:60-79,Bass:40-60",
            )
        name, low, high = match.groups()
        if name is not None and name.lower() not in names:
            voices = ", ".join(part.name for part in parts)
            raise CarouselError(Option("ranges"), f" names {name!r}; the voices here are {voices}")
        found.append((None if name is None else names.index(name.lower()), int(low), int(high)))
    return found
