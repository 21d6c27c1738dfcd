"""The backends: each agrees with torch's LSTM as far as its numbers go, and int8 with itself to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.model.backends import BACKENDS, negative_log_likelihood, prepare, products, tiles
from generator.model.backends.cell import _cell
from generator.model.backends.int8 import input_table, quantise
from generator.model.backends.layout import BLOCK, GROUP, PANEL, SHIFT, UNITS, blocked, pack
from generator.model.backends.products import is_exact, matrix_product, plain, product
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.lstm import LanguageModel
from generator.model.state import State
from generator.streaming.engine import Model
from generator.streaming.stream import draw
from generator.tokenizers.char import CharTokenizer
from tests.conftest import tiny


def logits_of(checkpoint: Checkpoint, tokens: np.ndarray, backend: str = "int8") -> np.ndarray:
    """Logits of (steps, streams) tokens, shape (steps, streams, vocab_size)."""
    prepared = prepare(backend, checkpoint)
    memory = prepared.memory(tokens.shape[1])
    logits = np.zeros((*tokens.shape, checkpoint.config.vocab_size), np.float32)
    for step, row in enumerate(tokens):
        prepared.step(np.ascontiguousarray(row), memory, logits[step])
    return logits


def sized(hidden: int, vocabulary: int, layers: int) -> Checkpoint:
    """A model that has learned nothing."""
    torch.manual_seed(0)
    tokenizer = CharTokenizer("".join(map(chr, range(256, 254 + vocabulary))))
    return Checkpoint.of(LanguageModel(ModelConfig(vocabulary, 8, hidden, layers)), tokenizer)


@pytest.mark.parametrize(("backend", "tolerance"), [("fp32", 1e-4), ("int8", 0.25)])
@pytest.mark.parametrize(("hidden", "vocabulary", "layers"), [(24, 32, 2), (16, 65, 1), (270, 150, 3), (512, 64, 2)])
def test_stepping_agrees_with_torchs_lstm(
    backend: str, tolerance: float, hidden: int, vocabulary: int, layers: int
) -> None:
    """Units that fill their blocks and panels, and such as do not."""
    checkpoint = sized(hidden, vocabulary, layers)
    model = checkpoint.model()
    tokens = torch.randint(checkpoint.config.vocab_size, (3, 40))
    with torch.no_grad():
        out, _ = model.lstm(model.embedding(tokens))
        expected = model.output(out).numpy()
    logits = logits_of(checkpoint, tokens.numpy().T, backend)
    assert np.abs(logits.swapaxes(0, 1) - expected).max() < tolerance


@pytest.mark.parametrize("hidden", [5, UNITS, BLOCK, BLOCK + 1, 3 * BLOCK + UNITS])
def test_the_gates_of_a_block_lie_together(hidden: int) -> None:
    found = blocked(np.arange(1, 4 * hidden + 1), hidden)
    assert len(found) % (4 * UNITS) == 0 and len(found) - 4 * hidden < 4 * UNITS
    for first in range(0, hidden, BLOCK):
        size = min(BLOCK, len(found) // 4 - first)
        for gate in range(4):
            units = range(first, min(first + size, hidden))
            here = found[4 * first + gate * size :][:size].tolist()
            assert here == [gate * hidden + unit + 1 for unit in units] + [0] * (size - len(units))


@pytest.mark.parametrize("backend", BACKENDS)
def test_likelihood_by_steps_is_the_models(backend: str) -> None:
    checkpoint = tiny("char")
    tokens = np.random.default_rng(0).integers(2, checkpoint.config.vocab_size, 600)
    expected = checkpoint.model().negative_log_likelihood(tokens, start=2)
    assert negative_log_likelihood(prepare(backend, checkpoint), tokens, 2).mean() == pytest.approx(
        expected.mean(), rel=0.005
    )


def test_int8_costs_no_shipped_checkpoint_more_than_a_thousandth(shipped: Model) -> None:
    """Over what the model itself says; `evaluate --backend int8` measures it over a corpus."""
    stream = shipped.stream(seed=1)
    [(tokens, _)] = draw(stream.engine, [stream], 3000)
    start, features = shipped.tokenizer.start, shipped.tokenizer.grammar.features_before(np.array(tokens))
    nats = [
        negative_log_likelihood(prepare(name, shipped.checkpoint), np.array(tokens), start, features=features).mean()
        for name in ("int8", "fp32")
    ]
    assert nats[0] < nats[1] * 1.001


@given(streams=st.integers(1, 130), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_int8_gives_a_stream_the_same_logits_in_any_company(streams: int, seed: int) -> None:
    checkpoint = tiny("char")
    tokens = np.random.default_rng(seed).integers(0, checkpoint.config.vocab_size, (12, streams))
    place = seed % streams
    together = logits_of(checkpoint, tokens)[:, place]
    assert (together == logits_of(checkpoint, tokens[:, place : place + 1])[:, 0]).all()


@pytest.mark.parametrize("kind", ["amx", *tiles.VECTORS])
def test_every_kind_of_product_is_exact(kind: str) -> None:
    """Those that this CPU has; what it has not cannot be run here."""
    if kind not in usable():
        assert kind != "plain"
        return
    found = matrix_product(tiles.fastest_vectors()) if kind == "amx" else product(kind)
    assert is_exact(found)
    random = np.random.default_rng(1)
    for rows, outputs, terms in (
        (1, 64, 64),
        (5, 128, 192),
        (17, 64, 128),
        (16, 64, 64),
        (33, 192, 64),
        (130, 128, 128),
    ):
        matrix = random.integers(-127, 128, (outputs, terms), np.int8)
        h = random.integers(-127, 128, (rows, terms + 64), np.int64)
        packed, starts = pack(matrix)
        sums = np.full((rows + 1, outputs + 64), 7, np.int32)
        around = np.concatenate([np.full(100, 99, np.int8), packed])
        found((h + SHIFT).astype(np.uint8), rows, around, 100, terms, starts, outputs, sums)
        assert (sums[:rows, :outputs] == h[:, :terms] @ matrix.T.astype(np.int64)).all()
        assert (sums[rows:] == 7).all() and (sums[:, outputs:] == 7).all()


def usable() -> list[str]:
    """The kinds of products that this CPU has."""
    kinds = list(tiles.VECTORS)
    return [*(["amx"] if tiles.has_matrix_unit() else []), *kinds[kinds.index(tiles.fastest_vectors()) :]]


def test_a_wrong_product_is_found_out() -> None:
    def saturating(h: Any, rows: int, packed: Any, at: int, terms: int, starts: Any, outputs: int, sums: Any) -> None:
        """As a CPU without VNNI does: pairs of products in 16 bits."""
        groups = packed.reshape(outputs // PANEL, terms // GROUP, PANEL, GROUP)
        matrix = groups.transpose(0, 2, 1, 3).reshape(outputs, terms).astype(np.int64)
        pairs = (h[:rows, None, :terms].astype(np.int64) * matrix).reshape(rows, outputs, -1, 2).sum(3)
        sums[:rows, :outputs] = pairs.clip(-(2**15), 2**15 - 1).sum(2) + starts

    def off_by_one(*arguments: Any) -> None:
        plain(*arguments)
        arguments[-1][-1, -1] += 1

    assert is_exact(plain)
    assert not is_exact(saturating)
    assert not is_exact(off_by_one)


def test_a_product_that_is_not_exact_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = products.fastest_product()[0]
    monkeypatch.setattr(products, "is_exact", lambda found: found is product("plain"))
    assert products.fastest_product.__wrapped__() == ("plain", product("plain")) and fast != "plain"


def cells(gates: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c and h after one step of streams, with these sums and cells."""
    c, h = before.copy(), np.zeros_like(before)
    ones, zeros = np.ones(gates.shape[1], np.float32), np.zeros(gates.shape[1], np.float32)
    for row, own_c, own_h in zip(gates, c, h, strict=True):
        _cell(row, ones, zeros, own_c, own_h)
    return c, h


def test_the_cell_is_the_lstms_cell() -> None:
    random = np.random.default_rng(0)
    gates = np.concatenate([random.normal(scale=4, size=(200, 64)), random.normal(scale=1e6, size=(8, 64))])
    gates = np.concatenate([gates, np.zeros((1, 64))]).astype(np.float32)
    before = random.normal(scale=2, size=(209, 16)).astype(np.float32)
    c, h = cells(gates, before)
    i, f, g, o = np.split(np.clip(gates.astype(np.float64), -700, 700), 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
    expected = f * before + i * np.tanh(g)
    assert np.abs(c - expected).max() < 1e-4
    assert np.abs(h - o * np.tanh(expected)).max() < 1e-4
    assert np.abs(h).max() < 1


def test_a_cell_that_keeps_everything_never_grows() -> None:
    """The gates stay below 1, so an open forget gate cannot blow c up over a long stream."""
    gates = np.repeat(np.array([-50, 50, 50, 50], np.float32), 8)
    c, h = np.full(8, 3, np.float32), np.zeros(8, np.float32)
    for _ in range(100_000):
        _cell(gates, np.ones(32, np.float32), np.zeros(32, np.float32), c, h)
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
