"""The grammar of performances: any walk that it allows is a piece, spelt as the encoder would spell it."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.music.keys import KEYS, above_plain
from generator.music.score import Note, PieceEnd, Score
from generator.tokenizers.base import Event, Mask, Tokens
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.performance_decoder import PerformanceDecoder
from generator.tokenizers.performance_grammar import (
    END,
    HOLD_LIMIT,
    KEY,
    NOTE_OFF,
    NOTE_ON,
    PAUSE,
    PEDAL,
    TIME_SHIFT,
    VELOCITY,
    VOCABULARY,
)

TOKENIZER = PerformanceTokenizer()
FINAL = TOKENIZER.end
IDS = {entry: token for token, entry in enumerate(VOCABULARY)}


def spelt(*entries: str) -> list[int]:
    return [IDS[entry] for entry in entries]


def choose(mask: Mask, rng: random.Random, thin: bool) -> int:
    """One allowed token: each equally likely, or by its kind so that few notes sound and pieces end often."""
    tokens = np.flatnonzero(mask).tolist()
    if thin:
        weights = {END: 8, NOTE_OFF: 8, TIME_SHIFT: 4, PEDAL: 1, VELOCITY: 1, NOTE_ON: 1, KEY: 1}
        offered = sorted({TOKENIZER.table.entries[token][0] for token in tokens})
        kind = rng.choices(offered, [weights[kind] for kind in offered])[0]
        tokens = [token for token in tokens if TOKENIZER.table.entries[token][0] == kind]
    return rng.choice(tokens)


def finish(decoder: PerformanceDecoder) -> tuple[list[int], list[Event]]:
    """The shortest way to the end of the piece."""
    tokens: list[int] = []
    events: list[Event] = []
    order = [FINAL, *TOKENIZER.table.spans[NOTE_OFF], IDS["pedal 0"], *TOKENIZER.table.spans[TIME_SHIFT]]
    order += [token for kind in (NOTE_ON, VELOCITY, KEY) for token in TOKENIZER.table.spans[kind]]
    while not tokens or tokens[-1] != FINAL:
        tokens.append(next(token for token in order if decoder.allowed()[token]))
        events += decoder.feed(tokens[-1])
    return tokens, events


walks = st.tuples(st.integers(0, 2**32), st.integers(1, 600), st.booleans())


@given(walks)
def test_a_walk_is_its_own_encoding(walk: tuple[int, int, bool]) -> None:
    seed, length, thin = walk
    rng = random.Random(seed)
    decoder = TOKENIZER.decoder()
    tokens: list[int] = []
    events: list[Event] = []
    for _ in range(length):
        mask = decoder.allowed()
        assert mask.sum() > mask[FINAL], "something besides the end is always allowed"
        horizon = decoder.horizon_ticks
        tokens.append(choose(mask, rng, thin))
        complete = decoder.feed(tokens[-1])
        assert all(event.start_ticks >= horizon for event in complete if not isinstance(event, str))
        assert decoder.horizon_ticks >= horizon
        events += complete
    rest, last = finish(decoder)
    tokens, events = tokens + rest, events + last

    ends = [index + 1 for index, token in enumerate(tokens) if token == FINAL]
    for first, stop in zip([0, *ends], ends, strict=False):
        piece = np.array(tokens[first:stop], dtype=np.uint16)
        np.testing.assert_array_equal(encoded_as(piece, TOKENIZER.decode(piece)), piece)
    whole = TOKENIZER.collect(events)
    assert whole == TOKENIZER.decode(np.array(tokens, dtype=np.uint16))
    assert len(whole.piece_ends) == len(ends)
    assert_valid(whole)


def encoded_as(tokens: Tokens, piece: Score) -> Tokens:
    """A piece in the key that other tokens say, which need not be the likeliest."""
    return TOKENIZER.encode(piece, TOKENIZER.table.entries[tokens[0]][1])


def assert_valid(piece: Score) -> None:
    """Law 7, within the limits of a performance."""
    ends: dict[int, int] = {}
    for note in piece.notes:
        assert 1 <= note.duration_ticks <= HOLD_LIMIT
        assert note.start_ticks >= ends.get(note.pitch, 0)
        ends[note.pitch] = note.end_ticks
    assert [pedal.down for pedal in piece.pedals] == [index % 2 == 0 for index in range(len(piece.pedals))]
    assert len({pedal.start_ticks for pedal in piece.pedals}) == len(piece.pedals)


@given(walks, st.floats(0, 1))
def test_a_restored_decoder_has_the_same_future(walk: tuple[int, int, bool], share: float) -> None:
    seed, length, thin = walk
    rng = random.Random(seed)
    decoder = TOKENIZER.decoder()
    restored = None
    for step in range(length):
        if step == int(share * length):
            restored = TOKENIZER.decoder(json.loads(json.dumps(decoder.state())))
        token = choose(decoder.allowed(), rng, thin)
        events = decoder.feed(token)
        if restored is not None:
            assert restored.feed(token) == events
            np.testing.assert_array_equal(restored.allowed(), decoder.allowed())
            assert restored.horizon_ticks == decoder.horizon_ticks
            assert restored.state() == decoder.state()


@given(walks, st.integers(0, 2**32))
def test_a_variant_is_a_valid_performance(walk: tuple[int, int, bool], variant: int) -> None:
    seed, length, thin = walk
    rng = random.Random(seed)
    decoder = TOKENIZER.decoder()
    tokens: list[int] = []
    while len(tokens) < length and (not tokens or tokens[-1] != FINAL):
        tokens.append(choose(decoder.allowed(), rng, thin))
        decoder.feed(tokens[-1])
    tokens += finish(decoder)[0] if tokens[-1] != FINAL else []
    original = np.array(tokens, dtype=np.uint16)
    varied = TOKENIZER.augment(original, np.random.default_rng(variant))
    before, after = TOKENIZER.decode(original), TOKENIZER.decode(varied)
    np.testing.assert_array_equal(encoded_as(varied, after), varied)
    assert_valid(after)
    assert len(before.notes) == len(after.notes)
    steps = {new.pitch - old.pitch for old, new in zip(before.notes, after.notes, strict=True)}
    assert len(steps) == 1
    own, other = (TOKENIZER.table.entries[tokens[0]][1] for tokens in (original, varied))
    assert steps == {above_plain(other) - above_plain(own)} <= set(range(-11, 12))
    assert own // 12 == other // 12, "the mode stays"
    assert [note.velocity for note in before.notes] == [note.velocity for note in after.notes]


def allowed_after(*entries: str, key: str = "C major") -> set[str]:
    decoder = TOKENIZER.decoder()
    for token in spelt(f"key {key}", *entries):
        decoder.feed(token)
    return {VOCABULARY[token] for token in np.flatnonzero(decoder.allowed())}


def kinds(entries: set[str]) -> set[str]:
    return {entry.split()[0] for entry in entries}


def test_a_piece_opens_with_its_key_and_a_note() -> None:
    assert {VOCABULARY[token] for token in np.flatnonzero(TOKENIZER.decoder().allowed())} == {
        f"key {key}" for key in KEYS
    }
    assert kinds(allowed_after()) == {VELOCITY, PEDAL}
    assert kinds(allowed_after("pedal 1")) == {VELOCITY}
    assert kinds(allowed_after("pedal 1", "velocity 80")) == {NOTE_ON}
    assert kinds(allowed_after("pedal 1", "velocity 80", "note_on 60")) == {NOTE_ON, VELOCITY, TIME_SHIFT}


@pytest.mark.parametrize(("key", "low", "high"), [("C major", 21, 108), ("F♯ major", 15, 102), ("E minor", 26, 113)])
def test_the_piano_ends_where_it_ends_in_every_key(key: str, low: int, high: int) -> None:
    assert allowed_after("velocity 80", key=key) == {f"note_on {pitch}" for pitch in range(low, high + 1)}
    assert kinds(allowed_after("velocity 80", f"note_on {high}", key=key)) == {TIME_SHIFT}


def test_the_order_within_a_tick() -> None:
    chord = ("velocity 80", "note_on 60", "note_on 64", "time_shift 7")
    assert not {"note_on 59", "note_on 60"} & allowed_after(*chord[:2])
    assert kinds(allowed_after(*chord)) == {NOTE_OFF, PEDAL, VELOCITY, NOTE_ON}
    assert {entry for entry in allowed_after(*chord) if entry.startswith(NOTE_OFF)} == {"note_off 60", "note_off 64"}
    assert not {"note_on 60", "velocity 80", "pedal 0"} & allowed_after(*chord)
    assert "note_off 60" not in allowed_after(*chord, "note_off 64")
    assert "note_on 64" in allowed_after(*chord, "note_off 64")
    assert kinds(allowed_after(*chord, "pedal 1")) == {VELOCITY, NOTE_ON, TIME_SHIFT}
    assert kinds(allowed_after(*chord, "velocity 8")) == {NOTE_ON}
    assert kinds(allowed_after(*chord, "note_on 108")) == {TIME_SHIFT}
    assert kinds(allowed_after(*chord[:3], "time_shift 100")) == {NOTE_OFF, PEDAL, VELOCITY, NOTE_ON, TIME_SHIFT}


def test_the_end_needs_silence() -> None:
    note = ("velocity 80", "note_on 60", "time_shift 7", "note_off 60")
    assert "end" in allowed_after(*note)
    assert "end" not in allowed_after(*note[:-1])
    assert "end" not in allowed_after(*note, "pedal 1")
    assert "end" not in allowed_after(*note, "time_shift 9")
    assert "end" in allowed_after("pedal 1", *note, "pedal 0")


def test_a_note_that_is_held_too_long_must_end() -> None:
    hold = ("velocity 80", "note_on 60", "note_on 64", "time_shift 1", "note_on 40", *["time_shift 100"] * 9)
    nearly = allowed_after(*hold)
    assert {entry for entry in nearly if entry.startswith(TIME_SHIFT)} == {f"time_shift {n}" for n in range(1, 100)}
    assert allowed_after(*hold, "time_shift 99") == {"note_off 40", "note_off 60"}
    assert allowed_after(*hold, "time_shift 99", "note_off 40") == {"note_off 60"}
    assert allowed_after(*hold, "time_shift 99", "note_off 60") == {"note_off 64"}
    assert kinds(allowed_after(*hold, "time_shift 99", "note_off 60", "note_off 64")) > {TIME_SHIFT, NOTE_ON}


def test_the_next_piece_comes_after_a_pause() -> None:
    decoder = TOKENIZER.decoder()
    assert decoder.feed(FINAL) == [], "a cold stream may be fed the end first"
    piece = spelt("key C major", "velocity 80", "note_on 60", "time_shift 7", "note_off 60", "end")
    first = [event for token in piece for event in decoder.feed(token)]
    assert decoder.feed(FINAL) == []
    second = [event for token in piece for event in decoder.feed(token)]
    assert first == [Note(0, 7, 60, 80), PieceEnd(7)]
    assert second == [Note(7 + PAUSE, 7, 60, 80), PieceEnd(14 + PAUSE)]


def test_a_token_out_of_place_is_refused() -> None:
    decoder = TOKENIZER.decoder()
    state = decoder.state()
    for entry in ("velocity 80", "note_on 60", "note_off 60", "time_shift 1", "pedal 0"):
        with pytest.raises(CarouselError, match="cannot follow here"):
            decoder.feed(IDS[entry])
    assert decoder.state() == state


def test_the_mask_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        TOKENIZER.decoder().allowed()[0] = True
