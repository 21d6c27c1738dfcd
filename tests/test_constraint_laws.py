"""Constraints under the laws of streams: never an empty mask, whatever is asked; what yields; what is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions, flag
from generator.music.keys import KEYS, read_key
from generator.streaming.constraints import NAMES, Constraints
from generator.streaming.engine import Engine
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.streaming.violations import PRIORITIES
from generator.tokenizers.base import Tokenizer
from tests.conftest import ROOT
from tests.strategies import DEFAULTS, constraints, form
from tests.test_constraints import MODELS, model_of, most_at_once, most_in_a_second, outside

# The laws, under random constraints


def check(name: str, piece: Any, options: dict[str, Any], relaxed: Collection[str]) -> None:
    """That a stream kept to what was asked of it from its start, but for what it relaxed."""
    options = DEFAULTS | options
    if isinstance(piece, str):
        rest = piece.removeprefix(options["starts_with"] or "")
        assert piece.startswith(options["starts_with"] or "")
        assert set(rest) <= set(options["characters"] or rest)
        return
    if options["key"]:
        assert not outside(piece, options["key"], options["scale"])
    assert "voices_at_once" in relaxed or most_at_once(piece) <= (options["voices_at_once"] or 99)
    assert "density" in relaxed or most_in_a_second(piece) <= (options["density"] or 99)
    if options["ranges"]:
        low, high = map(int, options["ranges"].split("-"))
        assert all(low <= note.pitch <= high for note in piece.notes if not piece.voices[note.voice].drum)


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data(), seed=st.integers(0, 2**40), cut=st.integers(1, 150))
@settings(max_examples=4)
def test_constrained_streams_keep_the_laws(name: str, data: st.DataObject, seed: int, cut: int) -> None:
    """Chunks, fork, company and timeline; and all that is asked holds from the start without yielding,
    but for an end that cannot be reached, and what is weaker than an end or a form."""
    model = model_of(name)
    engine = model.engine()
    first, second = (data.draw(constraints(model)) | data.draw(form(model)) for _ in range(2))

    def streams() -> tuple[Stream, Stream, Stream]:
        return engine.stream(seed=seed, **first), engine.stream(seed=seed, **second), engine.stream(seed=seed)

    together = streams()
    events = engine.pull(together, 160)
    for stream, made in zip(streams(), events, strict=True):
        assert list(stream.take(cut)) + stream.pull(160 - cut) == made
    for stream, made, options in zip(together, events, (first, second), strict=False):
        # A piece that cannot close ends as it can; so that it can, and where sections meet, what is weaker may yield.
        free = {"density", "parallels"} if options.get("close") or options.get("form") else set()
        free |= {"close", "voices_at_once"} if options.get("close") else set()
        assert stream.relaxed.keys() <= free
        check(name, model.tokenizer.collect(made), options, stream.relaxed)
    here = together[0]
    here.set(**second)
    fork = model.resume(here.snapshot())
    after = here.pull(80)
    assert [event for _ in range(80) for event in fork.take(1)] == after
    assert list(here.past()) == events[0] + after
    assert fork.relaxed == here.relaxed


@given(name=st.sampled_from(MODELS), data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_a_mask_is_never_empty_nor_wider_than_the_grammars(name: str, data: st.DataObject, seed: int) -> None:
    """Whatever is said, and whenever the constraints change."""
    tokenizer = model_of(name).tokenizer
    rules = Constraints(tokenizer)
    random, decoder = np.random.default_rng(seed), tokenizer.decoder()
    for _ in range(4):
        plan = rules.encode(SamplingOptions(**data.draw(constraints(model_of(name)))))
        for _ in range(40):
            before = decoder.allowed().copy()
            after = before.copy()
            if plan is not None:
                judge(rules, tokenizer, plan, decoder.memory, after)
            assert after.any()
            assert not (after & ~before).any()
            decoder.feed(int(random.choice(np.flatnonzero(after))))


def judge(rules: Constraints, tokenizer: Tokenizer, plan: Any, memory: Any, mask: Any) -> list[int]:
    """One stream's mask, changed in place, and what relaxed.

    The plan is copied, as into a batch: for one that is read-only all would be compiled once more."""
    relaxed, room = np.zeros(1, np.int64), np.zeros(tokenizer.vocab_size, np.int64)
    rest = memory[np.newaxis], mask[np.newaxis], room, relaxed
    rules.restrict(tokenizer.grammar.rules, tokenizer.end, np.array([plan]), np.zeros(1, np.bool_), *rest)
    return [int(relaxed[0]) >> bit & 1 for bit in range(len(PRIORITIES))]


def digest() -> str:
    """Of all masks of a short walk under every constraint that a tokenizer knows."""
    asked: dict[str, Any] = {"key": "G major", "ranges": "50-70", "voices_at_once": 2, "density": 5}
    found = hashlib.sha256()
    for name in ("char", "score", "performance", "ensemble"):
        options = {"characters": "abc "} if name == "char" else asked
        if name == "score":
            options = asked | {"metre": "4/4", "tempo": 90.0, "parallels": False}
        tokenizer = model_of(name).tokenizer
        rules, decoder, random = Constraints(tokenizer), tokenizer.decoder(), np.random.default_rng(3)
        for _ in range(200):
            mask = decoder.allowed().copy()
            relaxed = judge(rules, tokenizer, rules.encode(SamplingOptions(**options)), decoder.memory, mask)
            found.update(mask.tobytes() + bytes(relaxed))
            decoder.feed(int(random.choice(np.flatnonzero(mask))))
    return found.hexdigest()


def test_plain_python_does_the_same() -> None:
    code = "import tests.test_constraint_laws as test; print(test.digest())"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == digest(), done.stderr


# Yielding


def at_a_voice(name: str) -> Stream:
    """A stream that has said where its next note stands, but not yet in which voice."""
    stream = model_of(name).stream(seed=4)
    stream.pull(60)
    while stream.snapshot().decoder["memory"]["last"] != 4:
        list(stream.take(1))
    return stream


def test_a_constraint_that_comes_too_late_yields_once_and_says_so(tmp_path: Path) -> None:
    stream = at_a_voice("bach")
    stream.set(density=1)
    start = stream.snapshot()
    list(stream.take(1))
    assert stream.relaxed == {"density": 1}
    stream.pull(100)
    assert stream.relaxed == {"density": 1}
    resumed = model_of("bach").resume(start)
    for _ in range(101):
        list(resumed.take(1))
    resumed.snapshot().save(tmp_path / "a.take")
    assert model_of("bach").resume(Snapshot.load(tmp_path / "a.take")).relaxed == {"density": 1}
    resumed.rewind(101)
    assert resumed.relaxed == {}
    resumed.pull(3)
    assert resumed.relaxed == {"density": 1}


def test_the_weaker_one_yields() -> None:
    stream = at_a_voice("bach")
    stream.set(voices_at_once=1, density=1, key="D minor", parallels=False)
    list(stream.take(1))
    assert set(stream.relaxed) <= {"density", "voices_at_once"}
    assert "density" in stream.relaxed
    assert PRIORITIES.index("density") < PRIORITIES.index("voices_at_once") < PRIORITIES.index("key")


# What cannot be is told at once


REFUSED = [
    ("bach", {"key": "H minor"}, "--key is 'H minor'"),
    ("bach", {"key": "D"}, "such as 'D minor'"),
    ("bach", {"scale": "dorian"}, "--scale needs a tonic"),
    ("bach", {"key": "D minor", "scale": "sad"}, "choose one of major, minor, harmonic minor"),
    ("bach", {"ranges": "Flute:60-70"}, "the voices here are Soprano, Alto, Tenor, Bass"),
    ("bach", {"ranges": "Soprano:30-40"}, "--ranges leaves Soprano no pitch; it has those from 57 to 81"),
    ("bach", {"ranges": "60"}, "such as 60-79"),
    ("bach", {"ranges": "70-60"}, "such as 60-79"),
    ("bach", {"ranges": "60-128"}, "such as 60-79"),
    ("bach", {"ranges": "100-120"}, "--ranges leaves"),
    ("bach", {"ranges": "Bass:61-61", "key": "C major"}, "--ranges with --key leaves Bass no pitch"),
    ("bach", {"metre": "5/4"}, "this checkpoint knows 4/4, 3/4, 3/2, 12/8"),
    ("bach", {"metre": "waltz"}, "this checkpoint knows"),
    ("bach", {"characters": "abc"}, "--characters is not for a checkpoint of kind score, which supports --melody"),
    ("folk", {"parallels": False}, "parallels take two voices of single notes or more to forbid; here are 1"),
    ("performance", {"parallels": False}, "--no-parallels is not for a checkpoint of kind performance"),
    ("performance", {"metre": "3/4"}, "--metre is not for a checkpoint of kind performance"),
    ("performance", {"ranges": "1-20"}, "--ranges leaves Piano no pitch"),
    ("shakespeare", {"key": "D minor"}, "--key is not for a checkpoint of kind char"),
    ("shakespeare", {"key": "primer"}, "--key is not for a checkpoint of kind char"),
    ("shakespeare", {"characters": "añ"}, "--characters has 'ñ', unknown to this checkpoint"),
    ("shakespeare", {"starts_with": "Año"}, "--starts-with has 'ñ', unknown to this checkpoint"),
    ("bach", {"density": 0}, "--density is 0; it must lie between 1 and 32"),
    ("bach", {"voices_at_once": 1.5}, "give a whole number"),
    ("bach", {"key": 5}, "--key is 5; give text"),
    ("bach", {"parallels": "no"}, "give true or false"),
    ("bach", {"tempo": float("nan")}, "--tempo is nan; give a number"),
]


@pytest.mark.parametrize(("name", "options", "message"), REFUSED, ids=str)
def test_what_cannot_be_is_refused_in_one_line(name: str, options: dict[str, Any], message: str) -> None:
    model = model_of(name)
    stream = model.stream(seed=1)
    for ask in (model.stream, stream.set):
        with pytest.raises(CarouselError) as error:
            ask(**options)
        assert message in error.value.worded(flag)
        assert "\n" not in str(error.value)
    assert stream.options == replace(model.defaults, seed=1)


@pytest.mark.parametrize(
    "wrong",
    [{"timeline": ((0, SamplingOptions(characters="abc")),)}, {"relaxed": {"key": -1}}, {"relaxed": {"voice": 1}}],
    ids=str,
)
def test_a_take_with_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    model = model_of("score")
    with pytest.raises(CarouselError, match="does not fit"):
        model.resume(replace(model.stream(seed=1).snapshot(), **wrong))


def test_every_constraint_is_an_option_and_off_by_itself() -> None:
    plain = SamplingOptions()
    assert all(getattr(plain, name) in (None, name == "parallels") for name in NAMES)
    for name in ("bach", "performance", "char"):
        rules = Constraints(model_of(name).tokenizer)
        assert rules.encode(plain) is None
        assert rules.encode(SamplingOptions(key="", characters="", metre="")) is None


def test_keys_can_be_spelled_in_many_ways() -> None:
    spellings = {
        "D minor": 14,
        "d MINOR": 14,
        "F# major": 6,
        "F♯ major": 6,
        "Gb major": 6,
        "bb minor": 22,
        "Cb major": 11,
    }
    assert {text: read_key(text) for text in spellings} == spellings
    assert [read_key(key) for key in KEYS] == list(range(24))
    for text in ("", "minor", "H minor", "D  ", "D dorian", "F## major"):
        with pytest.raises(ValueError):
            read_key(text)


def test_an_engine_of_many_rows_judges_only_those_that_ask() -> None:
    """Streams come and go, so that rows move."""
    model = model_of("score")
    engine = Engine(model, rows=3)
    asked = [{"key": "D minor"}, {}, {"voices_at_once": 2}, {}, {"density": 2}]
    streams = [engine.stream(seed=seed, **options) for seed, options in enumerate(asked)]
    found = [[*one, *two] for one, two in zip(engine.pull(streams, 37), engine.pull(streams, 90), strict=True)]
    for seed, (options, events) in enumerate(zip(asked, found, strict=True)):
        assert Engine(model, rows=1).stream(seed=seed, **options).pull(127) == events
    assert all(one is not two for one, two in pairwise(found))
