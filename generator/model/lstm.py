"""The language model: embedding, stacked LSTM, output layer, with torch's `nn.LSTM` weights and gate order.

It is used for training and for scoring whole sequences. Streaming uses `model/backends/`, one token at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generator.model.config import ModelConfig
from generator.model.state import State
from generator.tokenizers.base import FeatureIds, Grammar, Mask

FEATURE_SPREAD = 0.05
"""The standard deviation of the features' vectors at first. Some dozens of them add up to less than 1, mostly."""
LayerStates = list[tuple[Tensor, Tensor]]
"""(h, c) of each layer, each of shape (lanes, hidden_size)."""
STEPS_AT_ONCE = 256
"""Steps that are read together when tokens are scored."""
WINDOWS_AT_ONCE = 32
"""Windows in a batch when windows are scored."""


@dataclass(frozen=True, slots=True)
class Dropout:
    """Dropout rates, with one mask per sequence (Gal and Ghahramani 2016; Merity et al. 2018)."""

    embedding: float = 0.0
    layers: float = 0.0
    output: float = 0.0
    weights: float = 0.0
    """The rate for the recurrent weights themselves (weight-drop)."""


def initialise(lstm: nn.LSTM, time_scale: int = 0) -> None:
    """Initialise with orthogonal recurrent weights, Xavier input weights and positive forget-gate biases.

    Without a time scale the forget-gate biases are 1. With a time scale of T steps they are log(u), u uniform between 1
    and T - 1, and the input-gate biases are -log(u), so that the cells' time constants cover all spans up to T (Tallec
    and Ollivier 2018).
    """
    hidden = lstm.hidden_size
    for name, parameter in lstm.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.data.chunk(4):
                nn.init.orthogonal_(gate)
        elif name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.zeros_(parameter)
            if name.startswith("bias_hh"):
                forget = parameter.data[hidden : 2 * hidden].fill_(1.0)
                if time_scale:
                    forget.uniform_(1, max(2, time_scale - 1)).log_()
                    parameter.data[:hidden] = -forget


class LanguageModel(nn.Module):
    """Computes next-token logits from tokens and a carried state."""

    def __init__(
        self,
        config: ModelConfig,
        dropout: Dropout | None = None,
        time_scale: int = 0,
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        """Initialise the weights at random, or use `weights`, which are named as in `state_dict`."""
        super().__init__()
        self.config = config
        self.dropout = dropout or Dropout()
        # On the device "meta" torch draws no random numbers for weights that are replaced anyway. The embedding is made
        # from its weights, because torch would import its compiler to initialise one there, which takes seconds.
        with torch.device("meta" if weights else "cpu"):
            self.embedding = (
                nn.Embedding.from_pretrained(weights["embedding.weight"], freeze=False)  # type: ignore[no-untyped-call]
                if weights
                else nn.Embedding(config.vocab_size, config.embedding_dim)
            )
            inputs = config.embedding_dim + config.feature_dim
            self.lstm = nn.LSTM(inputs, config.hidden_size, config.num_layers, batch_first=True)
            self.output = nn.Linear(config.hidden_size, config.vocab_size)
            if config.feature_rows:
                self.features = nn.EmbeddingBag(config.feature_rows, config.feature_dim, mode="sum")
        if config.tied:
            self.output.weight = self.embedding.weight
        if weights:
            self.load_state_dict(weights, assign=True)
        else:
            self.reset_parameters(time_scale)

    def reset_parameters(self, time_scale: int = 0) -> None:
        nn.init.normal_(self.embedding.weight, std=self.config.embedding_dim**-0.5)
        if self.config.feature_rows:
            nn.init.normal_(self.features.weight, std=FEATURE_SPREAD)
        nn.init.zeros_(self.output.bias)
        if not self.config.tied:
            nn.init.xavier_uniform_(self.output.weight)
        initialise(self.lstm, time_scale)

    def layer_weights(self, layer: int) -> list[Tensor]:
        """weight_ih (4·hidden, in), weight_hh (4·hidden, hidden), bias_ih, bias_hh; gates in order i, f, g, o."""
        return [getattr(self.lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def zero_state(self, lanes: int) -> LayerStates:
        shape = (lanes, self.config.hidden_size)
        return [(torch.zeros(shape), torch.zeros(shape)) for _ in range(self.config.num_layers)]

    def forward(self, tokens: Tensor, state: LayerStates, features: Tensor | None = None) -> tuple[Tensor, LayerStates]:
        """Read tokens (lanes, steps) from a state; return logits (lanes, steps, vocab_size) and the state after.

        Args:
            features: the ids of the features after each token, (lanes, steps, columns), if the model reads features.
        """
        hidden, after = self.read(tokens, state, features)
        return self.logits(hidden), after

    def logits(self, hidden: Tensor) -> Tensor:
        """The logits for outputs of the last LSTM layer, (lanes, steps, hidden_size)."""
        return self.output(self._drop(hidden, self.dropout.output))  # type: ignore[no-any-return]

    def read(self, tokens: Tensor, state: LayerStates, features: Tensor | None = None) -> tuple[Tensor, LayerStates]:
        """As `forward`, but return the last layer's h at each step, (lanes, steps, hidden_size), instead of logits."""
        x = self.embedding(tokens)
        if self.config.feature_rows:
            if features is None:
                raise ValueError("this model reads features besides tokens")
            sums = self.features(features.flatten(0, 1)).view(*tokens.shape, -1)
            x = torch.cat([x, sums.clamp(-1, 1)], dim=2)
        x = self._drop(x, self.dropout.embedding)
        after: LayerStates = []
        for layer in range(self.config.num_layers):
            if layer:
                x = self._drop(x, self.dropout.layers)
            weights = self.layer_weights(layer)
            if self.training and self.dropout.weights:
                weights[1] = F.dropout(weights[1], self.dropout.weights)
            h, c = state[layer]
            x, h, c = torch.lstm(x, (h.unsqueeze(0), c.unsqueeze(0)), weights, True, 1, 0.0, self.training, False, True)
            after.append((h[0], c[0]))
        return x, after

    @torch.no_grad()
    def negative_log_likelihood(
        self,
        tokens: npt.NDArray[np.integer[Any]],
        start: int,
        *,
        features: FeatureIds | None = None,
        state: State | None = None,
        lanes: int = 1,
        grammar: Grammar | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> npt.NDArray[np.float64]:
        """The negative log-likelihood of each token in nats, (tokens,), with the state carried from token to token.

        Args:
            start: the token before the first one.
            features: the ids of the features before each token, (tokens, columns), if the model reads features.
            state: the state before `start` is read, by default zero; only with one lane.
            lanes: cut the tokens into so many sequences of equal length that are read in parallel, which is faster.
                Each starts from a zero state and the token before it. Up to lanes - 1 tokens at the end are left out.
            grammar: only the tokens that it allows share the probability, as they do where a stream is drawn; only
                with one lane.
            progress: called with the number of tokens read and of all tokens.
        """
        steps = len(tokens) // lanes
        targets = torch.from_numpy(np.asarray(tokens[: lanes * steps], dtype=np.int64)).view(lanes, steps)
        first = torch.full((lanes, 1), start)
        first[1:, 0] = targets[:-1, -1]
        begun = None
        if state is not None:
            begun = [(torch.tensor(h)[None], torch.tensor(c)[None]) for h, c in zip(state.h, state.c, strict=True)]
        masks = None if grammar is None else grammar.masks(tokens, self.config.vocab_size, STEPS_AT_ONCE)
        told = None
        if features is not None:
            told = torch.from_numpy(features[: lanes * steps].astype(np.int64)).view(lanes, steps, features.shape[1])
        return self._read(first, targets, progress, begun, masks, told).flatten().numpy()

    @torch.no_grad()
    def negative_log_likelihood_in_windows(
        self,
        tokens: npt.NDArray[np.integer[Any]],
        start: int,
        window: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> npt.NDArray[np.float64]:
        """The negative log-likelihood of each token in nats, (tokens,), where each window of `window` tokens is read
        from `start` and a zero state, as if nothing came before it. The last window may be shorter. `progress` is
        called with the number of tokens read and of all tokens."""
        found = []
        cuts = [*range(0, len(tokens), WINDOWS_AT_ONCE * window), len(tokens) // window * window, len(tokens)]
        for left, right in pairwise(sorted(set(cuts))):
            part = torch.from_numpy(np.asarray(tokens[left:right], dtype=np.int64)).view(-1, min(window, right - left))
            found.append(self._read(torch.full((len(part), 1), start), part).flatten())
            if progress:
                progress(right, len(tokens))
        return torch.cat(found).numpy()

    def _read(
        self,
        first: Tensor,
        targets: Tensor,
        progress: Callable[[int, int], None] | None = None,
        state: LayerStates | None = None,
        masks: Iterator[Mask] | None = None,
        features: Tensor | None = None,
    ) -> Tensor:
        """The negative log-likelihood of `targets`, (lanes, steps), if each lane reads its `first` token, (lanes, 1),
        and then the targets, from `state`, by default zero; `masks` are those of `Grammar.masks`, `features` are the
        ids before each target, (lanes, steps, columns)."""
        inputs = torch.cat([first, targets[:, :-1]], dim=1)
        state = state or self.zero_state(len(targets))
        found = []
        for left in range(0, targets.shape[1], STEPS_AT_ONCE):
            part = slice(left, left + STEPS_AT_ONCE)
            logits, state = self(inputs[:, part], state, None if features is None else features[:, part])
            if masks is not None:
                logits = logits.masked_fill(~torch.from_numpy(next(masks)), -torch.inf)
            found.append(F.cross_entropy(logits.transpose(1, 2).float(), targets[:, part], reduction="none"))
            if progress:
                progress(min(part.stop, targets.shape[1]) * len(targets), targets.numel())
        return torch.cat(found, dim=1).double()

    def _drop(self, x: Tensor, share: float) -> Tensor:
        """Apply dropout to x, (lanes, steps, features), with one mask for all steps of a lane."""
        if not self.training or not share:
            return x
        mask = torch.empty(x.shape[0], 1, x.shape[2], dtype=x.dtype).bernoulli_(1 - share)
        return x * mask.div_(1 - share)


def multiplies_bf16(cpu: Mapping[str, object]) -> bool:
    """Whether a CPU with these capabilities (`torch.cpu.get_capabilities`) has instructions for products of bf16. torch
    also computes them without, by converting, which takes longer than fp32."""
    return any(cpu.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
