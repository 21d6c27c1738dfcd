"""The option `lines`: paragraphs of so many lines, under every law of streams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.streaming.engine import Model
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.char import END, IN_LINE, LINES, CharTokenizer
from tests.conftest import random_checkpoint, run
from tests.test_constraints import model_of

seeds = st.integers(0, 2**32 - 1)
SHAKESPEARE = Path(__file__).parents[1] / "checkpoints" / "shakespeare"


def lines_of(text: str) -> list[int]:
    """How many lines each whole paragraph has."""
    return [paragraph.count("\n") + 1 for paragraph in text.split("\n\n")[:-1]]


@given(seeds, st.integers(1, 4), st.integers(1, 150))
@settings(max_examples=4)
def test_every_speech_has_so_many_lines(seed: int, lines: int, cut: int) -> None:
    model = model_of("shakespeare")
    stream = model.stream(seed=seed, lines=lines)
    text = "".join(map(str, stream.pull(200 * lines)))
    assert set(lines_of(text)) == {lines} and "\n\n\n" not in text and stream.relaxed == {}
    other = model.stream(seed=seed, lines=lines)
    start = "".join(map(str, other.take(cut)))
    resumed = model.resume(Snapshot.from_bytes(other.snapshot().to_bytes()))
    assert start + "".join(map(str, resumed.pull(200 * lines - cut))) == text
    assert resumed.history() == text


@given(seeds, st.integers(1, 400), st.integers(1, 4))
@settings(max_examples=4)
def test_lines_that_are_asked_for_later_hold_from_there(seed: int, late: int, lines: int) -> None:
    """A speech that is longer already ends with its line."""
    model = model_of("shakespeare")
    stream = model.stream(seed=seed)
    before = "".join(map(str, stream.pull(late)))
    stream.set(lines=lines)
    after = "".join(map(str, stream.pull(600)))
    begun = (before + after).find("\n\n", late)
    assert set(lines_of((before + after)[begun:].lstrip("\n"))) == {lines}
    spoken = before[before.rfind("\n\n") + 2 if "\n\n" in before else 0 :]
    if spoken.count("\n") >= lines and not spoken.endswith("\n"):
        assert after.find("\n\n") == after.find("\n")
    stream.set(lines=None)
    stream.pull(100)
    assert model.resume(Snapshot.from_bytes(stream.snapshot().to_bytes())).history() == stream.history()


@given(st.text("ab\n", max_size=60))
def test_the_grammar_counts_the_lines_of_a_paragraph(text: str) -> None:
    tokenizer = CharTokenizer("\nab")
    decoder = tokenizer.decoder()
    decoder.feed_all(tokenizer.encode(text)[:-1].tolist() if text else [])
    *ended, present = text.split("\n\n")[-1].split("\n")
    if "\n\n\n" not in "\n\n" + text:  # of several empty lines only the first one ends a paragraph
        assert decoder.memory.tolist() == [len(ended), bool(present)]
    assert tokenizer.decoder(decoder.state()).memory.tolist() == decoder.memory.tolist()
    decoder.feed(END)
    assert decoder.memory[[LINES, IN_LINE]].tolist() == [0, 0]


def test_a_piece_ends_with_its_paragraph() -> None:
    stream = Model(random_checkpoint(CharTokenizer("\nab"))).stream(seed=1, lines=2, characters="ab\n")
    stream.pull(2000)
    tokens = stream.tokens().tolist()
    text = "".join("$" if token == END else "\nab"[token - 2] for token in tokens)
    assert "$" in text and all(text[at - 1] == "\n" != text[at - 2] for at, mark in enumerate(text) if mark == "$")
    assert set(lines_of(text.replace("$", "\n"))) == {2} and stream.relaxed == {}


def test_what_cannot_be_is_refused() -> None:
    for characters in ("abc", "\n"):
        with pytest.raises(
            CarouselError, match="lines needs line breaks and something between them; add to characters"
        ):
            model_of("shakespeare").stream(lines=3, characters=characters)
    with pytest.raises(CarouselError, match="lines needs a checkpoint that knows line breaks"):
        Model(random_checkpoint(CharTokenizer("ab"))).stream(lines=3)
    with pytest.raises(CarouselError, match="lines is not for a checkpoint of kind score"):
        model_of("bach").stream(lines=3)


def test_a_take_from_before_lines_were_counted_goes_on(tmp_path: Path) -> None:
    model = model_of("shakespeare")
    stream = model.stream(seed=1)
    stream.pull(90)
    here = stream.snapshot()
    replace(here, decoder={"count": 90}).save(tmp_path / "old.take")
    assert b'"lines"' not in (tmp_path / "old.take").read_bytes()
    assert model.resume(Snapshot.load(tmp_path / "old.take")).pull(90) == stream.pull(90)


def test_the_command_takes_lines(tmp_path: Path) -> None:
    assert run(SHAKESPEARE, "--seed", 7, "--lines", 4, "--tokens", 900, "-o", tmp_path / "speech.txt") == 0
    assert set(lines_of((tmp_path / "speech.txt").read_text())) == {4}
