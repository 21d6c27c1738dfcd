"""The names of pitches and note values in words, as musicians write them."""

from __future__ import annotations

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


def note_name(pitch: int, sharps: int) -> str:
    """The name of a MIDI pitch in a key with so many sharps (flats are negative), such as `C♯5`.

    It is spelled as in `engraving.spelled` and in the app's `names.js`.
    """
    fifths = sharps - 3 + (7 * pitch - (sharps - 3)) % 12
    letter, alteration = STEPS[(fifths + 1) % 7], (fifths + 1) // 7
    return f"{letter}{ACCIDENTALS[alteration + 2]}{(pitch - alteration) // 12 - 1}"


def value_name(quarters: float) -> str:
    """The name of a note value by its length in quarters, such as `dotted quarter`."""
    return VALUES.get(quarters, f"{quarters:.3g} quarters")
