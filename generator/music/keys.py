"""Keys and scales: their names, transposition, and the likeliest key of a piece."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.music.notes import Note, columns_of

MAJOR = ("C", "D♭", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
MINOR = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "G♯", "A", "B♭", "B")
KEYS = (*(f"{tonic} major" for tonic in MAJOR), *(f"{tonic} minor" for tonic in MINOR))
SHARPS = (*(0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5), *(-3, 4, -1, -6, 1, -4, 3, -2, 5, 0, -5, 2))
"""The number of sharps of each of the `KEYS`, shape (24,); flats are negative."""

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
"""The notes of each scale, in semitones above the tonic."""

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
"""The frequency of each semitone above the tonic in the Essen folk songs, in percent (B. Aarden 2003, Dynamic Melodic
Expectancy, Ohio State University; also in Humdrum's `keycor` and music21's `AardenEssen`)."""


def read_key(text: str) -> int:
    """The index into `KEYS` of a key in words, with any accidentals: `D minor`, `F# major`, `Gb major`, `e♭ minor`.

    Raises:
        ValueError: the text is not a key.
    """
    words = re.fullmatch(r"\s*([a-g])([#♯b♭]?)\s+(major|minor)\s*", text, re.IGNORECASE)
    if words is None:
        raise ValueError(f"{text!r} is not a key")
    letter, accidental, mode = words.groups()
    tonic = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}[letter.lower()]
    tonic += (accidental in ("#", "♯")) - (accidental.lower() in ("b", "♭"))
    return tonic % 12 + 12 * (mode.lower() == "minor")


@compiled
def above_c(keys: Any) -> Any:
    """How many semitones tonics are above the nearest C, -5 to 6. `keys` is an index into `KEYS` or an array of
    them."""
    tonics = keys % 12
    return tonics - 12 * (tonics > 6)


@compiled
def above_plain(keys: Any) -> Any:
    """How many semitones keys are above the nearest C major or A minor, -5 to 6. `keys` is an index into `KEYS` or an
    array of them."""
    return above_c(keys + 3 * (keys // 12))


def transposed(keys: npt.NDArray[np.int64], semitones: int) -> npt.NDArray[np.int64]:
    """Keys, as indices into `KEYS`, transposed up by so many semitones."""
    return keys // 12 * 12 + (keys + semitones) % 12


def _sum(numbers: Iterable[float]) -> float:
    """The sum from left to right. Python's `sum` is more exact from 3.12 on, so it depends on the version."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def _above_mean(numbers: Sequence[float]) -> list[float]:
    """The numbers minus their mean."""
    mean = _sum(numbers) / len(numbers)
    return [number - mean for number in numbers]


_PROFILES = [
    (profile, _sum(x**2 for x in profile))
    for mode in ("major", "minor")
    for tonic in range(12)
    for profile in [[_above_mean(PROFILES[mode])[(pitch - tonic) % 12] for pitch in range(12)]]
]
"""For each key the weight of each pitch class, minus the mean weight, and the sum of their squares."""


def likely(notes: Iterable[Note]) -> int:
    """The index into `KEYS` of the likeliest key, by the method of Krumhansl and Schmuckler (Krumhansl 1990, Cognitive
    Foundations of Musical Pitch); C major if there are no notes.

    It is the key whose profile has the highest correlation with the durations of the pitch classes. The operations are
    those of `music21.analysis.discrete.AardenEssen` in the same order, so rounding errors are the same. Of keys with
    equal correlations the one with the highest tonic is chosen, and minor before major.
    """
    _, durations, pitches, _, _ = columns_of(notes)
    if not len(pitches):
        return 0
    # A pitch class whose notes all have no length counts as one tick.
    played = np.bincount(pitches % 12, minlength=12) > 0
    ticks = np.bincount(pitches % 12, durations, minlength=12)
    weights = _above_mean(np.where(played, np.maximum(ticks, 1), 0).tolist())
    spread = _sum(x**2 for x in weights)
    found = []
    for key, (profile, own_spread) in enumerate(_PROFILES):
        covariance = _sum(x * y for x, y in zip(profile, weights, strict=True))
        correlation = covariance / (own_spread * spread) ** 0.5 if spread else 0.0
        found.append((correlation, key % 12, key))
    return max(found)[2]
