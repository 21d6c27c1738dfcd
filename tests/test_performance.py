"""The performance tokenizer: any piece comes back as well as its grid can, and it says how well that is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.keys import KEYS
from generator.music.score import Note, Pedal, Score, Tempo, Voice
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.performance_grammar import (
    HOLD_LIMIT,
    VELOCITIES,
    VOCABULARY,
)

TOKENIZER = PerformanceTokenizer()
FINAL = TOKENIZER.end
PIANO = PerformanceTokenizer().voices
IDS = {entry: token for token, entry in enumerate(VOCABULARY)}


def score(*events: Note | Pedal | Tempo, voices: tuple[Voice, ...] = PIANO, ticks_per_quarter: int = 50) -> Score:
    return Score.from_events(events, ticks_per_quarter=ticks_per_quarter, voices=voices)


def spelt(*entries: str) -> list[int]:
    return [IDS[entry] for entry in entries]


def higher(entry: str, by: int) -> str:
    kind, _, value = entry.partition(" ")
    return f"{kind} {int(value) + by}" if kind.startswith("note") else entry


def test_variants_differ_in_key_and_length() -> None:
    """They are written alike; a piece in D major moves down to G and up to F sharp."""
    scale = (62, 66, 69, 74, 69, 66, 62, 67, 71, 69, 73, 74, 62)
    tokens = TOKENIZER.encode(score(*(Note(80 * at, 70, pitch) for at, pitch in enumerate(scale))))
    rng = np.random.default_rng(0)
    tokens_of = [TOKENIZER.augment(tokens, rng) for _ in range(200)]
    assert {VOCABULARY[variant[0]] for variant in tokens_of} == {entry for entry in VOCABULARY if "major" in entry}
    assert {variant[2] for variant in tokens_of} == {IDS["note_on 60"]}
    variants = [TOKENIZER.decode(variant) for variant in tokens_of]
    assert {variant.notes[0].pitch for variant in variants} == set(range(55, 67))
    lengths = [variant.end_ticks / 1030 for variant in variants]
    assert 0.949 < min(lengths) < 0.96
    assert 1.04 < max(lengths) < 1.051


def test_a_variant_keeps_to_the_keyboard_and_to_the_longest_note() -> None:
    tokens = TOKENIZER.encode(score(Note(0, HOLD_LIMIT, 24), Note(3, 1, 103), Note(4, 1, 103), Note(5, 1, 108)))
    own = TOKENIZER.decode(tokens).notes[0].pitch
    rng = np.random.default_rng(0)
    variants = [TOKENIZER.decode(TOKENIZER.augment(tokens, rng)) for _ in range(50)]
    assert own == 24
    assert {variant.notes[0].pitch for variant in variants} == {21, 22, 23, 24}
    assert all(len(variant.notes) == 4 and variant.notes[0].duration_ticks < HOLD_LIMIT for variant in variants)


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
        *("key C major", "velocity 80", "note_on 60", "note_on 64", "time_shift 3"),
        *("note_off 60", "note_off 64", "pedal 1", "velocity 84", "note_on 60", "velocity 80", "note_on 67"),
        *("time_shift 5", "note_off 67", "time_shift 100", "time_shift 100", "time_shift 45", "note_off 60", "pedal 0"),
        "end",
    )  # fmt: skip


def test_a_piece_is_written_alike_in_all_keys_and_comes_back_in_its_own() -> None:
    scale = (0, 4, 7, 12, 7, 4, 0, 5, 9, 7, 11, 2, 0)
    keys = ["E", "F", "F♯", "G", "A♭", "A", "B♭", "B", "C", "D♭", "D", "E♭"]
    for tonic, key in enumerate(keys, 64):
        tokens = TOKENIZER.encode(piece := score(*(Note(20 * at, 20, tonic + step) for at, step in enumerate(scale))))
        assert TOKENIZER.table.vocabulary[tokens[0]] == f"key {key} major"
        first = tonic - (tonic % 12 if tonic % 12 <= 6 else tonic % 12 - 12)
        assert tokens[2] == IDS[f"note_on {first}"]
        assert TOKENIZER.decode(tokens).notes == tuple(replace(note, velocity=80) for note in piece.notes)


def test_a_key_can_be_told() -> None:
    tokens = TOKENIZER.encode(piece := score(*(Note(20 * at, 20, pitch) for at, pitch in enumerate((60, 64, 67, 60)))))
    told = TOKENIZER.encode(piece, KEYS.index("E minor"))
    assert [TOKENIZER.key(one.tolist()) for one in (tokens, told)] == [0, KEYS.index("E minor")]
    assert told.tolist()[:4] == spelt("key E minor", "velocity 80", "note_on 65", "time_shift 20")
    assert TOKENIZER.decode(told) == TOKENIZER.decode(tokens)
    assert [note.pitch for note in TOKENIZER.decode(told).notes] == [note.pitch for note in piece.notes]


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
    spans: dict[str, Any] = {"pedal": (0, 1), "note_off": range(54, 69), "end": (0,), "velocity": (100,), "key": KEYS}
    spans |= {"time_shift": range(1, 11), "note_on": range(54, 69)}
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
        [entry for entry in VOCABULARY if entry != "key D minor"],
        [entry.replace("key D minor", "key H minor") for entry in VOCABULARY],
        [higher(entry, -16) for entry in VOCABULARY],
        [higher(entry, 15) for entry in VOCABULARY],
        [entry for entry in VOCABULARY if not entry.startswith("note") or entry.endswith(("60", "61"))],
        [VOCABULARY[1], VOCABULARY[0], *VOCABULARY[2:]],
        ["note_on sixty", *VOCABULARY],
        [1, 2, 3],
    ],
)
def test_a_foreign_table_is_refused(vocabulary: list[str]) -> None:
    with pytest.raises(CarouselError, match="not that of a performance"):
        PerformanceTokenizer(vocabulary)


def test_the_least_velocity_is_1() -> None:
    lowest = next(entry for entry in VOCABULARY if entry.startswith("velocity"))
    assert PerformanceTokenizer([entry.replace(lowest, "velocity 1") for entry in VOCABULARY])
    for wrong in ("velocity 0", "velocity 128"):
        with pytest.raises(CarouselError, match="not that of a performance"):
            PerformanceTokenizer([entry.replace(lowest, wrong) for entry in VOCABULARY])


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
