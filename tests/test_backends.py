"""The backends: each agrees with torch's LSTM as far as its numbers go, and int8 with itself to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.model.backends import BACKENDS, prepare, surprise
from generator.model.backends.cell import cell
from generator.model.backends.int8 import Int8, input_table, quantise
from generator.model.backends.products import MOST_TERMS, exact, fp32_product, int_mm
from generator.model.checkpoint import Checkpoint
from generator.model.lstm import LanguageModel, ModelConfig
from generator.model.state import State
from generator.streaming.engine import Model
from tests.conftest import tiny


def logits_of(checkpoint: Checkpoint, tokens: np.ndarray, backend: str = "int8") -> np.ndarray:
    """Logits of (steps, streams) tokens, shape (steps, streams, vocab_size)."""
    prepared = prepare(backend, checkpoint)
    memory = prepared.memory(tokens.shape[1])
    logits = np.zeros((*tokens.shape, checkpoint.config.vocab_size), np.float32)
    for step, row in enumerate(tokens):
        prepared.step(np.ascontiguousarray(row), memory, logits[step])
    return logits


@pytest.mark.parametrize(("backend", "tolerance"), [("fp32", 1e-4), ("bf16", 0.1), ("int8", 0.25)])
def test_stepping_agrees_with_torchs_lstm(backend: str, tolerance: float) -> None:
    checkpoint = tiny("char")
    model = checkpoint.model()
    tokens = torch.randint(checkpoint.config.vocab_size, (3, 40))
    with torch.no_grad():
        out, _ = model.lstm(model.embedding(tokens))
        expected = model.output(out).numpy()
    logits = logits_of(checkpoint, tokens.numpy().T, backend)
    assert np.abs(logits.swapaxes(0, 1) - expected).max() < tolerance


@pytest.mark.parametrize("backend", BACKENDS)
def test_surprise_by_steps_is_the_models(backend: str) -> None:
    checkpoint = tiny("char")
    tokens = np.random.default_rng(0).integers(2, checkpoint.config.vocab_size, 600)
    expected = checkpoint.model().surprise(tokens, start=2)
    assert surprise(prepare(backend, checkpoint), tokens, 2).mean() == pytest.approx(expected.mean(), rel=0.005)


def test_int8_costs_no_shipped_checkpoint_more_than_a_thousandth(shipped: Model) -> None:
    """Over what the model itself says; `evaluate --backend int8` measures it over a corpus."""
    stream = shipped.stream(seed=1)
    tokens = []
    for _ in range(3000):
        stream.pull(1)
        tokens.append(stream.snapshot().token)
    start = shipped.tokenizer.start
    nats = [surprise(prepare(name, shipped.checkpoint), np.array(tokens), start).mean() for name in ("int8", "fp32")]
    assert nats[0] < nats[1] * 1.001


@given(streams=st.integers(1, 130), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_int8_gives_a_stream_the_same_logits_in_any_company(streams: int, seed: int) -> None:
    checkpoint = tiny("char")
    tokens = np.random.default_rng(seed).integers(0, checkpoint.config.vocab_size, (12, streams))
    place = seed % streams
    together = logits_of(checkpoint, tokens)[:, place]
    assert (together == logits_of(checkpoint, tokens[:, place : place + 1])[:, 0]).all()


def test_the_products_agree_and_a_wrong_one_is_found_out() -> None:
    checkpoint = tiny("char")
    tokens = np.random.default_rng(0).integers(0, checkpoint.config.vocab_size, (30, 5))
    found = []
    for product in (fp32_product, int_mm):
        if not exact(product, 96, 48):
            continue
        backend = Int8(checkpoint, product)
        memory, logits = backend.memory(5), np.zeros((5, checkpoint.config.vocab_size), np.float32)
        for row in tokens:
            backend.step(row, memory, logits)
        found.append(logits)
    assert exact(fp32_product, 64, 1024)
    assert exact(fp32_product, 64, 3 * MOST_TERMS + 5)
    assert all((logits == found[0]).all() for logits in found)

    def saturating(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> None:
        """As a CPU without VNNI does: the left side unsigned, pairs of products in 16 bits."""
        terms = (left.int() + 128).unsqueeze(1) * right.int().t()
        pairs = terms.unflatten(2, (-1, 2)).sum(3).clamp(-(2**15), 2**15 - 1).sum(2)
        out.copy_(pairs - 128 * right.int().sum(0))

    def off_by_one(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> None:
        fp32_product(left, right, out)
        out[-1, -1] += 1

    def missing(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> None:
        raise NotImplementedError

    assert not exact(saturating, 64, 1024)
    assert not exact(off_by_one, 64, 1024)
    assert not exact(missing, 64, 1024)


def test_the_cell_is_the_lstms_cell() -> None:
    random = np.random.default_rng(0)
    gates = np.concatenate([random.normal(scale=4, size=(200, 64)), random.normal(scale=1e6, size=(8, 64))])
    gates = np.concatenate([gates, np.zeros((1, 64))]).astype(np.float32)
    before = random.normal(scale=2, size=(209, 16)).astype(np.float32)
    c, h, up = before.copy(), np.zeros((209, 16), np.float32), np.zeros((209, 16), np.float32)
    which = np.zeros(209, np.int64)
    one = np.ones(64, np.float32)
    cell(gates, one, np.zeros((1, 64), np.float32), which, c, h, up, np.zeros(16, np.float32), np.float32(0))
    i, f, g, o = np.split(np.clip(gates.astype(np.float64), -700, 700), 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
    expected = f * before + i * np.tanh(g)
    assert np.abs(c - expected).max() < 1e-4
    assert np.abs(h - o * np.tanh(expected)).max() < 1e-4
    assert np.abs(h).max() < 1
    assert (h == up).all()


def test_a_cell_that_keeps_everything_never_grows() -> None:
    """The gates stay below 1, so an open forget gate cannot blow c up over a long stream."""
    gates = np.tile(np.repeat(np.array([-50, 50, 50, 50], np.float32), 8), (1, 1))
    c, h, up = np.full((1, 8), 3, np.float32), np.zeros((1, 8), np.float32), np.zeros((1, 8), np.float32)
    added, which = np.zeros((1, 32), np.float32), np.zeros(1, np.int64)
    for _ in range(100_000):
        cell(gates, np.ones(32, np.float32), added, which, c, h, up, np.zeros(8, np.float32), np.float32(0))
    assert 1 < c.min() <= c.max() <= 3


def test_quantising_is_within_half_a_unit_and_rows_of_zeros_stay() -> None:
    matrix = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    matrix[3], matrix[4] = 0, 1e-44
    whole, scales = quantise(matrix)
    assert np.abs(whole).max() == 127
    assert np.abs(whole * (scales * 127)[:, None] - matrix).max() <= np.abs(matrix).max() / 254 * 1.001
    assert not scales[3:5].any()
    assert not whole[3:5].any()


def test_the_input_table_is_the_embeddings_product() -> None:
    random = np.random.default_rng(0)
    embedding, weight, bias = (random.normal(size=s).astype(np.float32) for s in ((9, 8), (24, 8), (24,)))
    expected = embedding.astype(np.float64) @ weight.T + bias
    assert np.abs(input_table(embedding, weight, bias) - expected).max() < 1e-6


def test_a_row_holds_a_state_exactly() -> None:
    model = LanguageModel(ModelConfig(11, 4, 16, 3))
    checkpoint = Checkpoint.of(model, tiny("char").tokenizer)
    for name in BACKENDS:
        backend = prepare(name, checkpoint)
        memory, logits = backend.memory(3), np.zeros((3, 11), np.float32)
        for token in (1, 2, 3):
            backend.step(np.array([token, token + 1, token + 2]), memory, logits)
        state = memory.save(1)
        memory.load(0, state)
        again = memory.save(0)
        assert (again.h == state.h).all()
        assert (again.c == state.c).all()
        assert state.h.any()
        memory.load(0, State.zero(3, 16))
        assert (memory.save(1).h == state.h).all()
