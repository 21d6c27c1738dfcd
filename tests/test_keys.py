"""Keys and scales: the steps that theory gives them."""

from __future__ import annotations

import pytest

from generator.music.keys import SCALES

MODES = ("ionian", "dorian", "phrygian", "lydian", "mixolydian", "aeolian", "locrian")


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_the_major_scale_from_another_of_its_notes(mode: str) -> None:
    tonic = (0, 2, 4, 5, 7, 9, 11)[MODES.index(mode)]
    assert SCALES[mode] == tuple(sorted((note - tonic) % 12 for note in (0, 2, 4, 5, 7, 9, 11)))


def test_other_scales_are_modes_with_notes_raised_or_left_out() -> None:
    assert SCALES["major"] == SCALES["ionian"] and SCALES["minor"] == SCALES["aeolian"]
    assert SCALES["harmonic minor"] == (*SCALES["minor"][:6], 11)
    assert SCALES["melodic minor"] == (*SCALES["minor"][:5], 9, 11)
    assert set(SCALES["major"]) - set(SCALES["major pentatonic"]) == {5, 11}
    assert set(SCALES["minor"]) - set(SCALES["minor pentatonic"]) == {2, 8}
    assert set(SCALES["blues"]) - set(SCALES["minor pentatonic"]) == {6}
    assert SCALES["chromatic"] == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
