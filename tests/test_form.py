"""The form of pieces: their length, their end, and the key of the next one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.form import figures
from generator.foundation.errors import CarouselError
from generator.music.keys import KEYS, SHARPS, above_c
from generator.music.score import Bar, Note, PieceEnd, Score, TimeSignature, Voice
from generator.streaming.engine import Model
from generator.streaming.form_constraints import fifths_apart
from generator.tokenizers.score import ScoreTokenizer
from tests.conftest import four_voices, random_checkpoint, tiny

TOKENIZER = ScoreTokenizer.fit([four_voices()])
BASS = 3
seeds = st.integers(0, 2**32 - 1)


def pieces_of(
    seed: int, tokens: int, tokenizer: ScoreTokenizer = TOKENIZER, **options: Any
) -> tuple[list[tuple[int, list[Any]]], dict[str, int]]:
    """The key and the events of each whole piece of a stream, and the constraints that it relaxed."""
    stream = Model(random_checkpoint(tokenizer)).stream(seed=seed, governor=False, **options)
    stream.pull(tokens)
    rows = [tokenizer.table.rows[token] for token in stream.tokens()]
    ends = [index + 1 for index, row in enumerate(rows) if row == "end"]
    pieces, decoder = [], tokenizer.decoder()
    for first, past in pairwise([0, *ends]):
        key = next(row.removeprefix("bar ") for row in rows[first:past] if row.startswith("bar "))
        pieces.append((KEYS.index(key), list(decoder.feed_all(stream.tokens()[first:past]))))
    return pieces, stream.relaxed


@given(seeds, st.integers(1, 12))
@settings(max_examples=15)
def test_every_piece_has_the_length_that_is_asked(seed: int, length: int) -> None:
    pieces, relaxed = pieces_of(seed, length * 150, length=length)
    for _, piece in pieces:
        bars = [event.start_ticks for event in piece if isinstance(event, Bar)]
        assert len(bars) == length
        last = max(event.end_ticks for event in piece if isinstance(event, Note))
        assert last <= piece[-1].start_ticks, "no note lasts beyond the last bar"
    assert pieces and not relaxed


def test_a_length_that_cannot_be_is_refused() -> None:
    model = Model(tiny("score"))
    with pytest.raises(CarouselError, match="leave at_end never out"):
        model.stream(length=8, at_end="never")
    for asked in ({"length": 8}, {"close": True}, {"key_distance": 0}):
        with pytest.raises(CarouselError, match="train this one anew"):
            Model(random_checkpoint(ScoreTokenizer(TOKENIZER.table))).stream(**asked)
        with pytest.raises(CarouselError, match="leave at_end never out"):
            model.stream(at_end="never", **asked)
    with pytest.raises(CarouselError, match="length is not for a checkpoint of kind char"):
        Model(tiny("char")).stream(length=8)


def test_a_piece_that_is_too_long_already_ends_at_its_next_bar() -> None:
    stream = Model(tiny("score")).stream(seed=3, length=9)
    events = list(takewhile(lambda event: not isinstance(event, Bar), stream.take(4000)))
    while sum(isinstance(event, Bar) for event in events) < 6:
        events += stream.pull(1)
    stream.set(length=2)
    later = stream.pull(300)
    first_end = next(index for index, event in enumerate(later) if isinstance(event, PieceEnd))
    assert not any(isinstance(event, Bar) for event in later[:first_end])


def test_a_change_of_metre_cuts_no_note_that_sounds() -> None:
    """Where a note lasts until the end of a last bar in 4/4, that bar cannot become one in 3/4."""
    long = Note(0, 4 * 1920, 60, voice=3)
    metres = (TimeSignature(0, 4, 4), TimeSignature(1920, 3, 4), TimeSignature(1920 + 1440, 4, 4))
    piece = four_voices(4)
    tokenizer = ScoreTokenizer.fit([piece, replace(piece, notes=(long, *piece.notes[1:]), time_signatures=metres)])
    count = 0
    for seed in range(12):
        pieces, _ = pieces_of(seed, 900, tokenizer, length=3)
        for _, events in pieces:
            assert max(event.end_ticks for event in events if isinstance(event, Note)) <= events[-1].start_ticks
            bars = [event.start_ticks for event in events if isinstance(event, Bar)]
            assert len(bars) == 3 and events[-1].start_ticks - bars[-1] in (36, 48)
            count += 1
    assert count > 100


@given(seeds, st.none() | st.integers(1, 6))
@settings(max_examples=15)
def test_a_piece_that_is_to_close_ends_on_its_tonic(seed: int, length: int | None) -> None:
    pieces, relaxed = pieces_of(seed, 900, close=True, **({} if length is None else {"length": length}))
    closed = sum(has_closed(key, piece) for key, piece in pieces)
    assert len(pieces) - closed <= relaxed.get("close", 0)


def has_closed(key: int, piece: list[Any]) -> bool:
    """Whether the last note of each voice is one of the tonic's triad, the bass's the tonic."""
    last = {event.voice: event.pitch for event in piece if isinstance(event, Note)}
    degrees = {voice: (pitch - int(above_c(key))) % 12 for voice, pitch in last.items()}
    return degrees.get(BASS, 0) == 0 and set(degrees.values()) <= {0, 3 if key >= 12 else 4, 4, 7}


@pytest.mark.parametrize("key", ["C major", "A minor"])
@given(seeds, st.integers(1, 4), st.booleans(), st.sampled_from([None, 1, 2]))
@settings(max_examples=12)
def test_a_piece_of_a_given_length_keeps_room_for_its_end(
    key: str, seed: int, length: int, parallels: bool, voices: int | None
) -> None:
    """Where each voice has a note of the chord in its range, all pieces close, and it is not relaxed."""
    wide = four_voices()
    low = replace(wide, notes=(*wide.notes, *(Note(480 * (32 + up), 480, 43 + up, voice=3) for up in range(8))))
    asked = {"length": length, "key": key, "parallels": parallels, "voices_at_once": voices}
    pieces, relaxed = pieces_of(seed, 700, ScoreTokenizer.fit([low]), close=True, **asked)
    assert pieces and "close" not in relaxed
    assert all(has_closed(number, piece) for number, piece in pieces)


@given(seeds, st.integers(0, 6))
@settings(max_examples=15)
def test_the_next_piece_begins_in_a_near_key(seed: int, distance: int) -> None:
    pieces, relaxed = pieces_of(seed, 900, length=1, key_distance=distance)
    keys = [key for key, _ in pieces]
    assert len(keys) > 3 and not relaxed
    assert all(fifths_apart(one, other) <= distance for one, other in pairwise(keys))
    if distance > 1:
        assert len(set(keys)) > 1


def test_fifths_are_counted_around_the_circle() -> None:
    assert fifths_apart(KEYS.index("C major"), KEYS.index("A minor")) == 0
    assert fifths_apart(KEYS.index("F♯ major"), KEYS.index("D♭ major")) == 1, "six sharps, five flats"
    assert fifths_apart(KEYS.index("C major"), KEYS.index("F♯ major")) == 6
    assert max(fifths_apart(one, other) for one in range(24) for other in range(24)) == 6
    assert len(SHARPS) == len(KEYS)


def tune(*sections: str) -> Score:
    """A melody of eight bars a section, one note a bar; `A'` ends otherwise than `A`."""
    notes = []
    for index, name in enumerate(sections):
        for bar in range(8):
            pitch = 60 + (7 if name.startswith("B") else 0) + bar + (5 if name.endswith("'") and bar > 5 else 0)
            notes.append(Note((8 * index + bar) * 1920, 1920, pitch))
    return Score(480, (Voice("Melody", 0),), tuple(notes), (TimeSignature(0, 4, 4),))


@pytest.mark.parametrize(
    ("sections", "aabb"), [("A A B B", 1), ("A A' B B'", 1), ("A A A A", 0), ("A B A B", 0), ("A A B", 0)]
)
def test_the_benchmark_of_form_finds_aabb(sections: str, aabb: int) -> None:
    found = figures([tune(*sections.split())], 24)
    assert found["aabb"] == aabb and found["bars"][1] == 8 * len(sections.split())
    assert found["longer"] == (found["bars"][1] > 24) and found["early"] == 0
    upbeat = tune(*sections.split())
    later = tuple(replace(note, start_ticks=note.start_ticks + 1920) for note in upbeat.notes)
    first = Note(1440, 480, 55)
    assert figures([replace(upbeat, notes=(first, *later))], 24)["aabb"] == aabb, "an upbeat is not counted"


def test_a_bar_returns_after_eight() -> None:
    assert figures([tune("A", "A'")], 99)["returns"] == 0.75
