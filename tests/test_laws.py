"""The laws of streams, above temperature 0, for text and music, on the tiny fakes and on the shipped checkpoints."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.music import midi
from generator.music.score import Note, Score
from generator.streaming.engine import Engine, Model, load
from generator.streaming.jobs import CHUNK, Job, Result
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream, draw
from generator.tokenizers import KINDS
from tests.conftest import ALL_SHIPPED, ROOT, model_called, models, tiny
from tests.process import python
from tests.strategies import sampling

TOKENS = 240
CHANGE = 512
"""Bytes of memory for one change of options in a timeline, at most."""


cuts = st.lists(st.integers(1, 97), min_size=1, max_size=12)


def in_chunks(stream: Stream, sizes: Sequence[int], tokens: int) -> list[Any]:
    """The events of so many tokens, drawn in chunks of these sizes, in turn: each as work for the engine at once."""
    events, left, turn = [], tokens, 0
    while left:
        size = min(left, sizes[turn % len(sizes)])
        events += draw(stream.engine, [stream], size)[0][1]
        left, turn = left - size, turn + 1
    return events


def as_bytes(model: Model, events: list[Any]) -> bytes:
    """What a listener would save: the text, or the MIDI file."""
    piece = model.tokenizer.collect(events)
    return piece.encode() if isinstance(piece, str) else midi.to_bytes(piece)


@given(options=sampling, sizes=cuts)
@settings(max_examples=6)
def test_law_1_chunks(any_model: Model, options: dict[str, Any], sizes: list[int]) -> None:
    """One token at a time, in chunks of any size, and in one go."""
    single, chunked, whole = (any_model.stream(**options) for _ in range(3))
    singles, parts, at_once = list(single.take(TOKENS)), in_chunks(chunked, sizes, TOKENS), whole.pull(TOKENS)
    assert as_bytes(any_model, parts) == as_bytes(any_model, singles) == as_bytes(any_model, at_once)
    assert singles and parts == singles == at_once
    assert chunked.snapshot().to_bytes() == single.snapshot().to_bytes() == whole.snapshot().to_bytes()


@given(options=sampling, cut=st.integers(0, TOKENS))
@settings(max_examples=6)
def test_law_2_resume(
    any_model: Model, tmp_path_factory: pytest.TempPathFactory, options: dict[str, Any], cut: int
) -> None:
    whole = list(any_model.stream(**options).take(TOKENS))
    stream = any_model.stream(**options)
    events = list(stream.take(cut))
    path = tmp_path_factory.mktemp("take") / "evening.take"
    stream.snapshot().save(path)
    assert path.stat().st_size < 64 * 2**10
    resumed = any_model.resume(Snapshot.load(path))
    events += list(resumed.take(TOKENS - cut))
    assert as_bytes(any_model, events) == as_bytes(any_model, whole)
    assert as_bytes(any_model, list(resumed.past())) == as_bytes(any_model, whole)


SECOND = """
import sys
from pathlib import Path
from generator.streaming.engine import load
from generator.streaming.snapshot import Snapshot
from generator.sinks import write
stream = load(sys.argv[1]).resume(Snapshot.load(sys.argv[2]))
list(stream.take(int(sys.argv[3])))
write(stream.history(), sys.argv[4])
"""


@pytest.mark.parametrize("kind", KINDS)
def test_law_2_resume_in_another_process(kind: str, tmp_path: Path) -> None:
    tiny(kind).save(tmp_path / "model")
    model = load(tmp_path / "model")
    stream = model.stream(seed=5, temperature=0.9)
    list(stream.take(333))
    stream.snapshot().save(tmp_path / "a.take")
    list(stream.take(333))
    out = tmp_path / ("a.txt" if kind == "char" else "a.mid")
    arguments = [str(tmp_path / "model"), str(tmp_path / "a.take"), "333", str(out)]
    python("-c", SECOND, *arguments).check_returncode()
    history = stream.history()
    assert out.read_bytes() == (history.encode() if isinstance(history, str) else midi.to_bytes(history))


@given(options=sampling, cut=st.integers(1, TOKENS))
@settings(max_examples=6)
def test_law_3_fork(any_model: Model, options: dict[str, Any], cut: int) -> None:
    parent = any_model.stream(**options)
    list(parent.take(cut))
    here = parent.snapshot()
    fork, other = any_model.resume(here), any_model.resume(here, seed=options["seed"] ^ 1)
    forked = list(fork.take(100))
    list(other.take(100))
    assert list(parent.take(100)) == forked
    assert list(any_model.resume(here).take(100)) == forked


@given(
    start=sampling,
    changes=st.lists(st.tuples(st.integers(1, 60), sampling), max_size=4),
)
@settings(max_examples=6)
def test_law_5_timeline(any_model: Model, start: dict[str, Any], changes: list[tuple[int, dict[str, Any]]]) -> None:
    stream = any_model.stream(**start)
    events = []
    for after, change in changes:
        events += list(stream.take(after))
        stream.set(**change)
        assert stream.options == replace(any_model.defaults, **change)
    events += list(stream.take(80))
    assert list(stream.past()) == events
    assert list(any_model.resume(stream.snapshot()).past()) == events


@pytest.mark.parametrize("kind", KINDS)
def test_law_5_a_change_takes_effect_exactly_where_it_is_made(kind: str) -> None:
    model = Model(tiny(kind))
    one, two = model.stream(seed=1, governor=False), model.stream(seed=1, governor=False)
    assert list(one.take(50)) == list(two.take(50))
    one.set(temperature=0.0)
    here = two.snapshot()
    list(one.take(1))
    greedy = model.resume(here, temperature=0.0)
    list(greedy.take(1))
    assert one.snapshot().token == greedy.snapshot().token
    assert one.snapshot().timeline == ((0, two.options), (50, one.options))


def resident_bytes() -> int:
    """Of this process; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


def held(stream: Stream) -> int:
    """Bytes of all that a stream has to itself."""
    seen: dict[int, Any] = {}
    waiting = [value for name, value in vars(stream).items() if name != "engine"]
    while waiting:
        value = waiting.pop()
        if id(value) not in seen and not isinstance(value, type | ModuleType | FunctionType):
            seen[id(value)] = value
            waiting += gc.get_referents(value)
    return sum(map(sys.getsizeof, seen.values()))


def test_law_6_constant_cost(fake: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long stream holds no more than a short one but 3 bytes a token, beside its timeline, and an untrained model
    gives the governor much to write there. Each token is one step, however many were before."""
    steps = 0
    run = Engine.run

    def counted(engine: Engine, jobs: Sequence[Job]) -> list[Result]:
        nonlocal steps
        steps += sum(job.count for job in jobs)
        return run(engine, jobs)

    fake.stream().pull(500)
    monkeypatch.setattr(Engine, "run", counted)
    stream = fake.stream(seed=3)
    found = []
    for until in (6_000, 20_000):
        stream.pull(until - 127 - stream.position)
        for _ in stream.take(127):
            pass
        # Of the others there is one to each doubling, as `test_stream` has it.
        stream._keyframes = [keyframe for keyframe in stream._keyframes if isinstance(keyframe.kept, bytes)]
        gc.collect()
        found.append((held(stream), len(gc.get_objects()), len(stream._timeline)))
    changes = found[1][2] - found[0][2]
    assert found[1][0] - found[0][0] < 3 * 14_000 + CHANGE * changes
    assert found[1][1] - found[0][1] < 200 + 2 * changes
    drawn_again = CHUNK * len(stream._timeline)  # at most so many where the governor steps in
    assert 20_000 <= steps <= 20_000 + drawn_again


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_law_6_a_million_tokens_weigh_what_ten_thousand_do() -> None:
    stream = load(ROOT / "checkpoints" / "bach").stream(seed=3)
    sizes = []
    for tokens in (10_000, 990_000):
        for _ in stream.take(tokens):
            pass
        gc.collect()
        sizes.append(resident_bytes())
    assert sizes[1] - sizes[0] < 3 * 990_000


def check_valid(score: Score, monophonic: bool = False) -> None:
    """Law 7: every note ends, time never runs back, and a pitch never sounds twice at once in one voice."""
    ends: dict[tuple[int, int], int] = {}
    for note in score.notes:
        assert note.duration_ticks > 0
        assert note.start_ticks >= 0
        key = (note.voice, -1 if monophonic else note.pitch)
        assert note.start_ticks >= ends.get(key, 0), note
        ends[key] = note.end_ticks


def check_midi(data: bytes, notes: int) -> None:
    """The same of a file, by another reader: so many notes, and none begins where its pitch sounds on its channel."""
    sounding: set[tuple[int, int]] = set()
    for message in mido.MidiFile(file=BytesIO(data)):
        if message.type in ("note_on", "note_off"):
            key = message.channel, message.note
            begins = message.type == "note_on" and message.velocity > 0
            assert begins == (key not in sounding), message
            (sounding.add if begins else sounding.remove)(key)
            notes -= begins
    assert not sounding and notes == 0


@pytest.mark.parametrize("name", models(*sorted({*KINDS, *ALL_SHIPPED} - {"char", "checkpoints/shakespeare"})))
@given(options=sampling)
@settings(max_examples=8)
def test_law_7_valid_music(name: str, options: dict[str, Any]) -> None:
    model = model_called(name)
    stream = model.stream(**options)
    events = list(stream.take(600))
    starts = [event.start_ticks for event in events if not isinstance(event, Note)]
    assert starts == sorted(starts)
    score = model.tokenizer.collect(events)
    check_valid(score)
    check_midi(midi.to_bytes(score), len(score.notes))
    horizon = stream.horizon_ticks
    assert all(event.start_ticks >= horizon for event in stream.take(200))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_law_7_ten_thousand_bars_of_bach() -> None:
    stream = load(ROOT / "checkpoints" / "bach").stream(seed=11)
    events: list[Any] = []
    bars = 0
    for event in stream:
        bars += type(event).__name__ == "Bar"
        if bars > 10_000:
            break
        events.append(event)
    score = stream.engine.tokenizer.collect(events)
    assert len(score.bars) == 10_000
    check_valid(score, monophonic=True)
    file = midi.read(midi.to_bytes(score))
    assert len(file.notes) == len(score.notes)
