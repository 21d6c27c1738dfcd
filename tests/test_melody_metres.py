"""The metres of a melody: they change at bar lines."""

from __future__ import annotations

import pytest

from generator.foundation.errors import CarouselError
from generator.music.score import Note, Score, TimeSignature, Voice
from tests.test_constraints import model_of

MODEL = model_of("bach")


def tune(*changes: tuple[int, int, int]) -> Score:
    """Eight quarters under metres of (start, numerator, denominator), in ticks of a twelfth of a quarter."""
    notes = tuple(Note(12 * at, 12, 67) for at in range(8))
    return Score(12, (Voice("A"),), notes, tuple(TimeSignature(*change) for change in changes))


def test_metres_change_at_bar_lines() -> None:
    melody = MODEL.melody(tune((0, 4, 4), (48, 3, 4), (84, 4, 4)))
    assert list(MODEL.stream(seed=1, melody=melody).take(1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (((0, 4, 4), (36, 3, 4)), "bar 1, beat 4: the metre changes before the bar is full"),
        (((0, 4, 4), (48, 3, 4), (60, 4, 4)), "the metre changes before the bar is full"),
    ],
)
def test_metres_that_cannot_be(changes: tuple[tuple[int, int, int], ...], words: str) -> None:
    with pytest.raises(CarouselError, match=words):
        MODEL.melody(tune(*changes))
