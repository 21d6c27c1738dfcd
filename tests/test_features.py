"""The features of the score tokenizer: what they say, and that torch and both backends read them alike."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.bench import sample_with_nn_lstm
from generator.corpora.batches import one_pass
from generator.foundation.errors import CarouselError
from generator.model.backends import negative_log_likelihood, prepare
from generator.model.checkpoint import Checkpoint
from generator.model.ensemble import join
from generator.music.score import Note
from generator.streaming.score_constraints import is_parallel
from generator.tokenizers import from_json
from generator.tokenizers.base import Tokens
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_features import BARS_LEFT, BY_VOICE, OCTAVE, SINGLES, STYLE
from generator.tokenizers.score_memory import FIRST_ID, IN_VOICE, LAST, transposition
from generator.tokenizers.score_vocabulary import POSITION, VOICE
from tests.conftest import four_voices, random_checkpoint, tiny

TOKENIZER = ScoreTokenizer.fit([four_voices()])
GRAMMAR, VOICES = TOKENIZER.grammar, len(TOKENIZER.voices)
SINGLE = BY_VOICE * VOICES + OCTAVE
PREDICTED = slice(SINGLE + SINGLES, None, 2)
"""The columns of what stood some bars before."""
seeds = st.integers(0, 2**32 - 1)


def walk(seed: int, steps: int) -> Tokens:
    """Tokens drawn at random among those that the grammar allows; pieces end now and then."""
    random = np.random.default_rng(seed)
    row, mask = GRAMMAR.begin()[np.newaxis], np.zeros((1, TOKENIZER.vocab_size), np.bool_)
    tokens = np.empty(steps, np.uint16)
    for step in range(steps):
        GRAMMAR.allowed(row, mask)
        ends = mask[0, TOKENIZER.end] and random.random() < 0.05
        tokens[step] = TOKENIZER.end if ends else random.choice(np.flatnonzero(mask[0]))
        GRAMMAR.advance(row, tokens[step : step + 1].astype(np.int64))
    return tokens


def values(tokens: Tokens) -> Any:
    """The value of each feature before each token, (tokens, columns)."""
    return GRAMMAR.features_before(tokens).astype(int) - GRAMMAR.rules[FIRST_ID, : GRAMMAR.columns]


@given(seeds)
@settings(max_examples=20)
def test_each_id_belongs_to_its_column(seed: int) -> None:
    firsts = GRAMMAR.rules[FIRST_ID, : GRAMMAR.columns + 1]
    ids = GRAMMAR.features_before(walk(seed, 400)).astype(int)
    assert (firsts[:-1] <= ids).all() and (ids < firsts[1:]).all() and firsts[-1] == GRAMMAR.feature_rows


@given(seeds)
@settings(max_examples=20)
def test_they_are_about_the_piece_alone(seed: int) -> None:
    """So a model that is trained on pieces one by one reads in a stream what it was trained on."""
    tokens = walk(seed, 600)
    cuts = [0, *(np.flatnonzero(tokens == TOKENIZER.end) + 1).tolist(), len(tokens)]
    alone = np.concatenate([GRAMMAR.features_before(tokens[first:past]) for first, past in pairwise(cuts)])
    assert np.array_equal(GRAMMAR.features_before(tokens), alone)


@given(seeds, st.integers(0, 300))
@settings(max_examples=20)
def test_they_go_on_from_a_saved_decoder(seed: int, cut: int) -> None:
    tokens = walk(seed, 400)
    decoder = TOKENIZER.decoder()
    decoder.skip(tokens[:cut].tolist())
    later = GRAMMAR.features_before(tokens[cut:], TOKENIZER.decoder(decoder.state()).memory)
    assert np.array_equal(later, GRAMMAR.features_before(tokens)[cut:])


def bars(*lines: str) -> Tokens:
    """Four bars of a melody, for the soprano: a bar is pitches of a quarter each."""
    notes = [
        Note(1920 * bar + 480 * beat, 480, int(pitch))
        for bar, line in enumerate(lines)
        for beat, pitch in enumerate(line.split())
    ]
    return TOKENIZER.encode(replace(four_voices(len(lines)), notes=tuple(notes)))


def test_they_say_what_stood_some_bars_before() -> None:
    tokens = bars("72 74 76 75", "72 76 74 75", "72 74 76 75", "72 76 74 75")
    lines = [*np.flatnonzero(np.isin(tokens, TOKENIZER.bar_lines)).tolist(), len(tokens) - 1]
    predicted = values(tokens)[:, PREDICTED] - 1
    third = range(lines[2] + 1, lines[3] + 1)
    assert (predicted[third, 1] == tokens[third]).all(), "two bars before it was the same"
    assert (predicted[third, 0] == tokens[range(lines[1] + 1, lines[2] + 1)])[:3].all(), "one bar before it began so"
    assert (predicted[third, 2:] == -1).all(), "the piece has no such bars"
    runs = values(tokens)[:, SINGLE + SINGLES + 3 :: 2][:, 0]
    assert runs[lines[3]] > runs[lines[2] + 2] > 0


def test_a_note_that_is_left_out_is_passed_over() -> None:
    tokens = bars("72 74 76 75", "72 76 76 75")
    table = TOKENIZER.table
    position, voice = table.ids[POSITION, 24], table.first[VOICE]
    second = int(np.flatnonzero(np.isin(tokens, TOKENIZER.bar_lines))[1])
    shortened = np.array([*tokens[: second + 5], position, voice], np.uint16)  # beat 2 is missing
    assert values(np.append(shortened, tokens[-1]))[-1, PREDICTED][0] - 1 == tokens[second - 6]


@given(seeds)
@settings(max_examples=20)
def test_the_parallels_they_name_are_those_that_a_constraint_forbids(seed: int) -> None:
    tokens = walk(seed, 400)
    rows = np.concatenate([rows.copy() for rows in GRAMMAR.memories(tokens)])
    for row, found in zip(rows, values(tokens), strict=True):
        for place in set(found[3 : BY_VOICE * VOICES : BY_VOICE].tolist()) - {0}:
            assert row[LAST] == VOICE
            pitch = place - 1 + TOKENIZER.table.lowest_pitch + transposition(GRAMMAR.rules, row)
            assert is_parallel(GRAMMAR.rules, row, row[IN_VOICE], pitch)


def test_parallels_are_named() -> None:
    """Soprano and bass, which stood an octave apart, move: the bass may not go where the soprano went."""
    notes = (Note(0, 480, 72), Note(0, 480, 48, voice=3), Note(480, 480, 74), Note(480, 480, 50, voice=3))
    tokens = TOKENIZER.encode(replace(four_voices(1), notes=notes))
    at = int(np.flatnonzero(tokens == TOKENIZER.table.first[VOICE] + 3)[1]) + 1
    assert TOKENIZER.table.lowest_pitch + values(tokens)[at, 3] - 1 + above(tokens) == 50


def above(tokens: Tokens) -> int:
    """How many semitones above what is written this piece sounds."""
    rows = np.concatenate([rows.copy() for rows in GRAMMAR.memories(tokens)])
    return int(transposition(GRAMMAR.rules, rows[-1]))


def test_length_and_style_are_told_or_not() -> None:
    tokenizer = ScoreTokenizer.fit([replace(four_voices(), style=style) for style in ("hymn", "song")] * 20)
    grammar, first = tokenizer.grammar, BY_VOICE * len(tokenizer.voices) + OCTAVE
    tokens = tokenizer.encode(replace(four_voices(4), style="hymn"))
    memory = grammar.begin()
    grammar.ask_length(memory, 4)
    plain, told = grammar.features_before(tokens), grammar.features_before(tokens, memory)
    assert np.flatnonzero((plain != told).any(0)).tolist() == [first + BARS_LEFT]
    at = np.flatnonzero(np.isin(tokens, tokenizer.bar_lines)) + 1
    left = told[:, first + BARS_LEFT].astype(int) - grammar.rules[FIRST_ID, first + BARS_LEFT]
    assert left[at].tolist() == [4, 3, 2, 1] and left[0] == 5
    assert (plain[1:, first + STYLE] == grammar.rules[FIRST_ID, first + STYLE] + 1).all(), (
        "after its name, the style is known"
    )


def test_training_tells_the_length_of_half_of_the_pieces() -> None:
    pieces = [TOKENIZER.encode(four_voices(8))] * 40
    batches = one_pass(pieces, TOKENIZER, lanes=4, steps=32, seed=0, number=0, cold_share=0.0)
    column = batches.features[..., SINGLE + BARS_LEFT] - GRAMMAR.rules[FIRST_ID, SINGLE + BARS_LEFT]
    known = batches.targets >= 0
    assert 0.25 < (column[known] > 0).mean() < 0.75


@pytest.mark.parametrize("hidden_size", [24, 300])
def test_torch_and_both_backends_read_them_alike(hidden_size: int) -> None:
    checkpoint = random_checkpoint(TOKENIZER, hidden_size=hidden_size)
    checkpoint.weights["features.weight"][:] *= 6  # so that sums are clipped
    tokens = walk(0, 600)
    features = GRAMMAR.features_before(tokens)
    nats = checkpoint.model().negative_log_likelihood(tokens, TOKENIZER.start, features=features)
    for name, bound in (("fp32", 0.02), ("int8", 0.4)):
        found = negative_log_likelihood(prepare(name, checkpoint), tokens, TOKENIZER.start, features=features)
        assert np.abs(found - nats).max() < bound
    other = checkpoint.model().negative_log_likelihood(tokens, TOKENIZER.start, features=np.zeros_like(features))
    assert np.abs(other - nats).mean() > 0.01, "they matter"


def test_members_of_an_ensemble_read_their_own() -> None:
    members = [random_checkpoint(TOKENIZER, seed) for seed in range(2)]
    tokens = walk(0, 200)
    features = GRAMMAR.features_before(tokens)
    inputs, ids = (torch.from_numpy(array.astype(np.int64))[None] for array in (tokens, features))
    found = [model(inputs, model.zero_state(1), ids)[0] for model in [one.model() for one in (*members, join(members))]]
    assert torch.allclose((found[0] + found[1]) / 2, found[2], atol=1e-4)
    without = replace(members[0], config=replace(members[0].config, feature_rows=0, feature_dim=0))
    with pytest.raises(CarouselError, match="reads features"):
        join([members[0], without])


def test_a_tokenizer_keeps_them_as_json() -> None:
    again = from_json(TOKENIZER.to_json())
    assert (again.grammar.rules == GRAMMAR.rules).all() and again.grammar.columns == GRAMMAR.columns
    older = {name: value for name, value in TOKENIZER.to_json().items() if name not in ("features", "counted_bars")}
    assert from_json(older).grammar.columns == 0
    for damage in ({"features": 2}, {"counted_bars": 0}, {"counted_bars": "8"}):
        with pytest.raises(CarouselError):
            from_json(TOKENIZER.to_json() | damage)


def test_a_model_and_a_tokenizer_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    random_checkpoint(TOKENIZER).save(tmp_path)
    data = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(data | {"counted_bars": data["counted_bars"] + 1}))
    with pytest.raises(CarouselError, match="features"):
        Checkpoint.load(tmp_path)


def test_a_grammar_without_features_writes_none() -> None:
    """Though others of its kind have some."""
    grammar = ScoreTokenizer(TOKENIZER.table).grammar
    room = np.zeros((4, 99), np.int64)
    grammar.features(np.tile(grammar.begin(), (4, 1)), room[:, 40:40])
    assert not room.any()


def test_models_with_features_need_them() -> None:
    checkpoint, tokens = tiny("score"), walk(0, 10)
    with pytest.raises(ValueError, match="features"):
        checkpoint.model().negative_log_likelihood(tokens, TOKENIZER.start)
    with pytest.raises(ValueError, match="features"):
        negative_log_likelihood(prepare("int8", checkpoint), tokens, TOKENIZER.start)


def test_the_rival_of_the_bench_runs_beside_them() -> None:
    """It knows no grammar, so it reads none."""
    checkpoint = tiny("score")
    sample_with_nn_lstm(checkpoint.model(), TOKENIZER.start, 3, lanes=2)


@pytest.mark.parametrize(
    ("field", "value"),
    [("runs", [-1] * 5), ("pointers", [9_999] * 5), ("tokens", []), ("style", 0), ("key", 24), ("bars", -1)],
)
def test_a_damaged_history_is_refused(field: str, value: Any) -> None:
    decoder = TOKENIZER.decoder()
    decoder.skip(walk(0, 300).tolist())
    state = decoder.state()
    with pytest.raises(ValueError, match=r"decoder's state|reshape"):
        TOKENIZER.decoder(state | {"history": state["history"] | {field: value}})
