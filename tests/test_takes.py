"""A take is a document: however a stream was steered, its take is sound, tells its past, and is refused if harmed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import generator
from generator import CarouselError, Snapshot, Stream
from generator.cli.takes import replay
from generator.foundation.options import SamplingOptions
from generator.music.score import Bar
from generator.streaming.engine import Model, load
from generator.streaming.jobs import CHUNK
from generator.streaming.origin import VERSION
from generator.streaming.snapshot import NO_DIGEST
from tests.conftest import ROOT, SHIPPED, random_checkpoint, tiny
from tests.process import python
from tests.strategies import constraints, some_sampling

Action = tuple[str, Any]


def actions(model: Model) -> st.SearchStrategy[list[Action]]:
    """What may be done to a stream of this model, its constraints included."""
    changes = some_sampling | constraints(model)
    return st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["take", "pull"]), st.integers(1, 120)),
            st.tuples(st.sampled_from(["set", "fork"]), changes),
            st.tuples(st.just("rewind"), st.integers(0, 200)),
            st.tuples(st.just("bars"), st.integers(1, 5)),
            st.tuples(st.just("save"), st.none()),
        ),
        max_size=8,
    )


def walk(stream: Stream, steps: Sequence[Action], folder: Path) -> Stream:
    """A stream that is steered, forked, rewound, saved and resumed."""
    for name, value in steps:
        if name == "take":
            list(stream.take(value))
        elif name == "pull":
            stream.pull(value)
        elif name == "set":
            with suppress(CarouselError):  # constraints that contradict those in force
                stream.set(**value)
        elif name == "rewind":
            stream.rewind(value)
        elif name == "bars" and stream.engine.tokenizer.kind == "score":
            stream.rewind(bars=value)
        elif name == "save":
            stream.snapshot().save(folder / "walk.take")
            stream = stream.engine.resume(Snapshot.load(folder / "walk.take"))
        elif name == "fork":
            before, parent = stream.snapshot().to_bytes(), stream
            with suppress(CarouselError):
                stream = parent.fork(**value)
                stream.pull(7)
            assert parent.snapshot().to_bytes() == before
    return stream


def straight(model: Model, prime: Any, take: Snapshot) -> Stream:
    """The stream of a take's timeline, drawn without any detour."""
    stream = model.stream(prime, **asdict(take.timeline[0][1]))
    for position, options in take.timeline[1:]:
        stream.pull(position - stream.position)
        stream.set(**asdict(options))
    stream.pull(take.position - stream.position)
    return stream


@given(start=some_sampling, data=st.data(), primed=st.booleans())
@settings(max_examples=6)
def test_laws_2_3_and_5_for_any_walk(
    shipped: Model,
    tmp_path_factory: pytest.TempPathFactory,
    start: dict[str, Any],
    data: st.DataObject,
    primed: bool,
) -> None:
    steps = data.draw(actions(shipped))
    prime = shipped.tokenizer.collect(shipped.stream(seed=1).pull(120)) if primed else None
    stream = walk(shipped.stream(prime, **start), steps, tmp_path_factory.getbasetemp())
    other = straight(shipped, prime, stream.snapshot())
    assert stream.snapshot().to_bytes() == other.snapshot().to_bytes()
    assert stream.history() == other.history()
    assert list(stream.take(40)) == list(other.take(40))


def random_steps(chance: random.Random) -> list[Action]:
    steps: list[Action] = [("pull", chance.randint(60, 200))]
    for _ in range(chance.randint(0, 5)):
        options = {"seed": chance.randrange(2**63), "temperature": chance.uniform(0.5, 1.3), "top_p": 0.97}
        kept = chance.sample(sorted(options), chance.randint(1, 3))
        steps += [
            chance.choice([("set", {name: options[name] for name in kept}), ("fork", {"seed": chance.randrange(99)})]),
            ("pull", chance.randint(1, 150)),
            chance.choice([("rewind", chance.randint(0, 100)), ("bars", 2), ("save", None)]),
        ]
    return [*steps, ("pull", 60)]


SECOND = """
import hashlib, sys
from pathlib import Path
from generator import sample
from generator.cli.takes import replay
from generator.streaming.engine import load
from generator.streaming.snapshot import Snapshot
for name in sys.argv[1:]:
    print(name, sample.main(["--replay", name]), flush=True)
    if name.endswith(".take"):
        take = Snapshot.load(name)
        stream = load(Path("checkpoints") / take.checkpoint).resume(take)
        stream.pull(90)
        print(hashlib.sha256(stream.snapshot().to_bytes()).hexdigest(), flush=True)
"""


def check_in_a_second_process(names: Sequence[str], count: int, folder: Path, suffixes: Sequence[str]) -> None:
    """Random takes, and the files of music they give, come out again in another process, and go on there as here."""
    expected = []
    files = []
    chance = random.Random(5)
    for name in names:
        model = load(ROOT / "checkpoints" / name)
        for index in range(count):
            stream = walk(model.stream(seed=chance.randrange(2**63)), random_steps(chance), folder)
            if model.tokenizer.medium == "music":
                for suffix in suffixes:
                    files.append(folder / f"{name}-{index}{suffix}")
                    generator.write(stream.history(), files[-1])
                    expected.append(f"{files[-1]} 0")
            files.append(folder / f"{name}-{index}.take")
            stream.snapshot().save(files[-1])
            stream.pull(90)
            expected += [f"{files[-1]} 0", hashlib.sha256(stream.snapshot().to_bytes()).hexdigest()]
    done = python("-c", SECOND, *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected, done.stderr


def test_takes_come_out_again_in_a_second_process(tmp_path: Path) -> None:
    check_in_a_second_process(SHIPPED, 1, tmp_path, [".mid"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "suffixes"),
    [("bach", [".mid"]), ("folk", [".mid", ".musicxml"]), ("piano", [".mid"]), ("shakespeare", [])],
)
def test_a_hundred_takes_come_out_again_in_a_second_process(name: str, suffixes: list[str], tmp_path: Path) -> None:
    check_in_a_second_process([name], 100, tmp_path, suffixes)


# Time travel.


@given(steps=st.lists(st.integers(1, 150), min_size=1, max_size=6), bars=st.integers(1, 60))
@settings(max_examples=10)
def test_rewinding_by_bars_goes_before_a_bar_line(steps: list[int], bars: int) -> None:
    model = Model(tiny("score"))
    stream, positions = model.stream(seed=4), []
    for count in steps:
        for _ in range(count):
            positions += [stream.position] * any(isinstance(event, Bar) for event in stream.take(1))
    resumed = model.resume(stream.snapshot())
    for traveller in (stream, resumed):
        traveller.rewind(bars=bars)
        assert traveller.position == (positions[-bars] if bars <= len(positions) else 0)
        assert len(traveller.history().bars) == max(0, len(positions) - bars)
    assert stream.snapshot().to_bytes() == resumed.snapshot().to_bytes()


def test_a_stream_that_was_rewound_or_forked_has_keyframes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So going back a little costs a little, also in a take that was resumed, from the second time on."""
    model = Model(tiny("score"))
    long = model.stream(seed=4)
    long.pull(100 * CHUNK)
    resumed = model.resume(long.snapshot())
    resumed.rewind(3)
    fork = long.fork(seed=5)
    begun: list[int] = []
    monkeypatch.setattr(Stream, "begin", lambda *_: begun.append(1))
    for stream in (resumed, fork):
        stream.rewind(50)
        stream.rewind(bars=1)
        assert len(stream._keyframes) <= 12
    assert not begun


def test_what_cannot_be_rewound() -> None:
    stream = Model(tiny("char")).stream(seed=4)
    with pytest.raises(CarouselError, match="no bars"):
        stream.rewind(bars=1)
    with pytest.raises(CarouselError, match="rewind by -1"):
        Model(tiny("score")).stream().rewind(bars=-1)


# The file.


@cache
def small_take() -> Snapshot:
    stream = Model(tiny("char")).stream("hello", seed=1)
    stream.pull(20)
    stream.set(temperature=0.5)
    stream.pull(20)
    return stream.snapshot()


def test_every_changed_byte_and_every_cut_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.take"
    data = small_take().to_bytes()
    chance = random.Random(3)
    harmed = [
        data[:index] + bytes([data[index] ^ chance.randint(1, 255)]) + data[index + 1 :] for index in range(len(data))
    ]
    cut = [data[:length] for length in range(0, len(data), 7)]
    for other in (*harmed, *cut, data + b" ", bytes(range(256)) * 8):
        path.write_bytes(other)
        with pytest.raises(CarouselError, match=r"x\.take: ") as error:
            Snapshot.load(path)
        assert "\n" not in str(error.value)
    path.write_bytes(data)
    assert Snapshot.load(path).to_bytes() == data


def forged(take: bytes, primer_shape: Sequence[int] = (), **fields: Any) -> bytes:
    """A take with other fields and a digest that fits."""
    length = int.from_bytes(take[:8], "little")
    header = json.loads(take[8 : 8 + length])
    header["primer"]["shape"] = primer_shape or header["primer"]["shape"]
    facts = {**json.loads(header["__metadata__"]["carousel"]), **fields, "digest": NO_DIGEST}
    header["__metadata__"]["carousel"] = json.dumps(facts)
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + take[8 + length :]
    return data.replace(NO_DIGEST.encode(), hashlib.sha256(data).hexdigest().encode(), 1)


FORGED: list[tuple[dict[str, Any], str]] = [
    ({"version": VERSION + 1}, "newer Carousel"),
    ({"version": "1"}, "not a take"),
    ({"backend": "int4"}, "newer Carousel"),
    ({"timeline": [[0, {"seed": 1, "swing": 0.5}]]}, "'swing' is of a newer Carousel"),
    ({"timeline": [[0, {"temperature": -1.0}]]}, "temperature is -1.0"),
    ({"timeline": []}, "not a take"),
    ({"primer_shape": [1, 5]}, "not a take"),
    ({"yielded": {"key": 0}}, "not a take"),
    ({"timeline": [[1, {}]]}, "not a take"),
    ({"timeline": [[0, {}], [9, {}], [9, {}]]}, "not a take"),
    ({"timeline": [[0, {}], [46, {}]]}, "not a take"),
    ({"position": 4}, "not a take"),
    ({"position": 2**60}, "not a take"),
    ({"position": 45.0}, "not a take"),
    ({"token": 70_000}, "not a take"),
    ({"fingerprint": "abc"}, "not a take"),
    ({"checkpoint": "a\nb"}, "not a take"),
    ({"decoder": 5}, "not a take"),
    ({"fingerprint": "ab" * 32, "checkpoint": "verdi"}, r"needs the checkpoint verdi \(fingerprint abababab"),
    ({"backend": "fp32"}, "made with the backend fp32"),
    ({"token": 5000}, "does not fit its checkpoint"),
    ({"decoder": {}}, "does not fit its checkpoint"),
]


@pytest.mark.parametrize(("fields", "message"), FORGED, ids=lambda value: str(value)[:40])
def test_a_take_that_was_made_wrong_on_purpose_is_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    path, take, engine = tmp_path / "x.take", small_take(), Model(tiny("char")).engine()
    path.write_bytes(forged(take.to_bytes()))
    assert engine.resume(Snapshot.load(path)).snapshot().to_bytes() == take.to_bytes()
    path.write_bytes(forged(take.to_bytes(), **fields))
    with pytest.raises(CarouselError, match=message):
        engine.resume(Snapshot.load(path))


def test_a_take_with_other_sizes_is_refused() -> None:
    tokenizer = Model(tiny("char")).tokenizer
    take = small_take()
    larger = Model(random_checkpoint(tokenizer, hidden_size=32))
    alike = replace(take, fingerprint=larger.checkpoint.fingerprint)
    with pytest.raises(CarouselError, match="does not fit its checkpoint"):
        larger.resume(alike)


def test_options_that_an_older_take_does_not_name_have_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "x.take"
    path.write_bytes(forged(small_take().to_bytes(), timeline=[[0, {"seed": 3}], [20, {"temperature": 0.5}]]))
    assert Snapshot.load(path).timeline == (
        (0, SamplingOptions(seed=3)),
        (20, SamplingOptions(seed=3, temperature=0.5)),
    )


def test_a_take_is_small_at_any_length() -> None:
    stream = load(ROOT / "checkpoints" / "bach").stream(seed=3)
    sizes = []
    for tokens in (100, 3000):
        stream.pull(tokens)
        sizes.append(len(stream.snapshot().to_bytes()))
    assert max(sizes) < 20_000
    for index in range(200):
        stream.set(temperature=1 + index / 1000)
        stream.pull(1)
    assert len(stream.snapshot().to_bytes()) - sizes[1] < 200 * 60


@pytest.mark.parametrize("suffix", [".wav", ".svg", ".txt"])
def test_what_cannot_tell_where_it_comes_from_says_so(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(b"anything")
    with pytest.raises(CarouselError, match=rf"a {suffix} file cannot tell where it comes from; name its take"):
        replay(tmp_path / f"a{suffix}")
