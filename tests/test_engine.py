"""The engine: many streams in one batch, from many threads, each as if it were alone."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import CarouselError
from generator.streaming.batch import CHUNK, Batch, Job
from generator.streaming.engine import Engine, Model
from generator.streaming.stream import Stream
from tests.conftest import tiny

options = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "temperature": st.floats(0.0, 1.5),
        "top_k": st.integers(0, 20),
        "top_p": st.floats(0.1, 1.0),
        "min_p": st.floats(0.0, 0.2),
        "at_end": st.sampled_from(["next", "never", "stop"]),
    },
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


def live_through(engine: Engine, schedule: list[Any]) -> list[Stream]:
    """Every stream of a schedule, when it is over."""
    streams = [engine.stream(seed=seed) for seed in range(3)]
    gone: list[Stream] = []
    for deed, *what in schedule:
        if deed == "arrive":
            streams.append(engine.stream(**what[0]))
        elif deed == "leave" and len(streams) > 1:
            gone.append(streams.pop(what[0] % len(streams)))
        elif deed == "fork":
            streams.append(engine.resume(streams[what[0] % len(streams)].snapshot()))
        elif deed == "set":
            streams[what[0] % len(streams)].set(**what[1])
        elif deed == "rewind":
            streams[what[0] % len(streams)].rewind(what[1])
        elif deed == "pull":
            chosen = {index % len(streams) for index in what[0]}
            engine.pull([streams[index] for index in chosen], what[1])
    return streams + gone


def check_law_4(model: Model, schedule: list[Any], rows: int) -> None:
    """Each stream of a crowd is where it would be alone."""
    crowd, alone = Engine(model, "int8", rows=rows), Engine(model, "int8", rows=1)
    for stream in live_through(crowd, schedule):
        snapshot = stream.snapshot()
        again = alone.resume(snapshot)
        list(again.past())
        replayed = alone.resume(alone.begin(snapshot.primer, snapshot.timeline))
        events = list(replayed._replay(snapshot.position, snapshot.timeline))
        assert replayed.snapshot().token == snapshot.token
        assert (replayed.snapshot().state.h == snapshot.state.h).all()
        assert (replayed.snapshot().state.c == snapshot.state.c).all()
        assert replayed.snapshot().decoder == snapshot.decoder
        assert list(stream.past()) == events


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


def test_an_interrupted_step_spoils_no_other_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(tiny("char"))
    engine = Engine(model, rows=8)
    stream, other = engine.stream(seed=1), engine.stream(seed=2)
    step = Batch.step
    steps = 0

    def interrupted(batch: Batch) -> bool:
        nonlocal steps
        steps += 1
        if steps == 20:
            raise KeyboardInterrupt
        return step(batch)

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.pull([stream], 50)
    assert stream.position == 0
    assert engine.pull([stream, other], 100) == [list(Engine(model).stream(seed=seed).take(100)) for seed in (1, 2)]


def test_the_limit_is_refused_in_a_clear_word_and_a_stream_let_go_makes_room() -> None:
    engine = Engine(Model(tiny("char")), limit=2)
    one, _two = engine.stream(), engine.stream()
    with pytest.raises(CarouselError, match="2 streams are alive"):
        engine.stream()
    with pytest.raises(CarouselError, match="2 streams are alive"):
        engine.resume(one.snapshot())
    del one
    engine.stream()


@pytest.mark.parametrize("backend", ["fp32", "bf16"])
def test_float_backends_repeat_themselves_while_the_batch_has_one_shape(backend: str) -> None:
    """Others at the same places may say what they like."""
    model = Model(tiny("score"))
    engine = Engine(model, backend, rows=8)
    heard = []
    for company in (range(10, 17), range(20, 27)):
        streams = [engine.stream(seed=seed) for seed in (1, *company)]
        heard.append(engine.pull(streams, CHUNK)[0])
    assert heard[0] == heard[1]
    assert engine.pull([engine.stream(seed=1)], 200) == engine.pull([engine.stream(seed=1)], 200)


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
