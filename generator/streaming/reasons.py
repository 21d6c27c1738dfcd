"""Why a token came: what each gate of each unit contributed to its probability, found by ablation.

The step that predicts the token is made once more for each gate of each unit, with that gate shut: with its input gate
shut a unit writes nothing, with its forget gate shut it has forgotten all that was before, with its output gate shut it
says nothing. What the token's negative log-likelihood then gains is what the gate contributed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.model.backends import nats_of
from generator.model.state import PARTS
from generator.streaming import clamps
from generator.streaming.runtime import Runtime
from generator.streaming.snapshot import Snapshot

GATES = ("input_gate", "forget_gate", "output_gate")
ROWS = 128
"""The number of ablations that are stepped together."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What one gate of one unit contributed to a token."""

    part: str
    layer: int
    unit: int
    nats: float
    """How much larger the token's negative log-likelihood is without it; below 0 if it spoke for other tokens."""


def reasons(engine: Runtime, before: Snapshot, token: int, count: int) -> list[Reason]:
    """The `count` gates that contributed most to the token that followed a snapshot, for it or against it, the largest
    contribution first. Probabilities are the model's own, before temperature and constraints."""
    config, backend = engine.config, engine.backend
    shape = len(GATES), config.num_layers, config.hidden_size
    clamped = clamps.encode(before.options.clamp, config)
    free = np.full((len(PARTS), *shape[1:]), np.nan, np.float32) if clamped is None else clamped
    features = np.zeros((ROWS, engine.tokenizer.grammar.columns), np.int64)
    remembered = engine.tokenizer.decoder(before.decoder).memory
    engine.tokenizer.grammar.ask_length(remembered, before.options.bars)
    engine.tokenizer.grammar.features(np.tile(remembered, (ROWS, 1)), features)
    memory, logits = backend.memory(ROWS), np.empty((ROWS, config.vocab_size), np.float32)
    ablations: list[tuple[int, ...] | None] = [None, *np.ndindex(shape)]
    nats = []
    for first in range(0, len(ablations), ROWS):
        part = ablations[first : first + ROWS]
        for row, place in enumerate(part):
            values = free.copy()
            if place is not None:
                values[PARTS.index(GATES[place[0]]), place[1], place[2]] = 0
            memory.load(row, before.state)
            memory.clamp(row, values)
        backend.step(np.full(len(part), before.token), memory, logits, features[: len(part)])
        nats.append(nats_of(logits[: len(part)], np.full(len(part), token)))
    plain, *without = np.concatenate(nats).tolist()
    found = [
        Reason(GATES[gate], layer, unit, value - plain)
        for (gate, layer, unit), value in zip(np.ndindex(shape), without, strict=True)
    ]
    return sorted(found, key=lambda reason: -abs(reason.nats))[:count]
