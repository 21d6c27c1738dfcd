"""A split is read once, many stretches of it side by side, to see what the units do.

Each stretch is entered some tokens early (`WARM_UP`) with a zero state, which has settled by its first token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from generator.corpora.dataset import Split
from generator.model.backends import Backend, Memory, prepare
from generator.model.backends.memory import H_SCALE
from generator.model.checkpoint import Checkpoint
from generator.model.state import CELL, FORGET, HIDDEN, Floats, State
from generator.streaming.course import Progress, quiet
from generator.tokenizers.base import FeatureIds, Tokens

SHORTEST, WARM_UP = 1024, 256
"""The least tokens of a stretch that is not alone, and the tokens that are read before it."""
STRETCHES, PART = 32, 64
"""How many stretches are watched side by side at most, and the steps that the backend records before they are kept."""
MOST_TOKENS = 2**18
"""How many tokens of a split are watched at most; cells and h of 2 × 512 units take 800 MB then."""


@dataclass(frozen=True)
class Stretches:
    """The tokens from `first` to before `past` in up to `most` stretches of one length; the last ones may lack some."""

    tokens: Tokens
    start: int
    """What is read before the first token of all."""
    features: FeatureIds
    """The ids of the features before each of the tokens, (tokens, columns)."""
    first: int
    past: int
    most: int = STRETCHES

    @property
    def count(self) -> int:
        return max(1, min(self.most, (self.past - self.first) // SHORTEST))

    @property
    def length(self) -> int:
        return -(-(self.past - self.first) // self.count)

    def read(self, backend: Backend, memory: Memory) -> Iterator[int]:
        """Step all stretches, each in a row of `memory`, and yield after each step how many tokens of each were read:
        with 0 the state is there from which the first token of each is drawn."""
        firsts = self.first + np.arange(self.count) * self.length
        zero = State.zero(backend.config.num_layers, backend.config.hidden_size)
        for row in range(self.count):
            memory.load(row, zero)
        logits = np.empty((self.count, backend.config.vocab_size), np.float32)  # not written
        tokens = np.asarray(self.tokens)
        for step in range(-WARM_UP if firsts[-1] else 0, self.length):
            if step == 0 and firsts[0] == 0:
                memory.load(0, zero)  # nothing was before it
            before = np.minimum(firsts + step, self.past - 1) - 1
            inputs = np.where(before < 0, self.start, tokens[np.maximum(before, 0)]).astype(np.int64)
            told = self.features[before + 1].astype(np.int64)
            backend.forward(backend.network, memory.rows, inputs, told, self.count, logits, False)
            if step >= 0:
                yield step


@dataclass(frozen=True, eq=False)
class Watched:
    """What the units of a checkpoint did in a split. Row n is the step from whose h token n is drawn: it knows the
    tokens before n."""

    checkpoint: Checkpoint
    split: Split
    """As much of it as was read."""
    cell: npt.NDArray[np.float16]
    """(tokens, layers, units)."""
    hidden: npt.NDArray[np.int8]
    """In 127ths, as int8 has it, (tokens, layers, units)."""
    time_constants: npt.NDArray[np.float64]
    """As in `units.Units`, (layers, units)."""

    def values(self, layer: int, unit: int, part: str) -> Floats:
        """What one unit did, (tokens,); `part` is `cell` or `hidden`."""
        if part == "cell":
            return self.cell[:, layer, unit].astype(np.float32)
        return np.asarray(self.hidden[:, layer, unit] / H_SCALE, np.float32)


def watch(
    checkpoint: Checkpoint,
    split: Split,
    backend: str = "int8",
    progress: Progress = quiet,
    most: int = MOST_TOKENS,
) -> Watched:
    """Read a split, or its first `most` tokens, and keep what the units did. 2 × 512 units take about 25 µs a token."""
    split = split.beginning(most)
    tokens, config, prepared = np.asarray(split.tokens), checkpoint.config, prepare(backend, checkpoint)
    features = checkpoint.tokenizer.grammar.features_before(tokens)
    stretches = Stretches(tokens, checkpoint.tokenizer.start, features, 0, len(tokens))
    count, length = stretches.count, stretches.length
    memory = prepared.memory(count)
    trace = memory.new_trace(count, PART)
    recorded = trace[..., : config.hidden_size]
    shape = count, length, config.num_layers, config.hidden_size
    cell, hidden, logs = np.empty(shape, np.float16), np.empty(shape, np.int8), np.zeros(shape[2:])
    for row in range(count):
        memory.record(row, trace[row])
    for step in stretches.read(prepared, memory):
        done = step % PART + 1
        if done == PART or step + 1 == length:
            kept = slice(step + 1 - done, step + 1)
            cell[:, kept] = recorded[:, :done, CELL]
            hidden[:, kept] = np.rint(recorded[:, :done, HIDDEN] * H_SCALE)
            logs += np.log(recorded[:, :done, FORGET]).sum((0, 1), dtype=np.float64)
            progress("watching the units", min(count * (step + 1), len(tokens)), len(tokens))
        for row in range(count):
            memory.record(row, trace[row, (step + 1) % PART])
    cell, hidden = cell.reshape(-1, *shape[2:])[: len(tokens)], hidden.reshape(-1, *shape[2:])[: len(tokens)]
    return Watched(checkpoint, split, cell, hidden, count * length / np.maximum(-logs, 1e-9))
