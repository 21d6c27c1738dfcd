"""Checkpoints that a model learns from besides its corpus: knowledge distillation (Hinton, Vinyals and Dean 2015,
arXiv:1503.02531).

Each pass reads as many pieces that the teachers have written as there are in the corpus, and at each token the model
learns the mean of the teachers' distributions instead of the token that comes. Of a small corpus a model soon knows the
pieces by heart; of pieces that others write there are as many as one likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.model.checkpoint import Checkpoint
from generator.model.lstm import LayerStates
from generator.streaming.engine import Model
from generator.tokenizers.base import Tokenizer, Tokens

LONGEST = 4096
"""Tokens of a written piece at most."""


class Teachers:
    """Some checkpoints of one tokenizer, or none, each with the recurrent state of every row of the batch."""

    def __init__(self, folders: Sequence[Path], tokenizer: Tokenizer) -> None:
        """Load them.

        Raises:
            CarouselError: one is no checkpoint, or has another tokenizer.
        """
        checkpoints = [Checkpoint.load(folder) for folder in folders]
        for folder, checkpoint in zip(folders, checkpoints, strict=True):
            if checkpoint.tokenizer.to_json() != tokenizer.to_json():
                raise CarouselError(f"{folder}: its tokenizer is not this run's; give checkpoints of the same corpus")
        self.networks = [checkpoint.model().eval() for checkpoint in checkpoints]
        self.states: list[LayerStates] = []
        self._writers = [Model(replace(checkpoint, defaults=SamplingOptions())) for checkpoint in checkpoints]

    def begin(self, rows: int) -> None:
        """Set the recurrent state of so many rows to zero."""
        self.states = [network.zero_state(rows) for network in self.networks]

    def pieces(self, count: int, seed: int, number: int) -> list[Tokens]:
        """What pass `number` reads besides the corpus: so many pieces, written in equal parts by all. Their last token
        is the end, unless they are very long."""
        seeds = np.random.default_rng([seed, number]).integers(2**63, size=count).tolist()
        found: list[Tokens] = []
        for first, writer in enumerate(self._writers):
            engine = writer.engine()
            streams = [
                engine.stream(seed=own, temperature=1.0, at_end="stop", governor=False)
                for own in seeds[first :: len(self._writers)]
            ]
            engine.draw(streams, LONGEST)
            found += [np.asarray(stream.tokens(), dtype=np.uint16) for stream in streams]
        return found

    @torch.no_grad()
    def expect(self, inputs: Tensor, warm: Tensor, features: Tensor) -> Tensor | None:
        """The mean of the distributions after each input, shape (rows, steps, vocab_size); None without teachers.

        Args:
            inputs: the next window of tokens, (rows, steps).
            warm: 0 for each row that begins from a zero state, else 1, (rows, 1).
            features: the ids of the features after each input, (rows, steps, columns).
        """
        if not self.networks:
            return None
        total = torch.zeros(())
        for number, network in enumerate(self.networks):
            state = [(h * warm, c * warm) for h, c in self.states[number]]
            logits, after = network(inputs, state, features)
            self.states[number] = [(h.float(), c.float()) for h, c in after]
            total = total + logits.float().softmax(dim=-1)
        return total / len(self.networks)
