"""Keys and scales: the steps that theory gives them, and the key that music21 finds, note for note."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import music21
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from generator.corpora import open_corpus
from generator.music.keys import KEYS, PROFILES, SCALES, SHARPS, likely
from generator.music.score import Note, Score

m21: Any = music21

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


def test_the_profiles_are_those_of_music21() -> None:
    weights = m21.analysis.discrete.AardenEssen()
    assert {mode: tuple(weights.getWeights(mode)) for mode in PROFILES} == PROFILES


def by_music21(notes: Sequence[Note]) -> Any:
    """Its key of some notes. It looks at how long each pitch class sounds, so twelve notes say it all."""
    sounding: Counter[int] = Counter()
    for note in notes:
        sounding[note.pitch % 12] += note.duration_ticks
    parts = [m21.note.Note(60 + pitch, quarterLength=length) for pitch, length in sorted(sounding.items())]
    return m21.stream.Stream(parts).analyze("key")


def agree(notes: Sequence[Note]) -> bool:
    key, found = by_music21(notes), likely(notes)
    index = key.tonic.pitchClass + 12 * (key.mode == "minor")
    return index == found and (key.sharps - SHARPS[found]) % 12 == 0  # music21 has C♯ major for D♭ major


def lasting(*lengths: int) -> list[Note]:
    """A note of each pitch class from C on, with these lengths."""
    return [Note(0, length, pitch) for pitch, length in enumerate(lengths)]


@given(st.lists(st.builds(Note, st.just(0), st.integers(0, 10**6), st.integers(0, 127)), min_size=1, max_size=40))
@example(lasting(*[5] * 12))
@example(lasting(0))
def test_the_key_is_the_one_that_music21_finds(notes: list[Note]) -> None:
    assert agree(notes)


@given(st.lists(st.integers(0, 2), min_size=12, max_size=12).filter(any))
@example([1, 0] * 6)
@example([1, 0, 0] * 4)
@example([2, 0, 1] * 4)
@example([1, 0, 0, 0, 0, 0] * 2)
def test_so_it_is_where_keys_are_as_likely_as_each_other(lengths: list[int]) -> None:
    assert agree(lasting(*lengths))


@pytest.mark.parametrize("pitch", range(12))
def test_so_it_is_of_one_note(pitch: int) -> None:
    assert agree([Note(0, 480, 60 + pitch)])


def test_nothing_is_in_c_major() -> None:
    assert KEYS[likely([])] == "C major"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bach-chorales", "folk-tunes"])
def test_so_it_is_of_every_piece_of_a_corpus(name: str) -> None:
    pieces = [piece.content for _, piece in open_corpus(name).read()]
    assert len(pieces) > 300
    assert all(agree(piece.notes) for piece in pieces if isinstance(piece, Score))
