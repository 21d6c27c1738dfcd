"""What the Memory page's lesson says of the shipped checkpoints is so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import numpy as np
import pytest

from generator.music.score import Note
from generator.streaming.engine import Model, load
from generator.web.routes import STATIC
from tests.browser import ROOT

pytestmark = pytest.mark.slow


def lesson(medium: str) -> tuple[Model, list[str]]:
    """The checkpoint of a lesson, and what its steps hold."""
    found = json.loads((STATIC / "lessons.json").read_text(encoding="utf-8"))[medium]
    return load(ROOT / "checkpoints" / found["checkpoint"]), [step["clamp"] for step in found["steps"]]


def drawn(model: Model, clamp: str, seeds: Iterable[int] = range(1, 4)) -> list[list[Any]]:
    """What some streams say from token 200 on while this is held."""
    streams = [model.stream(seed=seed) for seed in seeds]
    for stream in streams:
        stream.pull(200)
        stream.set(clamp=clamp or None)
    return [stream.pull(400) for stream in streams]


@pytest.mark.parametrize("medium", ["text", "music"])
def test_gates_change_about_twice_as_fast_as_cells(medium: str) -> None:
    """The first step of the lesson."""
    model, _ = lesson(medium)
    stream = model.stream(seed=7)
    stream.pull(400)
    trace = stream.trace(100, 400)
    gates, cells = trace.input_gate[:, 0], (np.tanh(trace.cell[:, 0]) + 1) / 2  # as they are coloured
    assert 1.6 < np.abs(np.diff(gates, axis=0)).mean() / np.abs(np.diff(cells, axis=0)).mean() < 2.6


def test_what_the_lesson_says_of_text_is_so(mirror: Path) -> None:
    model, (_, silent, empty, full, counts) = lesson("text")
    known = set(re.findall("[a-z]+", (mirror / "tinyshakespeare" / "input.txt").read_text().lower()))

    def real(clamp: str) -> float:
        words = [word for events in drawn(model, clamp) for word in re.findall("[a-z]{4,}", "".join(events).lower())]
        return mean(word in known for word in words)

    def lines(clamp: str) -> float:
        return mean(401 / (events.count("\n") + 1) for events in drawn(model, clamp))

    assert real("") > 0.9 and real(silent) < 0.03 and 0.3 < real(empty) < 0.55 and real(full) < 0.1
    assert 0.4 < lines(counts) / lines("") < 0.6


def test_what_the_lesson_says_of_music_is_so() -> None:
    model, (_, silent, empty, full, loudness) = lesson("music")

    def notes(clamp: str) -> list[list[Note]]:
        return [[event for event in events if isinstance(event, Note)] for events in drawn(model, clamp, range(1, 7))]

    def seconds(clamp: str) -> float:
        """How long a note lasts."""
        per = 2 * model.tokenizer.ticks_per_quarter
        return mean(note.duration_ticks / per for played in notes(clamp) for note in played)

    def densities(clamp: str) -> list[float]:
        """Notes in a second, of each stream."""
        per = 2 * model.tokenizer.ticks_per_quarter
        return [len(played) * per / (played[-1].start_ticks - played[0].start_ticks) for played in notes(clamp)]

    def velocities(clamp: str) -> list[float]:
        return [mean(note.velocity for note in played) for played in notes(clamp)]

    assert seconds("") < 0.3 and seconds(silent) > 4
    free, same = densities(""), densities(empty)
    assert max(free) > 3.5 * min(free) and min(same) > 8 and max(same) < 12
    assert pstdev(velocities(empty)) < 0.3 * pstdev(velocities(""))
    assert 1.6 < mean(densities(full)) / mean(free) < 2.6
    louder = loudness.replace("=3", "=-3")
    assert mean(velocities(loudness)) + 8 < mean(velocities("")) < mean(velocities(louder)) - 4
