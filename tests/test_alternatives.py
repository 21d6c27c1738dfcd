"""What else could have come is what the token was drawn from, exactly, and one can go on from another choice."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from generator.foundation.errors import CarouselError
from generator.music.score import Note
from generator.streaming.engine import Model, load
from generator.streaming.rng import uniform
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.char import CharTokenizer
from tests.conftest import ROOT, four_voices, random_checkpoint, tiny

FILTERS = {"temperature": 0.8, "top_k": 12, "top_p": 0.9, "min_p": 0.02}


def filtered(logits: Any, opened: Any, options: Any) -> Any:
    """The probabilities of a draw, as the options' descriptions say, written anew."""
    weights = np.where(opened, np.exp((logits - logits[opened].max()) / options.temperature), 0.0)
    order = np.argsort(-weights, kind="stable")
    kept = order[: options.top_k or len(order)]
    shares = weights[kept] / weights[kept].sum()
    kept = kept[(np.cumsum(shares) - shares) < options.top_p]
    result = np.zeros(len(weights))
    result[kept] = weights[kept]
    result[result < options.min_p * result.max()] = 0.0
    return result / result.sum()


def test_each_token_lies_in_its_share_of_the_probabilities(any_model: Model) -> None:
    """With filters, a constraint, a change on the way and a phrase of someone else; on the fakes and the real ones."""
    kind = any_model.tokenizer.kind
    stream = any_model.stream(seed=5, **FILTERS)
    stream.pull(60)
    stream.set(temperature=1.3, seed=9)
    stream.pull(60)
    token = stream.alternatives()[1].token
    stream.choose(token)
    stream.pull(40)
    tokens = stream.tokens()
    before = stream.snapshot()
    draws = list(stream.draws(0, 161))
    assert [draw.token for draw in draws] == tokens.tolist()
    assert [draw.position for draw in draws if draw.given] == [120]
    assert stream.snapshot() == before, kind
    for draw in draws:
        past = np.cumsum(draw.probabilities)
        assert past[-1] == pytest.approx(1) and draw.plain.sum() == pytest.approx(1)
        assert draw.number == uniform(5 if draw.position < 60 else 9, draw.position)
        if not draw.given:
            low = past[draw.token] - draw.probabilities[draw.token]
            assert low - 1e-12 <= draw.number <= past[draw.token] + 1e-12
    moved = list(stream.draws(100, 140))
    assert all((a.probabilities == b.probabilities).all() for a, b in zip(moved, draws[100:140], strict=True))


@pytest.mark.parametrize("name", ["char", "score"])
def test_the_probabilities_are_those_of_the_model(name: str) -> None:
    """Computed once more by torch and the descriptions of the options, with the reference backend."""
    checkpoint = tiny(name)
    stream = Model(checkpoint).engine("fp32").stream(seed=2, governor=False, **FILTERS)
    stream.pull(80)
    tokens = [checkpoint.tokenizer.start, *stream.tokens()]
    model = checkpoint.model()
    features = checkpoint.tokenizer.grammar.features_before(np.array(tokens[1:]))
    with torch.no_grad():
        told = torch.from_numpy(features.astype(np.int64))[None]
        logits, _ = model(torch.tensor([tokens[:-1]], dtype=torch.long), model.zero_state(1), told)
    for draw, row in zip(stream.draws(0, 80), logits[0].numpy().astype(np.float64), strict=True):
        plain = np.exp(row - row.max())
        assert draw.plain == pytest.approx(plain / plain.sum(), abs=1e-6)
        assert draw.probabilities == pytest.approx(filtered(row, draw.open, stream.options), abs=1e-5)
    nats = model.negative_log_likelihood(np.array(tokens[1:]), tokens[0], features=features)
    assert [draw.surprise for draw in stream.draws(0, 80)] == pytest.approx(nats.tolist(), abs=1e-5)


def test_what_is_drawn_often_is_what_is_likely(text: Model) -> None:
    """The chi-square statistic of two thousand draws at one place."""
    stream = text.stream(seed=1)
    stream.pull(20)
    snapshot = stream.snapshot()
    engine = text.engine()
    twins = [engine.resume(snapshot, seed=seed) for seed in range(2000)]
    seen = Counter(tokens[0] for tokens, _ in engine.draw(twins, 1))
    [draw] = list(_after(stream))
    expected = 2000 * draw.probabilities[draw.probabilities * 2000 >= 5]
    found = np.array([seen[token] for token in np.flatnonzero(draw.probabilities * 2000 >= 5).tolist()])
    degrees = len(expected) - 1
    assert degrees > 3 and ((found - expected) ** 2 / expected).sum() < degrees + 4 * (2 * degrees) ** 0.5


def _after(stream: Any) -> Any:
    ahead = stream.fork()
    ahead.pull(1)
    return ahead.draws(stream.position, stream.position + 1)


def test_alternatives_are_in_order_and_in_words(music: Model, text: Model) -> None:
    bach = load(ROOT / "checkpoints" / "bach").stream(seed=3)
    bach.pull(200)
    for stream in (bach, music.stream(seed=3), text.stream(seed=3)):
        stream.pull(40)
        for position in range(10, 30):
            found = stream.alternatives(position, 4)
            assert [one.token for one in found if one.came] == [stream.tokens()[position]]
            assert len(found) <= 5 and all(one.words for one in found)
            assert all(a.probability >= b.probability for a, b in pairwise(found))
            assert found == stream.alternatives(position, 4)
    assert {one.words for at in range(140, 170) for one in bach.alternatives(at)} >= {
        *("Soprano", "Alto", "quarter", "next bar", "beat 3"),
    }
    cold = text.stream(temperature=0)
    assert [one.probability for one in cold.alternatives(count=3)] == [1, 0, 0]
    spelled = CharTokenizer("\n e\u0301א\u200d")
    words = [spelled.decoder().describe(token) for token in range(8)]
    assert words == [
        "unknown character",
        "end of the text",
        "new line",
        "space",
        "e",
        "◌\u0301",
        "א",
        "zero width joiner",
    ]
    assert random_checkpoint(spelled).tokenizer.vocab_size == 8
    for position in (-1, 41):
        with pytest.raises(CarouselError, match="nothing was drawn at"):
            stream.alternatives(position)
    with pytest.raises(CarouselError, match="no draws from 9 to 3"):
        stream.draws(9, 3)


def test_a_choice_is_in_the_take(speaker: Model, tmp_path: Any) -> None:
    """The stream goes on from it, and saved, resumed or drawn again from its origin it says the same."""
    stream = speaker.stream(seed=4)
    stream.pull(90)
    stream.rewind(20)
    while len(stream.alternatives(count=2)) < 2:
        stream.rewind(1)
    at, other = stream.position, stream.alternatives(count=2)[1]
    events = [*stream.choose(other.token), *stream.pull(100)]
    assert stream.tokens()[at] == other.token and stream.snapshot().injected == ((at, (other.token,)),)
    stream.snapshot().save(tmp_path / "a.take")
    snapshot = Snapshot.load(tmp_path / "a.take")
    assert speaker.engine(snapshot.backend).replay(snapshot).tokens() == stream.tokens()
    assert speaker.resume(snapshot).pull(50) == stream.pull(50)
    assert events
    closed = np.flatnonzero(~stream.allowed()).tolist()
    for wrong in [*closed[:1], -1, 10**6, "a"]:
        with pytest.raises(CarouselError, match="cannot come here"):
            stream.choose(wrong)


@pytest.mark.parametrize("kind", ["score", "performance", "frames"])
def test_a_note_knows_the_decisions_that_made_it(kind: str) -> None:
    model = Model(tiny(kind))
    stream = model.stream(four_voices(2), seed=6)
    stream.pull(300)
    decoder, tokens = model.tokenizer.decoder(), stream.tokens().tolist()
    notes = [event for event in stream.past() if isinstance(event, Note)]
    found = []
    for count, token in enumerate(tokens, start=1):
        assert decoder.describe(token)
        decoder.feed(token)
        found += [note for note in notes if decoder.decisions(tokens[:count], note)]
    assert sorted(map(str, found)) == sorted(map(str, notes))
