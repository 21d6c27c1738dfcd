"""The options of training and of dynamic evaluation, and the recipes of training that have a name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.foundation.options import option, validate


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """The model's sizes and the recipe that trains it.

    Raises:
        CarouselError: a field is out of its bounds.
    """

    embedding_dim: int = option(128, "units of the embedding", minimum=1, maximum=8192)
    hidden_size: int = option(512, "units of each LSTM layer", minimum=1, maximum=8192)
    num_layers: int = option(2, "LSTM layers", minimum=1, maximum=16)
    feature_dim: int = option(128, "units for the features of a tokenizer that has some", minimum=0, maximum=8192)
    steps: int | None = option(None, "updates at most", minimum=1, maximum=10**9)
    minutes: float | None = option(
        None, "minutes at most, from the corpus's tokens to the card", minimum=0.01, maximum=100_000
    )
    passes: float | None = option(None, "passes over the training split at most", minimum=0.01, maximum=1_000_000)
    lanes: int = option(64, "streams read side by side; fewer where the corpus is small", minimum=1, maximum=4096)
    window: int = option(128, "tokens between updates, through which gradients flow", minimum=1, maximum=65_536)
    learning_rate: float = option(3e-3, "AdamW's peak learning rate", minimum=1e-9, maximum=10)
    warm_up: int = option(100, "updates until the peak", minimum=0, maximum=10**6)
    weight_decay: float = option(0.05, "AdamW's decoupled weight decay", minimum=0, maximum=10)
    clip: float = option(1.0, "largest norm of the gradient", minimum=1e-6, maximum=1e6)
    dropout_embedding: float = option(0.1, "share of the embedding dropped", minimum=0, maximum=0.99)
    dropout_layers: float = option(0.3, "share dropped between the layers", minimum=0, maximum=0.99)
    dropout_output: float = option(0.3, "share dropped before the output layer", minimum=0, maximum=0.99)
    dropout_weights: float = option(0.2, "share of the recurrent weights dropped", minimum=0, maximum=0.99)
    activation_penalty: float = option(1.0, "weight of the mean square of h in the loss", minimum=0, maximum=1000)
    jump_penalty: float = option(1.0, "weight of the mean square of h's steps in the loss", minimum=0, maximum=1000)
    time_scale: int = option(
        0, "begin with cells that forget over all spans up to so many tokens; 0: all alike", minimum=0, maximum=10**9
    )
    averaging: float = option(
        0.999, "decay of the moving average of the weights, which is what is kept; 0: none", minimum=0, maximum=0.999999
    )
    augment: bool = option(True, "read each piece in a random variant: transposed, stretched in time")
    cold_share: float = option(0.1, "share of the pieces that begin from a zero state", minimum=0, maximum=1)
    teachers: str | None = option(
        None, "checkpoints to learn from besides the corpus, separated by commas", metavar="FOLDERS"
    )
    validations: int = option(20, "how often the validation split is read", minimum=1, maximum=100_000)
    patience: int = option(6, "stop after this many validations without a better one", minimum=1, maximum=100_000)
    seed: int = option(0, "of the weights, the data order and the dropout", minimum=0, maximum=2**63 - 1)
    precision: str = option("auto", "bf16 where the CPU multiplies it itself", choices=("auto", "bf16", "fp32"))

    def __post_init__(self) -> None:
        validate(self)

    @property
    def teacher_folders(self) -> tuple[Path, ...]:
        return tuple(Path(name).expanduser() for name in (self.teachers or "").split(",") if name)


@dataclass(frozen=True, slots=True)
class DynamicOptions:
    """How dynamic evaluation goes on learning from what it has scored.

    Raises:
        CarouselError: a field is out of its bounds.
    """

    segment: int = option(50, "with --dynamic: tokens scored between updates", minimum=1, maximum=65_536)
    rate: float = option(4e-4, "with --dynamic: how far a usual gradient moves a weight", minimum=0, maximum=10)
    decay: float = option(3e-3, "with --dynamic: pull of the weights back to where they were", minimum=0, maximum=1)

    def __post_init__(self) -> None:
        validate(self)


PRESETS: dict[str, dict[str, Any]] = {
    "standard": {"passes": 30.0, "steps": 4000},
    "quick": {
        "hidden_size": 384,
        "num_layers": 1,
        "lanes": 32,
        "window": 64,
        "learning_rate": 5e-3,
        "minutes": 2.0,
        "validations": 4,
        "dropout_embedding": 0.0,
        "dropout_layers": 0.0,
        "dropout_output": 0.1,
        "dropout_weights": 0.0,
    },
    "large": {"hidden_size": 608, "passes": 30.0, "steps": 8000},
}
"""Recipes by name: what they change in the defaults."""
