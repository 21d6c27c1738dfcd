"""Keys: twelve tonics in major, then in minor, which of them a piece's notes make likely; scales."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.music.score import Note

MAJOR = ("C", "D♭", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
MINOR = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "G♯", "A", "B♭", "B")
KEYS = (*(f"{tonic} major" for tonic in MAJOR), *(f"{tonic} minor" for tonic in MINOR))

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "ionian": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "chromatic": tuple(range(12)),
}
"""Semitones above the tonic."""

PROFILES = {
    "major": (
        *(17.7661, 0.145624, 14.9265, 0.160186, 19.8049, 11.3587),
        *(0.291248, 22.062, 0.145624, 8.15494, 0.232998, 4.95122),
    ),
    "minor": (
        *(18.2648, 0.737619, 14.0499, 16.8599, 0.702494, 14.4362),
        *(0.702494, 18.6161, 4.56621, 1.93186, 7.37619, 1.75623),
    ),
}
"""How much of a piece each semitone above its tonic takes, in percent: counted in the Essen folk songs (B. Aarden 2003,
Dynamic Melodic Expectancy, Ohio State University; as in Humdrum's `keycor` and music21's `AardenEssen`)."""


def read_key(text: str) -> int:
    """The index into `KEYS` of a key in words, in any spelling: `D minor`, `F# major`, `Gb major`, `e♭ minor`.

    Raises:
        ValueError: it is none.
    """
    words = re.fullmatch(r"\s*([a-g])([#♯b♭]?)\s+(major|minor)\s*", text, re.IGNORECASE)
    if words is None:
        raise ValueError(f"{text!r} is no key")
    letter, accidental, mode = words.groups()
    tonic = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}[letter.lower()]
    tonic += (accidental in ("#", "♯")) - (accidental.lower() in ("b", "♭"))
    return tonic % 12 + 12 * (mode.lower() == "minor")


@compiled
def above_c(keys: Any) -> Any:
    """How many semitones the tonics of keys, an index or indices into `KEYS`, lie above the nearest C: -5 to 6."""
    tonics = keys % 12
    return tonics - 12 * (tonics > 6)


@compiled
def above_plain(keys: Any) -> Any:
    """How many semitones keys, an index or indices into `KEYS`, lie above the nearest that needs no sharps or flats, C
    major or A minor: -5 to 6."""
    return above_c(keys + 3 * (keys // 12))


def transposed(keys: npt.NDArray[np.int64], semitones: int) -> npt.NDArray[np.int64]:
    """Indices into `KEYS`, that many semitones higher."""
    return keys // 12 * 12 + (keys + semitones) % 12


def _sum(numbers: Iterable[float]) -> float:
    """From left to right; Python's own `sum` has been more exact since 3.12, and so not the same everywhere."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def _above_mean(numbers: Sequence[float]) -> list[float]:
    mean = _sum(numbers) / len(numbers)
    return [number - mean for number in numbers]


_PROFILES = [
    [_above_mean(PROFILES[mode])[(pitch - tonic) % 12] for pitch in range(12)]
    for mode in ("major", "minor")
    for tonic in range(12)
]
"""The profile of each key, (24, 12): how far the weight of each pitch class lies above the mean."""


def likely(notes: Iterable[Note]) -> int:
    """The index into `KEYS` of the likeliest key, by the method of Krumhansl and Schmuckler (Krumhansl 1990, Cognitive
    Foundations of Musical Pitch); C major where there are no notes.

    How long each pitch class sounds is correlated with the profile of each key. It is the analysis of music21
    (`music21.analysis.discrete.AardenEssen`) operation by operation, so that keys as near as rounding come out alike;
    of keys that are equal the one with the highest tonic is taken, and minor before major.
    """
    ticks: Counter[int] = Counter()
    for note in notes:
        ticks[note.pitch % 12] += note.duration_ticks
    if not ticks:
        return 0
    # A pitch class whose notes have no length counts as one tick.
    heard = _above_mean([float(ticks[pitch] or 1) if pitch in ticks else 0.0 for pitch in range(12)])
    spread = _sum(x**2 for x in heard)
    found = []
    for key, profile in enumerate(_PROFILES):
        together = _sum(x * y for x, y in zip(profile, heard, strict=True))
        correlation = together / (_sum(x**2 for x in profile) * spread) ** 0.5 if spread else 0.0
        found.append((correlation, key % 12, key))
    return max(found)[2]
