"""The sizes of a model, and the shapes of its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from generator.foundation.errors import CarouselError
from generator.foundation.recipes import TrainingOptions


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The sizes of a model, as in `config.json`.

    Raises:
        CarouselError: a size is not a positive whole number or is implausibly large, or `tied` or `feature_dim` does
            not fit the sizes.
    """

    vocab_size: int
    embedding_dim: int
    hidden_size: int
    num_layers: int
    tied: bool = False
    feature_rows: int = 0
    """The number of values of all features that the model reads besides each token; 0 if it reads none."""
    feature_dim: int = 0
    """The size of the vector that the features' own vectors add up to, at most that of a layer."""

    def __post_init__(self) -> None:
        limits = {"vocab_size": 65536, "embedding_dim": 8192, "hidden_size": 8192, "num_layers": 16}
        for name, limit in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
                raise CarouselError(f"{name} is {value!r}; it must be a whole number between 1 and {limit}")
        for name, limit in {"feature_rows": 65536, "feature_dim": self.hidden_size}.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
                raise CarouselError(f"{name} is {value!r}; it must be a whole number between 0 and {limit}")
        if (self.feature_rows > 0) != (self.feature_dim > 0):
            raise CarouselError("feature_rows and feature_dim go together; both are 0 or neither is")
        if self.tied and self.embedding_dim != self.hidden_size:
            raise CarouselError("a tied output layer needs embedding_dim equal to hidden_size")

    def to_json(self) -> dict[str, Any]:
        names = () if self.feature_rows else ("feature_rows", "feature_dim")  # older versions knew no features
        return {name: value for name, value in asdict(self).items() if name not in names}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of a `LanguageModel`, by the tensor's name."""
        gates = 4 * self.hidden_size
        found: dict[str, tuple[int, ...]] = {"embedding.weight": (self.vocab_size, self.embedding_dim)}
        if self.feature_rows:
            found["features.weight"] = (self.feature_rows, self.feature_dim)
        for layer in range(self.num_layers):
            inputs = self.hidden_size if layer else self.embedding_dim + self.feature_dim
            found[f"lstm.weight_ih_l{layer}"] = (gates, inputs)
            found[f"lstm.weight_hh_l{layer}"] = (gates, self.hidden_size)
            found[f"lstm.bias_ih_l{layer}"] = found[f"lstm.bias_hh_l{layer}"] = (gates,)
        return found | {"output.weight": (self.vocab_size, self.hidden_size), "output.bias": (self.vocab_size,)}


def config_of(options: TrainingOptions, vocab_size: int, feature_rows: int) -> ModelConfig:
    """The sizes that these options ask for, of a model that may read the features of its tokenizer."""
    rows = feature_rows if options.feature_dim else 0
    return ModelConfig(
        vocab_size,
        options.embedding_dim,
        options.hidden_size,
        options.num_layers,
        tied=options.embedding_dim == options.hidden_size,
        feature_rows=rows,
        feature_dim=min(options.feature_dim, options.hidden_size) if rows else 0,
    )
