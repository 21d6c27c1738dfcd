"""The names of pitches and note values, as musicians write them: one spelling for scores, words and files."""

from __future__ import annotations

from generator.music.symbols import ChordSymbol

STEPS = "FCGDAEB"
"""The note names in order of fifths."""
ACCIDENTALS = ("♭♭", "♭", "", "♯", "♯♯")
VALUES = {
    **{1 / 12: "triplet thirty-second", 1 / 8: "thirty-second", 1 / 6: "triplet sixteenth", 1 / 4: "sixteenth"},
    **{1 / 3: "triplet eighth", 3 / 8: "dotted sixteenth", 1 / 2: "eighth", 2 / 3: "triplet quarter"},
    **{3 / 4: "dotted eighth", 1.0: "quarter", 4 / 3: "triplet half", 1.5: "dotted quarter", 2.0: "half"},
    **{3.0: "dotted half", 4.0: "whole", 6.0: "dotted whole", 8.0: "double whole"},
}
"""Note values by their length in quarters."""
FIFTHS = (0, 7, 2, -3, 4, -1, -6, 1, 8, 3, -2, 5)
"""How many fifths up a tone of a chord is from its root, by its semitones above it."""
CHORD_SUFFIXES = {
    **{"major": "", "minor": "m", "dominant": "7", "minor-seventh": "m7", "major-seventh": "maj7"},
    **{"suspended-fourth": "sus4", "suspended-second": "sus2", "diminished": "dim", "half-diminished": "m7♭5"},
    **{"diminished-seventh": "dim7", "augmented": "aug"},
}
"""What is written behind the root of a chord, by its kind."""
WITH_MAJOR_THIRD = ("major", "dominant", "major-seventh", "suspended-fourth", "suspended-second")
"""Kinds of chords; in the suspended ones it is left out for a moment."""
LOWEST_DRUM = 35
DRUMS = (
    *("low bass drum", "bass drum", "side stick", "snare", "clap", "electric snare", "low floor tom", "closed hi-hat"),
    *("high floor tom", "pedal hi-hat", "low tom", "open hi-hat", "low-mid tom", "high-mid tom", "crash cymbal"),
    *("high tom", "ride cymbal", "Chinese cymbal", "ride bell", "tambourine", "splash cymbal", "cowbell"),
    *("second crash cymbal", "vibraslap", "second ride cymbal", "high bongo", "low bongo", "mute high conga"),
    *("open high conga", "low conga", "high timbale", "low timbale", "high agogo", "low agogo", "cabasa", "maracas"),
    *("short whistle", "long whistle", "short guiro", "long guiro", "claves", "high wood block", "low wood block"),
    *("mute cuica", "open cuica", "mute triangle", "open triangle"),
)
"""The drums of General MIDI, from the key `LOWEST_DRUM` up."""


def spelling(pitch: int, sharps: int) -> tuple[str, int, int]:
    """The likely name of a MIDI pitch in a key with so many sharps (flats are negative): its letter, how many semitones
    it is raised, and its octave, 4 for that of middle C.

    The names are from three fifths below to eight above the tonic of the major key. So C major and A minor have E flat,
    B flat, F sharp, C sharp and G sharp.
    """
    fifths = sharps - 3 + (7 * pitch - (sharps - 3)) % 12
    letter, alteration = name_of_fifths(fifths)
    return letter, alteration, (pitch - alteration) // 12 - 1


def name_of_fifths(fifths: int) -> tuple[str, int]:
    """The letter of the note so many fifths above C, and how many semitones it is raised."""
    return STEPS[(fifths + 1) % 7], (fifths + 1) // 7


def chord_spelling(symbol: ChordSymbol, sharps: int) -> tuple[tuple[str, int], tuple[str, int]]:
    """The likely names of the root and the bass of a chord in a key with so many sharps (flats are negative), each as a
    letter and how many semitones it is raised. The bass is the root's third, fifth and so on.

    Chords with a major third are named from five fifths below to six above the tonic: in C major, D flat and not
    C sharp. Others are named as pitches are: C sharp minor.
    """
    lowest = sharps - (5 if symbol.kind in WITH_MAJOR_THIRD else 3)
    root = lowest + (7 * symbol.root - lowest) % 12
    return name_of_fifths(root), name_of_fifths(root + FIFTHS[(symbol.bass - symbol.root) % 12])


def spelling_in_key(letter: str, sharps: int) -> int:
    """How many semitones a key with so many sharps (flats are negative) raises a letter."""
    return (sharps - 1 - STEPS.index(letter)) // 7 + 1


def note_name(pitch: int, sharps: int) -> str:
    """The name of a MIDI pitch in a key with so many sharps (flats are negative), such as `C♯5`; the app's `names.js`
    gives the same."""
    letter, alteration, octave = spelling(pitch, sharps)
    return f"{letter}{ACCIDENTALS[alteration + 2]}{octave}"


def value_name(quarters: float) -> str:
    """The name of a note value by its length in quarters, such as `dotted quarter`."""
    return VALUES.get(quarters, f"{quarters:.3g} quarters")


def drum_name(key: int) -> str:
    """The name of the drum that a key plays in General MIDI, such as `snare`."""
    return DRUMS[key - LOWEST_DRUM] if 0 <= key - LOWEST_DRUM < len(DRUMS) else f"drum {key}"
