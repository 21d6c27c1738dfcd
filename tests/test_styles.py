"""Styles: corpora know them, training leaves them out half the time, and a stream can be told one."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import prepare
from generator.corpora import open_corpus
from generator.corpora.batches import IGNORED, one_pass
from generator.corpora.download import CACHE
from generator.corpora.folder import style_of
from generator.corpora.music21_package import style_in
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.music import midi, notation
from generator.music.score import Score, style_name
from generator.streaming.constraints import Constraints
from generator.streaming.engine import Model
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream, draw
from generator.tokenizers import fit, from_json
from generator.tokenizers.base import Tokenizer, Tokens
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.styles import LEAST_PIECES, MOST_STYLES, check, common
from tests.conftest import ROOT, SHIPPED, four_voices, random_checkpoint
from tests.test_grammar import TOKENIZERS, choose

NAMES = ["reel"] * 14 + ["slip jig"] * 12 + ["march"] * (LEAST_PIECES - 1) + [""] * 3
PIECES = [replace(four_voices(2 + number % 3), style=style) for number, style in enumerate(NAMES)]
STYLED = {kind: fit(kind, PIECES) for kind in ("score", "performance")}
kinds = pytest.mark.parametrize("kind", STYLED)


def token_of(tokenizer: Tokenizer, style: str) -> int:
    return tokenizer.vocab_size - len(tokenizer.styles) + tokenizer.styles.index(style)


def rows_of(tokenizer: Tokenizer) -> list[str]:
    rows: list[str] = tokenizer.to_json()["vocabulary"]
    return rows


# Vocabularies


@kinds
def test_a_vocabulary_ends_with_the_styles_that_enough_pieces_have(kind: str) -> None:
    tokenizer = STYLED[kind]
    plain = fit(kind, [replace(piece, style="") for piece in PIECES])
    assert tokenizer.styles == ("reel", "slip jig")
    assert plain.styles == ()
    assert rows_of(tokenizer) == [*rows_of(plain), "style reel", "style slip jig"]
    assert from_json(json.loads(json.dumps(tokenizer.to_json()))).styles == tokenizer.styles


def test_what_tells_nothing_is_no_style() -> None:
    assert common(["reel"] * 50) == ()
    assert common(["reel"] * 50 + [""]) == ("reel",)
    assert common(["reel"] * 9 + ["jig"] * 10) == ("jig",)
    assert len(common(str(number) for number in range(100) for _ in range(LEAST_PIECES))) == MOST_STYLES


@pytest.mark.parametrize("styles", [["reel", "reel"], [""], ["Reel"], ["a  b"], ["x" * 41], [*map(str, range(65))]])
def test_names_that_are_none_are_refused(styles: list[str]) -> None:
    with pytest.raises(CarouselError, match="styles"):
        check(styles)
    for tokenizer in STYLED.values():
        data = tokenizer.to_json()
        data["vocabulary"] = [*rows_of(tokenizer)[:-2], *(f"style {style}" for style in styles)]
        with pytest.raises(CarouselError, match="styles"):
            from_json(data)


@kinds
def test_styles_stand_last(kind: str) -> None:
    data = STYLED[kind].to_json()
    data["vocabulary"] = ["style reel", *data["vocabulary"][:-2]]
    with pytest.raises(CarouselError, match="vocabulary"):
        from_json(data)


@given(st.text(max_size=60))
def test_a_name_is_its_own_name(text: str) -> None:
    name = style_name(text)
    assert style_name(name) == name
    assert len(name) <= 40
    assert name.isprintable()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_vocabularies_stay_as_they_are(name: str) -> None:
    data = json.loads((ROOT / "checkpoints" / name / "tokenizer.json").read_text())
    tokenizer = from_json(data)
    assert tokenizer.to_json() == data
    styles = [row.removeprefix("style ") for row in data.get("vocabulary", []) if row.startswith("style ")]
    assert list(tokenizer.styles) == styles


# Pieces


@kinds
def test_a_style_opens_the_piece_and_is_no_event(kind: str) -> None:
    tokenizer = STYLED[kind]
    for piece in PIECES[:: len(PIECES) // 5]:
        tokens, plain = tokenizer.encode(piece), tokenizer.encode(replace(piece, style=""))
        told = [token_of(tokenizer, piece.style)] if piece.style in tokenizer.styles else []
        assert tokens.tolist() == told + plain.tolist()
        assert tokenizer.decode(tokens) == tokenizer.decode(plain)
        assert tokenizer.quantise(piece)[0].notes == tokenizer.decode(tokens).notes  # type: ignore[attr-defined]
        moved = tokenizer.augment(tokens, np.random.default_rng(1))
        assert moved.tolist() == told + tokenizer.augment(plain, np.random.default_rng(1)).tolist()
        assert tokenizer.cold_starts(tokens).tolist() == [0]


@pytest.mark.parametrize("name", ["ensemble", "composers"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=10)
def test_a_style_is_said_where_a_piece_begins_and_only_there(name: str, seed: int) -> None:
    tokenizer = TOKENIZERS[name]
    first = tokenizer.vocab_size - len(tokenizer.styles)
    random, decoder, before = np.random.default_rng(seed), tokenizer.decoder(), tokenizer.end
    for _ in range(200):
        allowed = decoder.allowed()
        assert allowed[first:].all() == allowed[first:].any() == (before == tokenizer.end)
        likely = [token for token in (tokenizer.end, first) if allowed[token]]
        before = likely[0] if likely and random.random() < 0.5 else choose(allowed, random)
        assert not decoder.feed(before) or before < first
        assert tokenizer.decoder(decoder.state()).state() == decoder.state()


# Training


def batches(pieces: list[Tokens], tokenizer: Tokenizer, number: int, augment: bool = False) -> Any:
    return one_pass(pieces, tokenizer, lanes=1, steps=16, seed=3, number=number, cold_share=0.2, augment=augment)


@kinds
def test_half_the_pieces_are_read_without_their_style(kind: str) -> None:
    tokenizer = STYLED[kind]
    pieces = [tokenizer.encode(piece) for piece in PIECES if piece.style in tokenizer.styles] * 10
    told = []
    for number in range(3):
        made, again = (batches(pieces, tokenizer, number, augment=number == 2) for _ in range(2))
        np.testing.assert_array_equal(made.targets, again.targets)
        inputs, targets = made.inputs.ravel(), made.targets.ravel()
        styles = np.flatnonzero(targets >= tokenizer.vocab_size - len(tokenizer.styles))
        assert 0.4 * len(pieces) < len(styles) < 0.6 * len(pieces)
        assert (inputs[styles] == tokenizer.end).all()
        told.append(styles.tolist())
        starts = targets[np.flatnonzero((inputs == tokenizer.end) & (targets != IGNORED))]
        if kind == "score":  # every piece begins with its style or its metre, after a cold start too
            assert {rows_of(tokenizer)[token].split()[0] for token in starts} == {"style", "time-signature"}
        assert made.cold.any()
    assert told[0] != told[1]


def test_what_has_no_styles_is_read_as_it_was() -> None:
    plain = ScoreTokenizer.fit([replace(piece, style="") for piece in PIECES])
    told = STYLED["score"]
    pieces = [plain.encode(piece) for piece in PIECES]
    np.testing.assert_array_equal(batches(pieces, plain, 1).targets, batches(pieces, told, 1).targets)


# Corpora


def test_a_subfolder_is_a_style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    music = tmp_path / "music"
    for style, count in (("Hard  Rock", 14), ("jazz/live", 15), ("blues", 3), ("", 2)):
        (music / style).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            midi.write(replace(four_voices(4), title=f"{style} {number}"), music / style / f"{number}.mid")
    found = Counter(piece.content.style for _, piece in open_corpus(music).read() if isinstance(piece.content, Score))
    assert found == {"hard rock": 14, "jazz": 15, "blues": 3, "": 2}
    assert prepare.main([str(music)]) == 0
    out = capsys.readouterr().out
    assert "  styles      jazz 15, hard rock 14\n  left out    blues 3\n" in out
    assert style_of("Bach/Fugue/bwv_846/Shi05M.mid") == "bach"
    assert style_of("song.mid") == ""


def test_a_tune_says_its_style(tmp_path: Path) -> None:
    path = tmp_path / "tunes.abc"
    path.write_text(
        "X:1\nT:One\nR: Slip  Jig\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|\n\nX:2\nT:Two\nR:\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|\n"
    )
    assert [score.style for score in notation.read(path)] == ["slip jig", ""]


def test_a_style_is_found_in_rhythms_and_titles() -> None:
    styles = open_corpus("folk-tunes").reading.styles  # type: ignore[attr-defined]
    found = {
        **{"double jig": "jig", "slipjig": "slip jig", "slip jig": "slip jig", "highland fling": "fling"},
        **{"quick step. 25th regt.": "quick step", "two reels": "reel", "the fair maid": "", "": ""},
    }
    assert {text: style_in(text, styles) for text in found} == found
    assert open_corpus("bach-chorales").reading.styles == ()  # type: ignore[attr-defined]


# Streams


def of_kind(kind: str) -> Model:
    return Model(random_checkpoint(STYLED[kind]))


def openings(stream: Stream, pieces: int) -> list[str]:
    """The row with which each of the next pieces begins; the stream goes on until then."""
    rows, found, before = rows_of(stream.engine.tokenizer), list[str](), stream.snapshot().token
    for _ in range(40 * pieces):
        token = draw(stream.engine, [stream], 1)[0][0][0]
        if before == stream.engine.tokenizer.end:
            found.append(rows[token])
        before = token
        if len(found) == pieces:
            break
    return found


def ending(kind: str) -> Model:
    """A fake that ends its notes and pieces as soon as it may."""
    checkpoint = random_checkpoint(STYLED[kind])
    ending = [token for token, row in enumerate(rows_of(STYLED[kind])) if row == "end" or row.startswith("note_off")]
    checkpoint.weights["output.bias"][ending] += 20
    return Model(checkpoint)


@kinds
def test_a_stream_is_told_a_style_from_the_next_piece_on(kind: str, tmp_path: Path) -> None:
    model = ending(kind)
    stream = model.stream(seed=1, style="Slip Jig", temperature=1.5, governor=False)
    assert openings(stream, 4) == ["style slip jig"] * 4
    stream.pull(1)
    stream.set(style="reel")
    fork, here = stream.fork(), stream.snapshot()
    assert openings(stream, 4) == ["style reel"] * 4
    stream.set(style=None)
    free = openings(stream, 20)
    assert any(not row.startswith("style") for row in free)
    assert stream.relaxed == {}
    stream.snapshot().save(tmp_path / "a.take")
    take = Snapshot.load(tmp_path / "a.take")
    assert [options.style for _, options in take.timeline] == ["Slip Jig", "reel", None]
    history = list(stream.past())
    assert list(model.resume(take).past()) == history
    assert openings(fork, 4) == openings(model.resume(here), 4) == ["style reel"] * 4


@kinds
def test_an_unknown_style_is_told_those_that_are_known(kind: str) -> None:
    model = of_kind(kind)
    with pytest.raises(CarouselError, match=r"^style is 'polka'; this checkpoint knows reel, slip jig$"):
        model.stream(style="polka")
    without = Model(random_checkpoint(fit(kind, [four_voices()])))
    with pytest.raises(CarouselError, match=r"^style is 'reel'; this checkpoint knows no styles$"):
        without.stream(style="reel")


@pytest.mark.parametrize("name", ["char", "frames"])
def test_text_and_frames_have_no_style(name: str) -> None:
    with pytest.raises(CarouselError, match=f"^style is not for a checkpoint of kind {name}"):
        Constraints(TOKENIZERS[name]).encode(SamplingOptions(style="reel"))


def test_a_style_stands_beside_other_constraints() -> None:
    model = ending("score")
    stream = model.stream(seed=2, style="reel", key="D minor", density=4, tempo=120, melody=None, metre="4/4")
    assert openings(stream, 5) == ["style reel"] * 5
    assert "style" not in stream.relaxed
    sung = model.stream(style="reel", melody=model.melody(four_voices(2)), at_end="stop")
    sung.pull(400)
    assert sung.ended
    assert sung.relaxed == {}
    assert [note.pitch for note in sung.history().notes if note.voice == 0] == [
        note.pitch for note in four_voices(2).notes if note.voice == 0
    ]


@kinds
def test_a_phrase_is_heard_after_a_style(kind: str) -> None:
    stream = of_kind(kind).stream(seed=1, style="reel")
    stream.pull(1)
    assert stream.listen(PIECES[0])
    stream.pull(30)
    history = stream.history()
    assert len(history.notes) >= len(PIECES[0].notes)


@kinds
def test_a_primer_tells_its_style(kind: str) -> None:
    tokenizer = STYLED[kind]
    stream = of_kind(kind).stream(PIECES[0])
    assert stream.snapshot().primer[0] == token_of(tokenizer, "reel")
    assert isinstance(tokenizer, ScoreTokenizer | PerformanceTokenizer)
