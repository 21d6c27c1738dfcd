"""The option `form`: sections that come back, with an upbeat or without, beside other constraints and set late."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.form import bars_of
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.score import Note, Score, TimeSignature, Voice
from generator.streaming.engine import Model
from generator.streaming.section_constraints import SHORTEST_WITH_ENDING
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.score import ScoreTokenizer
from tests.conftest import four_voices, random_checkpoint
from tests.test_constraints import outside

TOKENIZER = ScoreTokenizer.fit([four_voices()])
LOUD = ScoreTokenizer.fit(
    [replace(four_voices(), notes=tuple(replace(n, velocity=40 + n.pitch) for n in four_voices().notes))]
)
seeds = st.integers(0, 2**32 - 1)
forms = st.sampled_from([("AABB", 4), ("AABA", 2), ("ABAC", 1), ("ABAB", 4), ("aa", 8), ("ABA", 1), ("ABACABA", 2)])
"""A form, and the bars of a section that has it."""


def whole_pieces(stream: Stream) -> list[list[str]]:
    """The tokens of each whole piece of a stream, as rows of the vocabulary."""
    rows = [stream.engine.tokenizer.table.rows[token] for token in stream.tokens()]  # type: ignore[attr-defined]
    ends = [index + 1 for index, row in enumerate(rows) if row == "end"]
    return [rows[first:past] for first, past in pairwise([0, *ends])]


def bars_in(piece: list[str]) -> list[list[str]]:
    """The notes' tokens of each bar, but for loudness."""
    starts = [index for index, row in enumerate(piece) if row.startswith("bar ")]
    found = [piece[first + 1 : past] for first, past in pairwise([*starts, len(piece)])]
    return [[row for row in bar if row.split()[0] in ("position", "voice", "pitch", "duration")] for bar in found]


def check(piece: list[str], form: str, section: int, upbeat: bool | None = None) -> None:
    """That a piece has this form."""
    bars, letters = bars_in(piece), form.upper()
    begins = bars[0][0] != "position 0"
    assert begins == upbeat or upbeat is None
    assert sum(row.startswith("time-signature") for row in piece) == 1
    assert len(bars) == section * len(letters) + begins
    returning = section - (section >= SHORTEST_WITH_ENDING)
    for place, letter in enumerate(letters):
        first, now = (begins + section * at for at in (letters.index(letter), place))
        assert bars[now : now + returning] == bars[first : first + returning], (form, place)


@pytest.mark.parametrize("tokenizer", [TOKENIZER, LOUD], ids=["plain", "loud"])
@given(seeds, forms, st.booleans())
@settings(max_examples=12)
def test_sections_come_back_and_the_length_is_exact(
    tokenizer: ScoreTokenizer, seed: int, asked: tuple[str, int], upbeat: bool
) -> None:
    form, section = asked
    length = section * len(form) + upbeat
    stream = Model(random_checkpoint(tokenizer)).stream(seed=seed, form=form, length=length, governor=False)
    while len(whole_pieces(stream)) < 2:
        stream.pull(length * 60)
    assert stream.relaxed == {}
    for piece in whole_pieces(stream):
        check(piece, form, section, upbeat)


@given(seeds)
@settings(max_examples=5)
def test_without_a_length_sections_have_eight_bars_after_any_upbeat(seed: int) -> None:
    stream = Model(random_checkpoint(TOKENIZER)).stream(seed=seed, form="ABA", ranges="Tenor:64-64,Bass:50-50")
    while len(whole_pieces(stream)) < 3:
        stream.pull(1000)
    for piece in whole_pieces(stream):
        check(piece, "ABA", 8)
    assert stream.relaxed == {}


@given(seeds)
@settings(max_examples=10)
def test_no_note_sounds_into_the_next_section(seed: int) -> None:
    stream = Model(random_checkpoint(TOKENIZER)).stream(seed=seed, form="ABAB", length=9, at_end="stop")
    piece = TOKENIZER.collect(stream.pull(4000))
    ends = range(48, 9 * 48, 2 * 48)
    assert stream.ended
    assert not any(note.start_ticks < end < note.end_ticks for note in piece.notes for end in ends)


@given(seeds, st.sampled_from(["D minor", "F# major"]), st.booleans())
@settings(max_examples=10)
def test_with_a_key_ranges_and_an_end(seed: int, key: str, close: bool) -> None:
    """Where a section has an ending, the last one may be on the tonic."""
    asked = {"form": "AABB", "length": 16, "key": key, "ranges": "58-70", "voices_at_once": 3, "close": close}
    stream = Model(random_checkpoint(TOKENIZER)).stream(seed=seed, at_end="stop", **asked)
    score = TOKENIZER.collect(stream.pull(6000))
    [piece] = whole_pieces(stream)
    check(piece, "AABB", 4)
    assert not outside(score, key) and all(58 <= note.pitch <= 70 for note in score.notes)
    assert stream.relaxed.keys() <= {"close"}


@pytest.mark.parametrize("start", [0, 24])
def test_a_melody_brings_its_bars_and_the_others_come_back_with_it(start: int) -> None:
    """Sections of two bars, with a melody of that form; one note more stands before them."""
    notes = [Note(start, 48 - start, 72)] if start else []
    for bar, pitch in enumerate((74, 76, 74, 76, 75, 74, 75, 74), start=bool(start)):
        notes += [Note(48 * bar, 24, pitch), Note(48 * bar + 24, 24, pitch - 2)]
    tune = Score(12, (Voice("Soprano"),), tuple(notes), (TimeSignature(0, 4, 4),))
    model = Model(random_checkpoint(TOKENIZER))
    for seed in range(5):
        stream = model.stream(seed=seed, melody=model.melody(tune), form="AABB", at_end="stop", ranges="Alto:60-70")
        score = TOKENIZER.collect(stream.pull(4000))
        assert stream.ended and stream.relaxed == {}
        assert [note.pitch for note in score.notes if note.voice == 0] == [note.pitch for note in notes]
        check(whole_pieces(stream)[0], "AABB", 2, upbeat=start > 0)
    with pytest.raises(CarouselError, match=r"ABA cannot have [89] bars; it can have 3, 6, 12 or 24, or one more"):
        model.stream(melody=model.melody(tune), form="ABA")


@given(seeds, st.integers(1, 500), st.integers(1, 64))
@settings(max_examples=8)
def test_a_form_that_is_set_late_holds_from_there_and_is_replayed(seed: int, late: int, cut: int) -> None:
    model = Model(random_checkpoint(TOKENIZER))
    stream = model.stream(seed=seed, length=8)
    stream.pull(late)
    stream.set(form="ABAB")
    here = stream.snapshot()
    after = stream.pull(700)
    other = model.resume(Snapshot.from_bytes(here.to_bytes()))
    assert [event for _ in range(0, 700, cut) for event in other.take(cut)][: len(after)] == after
    stream.set(form=None, key="D minor")
    stream.pull(100)
    again = model.resume(Snapshot.from_bytes(stream.snapshot().to_bytes()))
    assert midi.to_bytes(again.history()) == midi.to_bytes(stream.history())
    for piece in whole_pieces(stream)[1:]:
        if len(piece) > late + 700:
            check(piece, "ABAB", 2)


def test_bars_of_before_come_back_in_a_form_that_is_set_late() -> None:
    stream = Model(random_checkpoint(TOKENIZER)).stream(seed=2, length=16, metre="4/4")
    while sum(row.startswith("bar ") for row in map(TOKENIZER.table.rows.__getitem__, stream.tokens())) < 5:
        stream.pull(1)
    stream.set(form="AABB")
    stream.pull(4000)
    bars = bars_in(whole_pieces(stream)[0])
    first = bars[0][0] != "position 0"
    assert bars[first + 5 : first + 7] == bars[first + 1 : first + 3]


def test_another_key_alters_what_comes_back() -> None:
    """The scale outranks the form, which keeps what it can: the rhythm."""
    stream = Model(random_checkpoint(TOKENIZER)).stream(seed=5, form="AA", length=16, key="C major", at_end="stop")
    while sum(row.startswith("bar ") for row in map(TOKENIZER.table.rows.__getitem__, stream.tokens())) < 9:
        stream.pull(1)
    now = stream.now_ticks
    stream.set(key="F# major")
    later = [event for event in stream.pull(4000) if isinstance(event, Note) and event.start_ticks > now]
    assert later and not any((note.pitch - 6) % 12 not in {0, 2, 4, 5, 7, 9, 11} for note in later)
    score = TOKENIZER.collect(list(stream.past()))
    bars = [sorted((onset, voice) for onset, _, voice in bar) for bar in bars_of(score)]
    assert stream.relaxed["form"] > 0 and bars[9:15] == bars[1:7]


REFUSED = [
    ({"form": "A-B"}, "form is 'A-B'; give a letter for each section, 32 at most, as in AABB"),
    ({"form": "A" * 33}, "32 at most"),
    ({"form": "ÄÄ"}, "give a letter"),
    ({"form": "ABCA"}, "form ABCA cannot be, because bars return after 1, 2, 4, 8 or 16; give one such as AABB"),
    ({"form": "aabb", "length": 24}, "AABB cannot have 24 bars; it can have 4, 8, 16, 32 or 64, or one more with"),
    ({"form": "AABB", "length": 18}, "AABB cannot have 18 bars"),
    ({"form": "AABB", "length": 1}, "AABB cannot have 1 bars"),
    ({"form": "ABACABA"}, "ABACABA cannot have 56 bars; it can have 7, 14 or 28, or one more with an upbeat"),
    ({"form": "AABB", "at_end": "never"}, "form is for pieces that end; leave at_end never out"),
]


@pytest.mark.parametrize(("asked", "message"), REFUSED, ids=str)
def test_a_form_that_cannot_be_is_refused_with_what_can(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(CarouselError) as error:
        Model(random_checkpoint(TOKENIZER)).stream(**asked)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_checkpoint_that_counts_no_bars_refuses() -> None:
    with pytest.raises(CarouselError, match="form needs a checkpoint that counts bars; train this one anew"):
        Model(random_checkpoint(ScoreTokenizer(TOKENIZER.table))).stream(form="AABB")


def test_a_take_from_before_there_were_forms_goes_on(tmp_path: Path) -> None:
    model = Model(random_checkpoint(TOKENIZER))
    stream = model.stream(seed=1)
    stream.pull(90)
    here = stream.snapshot()
    history = {name: value for name, value in here.decoder["history"].items() if name != "upbeat"}
    replace(here, decoder=here.decoder | {"history": history}).save(tmp_path / "old.take")
    assert b'"form"' not in (tmp_path / "old.take").read_bytes()
    assert model.resume(Snapshot.load(tmp_path / "old.take")).pull(90) == stream.pull(90)
