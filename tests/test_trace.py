"""What a trace says of cells and gates is what the backend computes, and what the equations say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from generator.foundation.errors import CarouselError
from generator.model import backends
from generator.model.backends import int8
from generator.model.checkpoint import Checkpoint
from generator.model.state import Floats, State
from generator.model.trace import Trace, trace
from generator.streaming.engine import Model
from tests.conftest import tiny

TANH_ERROR = 6e-6
"""Of the fraction that stands for tanh (`backends.cell`)."""


def walk(checkpoint: Checkpoint, steps: int, backend: str) -> tuple[list[int], State, Floats, Floats]:
    """Tokens at random, the state before the last `steps` of them, and h and c after each of these."""
    random = np.random.default_rng(3)
    tokens = random.integers(0, checkpoint.config.vocab_size, 20 + steps).tolist()
    prepared = backends.prepare(backend, checkpoint)
    memory = prepared.memory(1)
    logits = np.empty((1, checkpoint.config.vocab_size), np.float32)
    states = [memory.save(0)]
    for token in tokens:
        prepared.step(np.array([token]), memory, logits)
        states.append(memory.save(0))
    h, c = (np.array([getattr(state, name) for state in states[21:]]) for name in ("h", "c"))
    return tokens[20:], states[20], h, c


@pytest.mark.parametrize("backend", ["int8", "fp32"])
@pytest.mark.parametrize("kind", ["char", "score"])
def test_a_trace_is_what_the_backend_computes(kind: str, backend: str) -> None:
    """Of the cell and of h, to the last bit."""
    check_against_the_backend(tiny(kind), 30, backend)


def test_a_trace_of_a_shipped_checkpoint(shipped: Model) -> None:
    found = check_against_the_backend(shipped.checkpoint, 60, "int8")
    check_against_the_equations(shipped.checkpoint, found)


@pytest.mark.parametrize("prime", [None, "to be"])
def test_a_stream_is_traced(text: Model, tmp_path: Path, prime: str | None) -> None:
    """From anywhere to anywhere; its last row is the state that the next token is drawn from."""
    stream = text.stream(prime, seed=4, temperature=0.8)
    stream.pull(60)
    whole = text.trace(stream)
    assert len(whole) == stream.position
    for start, stop in ((0, 3), (2, 7), (20, 40), (stream.position - 1, stream.position), (9, 9)):
        part = text.trace(stream, start, stop)
        assert all(np.array_equal(getattr(part, name), getattr(whole, name)[start:stop]) for name in vars(whole))
    stream.pull(1)
    stream.rewind(1)
    state = stream.snapshot().state
    assert np.array_equal(whole.cell[-1], state.c) and np.array_equal(whole.hidden[-1], state.h)
    whole.save(tmp_path / "trace.safetensors")
    kept = safetensors.numpy.load_file(tmp_path / "trace.safetensors")
    assert list(kept) == sorted(vars(whole)) and np.array_equal(kept["forget_gate"], whole.forget_gate)


def test_a_trace_that_cannot_be_is_refused(text: Model, music: Model) -> None:
    stream = text.stream(seed=4)
    stream.pull(20)
    for start, stop in ((-1, 3), (0, 21), (5, 4)):
        with pytest.raises(CarouselError, match=r"the stream has positions from 0 to 20$"):
            text.trace(stream, start, stop)
    with pytest.raises(CarouselError, match="another checkpoint; ask the model"):
        music.trace(stream)


def check_against_the_backend(checkpoint: Checkpoint, steps: int, backend: str) -> tuple[Trace, list[int], State]:
    tokens, state, h, c = walk(checkpoint, steps, backend)
    found = trace(checkpoint, tokens, state, backend)
    assert len(found) == steps and found.cell.dtype == np.float32
    assert np.array_equal(found.cell, c) and np.array_equal(found.hidden, h)
    return found, tokens, state


def check_against_the_equations(checkpoint: Checkpoint, of: tuple[Trace, list[int], State]) -> None:
    """The published equations in float64 with the dequantised weights, from the trace's own step before. They differ by
    the fraction that stands for tanh, by fp32, and h by half a step of its quantisation."""
    found, tokens, state = of
    weights, layers = checkpoint.weights, checkpoint.config.num_layers
    cells, hidden = (
        np.concatenate([before[None], after]) for before, after in ((state.c, found.cell), (state.h, found.hidden))
    )
    for layer in range(layers):
        names = ["hh"] if layer == 0 else ["ih", "hh"]
        whole, scales = int8.quantise(np.hstack([weights[f"lstm.weight_{name}_l{layer}"] for name in names]))
        matrix = whole.astype(np.float64) * (scales.astype(np.float64) * 127)[:, None]
        bias = weights[f"lstm.bias_ih_l{layer}"].astype(np.float64) + weights[f"lstm.bias_hh_l{layer}"]
        for step, token in enumerate(tokens):
            read = (
                hidden[step, layer]
                if layer == 0
                else np.concatenate([hidden[step + 1, layer - 1], hidden[step, layer]])
            )
            inputs = matrix @ read.astype(np.float64) + bias
            if layer == 0:
                inputs += weights["lstm.weight_ih_l0"].astype(np.float64) @ weights["embedding.weight"][token]
            i, f, g, o = inputs.reshape(4, -1)
            i, f, o, g = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o)), np.tanh(g)
            c = f * cells[step, layer] + i * g
            for name, value in (("input_gate", i), ("forget_gate", f), ("candidate", g), ("output_gate", o)):
                assert np.abs(getattr(found, name)[step, layer] - value).max() < 1e-5, name
            size = 1 + np.abs(c)
            assert (np.abs(found.cell[step, layer] - c) / size).max() < 1e-5
            assert np.abs(found.hidden[step, layer] - o * np.tanh(c)).max() < 0.5 / 127 + 2e-5
