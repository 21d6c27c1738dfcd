"""Figures of originality: those of a slow search, with doubles left out; and what is shipped does not copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generator.analysis.originality import DOUBLE, WINDOWS, draw_streams, originality
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.corpora.download import CACHE
from generator.foundation.errors import CarouselError
from generator.streaming.engine import Model, load
from generator.tokenizers.score import ScoreTokenizer
from tests.conftest import ROOT, random_checkpoint, tiny
from tests.given import TEXTS, Given
from tests.test_copies import WIDE, random_tune, slow_runs, tune


def test_the_figures_are_those_of_a_slow_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.setitem(WINDOWS, "characters", 3)
    random = np.random.default_rng(3)
    texts = ["".join(random.choice(list("abc\n"), 400)) for _ in range(3)]
    corpus = Given({"train": texts[:2], "validation": [texts[2], texts[0][100:300]], "test": ["aaaaaaaa"]})
    dataset = prepare(corpus, progress=False)
    model = Model(random_checkpoint(dataset.tokenizer))
    told = originality(model, dataset, 1.0, streams=3, tokens=90)
    pieces = [
        piece
        for tokens in draw_streams(model, 1.0, 3, 90)
        for piece in "".join(dataset.tokenizer.decode(np.array([t])) if t != 1 else "\r" for t in tokens).split("\r")
    ]
    lengths = slow_runs(dataset.tokenizer, texts[:2], pieces)
    windows = [piece[end - 3 : end] for piece in pieces for end in range(3, len(piece) + 1)]
    share = sum(any(window in text for text in texts[:2]) for window in windows) / len(windows)
    assert told["generated"]["characters"] == len(lengths)
    assert told["generated"]["longest_run"] == max(lengths)
    assert told["generated"]["share_of_windows_found"] == round(share, 6)
    assert share > DOUBLE  # by so short windows everything is a double
    assert set(told["doubles_left_out"]) >= {"validation 0", "validation 1"}


def test_doubles_are_no_yardstick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    random = np.random.default_rng(3)
    tunes = [tune(random_tune(random, 40)) for _ in range(4)]
    higher = tune([(note.pitch + 2, note.voice) for note in tunes[1].notes])
    corpus = Given({"train": tunes[:3], "validation": [tunes[3], higher]}, "music")
    dataset = prepare(corpus, ScoreTokenizer.fit([*tunes, WIDE]), progress=False)
    told = originality(Model(random_checkpoint(dataset.tokenizer)), dataset, streams=2)
    assert told["doubles_left_out"] == {"validation 1": "train 1, bar 1"}
    assert told["tokens_each"] == -(-len(dataset.split("validation").tokens) // 2)
    assert told["held_out"]["notes"] == 80
    assert told["held_out"]["share_of_windows_found"] == 0
    assert told["times_held_out"] is None


def test_figures_need_the_models_own_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    dataset = prepare(Given(TEXTS), progress=False)
    with pytest.raises(CarouselError, match="given: prepared for another tokenizer"):
        originality(Model(tiny("char")), dataset)
    with pytest.raises(CarouselError, match="0 streams of 5 tokens cannot be measured"):
        originality(Model(random_checkpoint(dataset.tokenizer)), dataset, streams=0, tokens=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "corpus"), [("bach", "bach-chorales"), ("folk", "folk-tunes"), ("shakespeare", "tinyshakespeare")]
)
@pytest.mark.parametrize("temperature", [0.9, 1.0])
def test_what_is_shipped_copies_at_most_twice_as_much_as_held_out_pieces_do(
    mirror: Path, name: str, corpus: str, temperature: float
) -> None:
    model = load(ROOT / "checkpoints" / name)
    told = originality(model, prepare(open_corpus(corpus), model.tokenizer), temperature)
    ours, theirs = (told[whose]["share_of_windows_found"] for whose in ("generated", "held_out"))
    assert ours <= 2 * theirs, told
