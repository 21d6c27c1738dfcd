"""Evaluation: what each convention scores, and that nothing is learned before it is scored."""

from __future__ import annotations

import json
import math
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from generator import evaluate
from generator.analysis import dynamic
from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.foundation.errors import CarouselError
from generator.foundation.recipes import DynamicOptions
from generator.model.backends import negative_log_likelihood
from generator.model.backends import prepare as prepare_backend
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.lstm import LanguageModel
from generator.streaming.engine import Model
from generator.tokenizers.char import CharTokenizer
from tests.conftest import ROOT, random_checkpoint, tiny
from tests.process import Python

CHECKPOINTS = ROOT / "checkpoints"
TOKENS = np.random.default_rng(0).integers(2, 32, 400).astype(np.uint16)
FAST = DynamicOptions(segment=16, rate=1e-3)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(tiny("char"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> TokenDataset:
    """A text whose second half says one thing again and again."""
    folder = tmp_path_factory.mktemp("text")
    text = folder / "text.txt"
    text.write_text("the quick brown fox jumps\n" * 40 + "over the lazy dog\n" * 60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROUSEL_CACHE", str(folder / "cache"))
        return prepare(open_corpus(text), tiny("char").tokenizer, progress=False)


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    try:
        status = evaluate.main([str(argument) for argument in arguments])
    except SystemExit as exit_:
        status = int(str(exit_.code))
    said = capsys.readouterr()
    return status, said.out, said.err


# Windows


@given(window=st.integers(1, 90), length=st.integers(1, 80))
@settings(max_examples=15)
def test_a_window_knows_nothing_of_what_came_before(model: Model, window: int, length: int) -> None:
    reader, start = model.checkpoint.model(), model.tokenizer.start
    apart = [
        reader.negative_log_likelihood(TOKENS[left : left + window][: length - left], start)
        for left in range(0, length, window)
    ]
    assert reader.negative_log_likelihood_in_windows(TOKENS[:length], start, window) == pytest.approx(
        np.concatenate(apart), abs=1e-5
    )


def test_each_convention_is_a_row_of_its_own(model: Model, dataset: TokenDataset) -> None:
    rows = [
        evaluate.evaluate(model.checkpoint, dataset, "validation", **how)
        for how in ({}, {"window": 7}, {"window": 10**9}, {"adapting": FAST})
    ]
    assert len({row["convention"] for row in rows}) == 4
    assert rows[2]["nats_per_token"] == pytest.approx(rows[0]["nats_per_token"], abs=1e-6)
    for row in rows:
        assert (row["split"], row["tokens"], row["pieces"]) == ("validation", rows[0]["characters"] + 1, 1)
        assert row["bits_per_character"] * math.log(2) == pytest.approx(row["nats_per_character"])
    assert "windows of 7 tokens" in rows[1]["convention"]
    assert "segment of 16 tokens" in rows[3]["convention"] and "rate 0.001" in rows[3]["convention"]


# Dynamic evaluation


def adapt(model: Model, tokens: np.ndarray[Any, Any], options: DynamicOptions = FAST) -> np.ndarray[Any, Any]:
    return dynamic.negative_log_likelihood(
        model.checkpoint.model(), tokens, model.tokenizer.start, TOKENS[:160], model.tokenizer.grammar, options
    )


@given(at=st.integers(0, 63), token=st.integers(2, 31))
@settings(max_examples=10)
def test_no_token_is_looked_at_before_it_is_scored(model: Model, at: int, token: int) -> None:
    """Another token changes no score before its own."""
    changed = TOKENS[:64].copy()
    changed[at] = token
    assert (adapt(model, changed)[:at] == adapt(model, TOKENS[:64])[:at]).all()


def test_the_first_segment_is_scored_as_ever(model: Model) -> None:
    static = model.checkpoint.model().negative_log_likelihood(TOKENS, model.tokenizer.start)
    found = adapt(model, TOKENS)
    assert found.shape == TOKENS.shape
    assert found[:16] == pytest.approx(static[:16], abs=1e-5)
    assert abs(found[16:] - static[16:]).min() > 0


def test_without_a_rate_nothing_is_learned(model: Model) -> None:
    static = model.checkpoint.model().negative_log_likelihood(TOKENS, model.tokenizer.start)
    assert adapt(model, TOKENS, DynamicOptions(rate=0)) == pytest.approx(static, abs=1e-4)


def test_what_comes_again_is_learned_and_the_checkpoint_stays(model: Model, dataset: TokenDataset) -> None:
    before = model.checkpoint.fingerprint
    static = evaluate.evaluate(model.checkpoint, dataset, "validation")["nats_per_token"]
    learned = evaluate.evaluate(model.checkpoint, dataset, "validation", adapting=FAST)["nats_per_token"]
    assert learned < static - 0.2
    weights = {name: weight.copy() for name, weight in model.checkpoint.weights.items()}
    assert Checkpoint(model.config, weights, model.tokenizer).fingerprint == before


def test_the_rule_is_the_one_written_down(model: Model) -> None:
    """Three segments by the formula, weight by weight; the training split is one segment a stretch."""
    options = DynamicOptions(segment=16, rate=0.01, decay=0.5)
    learner = model.checkpoint.model().train()
    names = [name for name, _ in learner.named_parameters()]
    origin = {name: torch.from_numpy(weight) for name, weight in model.checkpoint.weights.items()}

    def losses(weights: dict[str, torch.Tensor], tokens: torch.Tensor, first: int, state: Any) -> tuple[Any, Any]:
        inputs = torch.cat([torch.tensor([first]), tokens[:-1]])[None]
        logits, after = torch.func.functional_call(learner, weights, (inputs, state))
        return F.cross_entropy(logits[0], tokens, reduction="none"), [(h.detach(), c.detach()) for h, c in after]

    def gradients(loss: torch.Tensor, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return dict(zip(names, torch.autograd.grad(loss.mean(), [weights[name] for name in names]), strict=True))

    tokens = torch.from_numpy(TOKENS.astype(np.int64))
    start = model.tokenizer.start
    weights = {name: weight.clone().requires_grad_() for name, weight in origin.items()}
    parts = [losses(weights, part[:16], start, learner.zero_state(1))[0] for part in tokens[:160].view(10, 16)]
    squares = [gradients(part, weights) for part in parts]
    r = {name: torch.stack([square[name] ** 2 for square in squares]).mean(0).sqrt() for name in names}
    mean = torch.cat([value.flatten() for value in r.values()]).mean()
    found, first, state = [], start, learner.zero_state(1)
    for segment in tokens[200:248].view(3, 16):
        loss, state = losses(weights, segment, first, state)
        found.append(loss.detach())
        first = int(segment[-1])
        g = gradients(loss, weights)
        with torch.no_grad():
            weights = {
                name: w
                - options.rate * g[name] / (r[name] + dynamic.EPSILON)
                + (options.decay * r[name] / mean).clamp(max=1) * (origin[name] - w)
                for name, w in weights.items()
            }
        weights = {name: weight.requires_grad_() for name, weight in weights.items()}
    ours = adapt(model, TOKENS[200:248], options)
    assert ours == pytest.approx(torch.cat(found).numpy(), abs=1e-4)


def test_weights_that_run_away_are_told() -> None:
    wild = random_checkpoint(CharTokenizer("abcdefghijklmnopqrstuvwxyz\n"))
    wild.weights["output.weight"] *= 1e38
    with pytest.raises(CarouselError, match="give a lower rate"):
        dynamic.negative_log_likelihood(wild.model(), TOKENS[:64] % 20, 2, TOKENS % 20, wild.tokenizer.grammar, FAST)


def test_a_tied_model_stays_tied() -> None:
    """One matrix for both ends, from a checkpoint's two copies: the same as a model that was built with one."""
    tied = LanguageModel(ModelConfig(32, 24, 24, 2, tied=True))
    checkpoint = Checkpoint.of(tied, CharTokenizer("".join(map(chr, range(97, 127)))))
    rest = TOKENS, 1, TOKENS, checkpoint.tokenizer.grammar, FAST
    from_file, built = (dynamic.negative_log_likelihood(each, *rest) for each in (checkpoint.model(), tied))
    assert (from_file == built).all()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_shakespeare_goes_on_learning(mirror: Path) -> None:
    checkpoint = Checkpoint.load(CHECKPOINTS / "shakespeare")
    corpus = prepare(open_corpus("tinyshakespeare"), checkpoint.tokenizer)
    row = evaluate.evaluate(checkpoint, corpus, "validation", adapting=DynamicOptions())
    assert row["characters"] == 111_540
    assert row["nats_per_character"] <= 1.36


# The command


def test_mistakes_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "broken.mid").write_bytes(b"MThd")
    bach = CHECKPOINTS / "bach"
    for arguments, words in (
        ([], "give one checkpoint and one corpus"),
        ([bach], "give one checkpoint and one corpus"),
        ([bach, "folk-tunes", "more"], "give one checkpoint and one corpus"),
        ([bach, "folk-tunes", "--rate", "1"], "--rate belongs to --dynamic"),
        ([bach, "folk-tunes", "--dynamic", "--segment", "0"], "--segment is 0"),
        ([bach, "folk-tunes", "--window", "0"], "whole number"),
        ([bach, "folk-tunes", "--window", "8", "--dynamic"], "not allowed with"),
        (["--rank", tmp_path / "empty.txt"], "--rank takes a file and checkpoints"),
        (["--rank", tmp_path / "empty.txt", bach], "empty"),
        (["--rank", tmp_path / "none.txt", bach], "cannot be read"),
        (["--rank", tmp_path / "broken.mid", bach], "broken.mid"),
    ):
        status, out, err = command(capsys, *arguments)
        assert (status, out) == (2, "") and words in err and err.count("\n") == 1, err


def test_options_may_stand_anywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    tiny("char").save(tmp_path / "model")
    (tmp_path / "text.txt").write_text("hello world\n" * 50)
    files = {path: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    status, out, _ = command(capsys, tmp_path / "model", "--dynamic", "--segment", 9, tmp_path / "text.txt")
    assert status == 0 and "segment of 9 tokens" in json.loads(out)["convention"]
    assert {path: path.read_bytes() for path in (tmp_path / "model").iterdir()} == files


def test_masked_only_allowed_tokens_share_the_probability(capsys: pytest.CaptureFixture[str]) -> None:
    """By the decoder's masks, one step after another; and both backends and torch agree."""
    checkpoint = tiny("score")
    model, tokenizer = checkpoint.model(), checkpoint.tokenizer
    stream = Model(checkpoint).stream(seed=3, temperature=1.0)
    stream.pull(600)
    tokens, decoder = np.array(stream.tokens()), tokenizer.decoder()
    inputs = torch.from_numpy(np.concatenate([[tokenizer.start], tokens[:-1]]).astype(np.int64))
    features = tokenizer.grammar.features_before(tokens)
    told = torch.from_numpy(features.astype(np.int64))[None]
    logits = model(inputs[None], model.zero_state(1), told)[0][0].detach().double().numpy()
    expected = []
    for row, token in zip(logits, tokens.tolist(), strict=True):
        expected.append(np.log(np.exp(row[decoder.allowed()]).sum()) - row[token])
        decoder.feed(token)
    found = model.negative_log_likelihood(tokens, tokenizer.start, features=features, grammar=tokenizer.grammar)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.sum() < model.negative_log_likelihood(tokens, tokenizer.start, features=features).sum()
    rest = tokenizer.start, tokenizer.grammar, features
    read = negative_log_likelihood(prepare_backend("fp32", checkpoint), tokens, *rest)
    np.testing.assert_allclose(read, expected, atol=1e-3)
    status, _, said = command(capsys, CHECKPOINTS / "bach", "bach-chorales", "--masked", "--window", 9)
    assert status == 2 and "--masked is for one carried stream" in said


def test_an_interrupt_ends_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("To be, or not to be\n" * 4_000)
    shipped = str(CHECKPOINTS / "shakespeare")
    process = Python("-m", "generator.evaluate", shipped, tmp_path / "text.txt", "--dynamic")
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cache/shards/text*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    done = process.wait(60)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 2, done.stderr
