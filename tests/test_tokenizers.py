"""Tokenizers: out of JSON comes back what they wrote, and nothing else; scores are spelled from their tonic."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.music.keys import KEYS
from generator.music.score import Note, Voice
from generator.tokenizers import KINDS, from_json
from generator.tokenizers.frames import FramesTokenizer
from generator.tokenizers.performance_grammar import VOCABULARY
from generator.tokenizers.score import ScoreTokenizer
from tests.conftest import four_voices, tiny
from tests.test_performance import higher


def score(**changes: str) -> dict[str, Any]:
    rows = {"time-signature": "4/4", "tempo": "60", "position": "0", "voice": "0", "pitch": "60", "duration": "12"}
    rows.update({kind.replace("_", "-"): value for kind, value in changes.items()})
    part = {"name": "Drum", "program": 0, "drum": True, "monophonic": True, "low": 60, "high": 60}
    return {
        "kind": "score",
        "voices": [part],
        "vocabulary": ["end", *(f"bar {key}" for key in KEYS), *(f"{kind} {value}" for kind, value in rows.items())],
    }


def performance(old: str, new: str) -> dict[str, Any]:
    return {"kind": "performance", "vocabulary": [entry.replace(old, new) for entry in VOCABULARY]}


FRAMES = FramesTokenizer().to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_comes_back(kind: str) -> None:
    data = tiny(kind).tokenizer.to_json()
    assert from_json(json.loads(json.dumps(data))).to_json() == data
    assert from_json(score()).to_json() == score()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": ["score"]},
        {"kind": "score"},
        {"kind": "score", "voices": 3, "vocabulary": []},
        *(score(time_signature=metre) for metre in ("4/0", "0/4", "-4/4", "4/3", "4/128", "65/64", "4", "4/4/4")),
        score(position="0", duration="9" * 400),
        score(tempo="9" * 5000),
        score(pitch="-1"),
        score(voice="1"),
        score(voice="60000"),
        score() | {"vocabulary": [row for row in score()["vocabulary"] if row != "bar D minor"]},
        score() | {"vocabulary": [row.replace("bar D minor", "bar H minor") for row in score()["vocabulary"]]},
        {"kind": "char"},
        *({"kind": "char", "characters": characters} for characters in (7, ["a", "b"], None, "", "aa", "a\ud800")),
        {"kind": "performance", "vocabulary": 5},
        {"kind": "performance", "vocabulary": [higher(entry, 20) for entry in VOCABULARY]},
        performance("velocity 127", "velocity 128"),
        performance("velocity 4", "velocity 0"),
        {"kind": "frames"},
        FRAMES | {"vocabulary": FRAMES["vocabulary"][:-1]},
        *(FRAMES | {"frames_per_quarter": value} for value in (0, 5, 1.0, True, "1", None)),
        *(FRAMES | {"quarters_per_minute": value} for value in (0, 1e9, float("nan"), True, "72", None)),
        *(FRAMES | {"program": value} for value in (-1, 128, 1.5, True, None)),
    ],
    ids=lambda data: str(data)[:60],
)
def test_hostile_data_is_refused_in_a_line(data: dict[str, Any]) -> None:
    with pytest.raises(CarouselError) as caught:
        from_json(data)
    assert "\n" not in str(caught.value)


def notes_of(rows: list[str]) -> list[str]:
    return [row for row in rows if not row.startswith("bar")]


@given(st.integers(-11, 11))
def test_a_piece_is_spelled_alike_in_every_key_but_for_its_bars(interval: int) -> None:
    """Pitches count from the tonic: they differ by octaves at most, and the bars say the key."""
    score = four_voices()
    higher = replace(score, notes=tuple(replace(note, pitch=note.pitch + interval) for note in score.notes))
    tokenizer = ScoreTokenizer.fit([score, higher])
    rows = [[tokenizer.table.rows[token] for token in tokenizer.encode(piece)] for piece in (score, higher)]
    octaves = {
        int(two.split()[1]) - int(one.split()[1]) if one.startswith("pitch") else one == two
        for one, two in zip(*map(notes_of, rows), strict=True)
    } - {True}
    assert len(octaves) == 1
    assert octaves <= {-12, 0, 12}
    keys = [KEYS.index(next(row for row in piece if row.startswith("bar")).removeprefix("bar ")) for piece in rows]
    assert (keys[1] - keys[0] - interval) % 12 == 0
    assert tokenizer.decode(tokenizer.encode(higher)).notes == tokenizer.quantise(higher)[0].notes


@given(st.integers(0, 2**32))
def test_augmenting_transposes_all_but_the_drums(seed: int) -> None:
    score = four_voices()
    drums = tuple(Note(beat * 480, 240, 36, voice=4) for beat in range(16))
    score = replace(score, voices=(*score.voices, Voice("Drums", 0, drum=True)), notes=(*score.notes, *drums))
    wide = [replace(score, notes=tuple(replace(n, pitch=n.pitch + up) for n in score.notes)) for up in (-9, 0, 14)]
    tokenizer = ScoreTokenizer.fit(wide)
    tokens = tokenizer.encode(score)
    variant = tokenizer.decode(tokenizer.augment(tokens, np.random.default_rng(seed)))
    plain = tokenizer.decode(tokens)
    intervals = {(b.pitch - a.pitch, a.voice == 4) for a, b in zip(plain.notes, variant.notes, strict=True)}
    assert {interval for interval, drum in intervals if drum} == {0}
    assert len({interval for interval, drum in intervals if not drum}) == 1
    assert tokenizer.encode(variant).tolist() == tokenizer.augment(tokens, np.random.default_rng(seed)).tolist()
