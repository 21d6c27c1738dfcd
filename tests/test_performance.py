"""The performance tokenizer: any walk that its grammar allows is a piece, and any piece comes back on the grid."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.errors import CarouselError
from generator.music import midi
from generator.music.score import Note, Pedal, PieceEnd, Score, Tempo, Voice
from generator.tokenizers.base import Event, Mask
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.performance_grammar import (
    END,
    HOLD_LIMIT,
    NOTE_OFF,
    NOTE_ON,
    PAUSE,
    PEDAL,
    TIME_SHIFT,
    VELOCITIES,
    VELOCITY,
    VOCABULARY,
    PerformanceDecoder,
)

TOKENIZER = PerformanceTokenizer()
FINAL = TOKENIZER.end
PIANO = PerformanceTokenizer.voices
IDS = {entry: token for token, entry in enumerate(VOCABULARY)}


def score(*events: Note | Pedal | Tempo, voices: tuple[Voice, ...] = PIANO, ticks_per_quarter: int = 50) -> Score:
    return Score.from_events(events, ticks_per_quarter=ticks_per_quarter, voices=voices)


def spelt(*entries: str) -> list[int]:
    return [IDS[entry] for entry in entries]


def choose(mask: Mask, rng: random.Random, thin: bool) -> int:
    """One allowed token: each equally likely, or by its kind so that few notes sound and pieces end often."""
    tokens = np.flatnonzero(mask).tolist()
    if thin:
        weights = {END: 8, NOTE_OFF: 8, TIME_SHIFT: 4, PEDAL: 1, VELOCITY: 1, NOTE_ON: 1}
        offered = sorted({TOKENIZER.table.entries[token][0] for token in tokens})
        kind = rng.choices(offered, [weights[kind] for kind in offered])[0]
        tokens = [token for token in tokens if TOKENIZER.table.entries[token][0] == kind]
    return rng.choice(tokens)


def finish(decoder: PerformanceDecoder) -> tuple[list[int], list[Event]]:
    """The shortest way to the end of the piece."""
    tokens: list[int] = []
    events: list[Event] = []
    order = [FINAL, *TOKENIZER.table.spans[NOTE_OFF], IDS["pedal 0"], *TOKENIZER.table.spans[TIME_SHIFT]]
    order += [*TOKENIZER.table.spans[NOTE_ON], *TOKENIZER.table.spans[VELOCITY]]
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
        np.testing.assert_array_equal(TOKENIZER.encode(TOKENIZER.decode(piece)), piece)
    whole = TOKENIZER.collect(events)
    assert whole == TOKENIZER.decode(np.array(tokens, dtype=np.uint16))
    assert len(whole.piece_ends) == len(ends)
    assert_valid(whole)


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
    np.testing.assert_array_equal(TOKENIZER.encode(after), varied)
    assert_valid(after)
    assert len(before.notes) == len(after.notes)
    steps = {new.pitch - old.pitch for old, new in zip(before.notes, after.notes, strict=True)}
    assert len(steps) == 1
    assert steps <= set(range(-5, 7))
    assert [note.velocity for note in before.notes] == [note.velocity for note in after.notes]


def test_variants_differ_in_pitch_and_length() -> None:
    tokens = TOKENIZER.encode(score(*(Note(80 * step, 70, 60 + step % 5) for step in range(100))))
    rng = np.random.default_rng(0)
    variants = [TOKENIZER.decode(TOKENIZER.augment(tokens, rng)) for _ in range(200)]
    assert {variant.notes[0].pitch for variant in variants} == set(range(55, 67))
    lengths = [variant.end_ticks / 7990 for variant in variants]
    assert 0.949 < min(lengths) < 0.96
    assert 1.04 < max(lengths) < 1.051


def test_a_variant_keeps_to_the_keyboard_and_to_the_longest_note() -> None:
    tokens = TOKENIZER.encode(score(Note(0, HOLD_LIMIT, 21), Note(3, 1, 107), Note(4, 1, 107)))
    rng = np.random.default_rng(0)
    variants = [TOKENIZER.decode(TOKENIZER.augment(tokens, rng)) for _ in range(50)]
    assert {variant.notes[0].pitch for variant in variants} == {21, 22}
    assert all(len(variant.notes) == 3 and variant.notes[0].duration_ticks < HOLD_LIMIT for variant in variants)


@st.composite
def grid_scores(draw: st.DrawFn) -> Score:
    """Scores that the grid can express, from their first note on."""
    notes = []
    for pitch in draw(st.sets(st.integers(21, 108), min_size=1, max_size=6)):
        tick = 0
        for _ in range(draw(st.integers(1, 5))):
            start = tick + draw(st.integers(0, 1500))
            tick = start + draw(st.integers(1, HOLD_LIMIT))
            notes.append(Note(start, tick - start, pitch, draw(st.sampled_from(VELOCITIES))))
    first = min(note.start_ticks for note in notes)
    notes = [Note(note.start_ticks - first, note.duration_ticks, note.pitch, note.velocity) for note in notes]
    end = max(note.end_ticks for note in notes)
    ticks = sorted(draw(st.sets(st.integers(0, end), max_size=8)))
    pedals = [Pedal(tick, index % 2 == 0) for index, tick in enumerate(ticks[: len(ticks) // 2 * 2])]
    return score(*notes, *pedals)


@given(grid_scores())
def test_what_the_grid_can_express_comes_back_exactly(piece: Score) -> None:
    back = TOKENIZER.decode(TOKENIZER.encode(piece))
    assert (back.notes, back.pedals) == (piece.notes, piece.pedals)
    quantised, report = TOKENIZER.quantise(piece)
    assert quantised == back
    assert report.notes == len(piece.notes)
    assert report.dropped == report.merged == report.cut == report.pedals_dropped == report.max_velocity_error == 0
    assert report.max_onset_error_ms < 1e-6


def test_the_canonical_spelling() -> None:
    piece = score(
        Note(7, 3, 64, 80),
        Note(7, 3, 60, 80),
        Note(10, 250, 60, 84),
        Note(10, 5, 67, 80),
        Pedal(10, True),
        Pedal(260, False),
    )
    assert TOKENIZER.encode(piece).tolist() == spelt(
        *("velocity 80", "note_on 60", "note_on 64", "time_shift 3"),
        *("note_off 60", "note_off 64", "pedal 1", "velocity 84", "note_on 60", "velocity 80", "note_on 67"),
        *("time_shift 5", "note_off 67", "time_shift 100", "time_shift 100", "time_shift 45", "note_off 60", "pedal 0"),
        "end",
    )  # fmt: skip


def test_tempos_make_seconds_and_voices_make_one_piano() -> None:
    voices = (Voice("Violin", 40), Voice("Drums", 0, drum=True), Voice("Cello", 42))
    piece = score(
        *(Tempo(0, 60.0), Tempo(480, 240.0)),
        *(Note(0, 480, 72, 80, voice=0), Note(480, 480, 74, 80, voice=0), Note(480, 480, 48, 81, voice=2)),
        *(Note(0, 480, 60, 80, voice=1), Note(0, 480, 12, 80, voice=2)),
        voices=voices,
        ticks_per_quarter=480,
    )
    back, report = TOKENIZER.quantise(piece)
    assert back.voices == PIANO
    assert back.notes == (Note(0, 100, 72, 80), Note(100, 25, 74, 80), Note(100, 25, 48, 80))
    assert (report.notes, report.dropped, report.max_velocity_error) == (3, 2, 1)
    assert report.mean_velocity_error == pytest.approx(1 / 3)
    assert TOKENIZER.decode(TOKENIZER.encode(piece)) == back


def test_what_the_grid_cannot_express_is_quantised_and_reported() -> None:
    piece = score(
        *(Note(1000, 2, 60, 80), Note(1013, 100, 60, 80)),  # 0 and 13 ms: the second cuts nothing
        *(Note(1500, 900, 64, 80), Note(1700, 100, 64, 80), Note(1702, 300, 64, 1)),  # cut, then merged
        Note(3000, 20_000, 67, 80),  # held too long
        *(Pedal(0, True), Pedal(500, False), Pedal(2000, True), Pedal(2002, False), Pedal(2003, True)),
        ticks_per_quarter=500,  # a tick is 1 ms
    )
    back, report = TOKENIZER.quantise(piece)
    assert back.notes == (
        *(Note(0, 1, 60, 80), Note(1, 10, 60, 80)),
        *(Note(50, 20, 64, 80), Note(70, 30, 64, 4)),
        Note(200, HOLD_LIMIT, 67, 80),
    )
    assert back.pedals == (Pedal(100, True), Pedal(1200, False))
    assert (report.notes, report.merged, report.cut, report.pedals_dropped) == (5, 1, 2, 4)
    assert report.max_onset_error_ms == pytest.approx(3)
    assert report.mean_onset_error_ms == pytest.approx((3 + 2) / 6)
    assert report.max_velocity_error == 3
    assert TOKENIZER.decode(TOKENIZER.encode(piece)) == back


@pytest.mark.parametrize("notes", [[], [Note(0, 10, 20)], [Note(0, 10, 60, voice=1)]])
def test_nothing_to_play_is_refused(notes: list[Note]) -> None:
    piece = score(*notes, voices=(*PIANO, Voice("Drums", drum=True)))
    for method in (TOKENIZER.encode, TOKENIZER.quantise):
        with pytest.raises(CarouselError, match="no note that a piano can play"):
            method(piece)


def allowed_after(*entries: str) -> set[str]:
    decoder = TOKENIZER.decoder()
    for token in spelt(*entries):
        decoder.feed(token)
    return {VOCABULARY[token] for token in np.flatnonzero(decoder.allowed())}


def kinds(entries: set[str]) -> set[str]:
    return {entry.split()[0] for entry in entries}


def test_a_piece_opens_with_a_note() -> None:
    assert kinds(allowed_after()) == {VELOCITY, PEDAL}
    assert kinds(allowed_after("pedal 1")) == {VELOCITY}
    assert kinds(allowed_after("pedal 1", "velocity 80")) == {NOTE_ON}
    assert kinds(allowed_after("pedal 1", "velocity 80", "note_on 60")) == {NOTE_ON, VELOCITY, TIME_SHIFT}


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
    piece = spelt("velocity 80", "note_on 60", "time_shift 7", "note_off 60", "end")
    first = [event for token in piece for event in decoder.feed(token)]
    assert decoder.feed(FINAL) == []
    second = [event for token in piece for event in decoder.feed(token)]
    assert first == [Note(0, 7, 60, 80), PieceEnd(7)]
    assert second == [Note(7 + PAUSE, 7, 60, 80), PieceEnd(14 + PAUSE)]


def test_a_token_out_of_place_is_refused() -> None:
    decoder = TOKENIZER.decoder()
    state = decoder.state()
    for entry in ("note_on 60", "note_off 60", "time_shift 1", "pedal 0"):
        with pytest.raises(CarouselError, match="cannot follow here"):
            decoder.feed(IDS[entry])
    assert decoder.state() == state


def test_the_mask_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        TOKENIZER.decoder().allowed()[0] = True


def test_the_table_goes_through_json() -> None:
    data = json.loads(json.dumps(TOKENIZER.to_json()))
    assert data["kind"] == "performance"
    again = PerformanceTokenizer.from_json(data)
    piece = score(Note(0, 10, 60))
    np.testing.assert_array_equal(again.encode(piece), TOKENIZER.encode(piece))
    assert again.to_json() == TOKENIZER.to_json() == PerformanceTokenizer.fit([]).to_json()
    assert (again.vocab_size, again.end, again.start) == (len(VOCABULARY), FINAL, FINAL)


def test_another_table_is_read_as_it_stands() -> None:
    """Encoding and decoding follow the table, not the constants of this version."""
    spans = {"pedal": (0, 1), "note_off": range(60, 64), "end": (0,), "velocity": (100,)}
    spans |= {"time_shift": range(1, 11), "note_on": range(60, 64)}
    small = PerformanceTokenizer(f"{kind} {value}" for kind, values in spans.items() for value in values)
    piece = score(Note(0, 25, 60, 100), Note(25, 5, 63, 1), Note(25, 5, 64, 1))
    assert small.decode(small.encode(piece)).notes == (Note(0, 25, 60, 100), Note(25, 5, 63, 100))


@pytest.mark.parametrize(
    "vocabulary",
    [
        [],
        VOCABULARY[1:],
        VOCABULARY[:-1],
        [*VOCABULARY, "end"],
        [*VOCABULARY, "breath 1"],
        [*VOCABULARY[1:], "end 3"],
        [entry for entry in VOCABULARY if entry != "note_off 60"],
        [entry for entry in VOCABULARY if entry != "time_shift 1"],
        [VOCABULARY[1], VOCABULARY[0], *VOCABULARY[2:]],
        ["note_on sixty", *VOCABULARY],
        [1, 2, 3],
    ],
)
def test_a_foreign_table_is_refused(vocabulary: list[str]) -> None:
    with pytest.raises(CarouselError, match="not that of a performance"):
        PerformanceTokenizer(vocabulary)


def test_a_cold_stream_begins_with_the_piece() -> None:
    assert TOKENIZER.cold_starts(TOKENIZER.encode(score(Note(0, 10, 60)))).tolist() == [0]


def assert_they_come_back(files: list[Path]) -> None:
    reports = []
    for path in files:
        piece = midi.read(path)
        tokens = TOKENIZER.encode(piece)
        quantised, report = TOKENIZER.quantise(piece)
        back = TOKENIZER.decode(tokens)
        assert back == quantised
        np.testing.assert_array_equal(TOKENIZER.encode(back), tokens)
        assert_valid(back)
        assert report.dropped == 0
        assert report.max_onset_error_ms <= 5 + 1e-6
        assert report.max_velocity_error <= 3
        reports.append(report)
    notes = sum(report.notes for report in reports)
    assert notes > 1000 * len(files)
    assert sum(report.merged + report.cut for report in reports) < 0.001 * notes


def test_recordings_there_and_back(asap: list[Path]) -> None:
    assert_they_come_back(asap[::60])


@pytest.mark.slow
def test_every_recording_there_and_back(asap: list[Path]) -> None:
    assert_they_come_back(asap)
