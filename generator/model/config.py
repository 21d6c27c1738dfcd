"""The sizes of a model, and the shapes of its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from generator.foundation.errors import CarouselError


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The sizes of a model, as in `config.json`.

    Raises:
        CarouselError: a size is not a positive whole number or is implausibly large, or `tied` does not fit the sizes.
    """

    vocab_size: int
    embedding_dim: int
    hidden_size: int
    num_layers: int
    tied: bool = False

    def __post_init__(self) -> None:
        limits = {"vocab_size": 65536, "embedding_dim": 8192, "hidden_size": 8192, "num_layers": 16}
        for name, limit in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
                raise CarouselError(f"{name} is {value!r}; it must be a whole number between 1 and {limit}")
        if self.tied and self.embedding_dim != self.hidden_size:
            raise CarouselError("a tied output layer needs embedding_dim equal to hidden_size")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of a `LanguageModel`, by the tensor's name."""
        gates = 4 * self.hidden_size
        found: dict[str, tuple[int, ...]] = {"embedding.weight": (self.vocab_size, self.embedding_dim)}
        for layer in range(self.num_layers):
            found[f"lstm.weight_ih_l{layer}"] = (gates, self.hidden_size if layer else self.embedding_dim)
            found[f"lstm.weight_hh_l{layer}"] = (gates, self.hidden_size)
            found[f"lstm.bias_ih_l{layer}"] = found[f"lstm.bias_hh_l{layer}"] = (gates,)
        return found | {"output.weight": (self.vocab_size, self.hidden_size), "output.bias": (self.vocab_size,)}
