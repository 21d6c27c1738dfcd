"""What a file needs between a song and what was drawn after it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from generator.foundation.options import SamplingOptions
from generator.music.score import Bar, Note, Score, TimeSignature, Voice
from generator.streaming.songs import _changes


@pytest.mark.parametrize(("metre", "changes"), [((6, 8), False), ((6, 4), False), ((4, 4), True), ((5, 4), True)])
def test_a_metre_of_whole_bars_of_the_song_changes_nothing(metre: tuple[int, int], changes: bool) -> None:
    new, origin = TimeSignature(36, *metre), SimpleNamespace(timeline=((0, SamplingOptions()),), primer=())
    song = Score(12, (Voice("A"),), (Note(0, 36, 60),), (TimeSignature(0, 3, 4),))
    assert (
        _changes([Bar(36), new, Note(36, 12, 60)], [Note(36, 12, 60)], [], cast(Any, origin), song) == [new] * changes
    )
