"""A length in minutes is the whole run's: what all but training will take is measured on a piece and set aside."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from generator import card
from generator.corpora.shards import Shards
from generator.model.checkpoint import Checkpoint
from generator.model.lstm import LanguageModel
from generator.streaming.engine import Model

READING_SHARE = 0.1
"""Of the run: so much of it at most goes into validations, and so much into the scores, where there is a faster way."""
LEAST_TRAINING = 0.5
"""Of the run: so much of it at least is for training."""
TRIAL_STEPS = 256
"""So many steps of reading tell how long a whole split takes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the seconds of a run are shared out."""

    training: float
    """Validations included, but for the last one."""
    closing: float
    """The last validation, the scores and the card."""
    validations: int
    """At most."""
    scoring_lanes: int
    """Into how many streams the splits are cut for the scores: 1 where there is time."""


def plan(asked: float, spent: float, checkpoint: Checkpoint, shards: Shards, lanes: int) -> Plan:
    """The plan for a run that is asked to take so many seconds, of which some are spent.

    Args:
        checkpoint: one of the sizes that are trained.
        lanes: into how many streams the validation split is cut.
    """
    begun, model = time.monotonic(), checkpoint.model()
    drawing = _seconds(lambda: draw(checkpoint))
    scored = [name for name in ("validation", "test") if name in shards.splits]
    validation = _reading(model, shards, "validation", lanes)
    scores, scoring_lanes = sum(_reading(model, shards, name, 1) for name in scored), 1
    if scores > READING_SHARE * asked:
        scores, scoring_lanes = sum(_reading(model, shards, name, lanes) for name in scored), lanes
    closing = validation + scores + drawing
    training = max(asked - spent - (time.monotonic() - begun) - closing, LEAST_TRAINING * asked)
    return Plan(training, closing, max(1, int(READING_SHARE * asked / validation)), scoring_lanes)


def draw(checkpoint: Checkpoint) -> None:
    """Draw the sample for a card; the first time on a machine this compiles what draws it."""
    tokens, _ = card.manner(checkpoint.tokenizer.kind)
    card.sample(Model(checkpoint), tokens)


def _reading(model: LanguageModel, shards: Shards, split: str, lanes: int) -> float:
    """Seconds that it takes to read a split in so many streams, judged by its beginning."""
    tokens = shards.split(split).tokens
    part = tokens[: lanes * TRIAL_STEPS]
    took = _seconds(lambda: model.surprise(part, shards.tokenizer.start, lanes=min(lanes, len(part))))
    return took * len(tokens) / len(part)


def _seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
