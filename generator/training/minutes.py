"""How a run whose length is in minutes shares out its time.

The minutes are those of the whole run. So the time for validations, scores and the card is estimated, from a short
measurement of each, and the rest is left for training.
"""

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
"""The validations, without the last, take at most this share of the run; so do the scores at the end."""
LEAST_TRAINING = 0.5
"""The training takes at least this share of the run."""
TRIAL_STEPS = 256
"""The time to read a split is estimated from this many time steps, and at least as many are read of a split."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the time of a run is shared out."""

    training: float
    """Seconds for the updates and for all validations but the last."""
    closing: float
    """Seconds for the last validation, the scores and the card."""
    validations: int
    """The most validations that the run makes."""
    reading: int | None
    """The most tokens of a split that are read, cut into `lanes` streams; None if there is time to score each whole
    split as one stream."""


def plan(asked: float, spent: float, checkpoint: Checkpoint, dataset: TokenDataset, lanes: int) -> Plan:
    """The plan for a run that is to take `asked` seconds, of which `spent` have passed.

    Args:
        checkpoint: any checkpoint of the same sizes as the one that is trained.
        lanes: the number of streams that the validation split is cut into, the rows of the batch that reads it.
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
    """Draw the sample for a card. The first time on a machine this compiles the loops that draw it."""
    tokens, _ = card.manner(checkpoint.tokenizer.kind)
    card.sample(Model(checkpoint), tokens)


def _seconds_a_token(model: LanguageModel, dataset: TokenDataset, lanes: int) -> float:
    """The seconds to read one token when `lanes` streams are read side by side."""
    tokens = dataset.split("validation").tokens[: lanes * TRIAL_STEPS]
    features = dataset.tokenizer.grammar.features_before(tokens)
    read = partial(
        model.negative_log_likelihood,
        tokens,
        dataset.tokenizer.start,
        features=features,
        lanes=min(lanes, len(tokens)),
    )
    return _seconds(read) / len(tokens)


def _seconds(work: Callable[[], object]) -> float:
    """The seconds that some work takes."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
