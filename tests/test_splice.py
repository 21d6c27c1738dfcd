"""A musician plays, the model answers: what is heard fits where the stream stands, and its take tells it again."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import CarouselError, Snapshot, Stream
from generator.cli import takes
from generator.music.score import Bar, Note, Pedal, Score, TimeSignature, Voice
from generator.streaming.engine import Model, load
from generator.streaming.origin import read_text
from tests.conftest import ROOT, four_voices, tiny


@cache
def model(name: str) -> Model:
    return load(ROOT / "checkpoints" / name) if (ROOT / "checkpoints" / name).is_dir() else Model(tiny(name))


NOTES = st.builds(
    Note, st.integers(0, 4000), st.integers(1, 3000), st.integers(0, 127), st.integers(1, 127), st.integers(0, 1)
)
PHRASES = st.builds(
    lambda notes, pedals, drum: Score(
        480,
        (Voice("Soprano"), Voice("Other", 0, drum)),
        tuple(sorted(notes, key=lambda note: (note.start_ticks, note.voice, -note.pitch))),
        pedals=tuple(sorted(pedals, key=lambda pedal: pedal.start_ticks)),
    ),
    st.lists(NOTES, min_size=1, max_size=12),
    st.lists(st.builds(Pedal, st.integers(0, 4000), st.booleans()), max_size=4),
    st.booleans(),
)


def phrase_for(name: str, score: Score) -> Any:
    return "what news my lord" if model(name).tokenizer.medium == "text" else score


@pytest.mark.parametrize("name", ["bach", "folk", "score", "performance", "char"])
@given(phrases=st.lists(st.tuples(st.integers(0, 100), PHRASES), min_size=1, max_size=2), back=st.integers(0, 90))
@settings(max_examples=4)
def test_whatever_is_played_the_grammar_allows_it_and_the_take_tells_it_again(
    name: str, phrases: list[tuple[int, Score]], back: int
) -> None:
    stream = model(name).stream(seed=5, temperature=1.1)
    events: list[Any] = []
    for before, score in phrases:
        events += stream.pull(before)
        try:
            events += stream.listen(phrase_for(name, score))
        except CarouselError as error:
            assert "no note" in str(error)  # drums alone, or out of every range
    events += stream.pull(40)
    assert list(stream.past()) == events
    take = stream.snapshot()
    assert read_text(take.text())[0].injected == take.injected
    decoder = stream.engine.tokenizer.decoder()
    given_at = {start + at for start, tokens in take.injected for at in range(len(tokens))}
    for position, token in enumerate(said(stream)):
        assert position not in given_at or decoder.allowed()[token]
        decoder.feed(token)
    stream.rewind(back)
    past = list(stream.past())
    assert past == events[: len(past)]
    assert past == list(model(name).resume(stream.snapshot()).past())
    assert sum(len(tokens) for _, tokens in stream.snapshot().injected) <= len(given_at)


def said(stream: Stream) -> list[int]:
    """The tokens of a stream without a primer, drawn again."""
    take = stream.snapshot()
    past = Stream.begin(stream.engine, (), take.timeline[:1])
    for _ in past.replay(take.position, take.timeline, take.injected):
        pass
    return past._past_tokens().tolist()


def test_a_take_that_heard_travels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = model("bach").stream(seed=3)
    stream.pull(100)
    stream.listen(four_voices(2))
    stream.set(temperature=0.8)
    stream.pull(150)
    stream.snapshot().save(tmp_path / "a.take")
    loaded = Snapshot.load(tmp_path / "a.take")
    assert loaded.injected == stream.snapshot().injected != ()
    assert model("bach").resume(loaded).pull(30) == stream.fork().pull(30)
    takes.replay(tmp_path / "a.take", checkpoint=ROOT / "checkpoints" / "bach")
    assert "identical" in capsys.readouterr().err
    other = model("bach").stream(seed=3)
    other.pull(100)
    other.snapshot().save(tmp_path / "b.take")
    monkeypatch.chdir(tmp_path)
    takes.show([Path("a.take"), Path("b.take")])
    lines = capsys.readouterr().out
    ((at, phrase),) = stream.snapshot().injected
    assert len(phrase) == 95
    assert f"at {at}: hears 95 tokens; at {at + 95}: temperature 0.8" in lines
    assert b'"version": 1,' in (tmp_path / "b.take").read_bytes().replace(b'\\"', b'"')


def test_written_music_begins_at_a_bar_line_in_the_voice_that_fits_and_the_others_are_silent() -> None:
    stream = model("bach").stream(seed=1)
    before = stream.pull(130)
    heard = stream.listen(Score(4, (Voice("Flute", 73),), tuple(Note(4 * beat, 4, 40 + beat) for beat in range(5))))
    lines = [event.start_ticks for event in [*before, *heard] if isinstance(event, Bar)]
    notes = [event for event in heard if isinstance(event, Note)][-5:]
    bars = lines[-3], lines[-2]
    assert [note.pitch for note in notes] == [40, 41, 42, 43, 44]
    assert {note.voice for note in notes} == {3}
    assert notes[0].start_ticks == bars[0]
    assert notes[-1].start_ticks == bars[1]
    assert not any(isinstance(event, Note) and event.end_ticks > bars[0] for event in before)
    assert stream.now_ticks == lines[-1] == bars[1] + bars[1] - bars[0]
    named = stream.listen(Score(4, (Voice("Flute", 73),), (Note(0, 4, 100),)), voice="Alto")
    assert [(e.voice, e.pitch) for e in named if isinstance(e, Note)] == [(1, 64)]


@pytest.mark.parametrize("at", [0, 1])
def test_a_phrase_is_barred_as_the_stream_is(at: int) -> None:
    """Whatever metre it was written in."""
    table = model("bach").tokenizer.table
    metre, other = (TimeSignature(0, *table.metres[index]) for index in (at, 1 - at))
    stream = model("bach").stream(seed=1, metre=f"{metre.numerator}/{metre.denominator}")
    stream.pull(60)
    notes = tuple(Note(480 * beat, 480, 72) for beat in range(12))
    heard = stream.listen(Score(480, (Voice("Soprano"),), notes, (other,)), voice="Soprano")
    lines = [event.start_ticks for event in heard if isinstance(event, Bar)][1:]
    assert {after - before for before, after in pairwise(lines)} == {metre.bar_ticks(12)}
    assert not any(isinstance(event, TimeSignature) for event in heard)


def test_a_phrase_without_a_metre_is_in_four_where_none_is_in_force() -> None:
    """Silent bars before its first note are left out, whole ones of 4/4."""
    stream = model("bach").stream(seed=1)
    heard = stream.listen(Score(1, (Voice("Soprano"),), (Note(9, 1, 72), Note(10, 2, 74))), voice="Soprano")
    assert [event.start_ticks for event in heard if isinstance(event, Note)] == [12, 24]
    assert [(e.numerator, e.denominator) for e in heard if isinstance(e, TimeSignature)] == [(4, 4)]


def test_a_performance_ends_what_sounds_and_keeps_seconds() -> None:
    stream = model("performance").stream(seed=2)
    stream.pull(60)
    start = stream.now_ticks
    phrase = Score(480, (Voice("Piano"),), (Note(960, 480, 60, 100), Note(1440, 960, 64, 100)))
    heard = stream.listen(phrase)
    first, second = [event for event in heard if isinstance(event, Note)][-2:]
    assert (first.pitch, second.pitch) == (60, 64)
    assert 0 <= first.start_ticks - start <= 3
    assert second.start_ticks - first.start_ticks == first.duration_ticks == 50
    assert second.duration_ticks == 100
    assert stream.horizon_ticks == stream.now_ticks == second.end_ticks


@pytest.mark.parametrize("before", [0, 1, 2, 60])
def test_a_performance_writes_what_it_hears_in_the_key_of_the_piece(before: int) -> None:
    stream = model("performance").stream(seed=2, key="E major")
    stream.pull(before)
    notes = (Note(0, 240, 60, 100), Note(240, 240, 64, 100), Note(480, 240, 67, 100), Note(720, 480, 60, 100))
    heard = stream.listen(Score(480, (Voice("Piano"),), notes))
    assert [event.pitch for event in heard if isinstance(event, Note)][-4:] == [60, 64, 67, 60]
    said = [stream.engine.tokenizer.to_json()["vocabulary"][token] for token in stream.snapshot().injected[0][1]]
    assert [row for row in said if row.startswith("key")] == ([] if before else ["key C major"])
    on = {"note_on 60", "note_on 64", "note_on 67"} if not before else {"note_on 56", "note_on 60", "note_on 63"}
    assert {row for row in said if row.startswith("note_on")} == on


@pytest.mark.parametrize(
    ("name", "phrase", "word"),
    [
        ("bach", "text", "generates music"),
        ("char", four_voices(1), "generates text"),
        ("char", "snowman ☃", "unknown"),
        ("bach", Score(480, (Voice("x"),), ()), "no notes"),
        ("performance", Score(480, (Voice("x", 0, True),), (Note(0, 1, 60),)), "no notes"),
        ("performance", Score(1, (Voice("x"),), (Note(0, 10**9, 60),)), "in parts"),
        ("bach", Score(1, (Voice("x"),), (Note(10**9, 1, 60),)), "in parts"),
        ("bach", Score(480, (Voice("x"),), (Note(-1, 480, 60),)), "in parts"),
        ("frames", four_voices(1), "into frames"),
    ],
)
def test_what_cannot_be_heard_is_refused_and_nothing_has_happened(name: str, phrase: Any, word: str) -> None:
    stream = model(name).stream(seed=1)
    before = stream.snapshot().to_bytes()
    with pytest.raises(CarouselError, match=word):
        stream.listen(phrase)
    assert stream.snapshot().to_bytes() == before


def test_a_take_that_heard_the_impossible_is_refused() -> None:
    stream = model("bach").stream(seed=3)
    stream.pull(50)
    stream.listen(four_voices(1))
    take = stream.snapshot()
    start, tokens = take.injected[0]
    with pytest.raises(CarouselError, match="damaged"):
        list(model("bach").resume(replace(take, injected=((start, tokens[::-1]),))).past())
    with pytest.raises(CarouselError, match="does not fit"):
        model("bach").resume(replace(take, injected=((start, (999,) * len(tokens)),)))
