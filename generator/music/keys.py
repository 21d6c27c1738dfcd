"""Keys: twelve tonics in major, then in minor, which of them a piece's notes make likely; scales."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.jit import compiled
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


def analyse(notes: Iterable[Note]) -> Any:
    """The likeliest key, a `music21.key.Key`, by music21's analysis (Krumhansl and Schmuckler's method with the Aarden
    and Essen weights); C major where there are no notes."""
    import music21  # takes a second, and a stream of text never needs it

    m21: Any = music21  # its own annotations are partial
    weights: Counter[int] = Counter()
    for note in notes:
        weights[note.pitch % 12] += note.duration_ticks
    if not weights:
        return m21.key.Key("C")
    # The analysis looks at how long each pitch class sounds, so twelve notes say it all.
    sums = [m21.note.Note(60 + pitch, quarterLength=length) for pitch, length in sorted(weights.items())]
    return m21.stream.Stream(sums).analyze("key")


def likely(notes: Iterable[Note]) -> int:
    """The index into `KEYS` of the key that the analysis finds."""
    key = analyse(notes)
    tonic: int = key.tonic.pitchClass
    return tonic + 12 * int(key.mode == "minor")
