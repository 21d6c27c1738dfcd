"""The governor: no looping or silent stream gets stuck, healthy ones are left alone, and every law holds as before."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import generator
from generator import CarouselError, Snapshot, Stream, sample
from generator.cli import takes
from generator.foundation.options import SamplingOptions
from generator.music.score import Clock, Tempo
from generator.streaming.engine import Engine, Model, load
from generator.streaming.governor import EVERY, HOTTEST, MOST, Governor, lifted
from generator.tokenizers.loop_cycles import LONGEST_CYCLE
from generator.tokenizers.performance_grammar import VOCABULARY
from tests.conftest import ROOT, SHIPPED, tiny
from tests.process import python
from tests.test_laws import as_bytes, in_chunks
from tests.test_takes import Action, forged, straight, walk

LOOPING = {"char": 0.05, "silent": 0.3, "score": 0.05}
"""Tiny fakes, and a temperature at which they get stuck."""


@cache
def model(name: str) -> Model:
    """Peaked weights loop at low temperatures; the silent one likes nothing more than to wait for a second."""
    if name in SHIPPED:
        return load(ROOT / "checkpoints" / name)
    checkpoint = tiny("performance" if name == "silent" else name)
    if name == "silent":
        checkpoint.weights["output.bias"][VOCABULARY.index("time_shift 100")] += 6
    return Model(checkpoint)


@pytest.mark.parametrize(
    ("near", "lift"),
    [(0.0, 0.0), (0.39, 0.0), (0.4, 0.25), (0.44, 0.25), (0.45, 0.5), (0.6, 1.25), (0.7, 1.5), (1.0, 1.5)],
)
def test_how_much_the_temperature_is_raised(near: float, lift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    governor = Governor(model("char").tokenizer.decoder(), True)
    monkeypatch.setattr(Governor, "nearness", near)
    options = SamplingOptions()
    steered = governor._steer(options)
    assert steered.lift == lift and (steered is options) == (not lift)
    assert governor._steer(replace(options, governor=False)).lift == 0


@pytest.mark.parametrize("name", ["bach", "piano"])
def test_the_governors_clock_is_the_musics(name: str) -> None:
    stream = model(name).stream(seed=4, temperature=1.0, top_p=1.0)
    stream.pull(2000)
    clock = Clock(stream.engine.tokenizer.ticks_per_quarter)
    for event in stream.past():
        if isinstance(event, Tempo):
            clock.set(event)
    expected = 1000 * clock.seconds(stream.now_ticks)
    assert expected > 60_000
    assert stream._decoder.now_ms == pytest.approx(expected, abs=1)


def nearest(stream: Stream, tokens: int) -> float:
    """How near to being stuck it comes."""
    near = 0.0
    while tokens > 0:
        stream.pull(EVERY)
        near = max(near, stream._governor.nearness)
        tokens -= EVERY
    return near


def check_that_it_is_kept_from_it(name: str, temperature: float, tokens: int) -> None:
    left, kept = (model(name).stream(seed=2, temperature=temperature, governor=on) for on in (False, True))
    assert nearest(left, tokens) >= 1
    assert nearest(kept, tokens) < 1
    assert left.snapshot().lifts == 0 < kept.snapshot().lifts


@pytest.mark.parametrize(("name", "temperature", "tokens"), [("char", 0.05, 1500), ("silent", 0.3, 600)])
def test_what_gets_stuck_alone_does_not_under_the_governor(name: str, temperature: float, tokens: int) -> None:
    check_that_it_is_kept_from_it(name, temperature, tokens)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "temperature", "tokens"), [("bach", 0, 6000), ("folk", 0, 6000), ("piano", 0.3, 9000)]
)
def test_shipped_models_that_get_stuck_alone_do_not_under_the_governor(
    name: str, temperature: float, tokens: int
) -> None:
    """`shakespeare` is not among them: even at temperature 0 it goes round in no cycle."""
    check_that_it_is_kept_from_it(name, temperature, tokens)


def test_a_healthy_stream_is_left_alone(shipped: Model) -> None:
    here, there = (shipped.stream(seed=5, temperature=0.9, governor=on) for on in (True, False))
    assert here.pull(400) == there.pull(400)
    assert len(here.snapshot().timeline) == 1


def test_a_stream_that_is_free_again_has_its_own_options() -> None:
    stream = model("char").stream(seed=2, temperature=0.05)
    stream.pull(1000)
    positions, lifts = zip(*((at, options.lift) for at, options in stream.snapshot().timeline), strict=True)
    assert all(position % EVERY == 0 for position in positions)
    assert {options.temperature for _, options in stream.snapshot().timeline} == {0.05}
    assert lifts.count(0) >= 3  # at the start, and after each of several loops
    for before, lift in pairwise(lifts):
        assert lift == 0 or before < lift <= MOST


def test_filters_cannot_undo_a_lift() -> None:
    base = SamplingOptions(temperature=0, top_k=1, top_p=0.25, min_p=0.5)
    assert lifted(base) is base
    assert lifted(replace(base, lift=0.5)) == replace(base, lift=0.5, temperature=0.5, top_k=0, top_p=0.75, min_p=0.0)
    for flags in ({"top_k": 1}, {"top_p": 0.0}, {"temperature": 0.0}):
        assert nearest(model("char").stream(seed=2, **flags), 800) < 1
    found = {at: lifted(SamplingOptions(temperature=at, top_p=0.5, lift=MOST)) for at in (0.5, 0.05, 2.0, 10.0)}
    assert [options.temperature for options in found.values()] == [HOTTEST, 0.05 + MOST, 2.0, 10.0]
    assert {options.top_p for options in found.values()} == {1.0}


def until_lifted(stream: Stream) -> Stream:
    while not stream.options.lift:
        stream.pull(EVERY)
    return stream


def test_what_the_user_sets_wins_and_takes_the_lift_back() -> None:
    stream = until_lifted(model("char").stream(seed=2, temperature=0.05))
    at, lifted_so_far = stream.position, stream.options
    stream.set(temperature=0.05)
    assert stream.options == lifted_so_far  # for that says nothing new
    stream.set(temperature=0.04)
    assert stream.options == SamplingOptions(seed=2, temperature=0.04)
    assert stream.snapshot().timeline[-1] == (at, stream.options)
    stream.pull(EVERY)
    assert stream.options.lift > 0  # for the loop goes on
    assert stream.options.temperature == 0.04
    stream.set(governor=False)
    assert stream.options == SamplingOptions(seed=2, temperature=0.04, governor=False)
    assert nearest(stream, 800) >= 1
    stream.set(governor=True)
    stream.pull(EVERY)
    assert stream.options.lift == MOST  # it has listened all the time


low = st.fixed_dictionaries(
    {}, optional={"temperature": st.floats(0.0, 0.2), "seed": st.integers(0, 9), "governor": st.booleans()}
)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["take", "pull"]), st.integers(1, 200)),
        st.tuples(st.sampled_from(["set", "fork"]), low),
        st.tuples(st.just("rewind"), st.integers(0, 200)),
        st.tuples(st.just("save"), st.none()),
    ),
    max_size=6,
)


@pytest.mark.parametrize("name", LOOPING)
@given(taken=steps)
@settings(max_examples=4)
def test_the_laws_hold_for_any_walk(name: str, taken: list[Action], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rewound, forked, saved and steered: as straight on under its timeline, and the governor goes on alike."""
    start = model(name).stream(seed=2, temperature=LOOPING[name])
    start.pull(700)
    stream = walk(start, taken, tmp_path_factory.getbasetemp())
    other = straight(model(name), None, stream.snapshot())
    assert stream.snapshot().to_bytes() == other.snapshot().to_bytes()
    assert list(stream.past()) == list(other.past())
    assert list(stream.take(200)) == other.pull(200)
    assert stream.snapshot().to_bytes() == other.snapshot().to_bytes()


@pytest.mark.parametrize("name", LOOPING)
@given(sizes=st.lists(st.integers(1, 97), min_size=1, max_size=6))
@settings(max_examples=3)
def test_chunks_and_company_do_not_matter(name: str, sizes: list[int]) -> None:
    alone = model(name).stream(seed=2, temperature=LOOPING[name])
    events = in_chunks(alone, sizes, 800)
    engine = Engine(model(name))
    several = [engine.stream(seed=seed, temperature=LOOPING[name]) for seed in range(4)]
    drawn = engine.draw(several, 800)
    assert as_bytes(model(name), drawn[2][1]) == as_bytes(model(name), events)
    assert all(len(tokens) == 800 for tokens, _ in drawn)
    assert several[2].snapshot().to_bytes() == alone.snapshot().to_bytes()
    assert alone.snapshot().lifts


def test_a_stop_where_the_governor_steps_in() -> None:
    """What was drawn beyond it, an end too, is forgotten."""
    one, two = (model("silent").stream(seed=seed, temperature=0.3, at_end="stop") for seed in (2, 2))
    events = one.pull(3000)
    assert events == list(two.take(3000))
    assert one.snapshot().to_bytes() == two.snapshot().to_bytes()


SECOND = """
import sys
from generator.streaming.engine import load
from generator.streaming.snapshot import Snapshot
stream = load(sys.argv[1]).resume(Snapshot.load(sys.argv[2]))
stream.pull(300)
stream.snapshot().save(sys.argv[2])
"""


def test_it_goes_on_in_another_process(tmp_path: Path) -> None:
    model("char").checkpoint.save(tmp_path / "tiny")
    stream = until_lifted(load(tmp_path / "tiny").stream(seed=2, temperature=0.05))
    stream.pull(3)
    stream.snapshot().save(tmp_path / "a.take")
    python("-c", SECOND, tmp_path / "tiny", tmp_path / "a.take").check_returncode()
    stream.pull(300)
    assert (tmp_path / "a.take").read_bytes() == stream.snapshot().to_bytes()


def test_a_replay_needs_no_governor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model("silent").checkpoint.save(tmp_path / "tiny")
    stream = load(tmp_path / "tiny").stream(seed=2, temperature=0.3)
    events = stream.pull(700)
    stream.snapshot().save(tmp_path / "a.take")
    generator.write(stream.history(), tmp_path / "a.mid")
    monkeypatch.setattr("generator.streaming.governor.Governor._steer", None)
    for name in ("a.take", "a.mid"):
        takes.replay(tmp_path / name, checkpoint=tmp_path / "tiny")
    assert list(stream.past()) == events


def test_a_take_that_is_older_than_the_governor_goes_on(tmp_path: Path) -> None:
    stream = model("char").stream(seed=2)
    stream.pull(100)
    data = forged(stream.snapshot().to_bytes(), watch=None, timeline=[[0, {"seed": 2}]])
    (tmp_path / "old.take").write_bytes(data)
    assert model("char").resume(Snapshot.load(tmp_path / "old.take")).pull(100) == stream.pull(100)


@pytest.mark.parametrize("name", ["bach", "piano"])
def test_it_begins_to_listen_where_an_older_take_of_music_goes_on(name: str, tmp_path: Path) -> None:
    stream = model(name).stream(seed=2, temperature=1.0, top_p=1.0, parallels=True)
    stream.pull(600)
    data = forged(stream.snapshot().to_bytes(), watch=None, timeline=[[0, {"seed": 2}]])
    (tmp_path / "old.take").write_bytes(data)
    resumed = model(name).resume(Snapshot.load(tmp_path / "old.take"))
    assert resumed.pull(60) == stream.pull(60)
    assert resumed.options.lift == 0


def test_a_watch_that_has_heard_the_future_is_refused(tmp_path: Path) -> None:
    stream = model("bach").stream(seed=2)
    stream.pull(100)
    watch = stream.snapshot().detector
    assert watch is not None
    state = watch.state()
    for changed in ({"recent": [2**40]}, {"moment": [2**40, 60]}, {"moments": [[2**40, 1]]}):
        (tmp_path / "x.take").write_bytes(forged(stream.snapshot().to_bytes(), watch=state | changed))
        with pytest.raises(CarouselError, match="damaged"):
            model("bach").resume(Snapshot.load(tmp_path / "x.take"))


def test_an_interrupt_while_it_steps_in_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream goes on from where its past says that it is."""
    stream = model("char").stream(seed=2, temperature=0.05)
    hear, lifts = stream._governor.feed, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal lifts
        found = hear(*arguments)
        lifts += found[2] is not arguments[-1]
        if lifts == 2:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(stream._governor, "feed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stream.pull(2000)
    past = list(stream.past())
    assert past == model("char").stream(seed=2, temperature=0.05).pull(stream.position)
    assert stream.pull(300) == model("char").stream(seed=2, temperature=0.05).pull(stream.position)[len(past) :]


SOUND = model("char").stream(seed=2).snapshot().detector
assert SOUND is not None
STATE = SOUND.state()


@pytest.mark.parametrize(
    "watch",
    [
        5,
        {},
        {**STATE, "recent": [-1]},
        {**STATE, "recent": [2**60]},
        {**STATE, "moment": []},
        {**STATE, "moment": [0, 128]},
        {**STATE, "before": 1.5},
        {**STATE, "moments": [[0, 2**32]]},
        {**STATE, "moments": [[0, 1]] * (LONGEST_CYCLE + 2)},
        {**STATE, "cycles": [[LONGEST_CYCLE + 1, 1, 0, 0]]},
        {**STATE, "cycles": [[1, 17, 0, 0]]},
        {**STATE, "cycles": [[1, 1, 0]]},
    ],
    ids=str,
)
def test_a_damaged_memory_is_refused(watch: Any, tmp_path: Path) -> None:
    stream = model("char").stream(seed=2)
    stream.pull(100)
    (tmp_path / "x.take").write_bytes(forged(stream.snapshot().to_bytes(), watch=watch))
    with pytest.raises(CarouselError, match=r"x\.take: cut off or not a take"):
        Snapshot.load(tmp_path / "x.take")


def test_the_command_says_how_often_it_stepped_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model("char").checkpoint.save(tmp_path / "tiny")
    command = [str(tmp_path / "tiny"), "--tokens", "800", "--seed", "2", "--temperature", "0.05"]
    assert sample.main([*command, "--save", str(tmp_path / "a.take")]) == 0
    assert "the governor stepped in" in capsys.readouterr().err
    assert sample.main([*command, "--no-governor"]) == 0
    assert "governor" not in capsys.readouterr().err
    assert sample.main(["--tree", str(tmp_path / "a.take")]) == 0
    assert "lift" in capsys.readouterr().out
