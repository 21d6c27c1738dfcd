"""Copies are heard while they are made, and with `max_copy` they are not: at any cut, resumed, forked, in company."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import sample
from generator.corpora import open_corpus
from generator.corpora.copies import Index, open_index
from generator.corpora.copies.reading import LENGTH, MOST_AT, PLACE, in_order
from generator.corpora.dataset import prepare
from generator.corpora.download import CACHE
from generator.foundation.errors import CarouselError
from generator.music.score import PieceEnd, Score
from generator.streaming.engine import Engine, Model, load
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.base import Event, Tokenizer
from generator.tokenizers.char import CharTokenizer
from tests.conftest import ROOT, random_checkpoint, tiny
from tests.given import TEXTS, Given
from tests.test_copies import index_of
from tests.test_laws import check_valid

MODELS = ("char", "score", "performance", "bach", "folk")
LIMIT = 6


@cache
def model_of(name: str) -> Model:
    return load(ROOT / "checkpoints" / name) if name in ("bach", "folk") else Model(tiny(name))


@cache
def beside(name: str) -> tuple[Engine, Any]:
    """An engine that looks for copies of what the same model says with the seeds 0 and 1; and that."""
    model = model_of(name)
    tokenizer = model.tokenizer
    streams = [model.stream(seed=seed, temperature=0.4, at_end="never") for seed in (0, 1)]
    pieces = [tokenizer.collect(stream.pull(900)) for stream in streams]
    index = index_of(tokenizer, pieces)
    return Engine(model, index=index), pieces


# A second opinion, which knows nothing of tokens or suffixes


def windows(tokenizer: Tokenizer, events: Sequence[Event], length: int) -> set[tuple[Any, ...]]:
    """All that follows each other within a piece: so many characters, or the intervals between so many notes."""
    pieces: list[list[Any]] = [[]]
    if tokenizer.medium == "text":
        pieces = [list("".join(map(str, events)))]
    else:
        for event in in_order(tokenizer, events):
            if isinstance(event, PieceEnd):
                pieces.append([])
            else:
                pieces[-1].append(event.pitch)
        pieces = [[after - before for before, after in pairwise(piece)] for piece in pieces]
        length -= 1
    return {tuple(said[at : at + length]) for said in pieces for at in range(len(said) - length + 1)}


def events_of(tokenizer: Tokenizer, piece: Any) -> list[Event]:
    decoder = tokenizer.decoder()
    return [event for token in tokenizer.encode(piece) for event in decoder.feed(int(token))]


def longest_common(tokenizer: Tokenizer, training: Sequence[Any], events: Sequence[Event], most: int) -> int:
    """The longest run that is in both, in notes or characters, up to `most`."""
    for length in range(most, 1, -1):
        there = set().union(*(windows(tokenizer, events_of(tokenizer, piece), length) for piece in training))
        if there & windows(tokenizer, events, length):
            return length
    return 1


@pytest.mark.parametrize("name", MODELS)
def test_copies_are_heard_and_can_be_forbidden(name: str) -> None:
    """At a low temperature, from the seed that the corpus was drawn with: without a limit all of it is a copy."""
    engine, training = beside(name)
    tokenizer = engine.tokenizer
    options: dict[str, Any] = {"seed": 0, "temperature": 0.4, "at_end": "never"}
    free, kept = engine.stream(**options), engine.stream(**options, max_copy=LIMIT)
    parroted, made = engine.pull([free, kept], 800)
    assert free.meter is not None and kept.meter is not None
    assert free.meter.longest > 10 * LIMIT
    assert longest_common(tokenizer, training, parroted, 3 * LIMIT) == 3 * LIMIT
    place = free.meter.where_longest()
    assert place is not None
    assert place.piece == "piece 0"
    assert kept.relaxed == {}
    assert kept.meter.longest == longest_common(tokenizer, training, made, 3 * LIMIT) == LIMIT
    piece = tokenizer.collect(made)
    if isinstance(piece, Score):
        check_valid(piece)
        assert len(piece.notes) > 20
    else:
        assert len(piece) == 800 and tokenizer.encode(piece).max() < tokenizer.vocab_size


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data(), seed=st.integers(0, 3), limits=st.lists(st.none() | st.integers(2, 9), min_size=2, max_size=2))
@settings(max_examples=4)
def test_limited_streams_keep_the_laws(
    name: str, data: st.DataObject, seed: int, limits: list[int | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Chunks, company, timeline, resume, fork and rewind."""
    engine, _ = beside(name)
    cut = data.draw(st.integers(1, 120))

    def begin() -> list[Stream]:
        return [engine.stream(seed=seed, temperature=0.5, max_copy=limit) for limit in (*limits, None)]

    together = begin()
    events = engine.pull(together, 130)
    alone = begin()[0]
    assert list(alone.take(cut)) + alone.pull(130 - cut) == events[0]
    alone.set(max_copy=limits[1])
    path = tmp_path_factory.mktemp("takes") / "a.take"
    alone.snapshot().save(path)
    resumed, fork = engine.resume(Snapshot.load(path)), alone.fork()
    after = alone.pull(90)
    assert engine.pull([together[2], fork, together[1]], 90)[1] == after
    assert list(resumed.take(90)) == after
    assert list(alone.past()) == events[0] + after
    alone.rewind(90)
    assert alone.pull(90) == after
    for stream in (resumed, fork, alone):
        assert stream.snapshot().to_bytes() == alone.snapshot().to_bytes()
        assert stream.meter is not None
        assert stream.meter.memory.tolist() == alone.meter.memory.tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["char", "score"])
def test_a_primer_is_heard_too(name: str) -> None:
    engine, training = beside(name)
    stream = engine.stream(training[0], seed=5, max_copy=LIMIT)
    assert stream.meter is not None
    before = stream.meter.longest
    assert before > 100
    stream.pull(100)
    assert stream.meter.longest == before  # the run of the primer is not made longer
    later = engine.stream(training[0], seed=5)
    later.set(max_copy=LIMIT)
    later.pull(100)
    assert later.snapshot().state.h.tolist() == stream.snapshot().state.h.tolist()


def test_a_stream_that_nobody_listened_to_is_heard_from_its_beginning() -> None:
    engine, _ = beside("score")
    deaf = model_of("score").stream(seed=0, temperature=0.4)
    heard = engine.stream(seed=0, temperature=0.4)
    assert deaf.pull(300) == heard.pull(300)
    assert deaf.meter is None
    resumed = engine.resume(deaf.snapshot(), max_copy=LIMIT)
    heard.set(max_copy=LIMIT)
    assert resumed.meter is not None and heard.meter is not None
    assert resumed.meter.memory.tolist() == heard.meter.memory.tolist()
    assert resumed.pull(100) == heard.pull(100)


def test_what_is_forced_yields_and_says_so() -> None:
    """A text of one character can only go on with it."""
    model = model_of("char")
    tokenizer = model.tokenizer
    assert isinstance(tokenizer, CharTokenizer)
    every = "".join(first + second for first in tokenizer.characters for second in tokenizer.characters)
    stream = Engine(model, index=index_of(tokenizer, [every])).stream(seed=1, max_copy=1, at_end="never")
    stream.pull(50)
    assert stream.relaxed["max_copy"] > 40


def test_without_the_corpus_nothing_is_limited() -> None:
    model, (engine, _) = model_of("score"), beside("score")
    with pytest.raises(CarouselError, match=r"^max_copy needs the corpus .* index$"):
        model.stream(max_copy=4)
    stream = engine.stream(seed=1, max_copy=4)
    stream.pull(100)
    here = stream.snapshot()
    with pytest.raises(CarouselError, match="max_copy needs the corpus"):
        model.resume(here)
    other = Index(engine.index._split, engine.tokenizer, engine.index._suffixes, engine.index._symbols, "1" * 64)  # type: ignore[union-attr]
    with pytest.raises(CarouselError, match="kept from copying another corpus"):
        Engine(model, index=other).resume(here)
    with pytest.raises(CarouselError, match="the index is of"):
        Engine(model_of("char"), index=engine.index)


@pytest.mark.parametrize(
    ("field", "value"), [(PLACE, 10**9), (LENGTH, 10**6), (MOST_AT, 10**9), (0, 2), (2, 300), (3, -1)]
)
def test_an_edited_memory_is_refused(field: int, value: int) -> None:
    engine, _ = beside("score")
    stream = engine.stream(seed=1, max_copy=4)
    stream.pull(100)
    here = stream.snapshot()
    assert here.match is not None
    bad = here.match.copy()
    bad[field] = value
    for match in (bad, here.match[:-1], here.match.astype(np.float64)):
        with pytest.raises(CarouselError, match="does not fit"):
            engine.resume(replace(here, match=match))


def test_a_take_of_a_stream_that_is_only_listened_to_needs_no_corpus(tmp_path: Path) -> None:
    engine, _ = beside("score")
    stream, deaf = engine.stream(seed=1), model_of("score").stream(seed=1)
    stream.pull(70)
    deaf.pull(70)
    assert stream.snapshot().to_bytes() == deaf.snapshot().to_bytes()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    dataset = prepare(Given(TEXTS), progress=False)
    (tmp_path / "corpus.txt").write_text("to be or not to be, that is the question\n" * 40)
    random_checkpoint(dataset.tokenizer).save(tmp_path / "tiny")

    def run(*arguments: str) -> tuple[int, str]:
        status = sample.main(list(arguments))
        return status, capsys.readouterr().err

    status, said = run("tiny", "--prime", "or not to be", "--tokens", "30", "--originality", "corpus.txt")
    assert status == 0
    assert "corpus.txt: the longest run that stands in its training split has 1" in said
    limited = ["--tokens", "200", "--temperature", "0.3", "-o", "a.txt", "--save", "a.take", "--max-copy", "3"]
    status, said = run("tiny", *limited)
    assert (status, said.count("\n")) == (2, 1)
    assert "name it with --originality" in said
    status, said = run("tiny", *limited, "--originality", "corpus.txt")
    assert status == 0
    assert "has 3 characters: " in said or "has 2 characters: " in said
    assert run("tiny", "--replay", "a.take")[0] == 2
    status, said = run("tiny", "--replay", "a.take", "--originality", "corpus.txt")
    assert status == 0, said
    assert "identical" in said


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "corpus"), [("bach", "bach-chorales"), ("folk", "folk-tunes")])
@pytest.mark.parametrize("temperature", [0.4, 0.9])
def test_no_longer_run_in_100000_notes(mirror: Path, name: str, corpus: str, temperature: float) -> None:
    """With the whole corpus, searched again as decoded notes."""
    model = model_of(name)
    dataset = prepare(open_corpus(corpus), model.tokenizer, progress=False)
    engine = Engine(model, index=open_index(dataset, progress=False))
    split = dataset.split("train")
    training = [model.tokenizer.decode(split[piece]).notes for piece in range(len(split))]
    known = set().union(*(windows(model.tokenizer, notes, 13) for notes in training))
    notes = 0
    streams = [engine.stream(seed=seed, temperature=temperature, max_copy=12) for seed in range(32)]
    made: list[list[Event]] = [[] for _ in streams]
    while notes < 100_000:
        for events, new in zip(made, engine.pull(streams, 512), strict=True):
            events += new
            notes += len(in_order(model.tokenizer, new))
    for stream, events in zip(streams, made, strict=True):
        assert stream.relaxed == {}
        assert not windows(model.tokenizer, events, 13) & known
    assert max(stream.meter.longest for stream in streams if stream.meter) == 12
