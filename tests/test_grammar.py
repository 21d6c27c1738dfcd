"""Grammars: many streams at once are as each alone, saved or not, compiled or not; a damaged state is refused."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.music.keys import KEYS
from generator.music.score import Note
from generator.tokenizers import KINDS
from generator.tokenizers.base import Event, Mask, Rows, Tokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.performance_grammar import VOCABULARY
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_vocabulary import Part, Table
from tests.conftest import ROOT, tiny


def ensemble() -> ScoreTokenizer:
    """Few pitches and long notes, so that every voice is full now and then: chords, one drum, a melody;
    two styles, soft and loud."""
    parts = [
        Part("Piano", 0, drum=False, monophonic=False, low=60, high=63),
        Part("Drum", 0, drum=True, monophonic=False, low=62, high=62),
        Part("Flute", 73, drum=False, monophonic=True, low=61, high=64),
    ]
    values = {
        "bar": KEYS,
        "time-signature": ("4/4", "5/8", "1/16"),
        "tempo": (60, 90),
        "position": (0, 2, 12, 30, 47),
        "voice": range(3),
        "pitch": range(54, 70),
        "duration": (1, 12, 100, 500),
        "loudness": (33, 80),
        "style": ("reel", "slip jig"),
    }
    return ScoreTokenizer(Table(["end", *(f"{kind} {value}" for kind in values for value in values[kind])], parts))


TOKENIZERS: dict[str, Tokenizer] = {
    **{kind: tiny(kind).tokenizer for kind in KINDS},
    "ensemble": ensemble(),
    "composers": PerformanceTokenizer((*VOCABULARY, "style bach", "style liszt")),
}
names = st.sampled_from(sorted(TOKENIZERS))
seeds = st.integers(0, 2**32)


def choose(mask: Mask, random: np.random.Generator) -> int:
    assert mask.any(), "something may always follow"
    return int(random.choice(np.flatnonzero(mask)))


def walked(tokenizer: Tokenizer, steps: int, seed: int) -> Any:
    """A decoder after a random walk."""
    random = np.random.default_rng(seed)
    decoder = tokenizer.decoder()
    for _ in range(steps):
        decoder.feed(choose(decoder.allowed(), random))
    return decoder


def beginning(tokenizer: Tokenizer, streams: int) -> tuple[Rows, Mask]:
    """Memory of streams that have said nothing, and masks with anything in them."""
    memory = np.tile(tokenizer.grammar.begin(), (streams, 1))
    return memory, np.ones((streams, tokenizer.vocab_size), dtype=np.bool_)


@given(names, seeds, st.integers(1, 5))
@settings(max_examples=15)
def test_a_stream_in_company_is_as_alone(name: str, seed: int, streams: int) -> None:
    tokenizer = TOKENIZERS[name]
    random = np.random.default_rng(seed)
    memory, masks = beginning(tokenizer, streams)
    decoders = [tokenizer.decoder() for _ in range(streams)]
    for _ in range(300):
        tokenizer.grammar.allowed(memory, masks)
        np.testing.assert_array_equal(masks, [decoder.allowed() for decoder in decoders])
        tokens = [choose(mask, random) for mask in masks]
        tokenizer.grammar.advance(memory, np.array(tokens))
        for decoder, token in zip(decoders, tokens, strict=True):
            decoder.feed(token)
        np.testing.assert_array_equal(memory, [decoder.memory for decoder in decoders])


@given(names, seeds, st.integers(0, 400))
@settings(max_examples=40)
def test_a_restored_row_has_the_same_future(name: str, seed: int, cut: int) -> None:
    tokenizer = TOKENIZERS[name]
    decoder = walked(tokenizer, cut, seed)
    restored = tokenizer.decoder(json.loads(json.dumps(decoder.state())))
    assert restored.state() == decoder.state()
    memory, masks = restored.memory[np.newaxis].copy(), np.ones((1, tokenizer.vocab_size), dtype=np.bool_)
    random = np.random.default_rng(seed + 1)
    for _ in range(200):
        tokenizer.grammar.allowed(memory, masks)
        np.testing.assert_array_equal(masks[0], decoder.allowed())
        token = choose(masks[0], random)
        tokenizer.grammar.advance(memory, np.array([token]))
        assert restored.feed(token) == decoder.feed(token)
        np.testing.assert_array_equal(memory[0], restored.memory)
        assert restored.horizon_ticks == decoder.horizon_ticks


@given(names, seeds)
@settings(max_examples=20)
def test_a_stream_that_breaks_the_rules_harms_no_other(name: str, seed: int) -> None:
    """A primer in a damaged take may hold any tokens."""
    tokenizer = TOKENIZERS[name]
    random = np.random.default_rng(seed)
    memory, masks = beginning(tokenizer, 3)
    neighbour = tokenizer.decoder()
    for _ in range(400):
        token = choose(neighbour.allowed(), random)
        neighbour.feed(token)
        tokenizer.grammar.advance(memory, np.array([token, random.integers(tokenizer.vocab_size), token]))
        tokenizer.grammar.allowed(memory, masks)
        for row in (0, 2):
            np.testing.assert_array_equal(memory[row], neighbour.memory)
            np.testing.assert_array_equal(masks[row], neighbour.allowed())


def places(value: Any) -> list[tuple[Any, ...]]:
    """The path of everything in a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [(), *((key, *rest) for key in keys for rest in places(value[key]))]


def put(state: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The state with another value at a place; `...` takes away what is there."""
    if not path:
        return value
    state = copy.deepcopy(state)
    inner = state
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return state


numbers = st.integers(-3, 130) | st.sampled_from([-(2**63), -(2**31), 1000, 2**31, 2**53, 2**62, 2**63, 10**400])
junk = st.sampled_from([None, True, 1.0, float("nan"), "", "7", [], [[]], [[0, 60]], [["0", "60", "9"]], {}])


@given(names, seeds, st.integers(0, 400), st.data())
@settings(max_examples=200)
def test_a_damaged_state_is_refused_or_goes_on(name: str, seed: int, steps: int, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    state = walked(tokenizer, steps, seed).state()
    path = data.draw(st.sampled_from(places(state)[1:]))
    try:
        decoder = tokenizer.decoder(put(state, path, data.draw(numbers | junk)))
    except ValueError:
        return
    random = np.random.default_rng(seed)
    for _ in range(60):
        before = decoder.horizon_ticks
        decoder.feed(choose(decoder.allowed(), random))
        assert decoder.horizon_ticks >= before


LATER = [("lines",), ("history", "upbeat")]  # what older takes lack


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_state_that_lacks_something_is_refused(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    state = walked(tokenizer, 100, 0).state()
    for path in places(state)[1:]:
        if path not in LATER and (not isinstance(path[-1], int) or len(path) == 3):  # all but a whole note
            with pytest.raises(ValueError):
                tokenizer.decoder(put(state, path, ...))
    with pytest.raises(ValueError):
        tokenizer.decoder({})


DAMAGES = [
    ("char", "count", -1),
    ("char", "count", 2**53 + 1),
    *(("score", "last", value) for value in (-1, 8, 5.0, "5", 2**63, 10**400)),
    *(("score", field, 2**63) for field in ("bar_start", "bar_ticks", "now", "position", "notes", "tempo")),
    *(("score", field, 1000) for field in ("key", "metre", "voice", "pitch", "position", "bar_ticks")),
    *(("score", field, -2) for field in ("key", "metre", "voice", "pitch", "position", "notes", "tempo")),
    *(("score", field, -1) for field in ("key", "metre", "voice", "pitch", "tempo", "bar_start")),
    ("score", "pitch", 0),
    ("score", "now", 0),
    *(("performance", field, -1) for field in ("tick", "last", "floor", "velocity", "pedal", "key")),
    *(("performance", field, 2**63) for field in ("tick", "last", "floor", "velocity", "pedal", "key")),
    ("performance", "velocity", None),
    *(("performance", "key", key) for key in (None, 24)),
    *(("frames", field, value) for field in ("tick", "last", "said", "sounding") for value in (-1, 2**63, None)),
    *(("frames", "said", keys) for keys in ([88], [-1], [0, 87], ["0"])),
    *(("frames", "last", token) for token in (0, 2, 15, 103)),
]


@pytest.mark.parametrize(("name", "field", "value"), DAMAGES, ids=lambda value: str(value)[:20])
def test_a_damage_is_told(name: str, field: str, value: Any) -> None:
    """In a state just after the ninth note or character."""
    tokenizer = TOKENIZERS[name]
    decoder = tokenizer.decoder()
    random = np.random.default_rng(1)
    notes = 0
    while notes < 9:
        notes += any(isinstance(event, Note | str) for event in decoder.feed(choose(decoder.allowed(), random)))
    state = decoder.state()
    path = ("memory", field) if field in state.get("memory", ()) else (field,)
    tokenizer.decoder(state)
    with pytest.raises(ValueError):
        tokenizer.decoder(put(state, path, value))


def after(tokenizer: Any, *rows: str) -> Any:
    """A decoder that was fed these rows of the vocabulary."""
    decoder = tokenizer.decoder()
    vocabulary = tokenizer.to_json()["vocabulary"]
    for row in rows:
        decoder.feed(vocabulary.index(row))
    return decoder


OPENING = ("time-signature 4/4", "tempo 60", "bar D minor", "position 12")


SOUNDING = [
    *(
        ("ensemble", note)
        for note in ([3, 60, 13], [-1, 60, 13], [0, 53, 13], [0, 70, 13], [0, 60, 12], [0, 60, 2**62])
    ),
    *(
        ("performance", note)
        for note in ([94, 0, 80], [5, 0, 80], [-1, 0, 80], [45, -1, 80], [45, 6, 80], [45, 0, 0], [45, 0, 128])
    ),
    *(("frames", note) for note in ([88, 0], [-1, 0], [39, -1], [39, 2], [39, 0, 80])),
    *(
        (name, note)
        for name in ("ensemble", "performance", "frames")
        for note in (3, [3], [3, 60], [3, 60, 13, 1], [3, 60, None])
    ),
]


@pytest.mark.parametrize(("name", "note"), SOUNDING, ids=str)
def test_a_note_that_cannot_sound_is_refused(name: str, note: Any) -> None:
    tokenizer = TOKENIZERS[name]
    playing = ("key C major", "velocity 80", "note_on 60", "time_shift 5")
    frames = ("transposed 0", "pitch 60", "frame-end", "frame-end")
    rows, sound = {
        "ensemble": (OPENING, [0, 60, 13]),
        "performance": (playing, [45, 0, 80]),
        "frames": (frames, [39, 0]),
    }[name]
    state = after(tokenizer, *rows).state()
    assert tokenizer.decoder(put(state, ("sounding",), [sound])).state()["sounding"] == [sound]
    with pytest.raises(ValueError):
        tokenizer.decoder(put(state, ("sounding",), [note]))


def test_a_state_after_which_nothing_may_follow_is_refused() -> None:
    tokenizer = ensemble()
    state = after(tokenizer, *OPENING).state()
    full = [[0, pitch, 20] for pitch in range(60, 64)] + [[1, 62, 20], [2, 61, 20]]
    assert tokenizer.decoder(put(state, ("sounding",), full[1:])).allowed().sum() == 1
    with pytest.raises(ValueError, match="allows no next token"):
        tokenizer.decoder(put(state, ("sounding",), full))


def test_a_state_that_contradicts_itself_is_refused() -> None:
    state = after(ensemble(), *OPENING, "voice 0", "pitch 61", "duration 1").state()
    state["memory"] |= {"now": 48, "position": 48}  # the bar's end
    with pytest.raises(ValueError, match="contradicts"):
        ensemble().decoder(state)
    performance = TOKENIZERS["performance"]
    state = after(performance, "key C major", "velocity 80").state()
    with pytest.raises(ValueError, match="without a velocity"):
        performance.decoder(state | {"velocity": None})
    with pytest.raises(ValueError, match="no whole number"):
        performance.decoder(state | {"key": None})
    with pytest.raises(ValueError, match="a key before the key token"):
        performance.decoder(performance.decoder().state() | {"key": 3})
    for rows in ((), ("key C major",)):
        fresh = after(performance, *rows).state()
        for change in ({"velocity": state["velocity"]}, {"pedal": 1}, {"sounding": [[45, 0, 80]]}, {"floor": 3}):
            with pytest.raises(ValueError, match="without a velocity"):
                performance.decoder(fresh | change)
    with pytest.raises(ValueError, match="without a velocity"):
        performance.decoder(after(performance, "key C major", "pedal 1").state() | {"pedal": 0})


@given(seeds)
@settings(max_examples=10)
def test_a_piece_keeps_its_key_and_leaves_nothing_behind(seed: int) -> None:
    tokenizer = ensemble()
    random = np.random.default_rng(seed)
    decoder = tokenizer.decoder()
    fresh = decoder.state()["memory"]
    bars: list[set[str]] = [set()]
    for _ in range(600):
        row = tokenizer.table.rows[token := choose(decoder.allowed(), random)]
        decoder.feed(token)
        if row.startswith("bar"):
            bars[-1].add(row)
        if row == "end":
            bars.append(set())
            now, state = decoder.horizon_ticks, decoder.state()
            assert state["memory"] | {"clock": 0} == fresh | {"bar_start": now, "now": now}
            assert not state["sounding"]
    assert all(len(keys) == 1 for keys in bars[:-1])
    assert len(set.union(*bars)) > 1


def digest() -> str:
    """Of all that grammars do on a short walk of each kind."""
    found = hashlib.sha256()
    for name, tokenizer in TOKENIZERS.items():
        random = np.random.default_rng(5)
        memory, masks = beginning(tokenizer, 3)
        decoder = tokenizer.decoder()
        events: list[Event] = []
        for _ in range(250):
            tokenizer.grammar.allowed(memory, masks)
            tokens = np.array([choose(mask, random) for mask in masks])
            tokenizer.grammar.advance(memory, tokens)
            events += decoder.feed(int(tokens[0]))
            found.update(masks.tobytes() + memory.tobytes())
        state = decoder.state()
        assert tokenizer.decoder(state).state() == state
        found.update(f"{name} {events} {state}".encode())
    return found.hexdigest()


def test_plain_python_does_the_same() -> None:
    code = "import tests.test_grammar as test; print(test.digest())"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == digest(), done.stderr
