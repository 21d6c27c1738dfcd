"""The handle: lazy tokens, ends, rewinding, primers, and what it refuses."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from generator import CarouselError, Engine, write
from generator.music.score import Bar, PieceEnd, Score
from generator.streaming import snapshot
from generator.streaming.engine import Model
from generator.streaming.jobs import CHUNK, Job, Result
from generator.streaming.snapshot import KEYFRAME_EVERY, PERMANENT_EVERY
from generator.tokenizers.performance_grammar import NOTE_OFF, PEDAL, VOCABULARY
from tests.conftest import four_voices, random_checkpoint, tiny


def test_take_is_lazy_and_counts_tokens(fake: Model) -> None:
    stream = fake.stream(seed=1)
    events = stream.take(50)
    assert stream.position == 0
    list(events)
    assert stream.position == 50
    assert len(list(islice(stream, 30))) == 30


@given(forward=st.integers(1, 400), back=st.integers(0, 500))
@settings(max_examples=15)
def test_rewind_goes_back_exactly(fake: Model, forward: int, back: int) -> None:
    stream = fake.stream(seed=4, temperature=0.8)
    list(stream.take(forward))
    target = max(0, forward - back)
    stream.rewind(back)
    assert stream.position == target
    fresh = fake.stream(seed=4, temperature=0.8)
    list(fresh.take(target))
    assert list(stream.take(60)) == list(fresh.take(60))


def test_keyframes_are_few_and_a_rewind_re_runs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(tiny("char"))
    stream = model.stream(seed=4)
    text = "".join(map(str, stream.pull(300 * CHUNK)))
    assert len(stream._keyframes) <= 10 + stream.position // (KEYFRAME_EVERY * PERMANENT_EVERY)
    stepped = 0
    run = Engine.run

    def counted(engine: Engine, jobs: list[Job]) -> list[Result]:
        nonlocal stepped
        stepped += sum(job.count for job in jobs)
        return run(engine, jobs)

    monkeypatch.setattr(Engine, "run", counted)
    for back in (3, 100, 2000, 10_000):
        stepped, here = 0, stream.position
        stream.rewind(back)
        assert stepped <= min(back, PERMANENT_EVERY * KEYFRAME_EVERY) + KEYFRAME_EVERY
        assert stream.position == here - back
        assert "".join(map(str, stream.pull(50)))[:back] == text[here - back :][:50]


def test_a_resumed_stream_rewinds_beyond_where_it_was_resumed() -> None:
    model = Model(tiny("char"))
    stream = model.stream("hello", seed=4)
    text = "".join(map(str, stream.pull(1000)))
    resumed = model.resume(stream.snapshot())
    resumed.rewind(900)
    assert "".join(map(str, resumed.pull(100))) == text[100:200]


def test_rewind_forgets_later_changes() -> None:
    stream = Model(tiny("char")).stream(seed=4)
    before = "".join(map(str, stream.take(100)))
    stream.set(temperature=0.1)
    list(stream.take(10))
    stream.rewind(60)
    assert stream.options.temperature == 1.0
    assert "".join(map(str, stream.take(50))) == before[50:]
    assert stream.history() == before


@pytest.mark.parametrize("kind", ["score", "performance"])
def test_a_music_primer_is_part_of_the_history_and_the_music_goes_on_from_it(kind: str) -> None:
    model = Model(tiny(kind))
    primer = four_voices(2)
    stream = model.stream(primer, seed=2)
    assert stream.position == len(model.tokenizer.encode(primer)) - 1
    list(stream.take(300))
    history = stream.history()
    assert isinstance(history, Score)
    given_notes = model.tokenizer.decode(model.tokenizer.encode(primer)).notes
    if kind == "score":
        assert history.notes[: len(given_notes)] == given_notes
    assert len(history.notes) > len(given_notes)
    stream.rewind(10_000)
    assert stream.position == len(model.tokenizer.encode(primer)) - 1


def test_a_text_primer_goes_through_the_same_step_as_sampling() -> None:
    model = Model(tiny("char"))
    stream = model.stream("hello world", seed=2)
    text = "".join(map(str, stream.take(40)))
    assert stream.history() == "hello world" + text
    again = model.stream("hello", seed=2)
    assert "".join(map(str, again.read(model.tokenizer.encode(" world")[:-1].tolist()))) == " world"
    assert list(again.take(40)) == list(text)


def test_unknown_characters_in_a_primer_do_no_harm_and_are_never_said() -> None:
    model = Model(tiny("char"))
    stream = model.stream("h\u4e16llo", seed=3)
    assert "\ufffd" not in "".join(map(str, stream.take(2000)))


@pytest.mark.parametrize("kind", ["char", "score", "performance"])
def test_at_end(kind: str) -> None:
    checkpoint = tiny(kind)
    bias = checkpoint.weights["output.bias"]
    bias[checkpoint.tokenizer.end] += 4
    if kind == "performance":  # a piece ends only where no note sounds and the pedal is up
        for token, row in enumerate(VOCABULARY):
            bias[token] += 4 * (row.startswith(NOTE_OFF) or row == f"{PEDAL} 0")
    model = Model(checkpoint)
    end = "\n" if kind == "char" else PieceEnd
    stopped = model.stream(seed=1, at_end="stop")
    events = list(islice(stopped, 20_000))
    assert stopped.ended
    assert events[-1] == end if isinstance(end, str) else isinstance(events[-1], end)
    assert list(stopped.take(10)) == []
    assert model.resume(stopped.snapshot()).ended
    assert list(model.resume(stopped.snapshot(), at_end="next").take(50))
    onward = model.stream(seed=1, at_end="next")
    tokens = 20 * stopped.position
    assert len([e for e in onward.take(tokens) if e == end or (kind != "char" and isinstance(e, PieceEnd))]) > 1
    never = model.stream(seed=1, at_end="never")
    ids = []
    for _ in range(400):
        list(never.take(1))
        ids.append(never.snapshot().token)
    assert model.tokenizer.end not in ids


def test_a_change_that_changes_nothing_is_not_recorded_and_time_runs_one_way() -> None:
    stream = Model(tiny("char")).stream(seed=4)
    list(stream.take(10))
    stream.set(seed=4)
    assert len(stream.snapshot().timeline) == 1
    with pytest.raises(CarouselError, match="cannot rewind by -5"):
        stream.rewind(-5)


def test_history_is_what_was_said(fake: Model) -> None:
    stream = fake.stream(seed=1)
    said = stream.pull(400)
    assert said and stream.history() == fake.tokenizer.collect(said)


def test_the_history_of_written_music_has_bars_and_voices(music: Model) -> None:
    stream = music.stream(seed=1)
    bars = [event.start_ticks for event in stream.pull(400) if isinstance(event, Bar)]
    history = stream.history()
    assert [bar.start_ticks for bar in history.bars] == bars == sorted(set(bars))
    assert len(bars) > 5 and bars[0] == 0
    assert [voice.name for voice in history.voices] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert json.loads(history.origin)["position"] == 400


def test_score_gives_the_likelihood_of_each_token(any_model: Model) -> None:
    stream = any_model.stream(seed=1, temperature=0.7)
    stream.pull(200)
    piece = stream.history()
    tokens = torch.tensor(any_model.tokenizer.encode(piece).astype(np.int64))
    with torch.no_grad():
        reader = any_model.checkpoint.model()
        inputs = torch.cat([torch.tensor([any_model.tokenizer.start]), tokens[:-1]])
        features = any_model.tokenizer.grammar.features_before(tokens.numpy()).astype(np.int64)
        logits, _ = reader(inputs[None], reader.zero_state(1), torch.from_numpy(features)[None])
    expected = cross_entropy(logits[0], tokens, reduction="none").numpy()
    assert any_model.score(piece) == pytest.approx(expected, abs=1e-3)
    assert (any_model.score(list(stream.past())) == any_model.score(piece)).all()


def test_the_wrong_medium_is_refused() -> None:
    with pytest.raises(CarouselError, match="speaks text"):
        Model(tiny("char")).stream(four_voices())
    with pytest.raises(CarouselError, match="speaks music"):
        Model(tiny("score")).stream("la la la")
    with pytest.raises(CarouselError, match="backend"):
        Engine(Model(tiny("char")), backend="fp8")


def test_a_take_for_another_checkpoint_is_refused() -> None:
    take = Model(tiny("char")).stream(seed=1).snapshot()
    other = Model(random_checkpoint(Model(tiny("char")).tokenizer, seed=9))
    with pytest.raises(CarouselError, match=take.fingerprint[:16]):
        other.resume(take)
    with pytest.raises(CarouselError, match="damaged"):
        Model(tiny("char")).resume(replace(take, token=10_000))


@pytest.mark.parametrize("kind", ["char", "score"])
def test_an_interrupt_while_a_stream_hears_itself_loses_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(tiny(kind))
    stream = model.stream(seed=2)
    said = stream.pull(100)
    hear = stream._governor.feed

    def interrupted(*heard: Any) -> Any:
        hear(*heard)
        raise KeyboardInterrupt

    monkeypatch.setattr(stream._governor, "feed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stream.pull(200)
    straight = model.stream(seed=2)
    assert straight.pull(100) == said
    straight.pull(stream.position - 100)
    assert stream.pull(200) == straight.pull(200)
    assert stream.snapshot().to_bytes() == straight.snapshot().to_bytes()


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the jobs that engines are given from now on."""
    sizes: list[int] = []
    run = Engine.run

    def counted(engine: Engine, jobs: list[Job]) -> list[Result]:
        sizes.extend(job.count for job in jobs)
        return run(engine, jobs)

    monkeypatch.setattr(Engine, "run", counted)
    return sizes


def test_the_past_is_decoded_not_drawn_again(fake: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = fake.stream(seed=4)
    events = stream.pull(3000)
    fork = stream.fork(seed=5)
    more = fork.pull(100)
    sizes = counting(monkeypatch)
    assert list(stream.past()) == events
    assert list(fork.past()) == events + more
    assert fake.tokenizer.collect(events) == replace_origin(stream.history())
    assert not sizes


def replace_origin(piece: Any) -> Any:
    return replace(piece, origin="") if isinstance(piece, Score) else piece


def test_a_long_way_back_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here every eighth keyframe is kept for good."""
    monkeypatch.setattr(snapshot, "PERMANENT_EVERY", 8)
    apart = 8 * KEYFRAME_EVERY
    model = Model(tiny("score"))
    stream = model.stream(seed=4)
    events = stream.pull(5 * apart)
    small = [keyframe.position // KEYFRAME_EVERY for keyframe in stream._keyframes if isinstance(keyframe.kept, bytes)]
    assert small == [8, 16, 24, 32], "those that are kept for good"
    sizes = counting(monkeypatch)
    stream.rewind(3 * apart + 7)
    assert sum(sizes) <= apart
    assert stream.position == 2 * apart - 7
    assert list(stream.past()) + stream.pull(3 * apart + 7) == events


def test_tokens_are_drawn_ahead_and_dropped_when_options_change(fake: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """By two, four and more while they are used up; as many as were asked for; and by one where they never are."""
    sizes = counting(monkeypatch)
    stream = fake.stream(seed=4, governor=False)
    list(stream.take(100))
    assert sizes == [1, 2, 4, 8, 16, 32, 64]
    stream.set(temperature=0.5)
    list(stream.take(2))
    assert sizes[7:] == [37, 1, 2]  # first to where the listener is
    del sizes[:]
    other = fake.stream(seed=4, governor=False)
    for _ in range(100):
        other.step(ahead=40)
    assert sizes == [40, 40, 40]
    other.set(temperature=0.5)
    list(other.take(2))
    assert other.snapshot().to_bytes() == stream.snapshot().to_bytes()
    del sizes[:]
    for _ in range(20):
        list(other.take(1))
        other.snapshot()
        other.set(seed=other.options.seed + 1)
    assert sum(sizes) <= 40
    del sizes[:]
    third = fake.stream(seed=4, governor=False)
    for _ in range(13):
        third.pull(10)
    assert sizes == [10, 20, 40, 64]
    del sizes[:]
    fake.stream(seed=4, governor=False).pull(200)
    assert sizes == [64, 64, 64, 8]  # who takes many at once may be done
    del sizes[:]
    for _ in range(8):
        third.engine.pull([third], 10)
    assert sizes == [6] + [10] * 7  # of many, only what is due


def test_what_is_printed_of_models_streams_and_snapshots() -> None:
    model = Model(tiny("char"))
    stream = model.stream(seed=4, temperature=0.5)
    stream.pull(1234)
    assert repr(model) == "<Model tiny: char, 2 × 24 units, 32 tokens>"
    assert repr(stream) == "<Stream of tiny at token 1,234, seed 4, temperature 0.5>"
    assert repr(stream.engine).startswith("<Engine of tiny: int8 by ")
    assert repr(stream.snapshot()).endswith("…) at token 1,234>")


def test_snapshots_of_one_moment_are_equal() -> None:
    one, two = (Model(tiny("char")).stream(seed=4) for _ in range(2))
    assert one.snapshot() == two.snapshot() and hash(one.snapshot()) == hash(two.snapshot())
    one.pull(5), two.pull(4)
    assert one.snapshot() != two.snapshot() != "a snapshot"


def test_what_cannot_be_pickled_says_what_to_send() -> None:
    model = Model(tiny("char"))
    with pytest.raises(CarouselError, match="send the path of its checkpoint"):
        pickle.dumps(model)
    with pytest.raises(CarouselError, match=r"send stream\.snapshot"):
        pickle.dumps(model.stream())


def test_an_option_that_is_not_there_is_said_with_the_one_that_may_be_meant() -> None:
    model = Model(tiny("char"))
    with pytest.raises(CarouselError, match=r"no option 'temprature'; did you mean temperature\?"):
        model.stream(temprature=1)
    with pytest.raises(CarouselError, match="no option 'zzz'; there are seed, temperature, "):
        model.stream().set(zzz=1)
    with pytest.raises(CarouselError, match="a list cannot be written; give a str or a Score"):
        write([], "a.mid")
