"""The engine: many streams in one batch, from many threads, each as if it were alone."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import CarouselError
from generator.streaming.batch import CHUNK, Batch, Job
from generator.streaming.engine import Engine, Model
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
        again = alone.resume(alone.begin(snapshot.primer, snapshot.timeline))
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


@pytest.mark.parametrize("method", ["step", "add", "_finish"])
def test_an_interrupt_spoils_no_other_stream(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes: the others' jobs begin again, and so may the interrupted one."""
    model = Model(tiny("char"))
    engine = Engine(model, rows=8)
    stream, other = engine.stream(seed=1), engine.stream(seed=2)
    waiting = other.job(50)
    engine._waiting.append(waiting)
    whole = getattr(Batch, method)
    calls = 0

    def interrupted(batch: Batch, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == (20 if method == "step" else 1):
            raise KeyboardInterrupt
        return whole(batch, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Batch, method, interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.pull([stream], 50)
    assert stream.position == 0
    engine.serve([other.job(60)])
    assert waiting.after is not None
    assert engine.pull([stream, other], 100) == [list(Engine(model).stream(seed=seed).take(100)) for seed in (1, 2)]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_signals_at_any_moment_leave_the_engine_whole() -> None:
    """Ctrl-C, a hundred times, in the main thread, while another thread listens."""
    model = Model(tiny("char"))
    engine = Engine(model, rows=4)
    # An interrupt while numba loads compiled code breaks numba, so let it load all of it first.
    engine.serve([engine.stream(seed=3).job(3), engine.stream(seed=4).job(70)])
    bystander: list[Any] = []
    thread = threading.Thread(target=lambda: bystander.extend(engine.stream(seed=5).pull(3000)))
    stream = engine.stream(seed=6)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    random = np.random.default_rng(0)
    interrupts = 0
    try:
        thread.start()
        for _ in range(100):
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0002, 0.004))
                while True:
                    engine.serve([stream.job(64)])
            except KeyboardInterrupt:
                interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:  # one that came late
        interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    thread.join(60)
    assert not thread.is_alive()
    assert interrupts >= 50
    assert bystander == list(Engine(model).stream(seed=5).take(3000))
    assert stream.pull(200) == list(Engine(model).stream(seed=6).take(200))


class ClearedInAnInterrupt(list[Any]):
    """A list that is cleared just as Ctrl-C is pressed."""

    def clear(self) -> None:
        super().clear()
        raise KeyboardInterrupt


def test_an_interrupt_while_jobs_begin_again_loses_none() -> None:
    engine = Engine(Model(tiny("char")))
    broken_off, interrupted, later = (engine.stream(seed=seed).job(5) for seed in range(3))
    engine._batch.add(broken_off)
    engine._batch.jobs = ClearedInAnInterrupt(engine._batch.jobs)
    engine._broken_off = True
    with pytest.raises(KeyboardInterrupt):
        engine.serve([interrupted])
    engine._batch.jobs = []
    engine.serve([later])
    assert broken_off.after is not None and interrupted.after is None


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
    """So many share out their cells and their sampling."""
    model, before, said = Model(tiny("score")), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            engine = Engine(model)
            said.append(engine.pull([engine.stream(seed=seed, top_p=0.9) for seed in range(50)], 100))
    finally:
        torch.set_num_threads(before)
    assert said[1:] == said[:-1]
    assert said[0][40] == Engine(model).stream(seed=40, top_p=0.9).pull(100)


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


def test_an_engine_without_rows_is_refused() -> None:
    with pytest.raises(CarouselError, match="0 rows"):
        Engine(Model(tiny("char")), rows=0)


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
    assert stream.position == 0


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
