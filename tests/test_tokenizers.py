"""Tokenizers out of JSON: what they wrote themselves comes back, and what nobody should have written is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from generator.errors import CarouselError
from generator.tokenizers import KINDS, from_json
from generator.tokenizers.performance_grammar import VOCABULARY
from tests.conftest import tiny


def score(**changes: str) -> dict[str, Any]:
    rows = {"time-signature": "4/4", "tempo": "60", "position": "0", "voice": "0", "pitch": "60", "duration": "12"}
    rows.update({kind.replace("_", "-"): value for kind, value in changes.items()})
    part = {"name": "Flute", "program": 73, "drum": False, "monophonic": True, "low": 60, "high": 60}
    return {
        "kind": "score",
        "voices": [part],
        "vocabulary": ["end", "bar", *(f"{kind} {value}" for kind, value in rows.items())],
    }


def performance(old: str, new: str) -> dict[str, Any]:
    return {"kind": "performance", "vocabulary": [entry.replace(old, new) for entry in VOCABULARY]}


def higher(entry: str) -> str:
    kind, _, value = entry.partition(" ")
    return f"{kind} {int(value) + 20}" if kind.startswith("note") else entry


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
        {"kind": "char"},
        *({"kind": "char", "characters": characters} for characters in (7, ["a", "b"], None, "", "aa", "a\ud800")),
        {"kind": "performance", "vocabulary": 5},
        {"kind": "performance", "vocabulary": [higher(entry) for entry in VOCABULARY]},
        performance("velocity 127", "velocity 128"),
        performance("velocity 4", "velocity 0"),
    ],
    ids=lambda data: str(data)[:60],
)
def test_hostile_data_is_refused_in_a_line(data: dict[str, Any]) -> None:
    with pytest.raises(CarouselError) as caught:
        from_json(data)
    assert "\n" not in str(caught.value)
