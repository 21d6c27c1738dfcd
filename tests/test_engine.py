"""The engine: many streams in one batch, from many threads, each as if it were alone."""

from __future__ import annotations

import copy
import pickle
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.streaming.batch import Batch
from generator.streaming.engine import Engine, Model
from generator.streaming.jobs import CHUNK, Job
from generator.streaming.stream import Stream
from tests.conftest import tiny
from tests.strategies import SAMPLING

options = st.fixed_dictionaries(
    {}, optional=SAMPLING | {"temperature": st.floats(0.0, 1.5), "at_end": st.sampled_from(["next", "never", "stop"])}
)
deeds = st.one_of(
    st.tuples(st.just("arrive"), options),
    st.tuples(st.just("leave"), st.integers(0, 99)),
    st.tuples(st.just("fork"), st.integers(0, 99)),
    st.tuples(st.just("set"), st.integers(0, 99), options),
    st.tuples(st.just("rewind"), st.integers(0, 99), st.integers(0, 90)),
    st.tuples(st.just("pull"), st.sets(st.integers(0, 99), min_size=1, max_size=12), st.integers(0, 100)),
)
schedules = st.lists(deeds, min_size=5, max_size=30)


def live_through(engine: Engine, schedule: list[Any]) -> dict[Stream, list[Any]]:
    """Every stream of a schedule, with what it said since its start or its last rewind."""
    primer = engine.tokenizer.decode(np.array([e for s in [engine.stream(seed=9)] for e in said(s, 90)]))
    streams = [engine.stream(primer if seed == 1 else None, seed=seed) for seed in range(3)]
    heard: dict[Stream, list[Any]] = {stream: list(stream.past()) for stream in streams}
    for deed, *what in schedule:
        stream = streams[what[0] % len(streams)] if isinstance(what[0], int) else streams[0]
        if deed == "arrive":
            streams.append(engine.stream(**what[0]))
            heard[streams[-1]] = []
        elif deed == "leave" and len(streams) > 1:
            streams.remove(stream)
        elif deed == "fork":
            streams.append(engine.resume(stream.snapshot()))
            heard[streams[-1]] = list(heard[stream])
        elif deed == "set":
            stream.set(**what[1])
        elif deed == "rewind":
            stream.rewind(what[1])
            heard[stream] = list(stream.past())
        elif deed == "pull":
            chosen = [streams[place] for place in {index % len(streams) for index in what[0]}]
            for one, events in zip(chosen, engine.pull(chosen, what[1]), strict=True):
                heard[one] += events
    return heard


def said(stream: Stream, tokens: int) -> list[int]:
    """The next tokens themselves."""
    found = []
    for _ in range(tokens):
        stream.pull(1)
        found.append(stream.snapshot().token)
    return found


def check_law_4(model: Model, schedule: list[Any], rows: int) -> None:
    """Each stream of a crowd says what it would say alone, and is where it would be."""
    alone = Engine(model, "int8", rows=1)
    for stream, heard in live_through(Engine(model, "int8", rows=rows), schedule).items():
        snapshot = stream.snapshot()
        again = Stream.begin(alone, snapshot.primer, snapshot.timeline)
        events = list(again.past()) + list(again.replay(snapshot.position, snapshot.timeline))
        assert events == heard
        lone = again.snapshot()
        assert lone.token == snapshot.token
        assert (lone.state.h == snapshot.state.h).all()
        assert (lone.state.c == snapshot.state.c).all()
        assert lone.decoder == snapshot.decoder


@given(schedule=schedules, rows=st.sampled_from([1, 2, 7, 64]))
@settings(max_examples=15)
def test_law_4_company(fake: Model, schedule: list[Any], rows: int) -> None:
    check_law_4(fake, schedule, rows)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_law_4_over_a_thousand_schedules() -> None:
    models = [Model(tiny(kind)) for kind in ("char", "score", "performance")]

    @given(schedule=schedules, rows=st.sampled_from([1, 2, 7, 64]), model=st.sampled_from(models))
    @settings(max_examples=1000)
    def holds(schedule: list[Any], rows: int, model: Model) -> None:
        check_law_4(model, schedule, rows)

    holds()


def test_threads_pull_at_once_and_each_hears_its_own() -> None:
    model = Model(tiny("char"))
    engine = Engine(model, rows=5)
    heard: dict[int, list[Any]] = {}

    def listen(seed: int) -> None:
        stream = engine.stream(seed=seed)
        heard[seed] = [event for size in (1, 70, 3, 200, 1) for event in stream.pull(size)]

    threads = [threading.Thread(target=listen, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for seed in range(16):
        assert heard[seed] == list(Engine(model).stream(seed=seed).take(275))


def test_a_long_pull_lets_others_ride_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens one caller wants, a job is short, and jobs that wait get the rows that it leaves."""
    engine = Engine(Model(tiny("char")), rows=1)
    order: list[int] = []
    add = Batch.add

    def noted(batch: Batch, job: Job) -> None:
        order.append(job.options.seed)
        add(batch, job)

    monkeypatch.setattr(Batch, "add", noted)
    engine.pull([engine.stream(seed=seed) for seed in range(3)], 4 * CHUNK)
    assert order == [0, 1, 2] * 4


def test_the_limit_is_refused_in_a_clear_word_and_a_stream_let_go_makes_room() -> None:
    engine = Engine(Model(tiny("char")), limit=2)
    one, _two = engine.stream(), engine.stream()
    with pytest.raises(CarouselError, match="2 streams are alive"):
        engine.stream()
    with pytest.raises(CarouselError, match="2 streams are alive"):
        engine.resume(one.snapshot())
    del one
    engine.stream()


def test_many_streams_say_the_same_on_any_number_of_threads() -> None:
    """Each thread has a batch with a share of them."""
    model, said = Model(tiny("score")), []
    for threads in (1, 2, 3):
        engine = Engine(model, threads=threads)
        said.append(engine.pull([engine.stream(seed=seed, top_p=0.9) for seed in range(50)], 100))
    assert said[1:] == said[:-1]
    assert said[0][40] == Engine(model).stream(seed=40, top_p=0.9).pull(100)


def test_the_reference_says_the_same_in_any_company() -> None:
    engine = Engine(Model(tiny("score")), "fp32", rows=8)
    heard = [engine.pull([engine.stream(seed=seed) for seed in range(1, 1 + count)], CHUNK)[0] for count in (1, 7)]
    assert heard[0] == heard[1]


def test_a_take_goes_on_with_the_backend_that_it_began_with() -> None:
    model = Model(tiny("char"))
    stream = Engine(model, "fp32").stream(seed=3)
    stream.pull(40)
    again = model.resume(stream.snapshot())
    assert again.snapshot().backend == "fp32"
    assert again.pull(40) == stream.pull(40)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(CarouselError, match="no backend 'int4'; choose one of auto, int8"):
        Engine(Model(tiny("char")), "int4")


def test_what_is_of_another_kind_is_refused_in_words() -> None:
    model = Model(tiny("char"))
    wrong: list[tuple[Any, str]] = [
        (lambda: Engine("checkpoints/bach"), "made for a model, not for a str; load"),  # type: ignore[arg-type]
        (lambda: model.stream(7), "a piece is a str or a Score, not a int"),
        (lambda: model.resume("a.take"), "from a Snapshot, not from a str; Snapshot.load"),  # type: ignore[arg-type]
        (lambda: model.engine().resume("a.take"), "not from a str"),  # type: ignore[arg-type]
        (lambda: list(model.stream().take(-5)), "cannot take -5 tokens"),
        (lambda: pickle.dumps(model.engine()), "an engine cannot be pickled; send the path of its checkpoint"),
        (lambda: copy.copy(model.stream()), r"cannot be pickled or copied; fork\(\) it"),
    ]
    for use, words in wrong:
        with pytest.raises(CarouselError, match=words):
            use()


@pytest.mark.parametrize(
    ("size", "words"), [({"rows": 0}, "0 rows"), ({"threads": -1}, "-1 threads"), ({"threads": 1.5}, "1.5 threads")]
)
def test_an_engine_without_rows_or_threads_is_refused(size: dict[str, Any], words: str) -> None:
    with pytest.raises(CarouselError, match=f"^an engine with {words} steps nothing"):
        Engine(Model(tiny("char")), **size)


def test_a_model_has_one_engine_a_backend() -> None:
    model = Model(tiny("char"))
    assert model.engine("int8") is model.engine("auto") is model.engine()
    assert model.engine("fp32") is not model.engine()


def test_pull_takes_streams_of_its_own_each_once() -> None:
    model = Model(tiny("char"))
    engine = Engine(model)
    stream = engine.stream()
    for wrong in ([stream, stream], [Engine(model).stream()]):
        with pytest.raises(CarouselError, match="streams of this engine, each once"):
            engine.pull(wrong, 4)
    for counts in ([], [4, 4], [-1]):
        with pytest.raises(CarouselError, match="no fewer tokens than 0"):
            engine.draw([stream], counts)
    assert stream.position == 0


def test_each_stream_may_want_another_number_of_tokens() -> None:
    engine = Engine(Model(tiny("char")))
    wanted = [0, 1, 7, 2 * CHUNK + 3]
    drawn = engine.draw([engine.stream(seed=seed) for seed in range(len(wanted))], wanted)
    for seed, (count, (tokens, events)) in enumerate(zip(wanted, drawn, strict=True)):
        assert len(tokens) == count and events == engine.stream(seed=seed).pull(count)


def test_a_take_of_another_backend_is_refused() -> None:
    """Its past would be another one."""
    model = Model(tiny("char"))
    snapshot = Engine(model, "fp32").stream().snapshot()
    with pytest.raises(CarouselError, match="made with the backend fp32, not with int8"):
        Engine(model, "int8").resume(snapshot)


@pytest.mark.parametrize(
    "wrong",
    [
        {"position": 2**63},
        {"position": 10**30},
        {"position": -1},
        {"primer": (5,) * 9},
        {"primer": (1.0,)},
        {"token": 99},
    ],
    ids=str,
)
def test_a_take_with_impossible_numbers_is_refused(wrong: dict[str, Any]) -> None:
    model = Model(tiny("char"))
    with pytest.raises(CarouselError, match="damaged or edited"):
        model.resume(replace(model.stream().snapshot(), **wrong))


def test_a_take_with_an_impossible_primer_is_refused() -> None:
    model = Model(tiny("score"))
    duration = model.tokenizer.to_json()["vocabulary"].index("duration 12")
    snapshot = replace(model.stream().snapshot(), primer=(duration,), position=1)
    with pytest.raises(CarouselError, match="damaged or edited"):
        model.resume(snapshot)
