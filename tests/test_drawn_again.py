"""What a browser remembers, or a link holds, comes from outside: one clear line, and no work without end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from generator.foundation.errors import CarouselError
from generator.streaming.engine import load
from generator.streaming.origin import _digest, _packed, read_text
from generator.web import primers
from generator.web.returning import LONGEST_ORIGIN, drawn_again, kept_again


@pytest.fixture
def origin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The origin of a stream of text, whose checkpoint is on the page."""
    monkeypatch.setattr(sys, "argv", ["app.py", str(folder)])
    stream = load(folder / "words").stream("to be", seed=3)
    stream.pull(100)
    stream.set(temperature=0.5)
    stream.pull(50)
    return stream.snapshot().text()


def changed(origin: str, **facts: Any) -> str:
    """An origin with other facts, and a digest that fits them."""
    whole = json.loads(origin) | facts
    del whole["digest"]
    return json.dumps({**whole, "digest": _digest(whole)})


def test_a_take_is_drawn_again_from_its_origin(folder: Path, origin: str) -> None:
    live = drawn_again("text", origin, 120.0)
    straight = load(folder / "words").stream("to be", seed=3)
    straight.pull(100)
    straight.set(temperature=0.5)
    straight.pull(400)
    assert live.describe()["at"] == 120 and live.options.temperature == 0.5 and live.title == "words, seed 3"
    until = live.pull(0, 300)["horizon"]
    assert live.heard(until) == straight.history()[: 5 + until]


def test_what_is_no_origin_is_refused_in_one_line(origin: str) -> None:
    many = _packed((1,) * (primers.MAX_PAST + 1))
    for bad, words in {
        "": "damaged",
        "{}": "damaged",
        origin[:-20]: "damaged",
        origin.replace("0.5", "0.6"): "edited",
        changed(origin, fingerprint="0" * 64): "not on this page",
        changed(origin, primer=many): "damaged",
        changed(origin, position=primers.MAX_PAST + 1): "at most",
        " " * (LONGEST_ORIGIN + 1): "too long",
    }.items():
        with pytest.raises(CarouselError, match=words) as error:
            drawn_again("text", bad, 0.0)
        assert "\n" not in str(error.value)
    with pytest.raises(CarouselError, match="not on this page"):
        drawn_again("music", origin, 0.0)


def test_kept_takes_are_drawn_when_they_are_asked_for(origin: str) -> None:
    [kept, broken] = kept_again(
        "text", [{"title": "a", "length": 30, "origin": origin}, {"title": "b", "length": 30, "origin": "?"}]
    )
    assert len(kept.heard(30)) == 5 + 30 and kept.saved(30)
    with pytest.raises(CarouselError, match="damaged"):
        broken.heard(30)
    for bad in (
        None,
        "x",
        ["x"],
        [{}],
        [{"title": 1, "length": 3, "origin": ""}],
        [{"title": "a", "length": -1, "origin": ""}],
        [{"title": "a" * 201, "length": 1, "origin": ""}],
        [{"title": "a", "length": 1, "origin": "a" * (LONGEST_ORIGIN + 1)}],
    ):
        with pytest.raises(CarouselError):
            kept_again("text", bad)
    assert len(kept_again("text", [{"title": "a", "length": 30, "origin": origin}] * 99)) == 20
    assert read_text(origin)[0].position == 155
