"""A change of options is heard from just behind the listener on: what was drawn beyond is replaced, exactly."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import load
from generator.music import midi
from generator.streaming.engine import Model
from generator.web.live import ORIGIN_TOKENS, TOKENS
from generator.web.live_music import LiveMusic, ended
from generator.web.live_text import LiveText
from generator.web.trail import SOON
from tests.conftest import four_voices, tiny

pytestmark = pytest.mark.usefixtures("no_hurry")


class Browser:
    """What a page knows: every note and character that it was sent, less what was replaced."""

    def __init__(self, take: Any) -> None:
        self.take = take
        self.sequence = 0
        self.notes: list[Any] = []
        self.bars: list[float] = []
        self.text = ""
        self.horizon = take.describe()["at"]

    def pull(self, until: float, heard: float) -> dict[str, Any]:
        chunk: dict[str, Any] = self.take.pull(self.sequence, until, heard)
        self.sequence, self.horizon = chunk["seq"], chunk["horizon"]
        cut = chunk.get("from", float("inf"))
        if self.take.medium == "text":
            self.text = self.text[: int(min(cut, len(self.text)))] + chunk["text"]
            return chunk
        begun = [note for note in self.notes if note[0] < cut - 1e-3]  # of these, the chunk may have other lengths
        self.notes = list({(note[0], note[2], note[4]): note for note in begun + chunk["notes"]}.values())
        self.bars = [bar for bar in self.bars if bar < cut - 1e-3] + chunk["bars"]
        return chunk


KINDS = ("score", "performance", "frames")


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Model:
    return Model(tiny(request.param))


@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_what_is_heard_is_one_stream(model: Model, data: st.DataObject) -> None:
    """Whatever is changed and when, the listener has heard what a single stream says that had the changes at their
    tokens: no note twice, none missing, none with another length."""
    take = LiveMusic(model.stream(seed=data.draw(st.integers(0, 99))), "a")
    page = Browser(take)
    heard = 0.0
    for _ in range(data.draw(st.integers(1, 5))):
        page.pull(heard + data.draw(st.floats(1, 20)), heard)
        heard = data.draw(st.floats(heard, max(heard, page.horizon)))
        take.set(temperature=data.draw(st.sampled_from([0.3, 0.7, 1.0, 1.5])), seed=data.draw(st.integers(0, 3)))
        before = [note for note in page.notes if note[0] < heard - 1e-3]
        chunk = page.pull(heard + 5, heard)
        if "from" in chunk:
            assert chunk["from"] >= round(heard, 4) - 1e-3
            spans = {(note[0], note[2], note[4]) for note in page.notes}
            assert {(note[0], note[2], note[4]) for note in before} <= spans  # what began goes on
    snapshot = take._stream.snapshot()
    replay = model.resume(snapshot)
    score = replay.history()
    clock = score.clock()

    def seconds(ticks: int) -> float:
        return round(clock.seconds(ticks), 4)

    known = [note for note in score.notes if note.start_ticks < replay.horizon_ticks]
    said = [
        [seconds(n.start_ticks), round(seconds(n.end_ticks) - seconds(n.start_ticks), 4), n.pitch, n.velocity, n.voice]
        for n in known
    ]
    assert sorted(page.notes) == sorted(said)
    assert page.bars == [seconds(bar.start_ticks) for bar in score.bars if bar.start_ticks < replay.horizon_ticks]


@pytest.mark.parametrize("model", ["frames"], indirect=True)
def test_a_change_holds_at_the_next_token_after_the_listener(model: Model) -> None:
    """It need not wait for what was drawn ahead, nor for the end of a note that sounds."""
    take = LiveMusic(model.stream(seed=5), "a")
    page = Browser(take)
    page.pull(12.0, 0.0)
    take.set(temperature=0.4)
    chunk = page.pull(12.0, 3.0)
    at = [position for position, options in take._stream.snapshot().timeline if options.temperature == 0.4]
    straight = model.stream(seed=5)
    straight.pull(at[0])
    assert take._position(straight.now_ticks) == pytest.approx(chunk["from"], abs=1e-3)
    assert chunk["from"] >= 3.0 - 1e-3
    straight.rewind(1)
    assert take._position(straight.now_ticks) < 3.0
    assert take.set(temperature=0.4) is None and take.describe()["changes"] == 1
    assert "from" not in page.pull(13.0, 4.0)


@pytest.mark.parametrize(
    "name", ["bach", pytest.param("folk", marks=pytest.mark.slow), pytest.param("pop", marks=pytest.mark.slow)]
)
def test_a_change_of_written_music_is_heard_soon(name: str) -> None:
    """Whatever sounds: in 95 of 100 changes there is an onset within `SOON`, and at it the change holds."""
    model, chance, waits = load(name), Random(1), []
    for seed in range(4):
        page, heard = Browser(LiveMusic(model.stream(seed=seed), "a")), 0.0
        page.pull(8, 0)
        for change in range(10):
            heard += chance.uniform(1, 4)
            page.pull(heard + 8, heard)
            page.take.set(temperature=0.5 + change / 20)
            since = page.pull(heard + 8, heard)["from"]
            waits.append(min(note[0] for note in page.notes if note[0] >= since - 1e-3) - heard)
    assert sorted(waits)[int(0.95 * len(waits))] <= SOON + 1e-3


@pytest.mark.parametrize(("at_end", "goes_on"), [("stop", False), ("next", True)])
def test_the_last_chord_of_a_stream_that_ends_sounds_on(at_end: str, goes_on: bool) -> None:
    model = load("bach")
    stream = model.stream(seed=7, at_end="stop")
    stream.pull(10_000)
    assert stream.ended
    take = LiveMusic(stream, "a", at=0.0)
    page = Browser(take)
    while page.horizon < take._horizon():
        page.pull(1e6, 0)
    last = max(note[0] for note in page.notes)
    take.set(temperature=0.6, at_end=at_end)
    page.pull(1e6, last + 0.1)
    assert (max(note[0] for note in page.notes) > last) is goes_on and take._stream.ended is not goes_on


def test_a_limit_of_notes_a_second_holds_for_an_onset_that_comes_sooner() -> None:
    """Of four notes that begin together and sound for two seconds, in C major at 60 quarters a minute."""
    model, changed = load("bach"), 0
    for seed in range(6):
        take = LiveMusic(model.stream(seed=seed, density=4), "a")
        page, heard = Browser(take), 0.0
        for change in range(6):
            heard += 1.3
            page.pull(heard + 6, heard)
            take.set(temperature=0.5 + change / 20, density=4)
            changed += "from" in page.pull(heard + 6, heard)
        assert not take._stream.relaxed
    assert changed > 20


def test_a_melody_keeps_its_lengths(music: Model) -> None:
    melody = music.melody(four_voices(4), "Soprano")
    take = LiveMusic(music.stream(seed=1, melody=melody), "a")
    page = Browser(take)
    page.pull(7, 0)
    before = [note for note in page.notes if note[4] == 0]
    take.set(temperature=0.5)
    page.pull(7, 2.1)
    after = [note for note in page.notes if note[4] == 0]
    assert after[: len(before)] == before and not take._stream.snapshot().injected


def test_a_change_of_a_performance_holds_at_once() -> None:
    """Also within a wait."""
    model, waits = Model(tiny("performance")), 0
    for seed in range(8):
        page = Browser(LiveMusic(model.stream(seed=seed), "a"))
        page.pull(9, 0)
        page.take.set(temperature=0.4)
        since = page.pull(9, 3.333)["from"]
        assert 3.333 <= since < 4.35
        waits += since == 3.34
        at = [position for position, options in page.take._stream.snapshot().timeline if options.temperature == 0.4]
        assert len(at) == 1
    assert waits > 4


def test_a_change_in_text_replaces_what_was_not_typed(text: Model) -> None:
    page = Browser(LiveText(text.stream(seed=2), "a"))
    page.pull(400, 0)
    typed = page.text[:101]
    page.take.set(temperature=0.2, seed=9)
    assert page.pull(400, 101)["from"] == 101
    straight = text.stream(seed=2)
    straight.pull(101)
    straight.set(temperature=0.2, seed=9)
    straight.pull(len(page.text) - 101)
    assert page.text == straight.history() and page.text.startswith(typed)
    assert page.take.title == "a, seed 9"


def test_a_lost_answer_to_a_change_is_sent_again(text: Model) -> None:
    page = Browser(LiveText(text.stream(seed=2), "a"))
    page.pull(400, 0)
    page.take.set(temperature=0.2)
    lost = page.take.pull(1, 400, 50)
    assert lost["from"] == 50 and page.take.pull(1, 500, 90) == lost


def test_another_listener_gets_a_change_that_is_pending(text: Model) -> None:
    page = Browser(LiveText(text.stream(seed=2), "a"))
    page.pull(400, 0)
    page.take.set(temperature=0.2)
    again = page.take.again(100)
    assert again.describe()["before"] == page.text[:100]
    chunk = again.pull(0, 300, 100)
    assert chunk["options"]["temperature"] == 0.2 and chunk["from"] == 100
    straight = text.stream(seed=2)
    straight.pull(100)
    straight.set(temperature=0.2)
    straight.pull(len(chunk["text"]))
    assert straight.history()[100:] == chunk["text"]


def test_a_change_comes_after_what_was_sent(model: Model) -> None:
    """However far the stream is drawn, a listener behind the last chunk misses nothing."""
    stream = model.stream(seed=2)
    stream.pull(4000)
    take = LiveMusic(stream, "a", at=0.0)
    page = Browser(take)
    page.pull(1.0, 0.0)
    sent = page.horizon
    assert sent < take._horizon()
    take.set(temperature=0.4)
    assert page.pull(sent + 5, sent + 20)["from"] == pytest.approx(sent, abs=2)


def test_no_position_draws_for_ever(text: Model) -> None:
    take = LiveText(text.stream(seed=2), "a", at=1e9)
    assert take.describe()["at"] <= ORIGIN_TOKENS + TOKENS


def test_a_note_has_ended_with_its_whole_length(model: Model) -> None:
    stream = model.stream(seed=1)
    stream.pull(300)
    notes = stream.history().notes
    until = notes[len(notes) // 2].end_ticks
    assert all(ended(note, until) == (note.end_ticks <= until) for note in notes)


def test_a_file_does_not_tell_what_came_later(music: Model) -> None:
    """Neither how far the stream was drawn, nor which options it got, beyond what is in the file."""
    take = LiveMusic(music.stream(seed=5), "a")
    take.pull(0, 8.0)
    file = midi.to_bytes(take.heard(3.0))
    take.set(temperature=0.5)
    take.pull(1, 20.0, 6.0)
    assert midi.to_bytes(take.heard(3.0)) == file
    assert midi.to_bytes(take.heard(12.0)) != file
