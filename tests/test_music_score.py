"""A stretch of a score is a piece of its own: what sounds there sounds the same, under the same clock."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.music.score import Bar, Note, Pedal, PieceEnd, Score, Tempo, TimeSignature, Voice

VOICES = (Voice("Piano"), Voice("Organ", 19))
TICKS = st.integers(0, 60)
EVENTS = st.lists(
    st.one_of(
        st.builds(Note, TICKS, st.integers(1, 50), st.integers(0, 127), voice=st.integers(0, 1)),
        st.builds(Pedal, TICKS, st.booleans(), st.integers(0, 1)),
        st.builds(Tempo, TICKS, st.sampled_from([30.0, 60.0, 120.0])),
        st.builds(TimeSignature, TICKS, st.sampled_from([2, 3, 4]), st.just(4)),
        st.builds(Bar, TICKS),
        st.builds(PieceEnd, TICKS),
    ),
    max_size=40,
)


def down(score: Score, voice: int, ticks: int) -> bool:
    """Whether a voice's pedal is down once everything at a tick has happened."""
    return [False, *(p.down for p in score.pedals if p.voice == voice and p.start_ticks <= ticks)][-1]


def metre(score: Score, ticks: int) -> tuple[int, int] | None:
    """The metre in force at a tick."""
    return [None, *((m.numerator, m.denominator) for m in score.time_signatures if m.start_ticks <= ticks)][-1]


@given(EVENTS, TICKS, TICKS)
def test_a_stretch_keeps_what_holds_in_it(events: list, one: int, other: int) -> None:  # type: ignore[type-arg]
    start, end = sorted((one, other))
    score = Score.from_events(events, ticks_per_quarter=12, voices=VOICES, title="Whole")
    part = score.between(start, end)
    assert (part.title, part.voices) == ("Whole", VOICES)
    whole, clock = score.clock(), part.clock()
    for ticks in range(end - start):
        assert abs(clock.seconds(ticks) - (whole.seconds(start + ticks) - whole.seconds(start))) < 1e-9
        assert metre(part, ticks) == metre(score, start + ticks)
        assert all(down(part, voice, ticks) == down(score, voice, start + ticks) for voice in (0, 1))
    inside = [note for note in score.notes if start <= note.start_ticks < end]
    assert [(note.start_ticks + start, note.end_ticks + start, note.pitch, note.voice) for note in part.notes] == [
        (note.start_ticks, min(note.end_ticks, end), note.pitch, note.voice) for note in inside
    ]
    for kind in ("bars", "piece_ends"):
        starts = [event.start_ticks for event in getattr(score, kind)]
        assert [event.start_ticks + start for event in getattr(part, kind)] == [t for t in starts if start <= t < end]


@given(EVENTS, TICKS)
def test_two_stretches_make_the_whole(events: list, at: int) -> None:  # type: ignore[type-arg]
    score = Score.from_events(events, ticks_per_quarter=12, voices=VOICES)
    first, last = score.between(0, at), score.between(at, score.end_ticks + 1)
    assert len(first.notes) + len(last.notes) == len(score.notes)
    assert first.end_ticks <= at


@pytest.mark.parametrize(
    "value",
    [
        Note(0, 1, 60),
        TimeSignature(0, 4, 4),
        Tempo(0, 60.0),
        Pedal(0, 1),
        Bar(0),
        PieceEnd(0),
        Voice("Flute"),
        Score(12, (Voice("Flute"),), ()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_music_is_values(value: Any) -> None:
    name = fields(value)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, getattr(value, name))
    assert value == replace(value) and hash(value) == hash(replace(value))


def test_bars_before_the_first_metre_are_in_four() -> None:
    metres = (TimeSignature(8, 3, 4), TimeSignature(14, 2, 4))
    piece = Score(1, (Voice("Piano"),), (Note(0, 18, 60),), metres)
    assert [(start, metre.numerator) for start, metre in piece.bar_starts()] == [
        *((0, 4), (4, 4)),
        *((8, 3), (11, 3)),
        *((14, 2), (16, 2)),
    ]
