"""A length in minutes is the whole run's: what all but training will take is measured on a piece and set aside."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from generator.corpora.dataset import TokenDataset
from generator.model.checkpoint import Checkpoint
from generator.model.lstm import LanguageModel
from generator.streaming.engine import Model
from generator.training import card

READING_SHARE = 0.1
"""At most this share of the run goes into its validations but for the last, and at most as much into the scores."""
LEAST_TRAINING = 0.5
"""At least this share of the run is training."""
TRIAL_STEPS = 256
"""How long a split takes is measured on so many steps of reading; a part of it that is read has no fewer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the seconds of a run are shared out."""

    training: float
    """Seconds of updates, and of all validations but the last."""
    closing: float
    """Seconds of the last validation, the scores and the card."""
    validations: int
    """The most validations that the run makes."""
    reading: int | None
    """How many tokens of a split are read at most, side by side in lanes; None where there is time to score each whole
    split as one stream."""


def plan(asked: float, spent: float, checkpoint: Checkpoint, dataset: TokenDataset, lanes: int) -> Plan:
    """The plan for a run that is asked to take so many seconds, of which some are spent.

    Args:
        checkpoint: one of the sizes that are trained.
        lanes: into how many streams the validation split is cut.
    """
    begun, model = time.monotonic(), checkpoint.model()
    sizes = {name: len(dataset.split(name).tokens) for name in ("validation", "test") if name in dataset.splits}
    share = READING_SHARE * asked
    drawing = _seconds(lambda: draw(checkpoint))
    scores = sum(sizes.values()) * _seconds_a_token(model, dataset, 1)
    beside = _seconds_a_token(model, dataset, lanes)
    reading = None
    if scores > share:
        reading = max(int(share / len(sizes) / beside), lanes * TRIAL_STEPS)
        sizes = {name: min(size, reading) for name, size in sizes.items()}
        scores = sum(sizes.values()) * beside
    validation = sizes["validation"] * beside
    closing = validation + scores + 2 * drawing  # a card with the last validation, and the last card
    training = max(asked - spent - (time.monotonic() - begun) - closing, LEAST_TRAINING * asked)
    return Plan(training, closing, max(1, int(share / validation)), reading)


def draw(checkpoint: Checkpoint) -> None:
    """Draw the sample for a card; the first time on a machine this compiles what draws it."""
    tokens, _ = card.manner(checkpoint.tokenizer.kind)
    card.sample(Model(checkpoint), tokens)


def _seconds_a_token(model: LanguageModel, dataset: TokenDataset, lanes: int) -> float:
    """How long it takes to read a token in so many streams side by side."""
    tokens = dataset.split("validation").tokens[: lanes * TRIAL_STEPS]
    read = partial(model.negative_log_likelihood, tokens, dataset.tokenizer.start, lanes=min(lanes, len(tokens)))
    return _seconds(read) / len(tokens)


def _seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
