"""What a trace says of cells and gates is what the backend computes, and what the equations say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.model import backends
from generator.model.backends import int8
from generator.model.checkpoint import Checkpoint
from generator.model.equations import lstm_cell
from generator.model.trace import Trace
from generator.streaming.engine import Model
from generator.streaming.stream import Stream
from tests.conftest import tiny
from tests.strategies import sampling


def same(one: Trace, other: Trace) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


@pytest.mark.parametrize("backend", ["int8", "fp32"])
@pytest.mark.parametrize("kind", ["char", "score"])
def test_a_trace_is_what_the_backend_computes(kind: str, backend: str) -> None:
    """Of the cell and of h, to the last bit, step by step."""
    checkpoint = tiny(kind)
    tokens = np.random.default_rng(3).integers(0, checkpoint.config.vocab_size, 40)
    prepared = backends.prepare(backend, checkpoint)
    memory, logits = prepared.memory(1), np.empty((1, checkpoint.config.vocab_size), np.float32)
    features = checkpoint.tokenizer.grammar.features_before(tokens).astype(np.int64)
    found = Stream.trace_of(Model(checkpoint).engine(backend), tokens.tolist())
    for step, token in enumerate([checkpoint.tokenizer.start, *tokens[:-1]]):
        prepared.step(np.array([token]), memory, logits, features[step : step + 1])
        state = memory.save(0)
        assert np.array_equal(found.cell[step], state.c) and np.array_equal(found.hidden[step], state.h)


@pytest.mark.parametrize("backend", ["int8", "fp32"])
def test_a_trace_is_what_the_equations_say(shipped: Model, backend: str) -> None:
    """On 1,000 steps, each from the trace's own step before, in float64, of int8 with the dequantised weights.

    The bounds: tanh is a fraction that errs by up to 6e-6, and the rest is fp32; so a cell errs in proportion to its
    size. h of int8 is rounded to 1/127.
    """
    stream = shipped.engine(backend).stream(seed=2)
    stream.pull(1000)
    found = shipped.trace(stream)
    read = np.array([shipped.tokenizer.start, *stream.tokens()[:-1]])
    below = shipped.checkpoint.weights["embedding.weight"][read].astype(np.float64)
    if shipped.config.feature_rows:
        features = shipped.tokenizer.grammar.features_before(np.array(stream.tokens()))
        sums = np.zeros((len(features), shipped.config.feature_dim), np.float32)
        for column in features.T:  # in their order, for what is rounded to 1/127 may lie between two values
            sums += shipped.checkpoint.weights["features.weight"][column]
        sums = sums.clip(-1, 1)
        below = np.hstack([below, np.rint(sums * np.float32(127)) / np.float64(127) if backend == "int8" else sums])
    assert len(found) == 1000 and found.cell.dtype == np.float32
    for layer in range(shipped.config.num_layers):
        h, c = (np.vstack([0 * of[:1, layer], of[:-1, layer]]).astype(np.float64) for of in (found.hidden, found.cell))
        *gates, cell, hidden = lstm_cell(below, h, c, *_weights(shipped.checkpoint, layer, backend == "int8"))
        for name, value in zip(("input_gate", "forget_gate", "candidate", "output_gate"), gates, strict=True):
            assert np.abs(getattr(found, name)[:, layer] - value).max() < 1e-5, (layer, name)
        assert (np.abs(found.cell[:, layer] - cell) / (1 + np.abs(cell))).max() < 1e-5
        assert np.abs(found.hidden[:, layer] - hidden).max() < 1e-5 + (0.5 / 127 if backend == "int8" else 0)
        below = found.hidden[:, layer].astype(np.float64)


def _weights(checkpoint: Checkpoint, layer: int, is_int8: bool) -> tuple[Any, Any, Any]:
    """A layer's w, u and b in float64; of int8 dequantised, where input and recurrent weights share a scale."""
    w, u, *biases = (
        checkpoint.weights[f"lstm.{name}_l{layer}"].astype(np.float64)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    if is_int8:  # what a token adds to layer 0 is a table of fp32
        cut = checkpoint.config.embedding_dim if layer == 0 else 0
        whole = _dequantised(np.hstack([w[:, cut:], u]))
        w, u = np.hstack([w[:, :cut], whole[:, : w.shape[1] - cut]]), whole[:, w.shape[1] - cut :]
    return w, u, sum(biases)


def _dequantised(matrix: Any) -> Any:
    whole, scales = int8.quantise(matrix.astype(np.float32))
    return whole.astype(np.float64) * (scales.astype(np.float64) * 127)[:, None]


@pytest.mark.parametrize("prime", [None, "to be"])
def test_a_stream_is_traced(text: Model, tmp_path: Path, prime: str | None) -> None:
    """From anywhere to anywhere; its last row is the state that the next token is drawn from."""
    stream = text.stream(prime, seed=4, temperature=0.8)
    stream.pull(60)
    stream.set(temperature=1.2, clamp="cell 0.1=0.5")
    stream.pull(30)
    stream.listen("and so")
    stream.pull(9)
    whole = text.trace(stream)
    assert len(whole) == stream.position
    for start, stop in ((0, 3), (2, 7), (20, 80), (stream.position - 1, stream.position), (9, 9)):
        assert same(text.trace(stream, start, stop), whole[start:stop])
    stream.pull(1)
    stream.rewind(1)
    state = stream.snapshot().state
    assert np.array_equal(whole.cell[-1], state.c) and np.array_equal(whole.hidden[-1], state.h)
    whole.save(tmp_path / "trace.safetensors")
    kept = safetensors.numpy.load_file(tmp_path / "trace.safetensors")
    assert list(kept) == sorted(vars(whole)) and np.array_equal(kept["forget_gate"], whole.forget_gate)


def test_a_piece_is_traced(text: Model) -> None:
    found = text.trace("to be or not")
    primed = text.trace(text.stream("to be or not"))
    assert len(found) == len("to be or not") + 1
    assert same(found[:-1], primed)


@given(options=sampling, sizes=st.lists(st.integers(1, 97), min_size=1, max_size=6), steps=st.integers(1, 150))
@settings(max_examples=8)
def test_what_is_recorded_is_the_trace(any_model: Model, options: dict[str, Any], sizes: list[int], steps: int) -> None:
    """However the stream is cut, rewound and steered; and recording changes nothing."""
    stream, plain = any_model.stream(**options), any_model.stream(**options)
    stream.pull(20)
    stream.record(steps)
    for size in sizes:
        stream.pull(size)
        list(stream.take(3))
    stream.rewind(5)
    stream.pull(2)
    plain.pull(20 + sum(sizes) + 3 * len(sizes) - 3)
    assert stream.snapshot().to_bytes() == plain.snapshot().to_bytes()
    found, end = stream.recorded(), stream.position
    assert min(steps, max(0, steps - 5) + 2, end - 20) <= len(found) <= steps
    assert same(found, any_model.trace(plain, end - len(found)))
    stream.record(0)
    stream.pull(3)
    assert len(stream.recorded()) == 0
    with pytest.raises(CarouselError, match=r"nothing is recorded; call record\(\) first"):
        plain.recorded()


def test_many_streams_are_recorded_side_by_side(any_model: Model) -> None:
    """Some of them, each for itself, also where they leave the batch at different times."""
    streams = [any_model.stream(seed=seed) for seed in range(9)]
    for stream in streams[::2]:
        stream.record(500)
    any_model.engine().pull(streams, 100)
    any_model.engine().pull(streams[3:], 77)
    for stream in streams[::2]:
        assert same(stream.recorded(), any_model.trace(stream))


def test_a_trace_that_cannot_be_is_refused(text: Model, music: Model) -> None:
    stream = text.stream(seed=4)
    stream.pull(20)
    for start, stop in ((-1, 3), (0, 21), (5, 4)):
        with pytest.raises(CarouselError, match=r"the stream has positions from 0 to 20$"):
            text.trace(stream, start, stop)
    with pytest.raises(CarouselError, match="another checkpoint; ask the model"):
        music.trace(stream)
    with pytest.raises(CarouselError, match="cannot record -1 steps"):
        stream.record(-1)
    with pytest.raises(CarouselError, match=r"a trace of 1,000,000,000 steps takes [\d.]+ GB; ask for at most"):
        stream.record(10**9)


def test_time_constants_are_those_of_the_forget_gates() -> None:
    """Of a gate that keeps a twentieth less, or all, or once nothing."""
    steps = np.ones((50, 6, 1, 3), np.float32)
    steps[:, 1, 0, 0] = np.exp(-1 / 20)
    steps[7, 1, 0, 2] = 0
    assert Trace.of(steps).time_constants()[0] == pytest.approx([20, np.inf, 0], rel=1e-6)


def test_a_trace_replaces_nothing_but_a_trace(text: Model, tmp_path: Path) -> None:
    found = text.trace("to be")
    assert repr(found) == "<Trace of 6 steps, 2 × 24 units>"
    text.checkpoint.save(tmp_path / "model")
    for name, message in (
        ("a.take", "the name of a trace ends in .safetensors; give it that"),
        ("none/a.safetensors", "does not exist; make it first"),
        ("model/model.safetensors", "there is another file, which is no trace; choose another name"),
    ):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
        with pytest.raises(CarouselError, match=message):
            found.save(tmp_path / name)
        assert before is None or (tmp_path / name).read_bytes() == before
    for _ in range(2):
        found.save(tmp_path / "a.safetensors")
