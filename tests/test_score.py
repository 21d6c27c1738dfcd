"""The score tokenizer: what the grid can express comes back exactly; every walk through the grammar is valid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.corpora import open_corpus
from generator.foundation.errors import CarouselError
from generator.music.score import Bar, Note, PieceEnd, Score, Tempo, TimeSignature, Voice
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_grid import bars_of
from generator.tokenizers.score_vocabulary import Table
from tests.conftest import four_voices
from tests.test_laws import check_valid


@pytest.fixture(scope="module")
def bach(chorales: list[Score]) -> ScoreTokenizer:
    return ScoreTokenizer.fit(chorales)


def piano() -> ScoreTokenizer:
    """Chords, drums, two programs, odd metres and two degrees of loudness."""
    voices = (Voice("Piano", 0), Voice("Drums", 0, True), Voice("Bass", 33))
    notes = [
        Note(at, 6 + at % 18, 60 + at % 25 + third, 50 + third * 5) for at in range(0, 300, 6) for third in (0, 4, 7)
    ]
    notes += [Note(at, 3, 36 + at % 5, voice=1) for at in range(0, 300, 12)]
    notes += [Note(at, 12, 30 + at % 12, voice=2) for at in range(0, 300, 12)]
    metres = (TimeSignature(0, 4, 4), TimeSignature(96, 7, 8), TimeSignature(180, 3, 4))
    tempos = (Tempo(0, 96.0), Tempo(180, 120.0))
    return ScoreTokenizer.fit([Score(12, voices, tuple(sorted(notes, key=lambda n: n.start_ticks)), metres, tempos)])


def walk(tokenizer: ScoreTokenizer, seed: int, tokens: int) -> Iterator[tuple[int, list]]:  # type: ignore[type-arg]
    """Tokens drawn evenly over the kinds that are allowed, and the events they complete."""
    random = np.random.default_rng(seed)
    decoder = tokenizer.decoder()
    kinds = np.array(tokenizer.table.kinds)
    for _ in range(tokens):
        allowed = np.flatnonzero(decoder.allowed())
        kind = random.choice(np.unique(kinds[allowed]))
        token = int(random.choice(allowed[kinds[allowed] == kind]))
        yield token, decoder.feed(token)


def test_chorales_come_back_exactly(bach: ScoreTokenizer, chorales: list[Score]) -> None:
    assert len(chorales) == 40
    for chorale in chorales:
        grid, report = bach.quantise(chorale)
        assert report.dropped == report.cut == 0
        assert report.max_onset_error_quarters == report.max_duration_error_quarters == 0
        assert report.metres_changed == 0
        decoded = bach.decode(bach.encode(chorale))
        assert decoded.notes == grid.notes
        assert decoded.time_signatures == grid.time_signatures
        quarters = [(note.start_ticks / 12, note.duration_ticks / 12, note.pitch, note.voice) for note in decoded.notes]
        per = chorale.ticks_per_quarter
        original = sorted(
            (note.start_ticks / per, note.duration_ticks / per, note.pitch, note.voice) for note in chorale.notes
        )
        assert sorted(quarters) == original


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("corpus", ["bach-chorales", "folk-tunes"])
def test_every_piece_of_the_corpus_comes_back(corpus: str) -> None:
    pieces = list(open_corpus(corpus).read())
    tokenizer = ScoreTokenizer.fit([piece.content for split, piece in pieces if split == "train"])
    exact = 0
    for _, piece in pieces:
        assert isinstance(piece.content, Score)
        grid, report = tokenizer.quantise(piece.content)
        assert tokenizer.decode(tokenizer.encode(piece.content)).notes == grid.notes
        assert report.notes + report.dropped == len(piece.content.notes)
        errors = report.max_onset_error_quarters + report.max_duration_error_quarters
        exact += not (report.dropped or report.cut or errors)
    print(f"{corpus}: {exact} of {len(pieces)} pieces exactly")
    assert exact > 0.95 * len(pieces)


def test_encoded_pieces_and_their_variants_follow_the_grammar(bach: ScoreTokenizer, chorales: list[Score]) -> None:
    random = np.random.default_rng(0)
    moved = 0
    for chorale in chorales[:20]:
        tokens = bach.encode(chorale)
        variant = bach.augment(tokens, random)
        moved += not np.array_equal(tokens, variant)
        decoder = bach.decoder()
        for token in (*tokens.tolist(), *variant.tolist()):
            assert decoder.allowed()[token], bach.table.rows[token]
            decoder.feed(token)
        before, after = bach.decode(tokens).notes, bach.decode(variant).notes
        assert len({b.pitch - a.pitch for a, b in zip(before, after, strict=True)}) == 1
    assert moved > 10


@given(seed=st.integers(0, 2**32), which=st.sampled_from(["bach", "piano"]))
@settings(max_examples=40)
def test_every_walk_is_valid_music(bach: ScoreTokenizer, seed: int, which: str) -> None:
    tokenizer = bach if which == "bach" else piano()
    events = [event for _, events in walk(tokenizer, seed, 800) for event in events]
    starts = [event.start_ticks for event in events]
    assert starts == sorted(starts)
    score = tokenizer.collect(events)
    check_valid(score, monophonic=which == "bach")
    for note in score.notes:
        part = tokenizer.table.parts[note.voice]
        assert part.low <= note.pitch <= part.high
    # Bars have the length of their metre, but for the one that a piece's last notes hang over.
    lengths = {metre.start_ticks: metre.bar_ticks(12) for metre in score.time_signatures}
    length = 0
    ends = {end.start_ticks for end in score.piece_ends}
    for bar, following in zip(score.bars, score.bars[1:], strict=False):
        length = lengths.get(bar.start_ticks, length)
        assert following.start_ticks - bar.start_ticks == length or following.start_ticks in ends


@given(seed=st.integers(0, 2**32), cut=st.integers(0, 300))
@settings(max_examples=30)
def test_the_decoder_is_a_small_json_value(seed: int, cut: int) -> None:
    tokenizer = piano()
    tokens = [token for token, _ in walk(tokenizer, seed, 400)]
    decoder = tokenizer.decoder()
    for token in tokens[:cut]:
        decoder.feed(token)
    state = json.loads(json.dumps(decoder.state()))
    other = tokenizer.decoder(state)
    for token in tokens[cut:]:
        assert np.array_equal(decoder.allowed(), other.allowed())
        assert decoder.feed(token) == other.feed(token)
    assert len(json.dumps(state)) < 4096


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_a_walk_through_one_piece_encodes_to_the_same_notes(seed: int) -> None:
    tokenizer = piano()
    tokens: list[int] = []
    for token, events in walk(tokenizer, seed, 400):
        tokens.append(token)
        if events and isinstance(events[0], PieceEnd):
            break
    score = tokenizer.decode(np.array(tokens, dtype=np.uint16))
    if score.notes:
        assert tokenizer.decode(tokenizer.encode(score)).notes == score.notes


def test_a_piece_ends_after_its_last_note() -> None:
    tokenizer = ScoreTokenizer.fit([four_voices(1), replace(four_voices(1), notes=(Note(0, 480 * 16, 60),))])
    score = replace(four_voices(1), notes=(Note(0, 480 * 16, 60),))
    decoder = tokenizer.decoder()
    events = [event for token in tokenizer.encode(score) for event in decoder.feed(int(token))]
    assert events[-1] == PieceEnd(16 * 12)
    assert sum(isinstance(event, Bar) for event in events) == 4


def test_what_the_vocabulary_lacks_goes_to_the_nearest_and_is_reported() -> None:
    tokenizer = ScoreTokenizer.fit([four_voices()])
    odd = Score(
        480,
        (Voice("Flute", 73),),
        (Note(7, 480, 72), Note(500, 470, 71), Note(961, 480, 127)),
        (TimeSignature(0, 5, 8),),
        (Tempo(0, 200.0),),
    )
    grid, report = tokenizer.quantise(odd)
    assert [(note.start_ticks, note.duration_ticks, note.voice) for note in grid.notes] == [(0, 12, 0), (12, 12, 0)]
    assert report.notes == 2
    assert report.dropped == 1
    assert 0.01 < report.max_onset_error_quarters < 0.05
    assert report.max_duration_error_quarters == pytest.approx(10 / 480)
    assert report.metres_changed > 0
    assert tokenizer.decode(tokenizer.encode(odd)).notes == grid.notes


def test_a_metre_that_was_changed_does_not_hide_those_that_follow() -> None:
    three = replace(four_voices(), time_signatures=(TimeSignature(0, 3, 4),))
    tokenizer = ScoreTokenizer.fit([four_voices(), three])
    metres = (TimeSignature(0, 5, 8), TimeSignature(4 * 960, 4, 4))
    grid, report = tokenizer.quantise(replace(four_voices(), time_signatures=metres))
    assert [metre.numerator for metre in grid.time_signatures] == [3, 4]
    assert report.metres_changed > 0
    two = replace(four_voices(), time_signatures=(TimeSignature(0, 2, 4),))
    assert [metre.numerator for metre in tokenizer.quantise(two)[0].time_signatures] == [4], "two bars are one of 4/4"


def test_a_note_that_the_next_one_cuts_is_reported() -> None:
    tokenizer = ScoreTokenizer.fit([four_voices()])
    overlapping = replace(four_voices(), notes=(Note(0, 960, 72), Note(480, 480, 74), Note(960, 480, 72)))
    grid, report = tokenizer.quantise(overlapping)
    assert [note.duration_ticks for note in grid.notes] == [12, 12, 12]
    assert (report.notes, report.dropped, report.cut, report.max_duration_error_quarters) == (3, 0, 1, 0.0)
    assert report.max_onset_error_quarters == 0


def test_voices_are_matched_by_name_then_by_register() -> None:
    tokenizer = ScoreTokenizer.fit([four_voices()])
    piece = four_voices(2)
    renamed = replace(piece, voices=tuple(Voice(f"Track {i}", 0) for i in range(4)))
    shuffled = replace(
        renamed,
        notes=tuple(replace(note, voice=3 - note.voice) for note in piece.notes),
    )
    expected = tokenizer.quantise(piece)[0].notes
    assert tokenizer.quantise(renamed)[0].notes == expected
    assert tokenizer.quantise(shuffled)[0].notes == expected


def test_an_odd_metre_is_left_out_of_the_vocabulary() -> None:
    metres = (TimeSignature(0, 4, 4), TimeSignature(1920, 100, 64))
    tokenizer = ScoreTokenizer.fit([replace(four_voices(), time_signatures=metres)])
    assert tokenizer.table.metres == [(4, 4)]


def test_the_mask_is_read_only() -> None:
    decoder = ScoreTokenizer.fit([four_voices()]).decoder()
    with pytest.raises(ValueError, match="read-only"):
        decoder.allowed()[0] = True


def test_nothing_to_encode_is_refused() -> None:
    tokenizer = ScoreTokenizer.fit([four_voices()])
    with pytest.raises(CarouselError, match="no note"):
        tokenizer.encode(Score(480, (Voice("Drums", 0, True),), (Note(0, 10, 36),)))
    with pytest.raises(CarouselError, match="no notes"):
        ScoreTokenizer.fit([])


@pytest.mark.parametrize(("low", "high", "sound"), [(-6, 132, True), (-7, 132, False), (-6, 133, False)])
def test_pitches_of_a_vocabulary_reach_as_far_as_transposition(low: int, high: int, sound: bool) -> None:
    table = ScoreTokenizer.fit([four_voices()]).table
    rows = [row for row in table.rows if not row.startswith("pitch ")]
    at = next(index for index, row in enumerate(table.rows) if row.startswith("pitch "))
    rows[at:at] = [f"pitch {pitch}" for pitch in range(low, high + 1)]
    if sound:
        assert Table(rows, table.parts).lowest_pitch == low
    else:
        with pytest.raises(CarouselError, match="voices do not fit"):
            Table(rows, table.parts)


@pytest.mark.parametrize(
    "rows",
    [
        ["end"],
        ["bar", "end"],
        ["end", "bar", "melisma 3"],
        ["end", "bar", "time-signature 4/4", "tempo 0", "position 0", "voice 0", "pitch 60", "duration 12"],
        ["end", "bar", "time-signature 4/4", "tempo 60", "position 3", "voice 0", "pitch 60", "duration 12"],
        ["end", "bar", "time-signature 1/999", "tempo 60", "position 0", "voice 0", "pitch 60", "duration 12"],
        ["end", "bar", "time-signature 4/4", "tempo 60", "position 0", "voice 0", "pitch 300", "duration 12"],
        ["end", "bar", "time-signature 4/4", "tempo 60", "position 0", "voice 0", "voice 1", "pitch 60", "duration 12"],
    ],
    ids=lambda rows: rows[-1] if len(rows) < 4 else " ".join(rows[2:5]),
)
def test_a_broken_vocabulary_is_refused(rows: list[str]) -> None:
    parts = ScoreTokenizer.fit([four_voices()]).table.parts[:1]
    with pytest.raises(CarouselError, match="vocabulary"):
        Table(rows, [replace(parts[0], low=60, high=60)])


@pytest.mark.parametrize(
    "wrong", [{"low": -1}, {"high": 128}, {"low": 61, "high": 60}, {"program": -1}, {"program": 128}, {"name": 5}]
)
def test_voices_that_midi_has_not_are_refused(wrong: dict[str, Any]) -> None:
    """Drums, which are written as they sound, in a vocabulary that reaches further than MIDI."""
    table = ScoreTokenizer.fit([four_voices()]).table
    first = table.rows.index("voice 0")
    durations = [row for row in table.rows if row.startswith("duration")]
    rows = [*table.rows[:first], "voice 0", *(f"pitch {pitch}" for pitch in range(-6, 133)), *durations]
    part = replace(table.parts[0], drum=True, low=0, high=127, program=0)
    assert Table(rows, [part]).parts == (part,)
    assert Table(rows, [replace(part, program=127)])
    with pytest.raises(CarouselError, match="voices do not fit"):
        Table(rows, [replace(part, **wrong)])


def test_a_piece_is_augmented_into_every_key_that_its_voices_reach() -> None:
    tune = Score(480, (Voice("Flute", 73),), (Note(0, 480, 60), Note(480, 480, 64)))
    wide = [replace(tune, notes=tuple(replace(note, pitch=note.pitch + up) for note in tune.notes)) for up in (-30, 30)]
    tokenizer = ScoreTokenizer.fit([tune, *wide])
    random = np.random.default_rng(0)
    heard = [tokenizer.decode(tokenizer.augment(tokenizer.encode(tune), random)).notes[0].pitch for _ in range(400)]
    assert {*heard} == {*range(60 - 11, 60 + 12)}


def test_nothing_lies_in_one_bar_of_four_quarters() -> None:
    assert bars_of(Score(12, (Voice("Flute", 73),), ())) == [(0, TimeSignature(0, 4, 4))]


def test_of_what_can_be_said_nothing_is_reported_but_how_many_notes_there_were() -> None:
    piece = four_voices()
    report = ScoreTokenizer.fit([piece]).quantise(piece)[1]
    assert {name: value for name, value in asdict(report).items() if value} == {"notes": 112, "bars": 8}


def test_a_moment_before_the_beginning_is_no_state() -> None:
    decoder = ScoreTokenizer.fit([four_voices()]).decoder()
    state = decoder.state()
    for fields in ({"bar_start": -1, "now": -1}, {"notes": -1}, {"clock": -1}):
        wrong = {**state, "memory": {**state["memory"], **fields}}
        with pytest.raises(ValueError, match="contradicts"):
            ScoreTokenizer.fit([four_voices()]).decoder(wrong)


def test_bars_behind_one_that_became_shorter_have_its_metre() -> None:
    known = [TimeSignature(0, 3, 4)], [TimeSignature(0, 4, 4)]
    notes = tuple(Note(12 * at, 12, 60) for at in range(8))
    pieces = [Score(12, (Voice("A"),), notes, tuple(metres)) for metres in known]
    odd = replace(pieces[0], time_signatures=(TimeSignature(0, 3, 4), TimeSignature(36, 5, 4)))
    found, _ = ScoreTokenizer.fit(pieces).quantise(odd)
    assert found.time_signatures == (TimeSignature(0, 3, 4), TimeSignature(36, 4, 4))
    assert [note.start_ticks for note in found.notes] == [note.start_ticks for note in notes]
