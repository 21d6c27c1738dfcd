"""The char tokenizer: no text is lost, no character crashes it, and the unknown is never sampled."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.tokenizers.char import END, REPLACEMENT, UNKNOWN, CharTokenizer

VERSE = (
    "From fairest creatures we desire increase,\nThat thereby beauty's rose might never die,\n\nBut — as the riper…\n"
)
TOKENIZER = CharTokenizer.fit([VERSE])

texts = st.text(min_size=1, max_size=200)


@given(texts)
def test_a_text_of_known_characters_comes_back(text: str) -> None:
    tokenizer = CharTokenizer.fit([text])
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.uint16
    assert len(tokens) == len(text) + 1
    assert tokens[-1] == tokenizer.end == END
    assert tokenizer.decode(tokens[:-1]) == text
    assert tokenizer.decode(tokens) == text + "\n", "in a stream a text's end is a line end"


@given(texts)
def test_an_unknown_character_becomes_the_unknown(text: str) -> None:
    tokens = TOKENIZER.encode(text)[:-1]
    assert TOKENIZER.decode(tokens) == "".join(c if c in TOKENIZER.characters else REPLACEMENT for c in text)
    assert [token == UNKNOWN for token in tokens] == [character not in TOKENIZER.characters for character in text]


def test_the_vocabulary_is_every_character_once_in_code_point_order() -> None:
    tokenizer = CharTokenizer.fit(["ba", "ça", "b\n"])
    assert tokenizer.characters == "\nabç"
    assert tokenizer.vocab_size == 6
    assert tokenizer.encode("ab").tolist() == [3, 4, END]


def test_everything_but_the_unknown_may_be_sampled() -> None:
    decoder = TOKENIZER.decoder()
    for token in TOKENIZER.encode(VERSE).tolist():
        assert np.flatnonzero(~decoder.allowed()).tolist() == [UNKNOWN]
        decoder.feed(token)


def test_the_mask_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        TOKENIZER.decoder().allowed()[UNKNOWN] = True


@given(st.lists(st.integers(0, TOKENIZER.vocab_size - 1), min_size=1, max_size=100), st.floats(0, 1))
def test_a_restored_decoder_has_the_same_future(tokens: list[int], share: float) -> None:
    cut = int(share * len(tokens))
    decoder = TOKENIZER.decoder()
    for token in tokens[:cut]:
        decoder.feed(token)
    restored = TOKENIZER.decoder(json.loads(json.dumps(decoder.state())))
    for token in tokens[cut:]:
        events = decoder.feed(token)
        assert restored.feed(token) == events
        assert len(events) == 1
        assert restored.state() == decoder.state()
    assert decoder.horizon_ticks == restored.horizon_ticks == len(tokens)


def test_a_cold_stream_begins_at_a_line() -> None:
    assert TOKENIZER.start == TOKENIZER.encode("\n")[0]
    assert CharTokenizer("abc").start == END, "without line ends, after the end of a text"


def test_cold_starts_are_paragraphs_else_lines() -> None:
    assert [VERSE[start:][:3] for start in TOKENIZER.cold_starts(TOKENIZER.encode(VERSE))] == ["But"]
    verse = "one\ntwo\nthree"
    tokenizer = CharTokenizer.fit([verse])
    assert tokenizer.cold_starts(tokenizer.encode(verse)).tolist() == [4, 8]
    assert tokenizer.cold_starts(tokenizer.encode("one")).tolist() == []


def test_a_text_has_no_variants() -> None:
    tokens = TOKENIZER.encode(VERSE)
    np.testing.assert_array_equal(TOKENIZER.augment(tokens, np.random.default_rng(0)), tokens)


@given(texts)
def test_the_vocabulary_goes_through_json(text: str) -> None:
    tokenizer = CharTokenizer.fit([text])
    again = CharTokenizer.from_json(json.loads(json.dumps(tokenizer.to_json())))
    assert again.to_json() == tokenizer.to_json()
    np.testing.assert_array_equal(again.encode(text), tokenizer.encode(text))


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(CarouselError, match="empty"):
        TOKENIZER.encode("")
    with pytest.raises(CarouselError, match="at least one character"):
        CharTokenizer.fit([""])
