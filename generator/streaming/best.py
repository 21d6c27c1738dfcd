"""The best of several continuations of a stream, each drawn with a seed of its own and then ranked.

They are ranked by the model's negative log-likelihood of their tokens in fp32, without masks and filters, per note or
character. So a harmony is ranked by how likely it is together with its melody, whether its tokens were drawn or forced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from generator.foundation.errors import CarouselError
from generator.music.score import Bar, Note
from generator.streaming.engine import Model
from generator.streaming.jobs import CHUNK
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream, draw
from generator.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from generator.model.lstm import LanguageModel  # imports torch, which drawing does without


@dataclass(frozen=True)
class Candidate:
    """The continuation that a seed leads to."""

    seed: int
    tokens: int
    units: int
    """The number of notes or characters."""
    nats: float
    """The negative log-likelihood of all its tokens."""

    @property
    def nats_per_unit(self) -> float:
        return self.nats / max(1, self.units)


def candidates(
    model: Model, stream: Stream, count: int, *, tokens: int | None = None, bars: int | None = None
) -> list[Candidate]:
    """Rank `count` continuations of a stream, from the best to the worst; of equal ones the lower seed comes first.

    The stream itself does not advance; `stream.set(seed=best.seed)` makes it continue like the best one. Seeds count up
    from the stream's own. Likelihoods may differ between machines in their last digits.

    Args:
        tokens: the maximum number of tokens of a continuation.
        bars: the number of bars instead. Without both, continuations go to the end of the piece, and the stream needs
            `at_end="stop"`.

    Raises:
        CarouselError: the stream has ended, the continuations have no end, or the engine cannot take so many streams.
    """
    if stream.ended:
        raise CarouselError("this stream has ended, and nothing continues it; rewind it first")
    if tokens is None and bars is None and stream.options.at_end != "stop":
        raise CarouselError("continuations without an end cannot be compared; give a length")
    here = stream.snapshot()
    seeds = [(here.options.seed + index) % 2**63 for index in range(count)]
    forks = [stream.fork(seed=seed) for seed in seeds]
    drawn: list[list[int]] = [[] for _ in forks]
    bar_lines = [0] * count
    while going := [
        index
        for index, fork in enumerate(forks)
        if not fork.ended and len(drawn[index]) != tokens and (bars is None or bar_lines[index] <= bars)
    ]:
        # All forks that go on have drawn the same number of tokens.
        step = CHUNK if tokens is None else tokens - len(drawn[going[0]])
        steps = draw(stream.engine, [forks[index] for index in going], step)
        for index, (more, events) in zip(going, steps, strict=True):
            bar_lines[index] += sum(isinstance(event, Bar) for event in events)
            drawn[index] += more
    reader = model.checkpoint.model()
    found = [
        rate(reader, model.tokenizer, here, seed, *cut_at_bars(model.tokenizer, here, continuation, bars))
        for seed, continuation in zip(seeds, drawn, strict=True)
    ]
    return sorted(found, key=lambda candidate: (candidate.nats_per_unit, candidate.seed))


def cut_at_bars(tokenizer: Tokenizer, here: Snapshot, tokens: Sequence[int], bars: int | None) -> tuple[list[int], int]:
    """The tokens before the bar line that ends the last of `bars` bars (all if it is None), and how many notes or
    characters they have."""
    decoder, units, bar_lines = tokenizer.decoder(here.decoder), 0, 0
    for index, token in enumerate(tokens):
        events = decoder.feed(token)
        bar_lines += sum(isinstance(event, Bar) for event in events)
        if bars is not None and bar_lines > bars:
            return list(tokens[:index]), units
        units += sum(isinstance(event, Note | str) for event in events)
    return list(tokens), units


def rate(
    reader: LanguageModel, tokenizer: Tokenizer, here: Snapshot, seed: int, tokens: Sequence[int], units: int
) -> Candidate:
    """The candidate for tokens that continue a snapshot."""
    memory = tokenizer.decoder(here.decoder).memory
    tokenizer.grammar.ask_length(memory, here.options.bars)
    features = tokenizer.grammar.features_before(np.array(tokens), memory)
    nats = reader.negative_log_likelihood(np.array(tokens), here.token, features=features, state=here.state)
    return Candidate(seed, len(tokens), units, float(nats.sum()))
