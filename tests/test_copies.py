"""Copies are found: all that are planted, at their length and place, and nothing that a slow search does not find."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.analysis.originality import draw_streams
from generator.corpora.copies import FILE, Index, open_index
from generator.corpora.copies.reading import BREAK, FIGURES, in_order, rules, symbols_of
from generator.corpora.copies.suffixes import is_sorted, sort_suffixes
from generator.corpora.dataset import Split, TokenDataset, prepare
from generator.corpora.download import CACHE
from generator.foundation.errors import CarouselError
from generator.music.score import Note, PieceEnd, Score, TimeSignature, Voice
from generator.streaming.engine import Model
from generator.streaming.meter import Meter
from generator.tokenizers import KINDS
from generator.tokenizers.base import Event, Tokenizer
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer
from tests.conftest import tiny
from tests.given import Given

VOICES = (Voice("Fiddle", 40), Voice("Lute", 24), Voice("Drums", 0, drum=True))


def index_of(tokenizer: Tokenizer, pieces: Sequence[Any]) -> Index:
    """The index of a training split that is nowhere on disk."""
    encoded = [tokenizer.encode(piece) for piece in pieces]
    tokens, offsets = np.concatenate(encoded), np.cumsum([0, *map(len, encoded)])
    tokens.flags.writeable = False
    split = Split(tokens, offsets, tuple(f"piece {number}" for number in range(len(pieces))))
    table = rules(tokenizer)
    symbols, stop = symbols_of(table, split.tokens), int(table[FIGURES, BREAK])
    suffixes = sort_suffixes(symbols, stop, lambda done, total: None)
    assert is_sorted(symbols, suffixes, stop)
    for array in (suffixes, symbols):
        array.flags.writeable = False  # as from a file
    return Index(split, tokenizer, suffixes, symbols, "0" * 64)


# A second opinion, which knows nothing of tokens or suffixes: it decodes, and then it compares everything


def sayings(tokenizer: Tokenizer, piece: Any) -> str | tuple[int, ...]:
    """What is compared, one a character, or one fewer than notes."""
    if isinstance(piece, str):
        return piece
    return tuple(after.pitch - before.pitch for before, after in pairwise(in_order(tokenizer, piece.notes)))


def slow_runs(tokenizer: Tokenizer, training: Sequence[Any], stream: Sequence[Any]) -> list[int]:
    """The longest run that ends with each note or character of some pieces."""
    music = tokenizer.medium == "music"
    known = {
        said[start:end]
        for said in (sayings(tokenizer, piece) for piece in training)
        for start in range(len(said))
        for end in range(start + 1, len(said) + 1)
    }
    runs: list[int] = []
    for piece in stream:
        said = sayings(tokenizer, piece)
        runs += [1] * music
        for end in range(1, len(said) + 1):
            runs.append(max((n for n in range(1, end + 1) if said[end - n : end] in known), default=0) + music)
    return runs


def tune(pitches: Sequence[tuple[int, int]]) -> Score:
    """Two quarters on each beat: (pitch, voice)."""
    notes = (Note(480 * (number // 2), 480, pitch, voice=voice) for number, (pitch, voice) in enumerate(pitches))
    unique = {(note.start_ticks, note.voice, note.pitch): note for note in notes}
    return Score(480, VOICES, tuple(unique.values()), (TimeSignature(0, 4, 4),))


texts = st.lists(st.text("ab\n", min_size=1, max_size=24), min_size=1, max_size=4)
tunes = st.lists(
    st.lists(st.tuples(st.integers(60, 63), st.integers(0, 2)), max_size=12).map(lambda more: tune([(60, 0), *more])),
    min_size=1,
    max_size=3,
)
WIDE = tune([(pitch, voice) for voice in range(3) for pitch in (36, 84)])
MADE: dict[str, tuple[Tokenizer, st.SearchStrategy[list[Any]]]] = {
    "char": (CharTokenizer("\nab"), texts),
    "score": (ScoreTokenizer.fit([WIDE]), tunes),
    "performance": (PerformanceTokenizer(), tunes),
}


@pytest.fixture(scope="module", autouse=True)
def quick_keys() -> Iterator[None]:
    """Any key will do, and the analysis that finds the true one is slow."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("score", "performance"):
            patch.setattr(f"generator.tokenizers.{kind}.likely", lambda notes: sum(note.pitch for note in notes) % 24)
        yield


@pytest.fixture(scope="module", params=sorted(MADE))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@given(data=st.data())
@settings(max_examples=30)
def test_the_index_says_what_a_slow_search_says(kind: str, data: st.DataObject) -> None:
    tokenizer, pieces = MADE[kind]
    training, stream = data.draw(pieces), data.draw(pieces)
    index = index_of(tokenizer, training)
    training, stream = written(tokenizer, training), written(tokenizer, stream)
    runs = index.runs(np.concatenate([tokenizer.encode(piece) for piece in stream]))
    assert runs.lengths.tolist() == slow_runs(tokenizer, training, stream)
    ends = [(piece, end + 1) for piece in stream for end in range(count(piece))]
    assert runs.so_far.tolist() == [end for _, end in ends]
    music = tokenizer.medium == "music"
    starts = np.cumsum([0, *(count(piece) + (not music) for piece in training)])
    for length, place, (piece, end) in zip(runs.lengths.tolist(), runs.places.tolist(), ends, strict=True):
        assert (place < 0) == (length == music)
        if place >= 0:  # the same stands there
            where = int(np.searchsorted(starts, place, side="right")) - 1
            at, run = place - int(starts[where]), length - music
            assert index.place(place).piece == f"piece {where}"
            there, here = sayings(tokenizer, training[where]), sayings(tokenizer, piece)
            assert there[at : at + run] == here[end - length : end - music]


def written(tokenizer: Tokenizer, pieces: Sequence[Any]) -> list[Any]:
    """What a vocabulary makes of some pieces: drums, say, are nothing to a piano."""
    if tokenizer.medium == "text":
        return list(pieces)
    return [tokenizer.decode(tokenizer.encode(piece)) for piece in pieces]


def count(piece: Any) -> int:
    return len(piece) if isinstance(piece, str) else len(piece.notes)


@given(data=st.data(), limit=st.integers(1, 5))
@settings(max_examples=20)
def test_what_would_make_the_run_too_long(kind: str, data: st.DataObject, limit: int) -> None:
    """A token is marked if and only if it does: each is tried."""
    tokenizer, pieces = MADE[kind]
    index = index_of(tokenizer, data.draw(pieces))
    tokens = np.concatenate([tokenizer.encode(piece) for piece in data.draw(pieces)])
    row = index.begin()
    index.follow(row, tokens[: data.draw(st.integers(0, len(tokens)))])
    masks = np.ones((2, tokenizer.vocab_size), dtype=np.bool_)
    index.copying(np.stack([row, index.begin()]), np.full(2, limit), masks)
    assert not masks[1].any()
    for token in range(tokenizer.vocab_size):
        after = row.copy()
        said = index.follow(after, [token])
        assert masks[0, token] == (len(said.lengths) > 0 and index.run(after) > limit), token


# Streams


@pytest.fixture(scope="module")
def heard(kind: str) -> tuple[Index, list[int]]:
    """An index of what one stream of a tiny fake says, and the tokens of another, which says much the same."""
    said = draw_streams(fake := Model(tiny(kind)), 0.4, 2, 1500)
    ends = np.flatnonzero(np.array(said[0]) == fake.tokenizer.end)
    pieces = [fake.tokenizer.decode(np.array(said[0][: int(ends[-1]) + 1] if len(ends) else said[0], np.uint16))]
    return index_of(fake.tokenizer, pieces), said[1]


@given(sizes=st.lists(st.integers(0, 97), min_size=1, max_size=12).filter(any))
@settings(max_examples=15)
def test_a_meter_says_the_same_however_it_is_fed(heard: tuple[Index, list[int]], sizes: list[int]) -> None:
    index, tokens = heard
    at_once, meter, at, turn = Meter(index), Meter(index), 0, 0
    whole = at_once.feed(tokens)
    lengths, places = [], []
    while at < len(tokens):
        size = sizes[turn % len(sizes)]
        runs = meter.feed(tokens[at : at + size])
        lengths += runs.lengths.tolist()
        places += runs.places.tolist()
        at, turn = at + size, turn + 1
    assert lengths == whole.lengths.tolist()
    assert places == whole.places.tolist()
    assert np.array_equal(meter.memory, at_once.memory)
    assert max(lengths) > 2


def test_tokens_and_events_sound_the_same(speaker: Model) -> None:
    """Also where notes are complete in another order than they begin, as in a performance."""
    tokenizer = speaker.tokenizer
    training, tokens = draw_streams(speaker, 0.9, 2, 1200)
    tokens = [token for token in tokens if tokenizer.medium == "music" or token != tokenizer.end]
    index = index_of(tokenizer, [tokenizer.decode(np.array(training, np.uint16))])
    by_token, by_event, decoder = Meter(index), Meter(index), tokenizer.decoder()
    lengths: list[int] = []
    waiting: list[Event] = []
    for number, token in enumerate(tokens):
        waiting += decoder.feed(token)
        if number % 40 == 0:
            horizon = decoder.horizon_ticks
            ready = [event for event in waiting if isinstance(event, str) or event.start_ticks < horizon]
            waiting = [event for event in waiting if not isinstance(event, str) and event.start_ticks >= horizon]
            lengths += by_event.hear(ready).lengths.tolist()
    assert len(lengths) > 100
    assert lengths == by_token.feed(tokens).lengths[: len(lengths)].tolist()


def test_a_run_ends_with_the_piece() -> None:
    notes = tuple(Note(480 * beat, 480, pitch) for beat, pitch in enumerate((60, 62, 64, 65, 67)))
    scale = Score(480, VOICES, notes)
    tokenizer = ScoreTokenizer.fit([WIDE, scale])
    index = index_of(tokenizer, [scale])
    meter = Meter(index)
    assert (meter.run, meter.where()) == (0, None)
    meter.hear([Note(0, 12, 70), Note(12, 12, 72), Note(24, 12, 74)])
    assert (meter.run, str(meter.where())) == (3, "piece 0, bar 1")
    meter.hear([PieceEnd(48)])
    assert (meter.run, meter.where()) == (0, None)
    meter.hear([Note(48, 12, 76)])
    assert (meter.run, meter.where()) == (1, None)


# Planted copies


def random_tune(random: np.random.Generator, beats: int) -> list[tuple[int, int]]:
    """A melody and a bass that leap, so that hardly any few notes stand in two of them."""
    pairs = random.integers((66, 40), (78, 52), (beats, 2)).tolist()
    return [(pitch, voice) for pair in pairs for voice, pitch in enumerate(pair)]


@pytest.mark.parametrize("kind", ["score", "performance"])
def test_planted_passages_are_found(kind: str) -> None:
    """100 of them, transposed and each in the midst of other notes: the length, the piece and the bar or second."""
    random = np.random.default_rng(7)
    training = [random_tune(random, 80) for _ in range(20)]
    tokenizer = KINDS[kind].fit([tune(piece) for piece in training] + [WIDE])
    index = index_of(tokenizer, [tune(piece) for piece in training])
    for _ in range(5):
        stream: list[tuple[int, int]] = []
        planted = []
        for _ in range(20):
            piece, beats, shift = int(random.integers(20)), int(random.integers(8, 30)), int(random.integers(-3, 4))
            start = int(random.integers(80 - beats))
            passage = training[piece][2 * start : 2 * (start + beats)]
            stream += random_tune(random, int(random.integers(1, 9)))
            stream += [(pitch + shift, voice) for pitch, voice in passage]
            planted.append((len(stream) - 1, 2 * beats, piece, 2 * start))
        runs = index.runs(tokenizer.encode(tune(stream)))
        for last, length, piece, start in planted:
            chance = int(runs.lengths[last]) - length  # notes before it may be like those before the original
            assert 0 <= chance <= 3
            unit, notes = ("bar", 8) if kind == "score" else ("second", 4)
            found = f"piece {piece}, {unit} {1 + (start - chance) // notes}"
            assert str(index.place(int(runs.places[last]))) == found


def test_planted_lines_are_found() -> None:
    random = np.random.default_rng(7)
    lines = ["".join(random.choice(list("abcdefgh "), 40)) for _ in range(200)]
    training = ["\n".join(lines[:120]), "\n".join(lines[120:])]
    index = index_of(CharTokenizer.fit(training), training)
    meter = Meter(index)
    for number in range(0, 200, 7):
        meter.feed(index.tokenizer.encode("".join(random.choice(list("abcdefgh"), 30)) + lines[number])[:-1])
        assert 40 <= meter.run <= 42
        piece, line = divmod(number, 120)
        found = meter.where()
        assert found is not None
        assert found.piece == f"piece {piece}"
        assert line + (meter.run == 40) <= found.number <= line + 1  # it may begin in the line before


# The disk


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenDataset:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    texts = {"train": ["to be or not to be", "that is the question"], "validation": ["to be, that is"]}
    return prepare(Given(texts), progress=False)


def test_an_index_takes_four_bytes_a_token(dataset: TokenDataset, tmp_path: Path) -> None:
    scores = [tune(random_tune(np.random.default_rng(seed), 30)) for seed in range(5)]
    music = Given({"train": scores, "validation": scores[:1]}, "music")
    for found in (dataset, prepare(music, progress=False), prepare(music, "performance", progress=False)):
        before = {path.name for path in found.folder.iterdir()}
        open_index(found, progress=False)
        new = [path for path in found.folder.iterdir() if path.name not in before]
        assert [path.name for path in new] == [FILE]
        assert 0 < new[0].stat().st_size <= 4 * len(found.split("train").tokens)


@pytest.mark.parametrize("how", ["cut", "odd", "flipped", "beyond", "swapped", "twice", "empty", "missing", "kept"])
def test_a_damaged_index_is_built_again(dataset: TokenDataset, how: str) -> None:
    open_index(dataset, progress=False)
    path = dataset.folder / FILE
    good = path.read_bytes()
    values = np.frombuffer(good, "<u4").copy()
    match how:
        case "cut":
            values = values[:-1]
        case "flipped":
            values[7] ^= 1
        case "beyond":
            values[7] = 2**32 - 1
        case "swapped":
            values[[20, 21]] = values[[21, 20]]
        case "twice":
            values[7] = values[8]
        case "empty":
            values = values[:0]
    path.write_bytes(values.tobytes() + (b"?" if how == "odd" else b""))
    if how == "missing":
        path.unlink()
    else:
        os.utime(path, (1, 1))
    index = open_index(dataset, progress=False)
    assert path.read_bytes() == good
    assert (path.stat().st_mtime == 1) == (how == "kept")
    assert index.runs(index.tokenizer.encode("is the question")[:-1]).lengths[-1] == 15


def test_no_room_for_an_index(dataset: TokenDataset) -> None:
    (dataset.folder / FILE).mkdir()
    with pytest.raises(CarouselError, match=f"{FILE}: .*choose another name"):
        open_index(dataset, progress=False)


def test_an_unknown_kind_of_tokens() -> None:
    class Drawings(CharTokenizer):
        kind = "drawing"

    class Other:
        kind, vocab_size = "drawing", 10

    assert rules(Drawings("ab")) is not None
    with pytest.raises(CarouselError, match="not looked for in drawing tokens"):
        rules(Other())  # type: ignore[arg-type]
