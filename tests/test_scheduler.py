"""Who steps what when: whatever is interrupted or breaks, nobody else notices, and nobody waits for ever."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

from generator.foundation.errors import CarouselError
from generator.streaming.batch import Batch
from generator.streaming.engine import Engine, Model
from generator.streaming.jobs import CHUNK, Job, Result
from generator.streaming.scheduler import Call
from tests.conftest import tiny


@pytest.mark.timeout(60)
def test_a_batch_without_jobs_is_done_at_once() -> None:
    """As when all who wanted some have been interrupted."""
    assert Engine(Model(tiny("char")))._scheduler._new_batch().step() == []


@pytest.mark.parametrize("method", ["step", "add", "_finish"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_breaks_a_batch_is_told_to_those_whose_jobs_it_held(
    method: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever, and streams and engine go on as if nothing had been."""
    model = Model(tiny("char"))
    engine = Engine(model, rows=8)
    streams = [engine.stream(seed=seed) for seed in (1, 2)]
    whole = getattr(Batch, method)
    calls = 0

    def broken(batch: Batch, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise error
        return whole(batch, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Batch, method, broken)
        with pytest.raises(error):
            engine.pull(streams, 3 * CHUNK)
    assert engine.pull(streams, 200 - streams[0].position) and streams[1].position <= 200
    for stream, seed in zip(streams, (1, 2), strict=True):
        stream.rewind(1000)
        assert stream.pull(100) == list(Engine(model).stream(seed=seed).take(100))


def test_what_is_recorded_survives_a_job_that_cannot_be_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """While another one is in the batch: none of its traces is taken for that of a later job."""
    model = Model(tiny("char"))
    engine = Engine(model, threads=1)
    one, other = (engine.stream(seed=seed) for seed in (1, 2))
    one.record(CHUNK)
    encode, calls = engine.constraints.encode, iter((False, True))

    def broken(options: Any) -> Any:
        if next(calls):
            raise MemoryError
        return encode(options)

    with monkeypatch.context() as patch:
        patch.setattr(engine.constraints, "encode", broken)
        with pytest.raises(MemoryError):
            engine.pull([one, other], 1)
    other.record(CHUNK)
    other.pull(CHUNK)
    again = Engine(model).stream(seed=2)
    again.pull(CHUNK)
    assert np.array_equal(other.recorded().cell, again.trace().cell)


@pytest.mark.parametrize("broken", ["a batch cannot be made", "a job cannot be taken up"])
def test_nobody_waits_for_ever_for_what_cannot_be_done(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that were in the line are told, whoever called first; and the next call is served."""
    model = Model(tiny("char"))
    engine = Engine(model, threads=1)
    streams = [engine.stream(seed=seed) for seed in range(4)]
    scheduler, told = engine._scheduler, []
    gate = threading.Event()

    def fail(*_: Any) -> Any:
        assert gate.wait(60)
        raise MemoryError

    def pull(stream: Any) -> None:
        with pytest.raises(MemoryError):
            stream.pull(5)
        told.append(stream)

    with monkeypatch.context() as patch:
        if broken == "a batch cannot be made":
            scheduler._idle.clear()
            patch.setattr(scheduler, "_new_batch", fail)
            gate.set()
            pull(streams[0])
        else:
            patch.setattr(Batch, "add", fail)
            threads = [threading.Thread(target=pull, args=(stream,)) for stream in streams]
            for thread in threads:
                thread.start()
            gate.set()
            for thread in threads:
                thread.join(60)
    assert len(told) == (1 if broken == "a batch cannot be made" else 4)
    assert engine.pull(streams, 50) == [list(Engine(model).stream(seed=seed).take(50)) for seed in range(4)]


def test_jobs_are_shared_with_the_threads_that_are_about_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """However quick the first one is."""
    engine = Engine(Model(tiny("char")), threads=2)
    streams = [engine.stream(seed=seed) for seed in range(60)]
    most = 0
    step = Batch.step

    def counted(batch: Batch) -> Any:
        nonlocal most
        most = max(most, len(batch.jobs))
        return step(batch)

    monkeypatch.setattr(Batch, "step", counted)
    for _ in range(10):
        engine.pull(streams, 20)
    assert most == 30


def test_threads_that_begin_at_once_take_the_idle_batches_once_each() -> None:
    engine = Engine(Model(tiny("char")), threads=3)
    streams = [engine.stream(seed=seed) for seed in range(60)]
    for _ in range(30):
        engine.pull(streams, 2)
    assert len({id(batch) for batch in engine._scheduler._idle}) == len(engine._scheduler._idle) <= 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
@pytest.mark.parametrize("way", ["pull", "take", "rewind"])
def test_signals_at_any_moment_leave_all_streams_whole(way: str) -> None:
    """Ctrl-C, a hundred times, in the main thread, while another thread listens to the same engine."""
    model = Model(tiny("char"))
    engine = Engine(model, rows=4)
    # An interrupt while numba loads compiled code breaks numba, so let it load all of it first.
    warm = engine.stream(seed=3)
    warm.pull(300), list(warm.take(3)), warm.rewind(40)
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
                    if way == "rewind" and stream.position > 100:
                        stream.rewind(60)
                    elif way == "pull":
                        stream.pull(70)
                    else:
                        list(stream.take(33))
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
    text = "".join(map(str, Engine(model).stream(seed=6).pull(stream.position + 200)))
    assert "".join(map(str, stream.pull(100))) == text[stream.position - 100 : stream.position]
    assert stream.history() == text[: stream.position]


def test_who_has_stopped_waiting_costs_nothing_and_keeps_nobody() -> None:
    engine = Engine(Model(tiny("char")), rows=1)
    given_up, later = engine.stream(seed=1), engine.stream(seed=2)
    call = Call([given_up._job(5)])
    call.wanted = False
    with engine._scheduler._lock:
        engine._scheduler._queue.append((call, call.jobs[0]))
    assert later.pull(80) == list(Engine(Model(tiny("char"))).stream(seed=2).take(80))
    assert not call._results


def test_two_threads_cannot_use_one_stream_at_once() -> None:
    """The second is told; a thread that comes after the first is welcome."""
    stream = Engine(Model(tiny("char"))).stream(seed=1)
    refused: list[str] = []
    run, inside, told = stream.engine.run, threading.Event(), threading.Event()

    def slow(jobs: Any) -> Any:
        inside.set()
        assert told.wait(60)
        return run(jobs)

    stream.engine.run = slow  # type: ignore[method-assign]
    first = threading.Thread(target=stream.pull, args=(5,))
    first.start()
    assert inside.wait(60)
    uses = (lambda: stream.pull(1), lambda: list(stream.take(1)), stream.snapshot, lambda: stream.set(seed=3))
    for use in (*uses, stream.history):
        with pytest.raises(CarouselError, match="two threads use one stream"):
            use()
        refused.append("told")
    told.set()
    first.join(60)
    stream.engine.run = run  # type: ignore[method-assign]
    assert len(refused) == 5
    assert len(stream.pull(5)) == 5 and stream.position == 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_child_of_a_fork_draws_with_threads_of_its_own() -> None:
    model = Model(tiny("char"))
    stream = model.stream(seed=4)
    before = stream.pull(40)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(map(str, stream.pull(70))).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as file:
        told = file.read()
    os.waitpid(child, 0)
    assert told == "".join(map(str, stream.pull(70))) and len(before) == 40


def test_a_phrase_that_an_interrupt_breaks_off_is_heard_as_far_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream says what its take says."""
    stream = Model(tiny("char")).stream(seed=4)
    stream.pull(10)
    run, calls = stream.engine.run, 0

    def interrupted(jobs: list[Job]) -> list[Result]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return run(jobs)

    with monkeypatch.context() as patch:
        patch.setattr(stream.engine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stream.listen("a phrase of more characters than one job has " * 3)
    fork = stream.fork()
    assert stream.position == 10 + CHUNK
    assert stream.pull(100) == fork.pull(100)
    assert stream.snapshot() == fork.snapshot()
    with pytest.raises(CarouselError, match="cannot draw -1 tokens ahead"):
        stream.step(ahead=-1)
