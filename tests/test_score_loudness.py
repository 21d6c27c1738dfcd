"""Written music that is played louder and softer: classes, what they lose, and loudness where streams are changed."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.music.score import Note, Score
from generator.streaming import melody
from generator.streaming.engine import Model
from generator.streaming.redraw import opening, redraw
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_loudness import refitted
from generator.tokenizers.score_vocabulary import DURATION, LOUDNESS, PITCH, VOICE, Table
from tests.conftest import four_voices, random_checkpoint
from tests.test_redraw import events_of
from tests.test_score import walk


def dynamic(bars: int = 8, *, velocities: tuple[int, ...] = (33, 80, 112)) -> Score:
    """Four voices whose notes have these velocities in turn."""
    score = four_voices(bars)
    notes = (replace(note, velocity=velocities[at % len(velocities)]) for at, note in enumerate(score.notes))
    return replace(score, notes=tuple(notes))


TOKENIZER = ScoreTokenizer.fit([dynamic()])


@cache
def model() -> Model:
    return Model(random_checkpoint(TOKENIZER))


def test_only_music_that_is_played_louder_and_softer_has_loudness() -> None:
    plain = ScoreTokenizer.fit([four_voices()])
    some = list(four_voices().notes)
    some[3] = replace(some[3], velocity=127)
    assert ScoreTokenizer.fit([replace(four_voices(), notes=tuple(some))]).table.rows == plain.table.rows
    softly = replace(four_voices(), notes=tuple(replace(note, velocity=40) for note in some))
    assert ScoreTokenizer.fit([softly, four_voices()]).table.rows == plain.table.rows, "each piece has one velocity"
    assert [row for row in TOKENIZER.table.rows if row not in plain.table.rows] == [
        *("loudness 33", "loudness 80", "loudness 112")
    ]
    assert "loudness" not in plain.decoder().state() and len(TOKENIZER.decoder().state()["loudness"]) == 4
    assert ScoreTokenizer.from_json(TOKENIZER.to_json()).table.rows == TOKENIZER.table.rows


def test_styles_stay_the_last_tokens() -> None:
    pieces = [replace(dynamic(1), style="jig")] * 10 + [dynamic(1)]
    tokenizer = ScoreTokenizer.fit(pieces)
    assert [row.split()[0] for row in tokenizer.table.rows[-2:]] == ["loudness", "style"] and tokenizer.styles == (
        "jig",
    )
    back = tokenizer.decode(tokenizer.encode(pieces[0]))
    assert [note.velocity for note in back.notes] == [note.velocity for note in pieces[0].notes]


def test_the_spelling() -> None:
    notes = (Note(0, 12, 72, 80), Note(12, 12, 74, 84), Note(24, 12, 76, 33), Note(36, 12, 72, 33))
    piece = replace(four_voices(), ticks_per_quarter=12, notes=notes, tempos=(), time_signatures=())
    rows = [TOKENIZER.table.rows[token] for token in TOKENIZER.encode(piece)]
    assert [row for row in rows if row.split()[0] in ("voice", "loudness", "duration")] == [
        *("voice 0", "loudness 80", "duration 12", "voice 0", "duration 12"),
        *("voice 0", "loudness 33", "duration 12", "voice 0", "duration 12"),
    ]
    report = TOKENIZER.quantise(piece)[1]
    assert (report.velocities_changed, report.max_velocity_error, report.mean_velocity_error) == (1, 4, 1.0)
    assert report.levelled == 0
    assert ScoreTokenizer.fit([four_voices()]).quantise(piece)[1].levelled == 2
    assert not [value for name, value in asdict(TOKENIZER.quantise(dynamic())[1]).items() if "veloc" in name and value]


def test_the_labels_know_the_loudness_of_the_last_note() -> None:
    tokens = TOKENIZER.encode(dynamic())
    found = TOKENIZER.labels(tokens)
    kinds = np.array(TOKENIZER.table.kinds)[tokens]
    behind = np.flatnonzero(kinds == DURATION) + 1
    velocities = [note.velocity for note in TOKENIZER.decode(tokens).notes]
    assert found["loudness of the last note"][behind].tolist() == velocities
    assert np.array_equal(found["a loudness comes next (looks ahead)"], kinds == LOUDNESS)
    assert np.array_equal(np.flatnonzero(found["a loudness was read"]), np.flatnonzero(kinds == LOUDNESS) + 1)


def test_a_voice_says_its_loudness_once_and_where_it_changes() -> None:
    decoder, rows = TOKENIZER.decoder(), list(TOKENIZER.table.rows)

    def opened() -> set[str]:
        return {rows[token].split()[0] for token in np.flatnonzero(decoder.allowed())}

    for row in (
        "time-signature 4/4",
        rows[rows.index("time-signature 4/4") + 1],
        "bar C major",
        "position 0",
        "voice 0",
    ):
        decoder.feed(rows.index(row))
    assert opened() == {"loudness"}, "the first note of a voice says how loud it is"
    assert decoder.describe(rows.index("loudness 112")) == "ff"
    decoder.feed(rows.index("loudness 112"))
    assert opened() == {"pitch"}
    tokens = [rows.index("voice 0"), rows.index("loudness 112"), int(np.flatnonzero(decoder.allowed())[0])]
    decoder.feed(tokens[-1])
    (note,) = decoder.feed(rows.index("duration 12"))
    assert isinstance(note, Note) and note.velocity == 112
    assert decoder.decisions([*tokens, rows.index("duration 12")], note) == {
        **{"Pitch": 1, "Length": 0, "Loudness": 2, "Voice": 3}
    }
    decoder.feed(rows.index("position 12"))
    decoder.feed(rows.index("voice 0"))
    assert opened() == {"loudness", "pitch"} and not decoder.allowed()[rows.index("loudness 112")]


@pytest.mark.parametrize("wrong", ["loudness 0", "loudness 128", "loudness 33"])
def test_a_loudness_that_midi_has_not_is_refused(wrong: str) -> None:
    rows = list(TOKENIZER.table.rows)
    rows[rows.index("loudness 80")] = wrong
    with pytest.raises(CarouselError, match="loudness"):
        Table(rows, TOKENIZER.table.parts)


def test_a_state_with_a_loudness_that_is_none_is_refused() -> None:
    state = TOKENIZER.decoder().state()
    with pytest.raises(ValueError, match="loudness"):
        TOKENIZER.decoder(state | {"loudness": [80, 81, -1, -1]})
    with pytest.raises(ValueError):
        TOKENIZER.decoder(state | {"loudness": [80]})


@given(st.integers(0, 2**32), st.lists(st.sampled_from([-1, 33, 80, 112]), min_size=4, max_size=4))
@settings(max_examples=15)
def test_notes_sound_alike_wherever_their_tokens_are_put(seed: int, in_force: list[int]) -> None:
    """A walk is cut behind a note; its second half goes on where other velocities are in force."""
    tokens = [token for token, _ in walk(TOKENIZER, seed, 300)]
    kinds = [TOKENIZER.table.kinds[token] for token in tokens]
    cut = next((at for at in range(100, 300) if kinds[at] == VOICE), 0)
    decoder = TOKENIZER.decoder()
    decoder.feed_all(tokens[:cut])
    state = decoder.state()
    fitted = refitted(TOKENIZER.table, tokens[cut:], state["loudness"], in_force)
    elsewhere = TOKENIZER.decoder(state | {"loudness": in_force})
    assert elsewhere.feed_all(fitted) == decoder.feed_all(tokens[cut:])
    if kinds[-1] != VOICE:
        assert refitted(TOKENIZER.table, fitted, in_force, state["loudness"]) == tokens[cut:]
    elsewhere = TOKENIZER.decoder(state | {"loudness": in_force})
    for token in fitted:
        assert elsewhere.allowed()[token]
        elsewhere.feed(token)


def test_loudness_neither_breaks_constraints_nor_lets_anything_else_break_them() -> None:
    table, stream = TOKENIZER.table, model().stream(seed=2, key="C major", scale="major", voices_at_once=3)
    stream.pull(600)
    kinds = [table.kinds[token] for token in stream.tokens()]
    follow = {after for before, after in pairwise(kinds) if before == VOICE}
    assert follow == {LOUDNESS, PITCH} and not stream.relaxed
    notes = stream.engine.tokenizer.collect(list(stream.past())).notes
    assert {note.pitch % 12 for note in notes} <= {0, 2, 4, 5, 7, 9, 11} and len({note.velocity for note in notes}) == 3


def test_a_melody_is_followed_at_any_loudness() -> None:
    text = melody.of_score(dynamic(2), TOKENIZER.table, "Soprano")
    stream = model().stream(seed=4, melody=text, at_end="stop")
    notes = [event for event in stream.pull(3000) if isinstance(event, Note) and event.voice == 0]
    wanted = [note for note in TOKENIZER.quantise(dynamic(2))[0].notes if note.voice == 0]
    assert [(note.start_ticks, note.pitch) for note in notes] == [(note.start_ticks, note.pitch) for note in wanted]
    assert "melody" not in stream.relaxed and len({note.velocity for note in notes}) > 1


def test_a_phrase_is_as_loud_as_it_was_played() -> None:
    stream = model().stream(seed=6)
    stream.pull(200)
    heard = stream.listen(dynamic(1))
    velocities = [note.velocity for note in dynamic(1).notes if note.voice == 0]
    found = [event.velocity for event in heard if isinstance(event, Note) and event.voice == 0]
    assert found[-len(velocities) :] == velocities
    stream.pull(60)
    assert list(model().resume(stream.snapshot()).past()) == list(stream.past())


def test_what_stays_when_bars_are_drawn_again_stays_as_loud() -> None:
    stream = model().stream(seed=3)
    stream.pull(700)
    tokens = stream.tokens().tolist()
    bars = TOKENIZER.bar_lines
    lines = [opening(stream, at) for at, token in enumerate(tokens) if token in bars]
    start, stop = next((first, past) for first, past in pairwise(lines) if past - first > 20)
    again = redraw(stream, start, stop, (1,), 1, 5)
    old, new = (events_of(stream, said, Note) for said in (tokens, tokens[:start] + again))
    assert again != tokens[start:]
    assert [note for note in new if note.voice != 1] == [note for note in old if note.voice != 1]
    fork = stream.fork()
    fork.rewind(fork.position - start)
    fork.inject(again)
    first = max(note.start_ticks for note in events_of(stream, tokens[:stop], Note)) + 48
    assert [note for note in new if note.start_ticks > first] == [note for note in old if note.start_ticks > first]
