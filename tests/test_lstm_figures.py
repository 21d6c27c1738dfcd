"""The benchmarks behind the guide to the LSTM measure what they say."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cells, drawing, gradients, memory_length, networks, ngram
from generator.model.trace import Trace
from generator.streaming.engine import Model
from generator.training import card
from tests.conftest import tiny
from tests.test_benchmarks import run

CARD = "# a\n\n**Data.** All.\n\n**A sample** (seed 7)\n\n```\nabc\n```\n"


@pytest.fixture
def poem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "poem.txt"
    path.write_text("a rose is a rose\n\n" * 400)
    return path


@given(st.lists(st.integers(0, 4), min_size=8, max_size=60), st.integers(1, 4))
def test_the_probabilities_of_an_n_gram_sum_to_one(tokens: list[int], order: int) -> None:
    model = ngram.KneserNey(tokens, order, 5)
    for at in range(order - 1, len(tokens)):
        context = tuple(tokens[at - order + 1 : at])
        assert sum(model.probability(token, context) for token in range(5)) == pytest.approx(1)
    assert sum(model.probability(token, (4,) * (order - 1)) for token in range(5)) == pytest.approx(1)


def test_an_n_gram_counts_different_predecessors() -> None:
    """Of `san francisco` the second word is frequent, but follows one word alone."""
    model = ngram.KneserNey([0, 1, 0, 1, 0, 1, 2, 3, 4, 3, 2], 2, 5)
    assert model.counts[0][()] == {0: 1, 1: 1, 2: 2, 3: 2, 4: 1}
    assert model.counts[1][(0,)] == {1: 3}


@pytest.mark.slow
def test_networks_and_n_grams_learn(poem: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--units", "16", "--passes", "2", "--longest", "3", "--keep", str(tmp_path / "kept")]
    found = run("ngram", capsys, str(poem), *flags, "--picture", str(tmp_path / "a.svg"))
    nats = {row["who"]: row["nats"] for row in found["rows"]}
    assert nats["3-gram"] < nats["2-gram"] < nats["1-gram"] < math.log(12)
    assert nats["LSTM"] < math.log(12) and nats["tanh RNN"] < math.log(12)
    kept = sorted((tmp_path / "kept").iterdir())
    times = [path.stat().st_mtime_ns for path in kept]
    run("gradients", capsys, str(poem), *flags[:4], *flags[6:], "--texts", "2", "--longest", "9")
    assert len(kept) == 2 and times == [path.stat().st_mtime_ns for path in kept], "they are not trained again"
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("kind", networks.KINDS)
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    torch.manual_seed(0)
    network = networks.Network.new(kind, 11, 6).double()
    tokens = torch.randint(11, (1, gradients.BEFORE + 7))
    found = gradients.norms_of(network, tokens)
    assert list(found) == (["h", "c"] if kind == "LSTM" else ["h"]) and found["h"].shape == (5, 1)
    distance, size = 3, 1e-6
    with torch.no_grad():
        begun = network(tokens[:, : -distance - 1])[1]
        rest = tokens[:, -distance - 1 : -1]

        def loss(change: torch.Tensor) -> float:
            state = (begun[0] + change, begun[1]) if kind == "LSTM" else begun + change
            logits = network(rest, state)[0]
            return float(torch.nn.functional.cross_entropy(logits[:, -1], tokens[:, -1]))

        slopes = [(loss(size * one) - loss(-size * one)) / (2 * size) for one in torch.eye(6).double().view(6, 1, 1, 6)]
    assert found["h"][distance - 1, 0] == pytest.approx(np.linalg.norm(slopes), rel=1e-5)


@pytest.mark.parametrize("kind", ["char", "score", "performance", "drums"])
def test_one_note_or_character_is_changed(kind: str) -> None:
    model = Model(tiny(kind))
    stream = model.stream(seed=0, at_end="next")
    ((tokens, _),) = model.engine().draw([stream], memory_length.BEFORE + memory_length.SLACK)
    whole = np.array(tokens)
    changed, at = memory_length.change(whole, model, np.random.default_rng(0))
    where = np.flatnonzero(whole != changed)
    assert where[0] == at >= memory_length.BEFORE and len(where) <= (2 if kind == "performance" else 1)


def test_what_cannot_be_changed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny("frames").save(tmp_path / "frames")
    assert memory_length.main([str(tmp_path / "frames"), "--streams", "1", "--longest", "9"]) == 2
    assert "no tokens for notes" in capsys.readouterr().err


def test_divergences_are_those_of_the_two_predictions() -> None:
    model = tiny("char").model()
    random = np.random.default_rng(0)
    tokens = random.integers(0, model.config.vocab_size, (3, memory_length.BEFORE + 300))
    changed = tokens.copy()
    changed[:2, memory_length.BEFORE] = (tokens[:2, memory_length.BEFORE] + 1) % model.config.vocab_size
    nothing = np.zeros((*tokens.shape, 0), np.int64)
    found = memory_length.divergences(model, tokens, changed, nothing, nothing)
    assert found.shape == (300, 3) and (found[:, 2] == 0).all() and (found[0, :2] > 0).all()
    d = 270
    until = memory_length.BEFORE + d
    with torch.no_grad():
        p, q = (
            torch.log_softmax(model(torch.from_numpy(rows[:, :until]), model.zero_state(3))[0][:, -1].double(), dim=1)
            for rows in (tokens, changed)
        )
    assert found[d - 1] == pytest.approx((p.exp() * (p - q)).sum(dim=1).numpy(), abs=1e-9)


def test_how_long_it_remembers_goes_into_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "char"
    tiny("char").save(folder)
    flags = ["--streams", "2", "--longest", "60", "--cards", "--picture", str(tmp_path / "a.svg")]
    for _ in range(2):
        found = run("memory_length", capsys, str(folder), *flags)
    edges = [(row["distance"], row["to"]) for row in found["rows"]]
    assert edges[0][0] == 1 and edges[-1][1] == 60 and all(low <= high for low, high in edges)
    assert (folder / "card.md").read_text().count("**How long it remembers.** One character that is changed") == 1


def test_a_section_of_a_card_is_put_in_and_replaced() -> None:
    once = card.with_section(CARD, "How long it remembers", "One.\nTwo.")
    assert once == CARD.replace("**A sample**", "**How long it remembers.** One.\nTwo.\n\n**A sample**")
    assert card.with_section(once, "How long it remembers", "One.\nTwo.") == once
    assert "Two" not in card.with_section(once, "How long it remembers", "Three.")


def test_the_unit_that_goes_with_a_feature_is_found(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    steps = random.normal(size=(401, 6, 2, 5)).astype(np.float32)
    feature = random.normal(size=400)
    steps[1:, 4, 1, 3] = -2 * feature + 0.1 * random.normal(size=400)
    trace = Trace.of(steps)
    (row,) = cells.closest(trace, {"it": feature, "constant": np.zeros(400)})[:1]
    assert row["unit"] == "1.3" and row["correlation"] < -0.9 and row["held_out"] < -0.9
    for name in ("a.svg", "b.svg"):
        cells.draw([row], trace[1:], ["x"] * 400, slice(200, 260), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_features_of_text() -> None:
    found = cells.of_text("ROMEO:\nO, my\n")
    assert found["words begun in the line"].tolist() == [1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 2, 2, 0]
    assert found["in a speaker's name"].tolist() == [1] * 7 + [0] * 6


def test_cells_of_performances_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny("performance").save(tmp_path / "p")
    assert importlib.import_module("benchmarks.cells").main([str(tmp_path / "p"), "--tokens", "30"]) == 2
    assert "of text and of written music" in capsys.readouterr().err


def test_a_picture_has_no_background(tmp_path: Path) -> None:
    with drawing.drawn(tmp_path / "a.svg", 3, 2) as panel:
        panel.plot([0, 1])
    assert "#ffffff" not in (tmp_path / "a.svg").read_text()


def test_learning_rates_are_one_for_all_or_one_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["adding", "--length", "9", "--networks", "lstm", "rnn", "--learning-rate", "0.1", "0.1", "0.1"]
    assert importlib.import_module("benchmarks.memory").main(flags) == 2
    assert "one for each of the --networks" in capsys.readouterr().err


def test_several_lengths_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--length", "8", "12", "--units", "4", "--updates", "2", "--networks", "lstm", "rnn"]
    found = run("memory", capsys, "adding", *flags, "--picture", str(tmp_path / "a.svg"))
    assert [(row["length"], row["who"]) for row in found["rows"] if row["who"] in ("lstm", "rnn")] == [
        (length, who) for length in (8, 12) for who in ("lstm", "rnn")
    ]
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")
