"""The best of several continuations: drawn side by side from one moment, each with a seed of its own, and weighed.

What is weighed is the model's own negative log-likelihood of what was said, a note or a character, without masks and
filters, in fp32. So a harmony counts for how likely the model finds it together with its melody, not for how often it
was let choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from generator.foundation.errors import CarouselError
from generator.music.score import Bar, Note
from generator.streaming.batch import CHUNK
from generator.streaming.engine import Model
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream, draw
from generator.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from generator.model.lstm import LanguageModel  # imports torch, which drawing does without


@dataclass(frozen=True)
class Candidate:
    """A seed, and what it leads to."""

    seed: int
    tokens: int
    units: int
    """Notes or characters."""
    nats: float
    """The negative log-likelihood of all tokens."""

    @property
    def nats_per_unit(self) -> float:
        return self.nats / max(1, self.units)


def candidates(
    model: Model, stream: Stream, count: int, *, tokens: int | None = None, bars: int | None = None
) -> list[Candidate]:
    """Continuations of a stream, from the best to the worst; of equal ones the lower seed first.

    The stream does not notice. `stream.set(seed=best.seed)` makes it say what the best one says. Seeds count up from
    the stream's own. Between other machines, likelihoods may differ in their last digits.

    Args:
        tokens: how far they go at most.
        bars: or how many bars; without both, up to the piece's end, where the stream must stop.

    Raises:
        CarouselError: the continuations have no end, or the engine does not take so many streams.
    """
    if stream.ended:
        raise CarouselError("this stream has ended, and nothing continues it; rewind it first")
    if tokens is None and bars is None and stream.options.at_end != "stop":
        raise CarouselError("continuations without an end cannot be compared; give a length")
    here = stream.snapshot()
    seeds = [(here.options.seed + index) % 2**63 for index in range(count)]
    forks = [stream.fork(seed=seed) for seed in seeds]
    said: list[list[int]] = [[] for _ in forks]
    lines = [0] * count
    while going := [
        index
        for index, fork in enumerate(forks)
        if not fork.ended and len(said[index]) != tokens and (bars is None or lines[index] <= bars)
    ]:
        # Those that go on have all said as much.
        step = CHUNK if tokens is None else tokens - len(said[going[0]])
        drawn = draw(stream.engine, [forks[index] for index in going], step)
        for index, (more, events) in zip(going, drawn, strict=True):
            lines[index] += sum(isinstance(event, Bar) for event in events)
            said[index] += more
    reader = model.checkpoint.model()
    found = [
        weigh(reader, here, seed, *until_bars(model.tokenizer, here, continuation, bars))
        for seed, continuation in zip(seeds, said, strict=True)
    ]
    return sorted(found, key=lambda candidate: (candidate.nats_per_unit, candidate.seed))


def until_bars(tokenizer: Tokenizer, here: Snapshot, said: Sequence[int], bars: int | None) -> tuple[list[int], int]:
    """The tokens before the bar line that follows so many bars, all without a number; and their notes or characters."""
    decoder, units, lines = tokenizer.decoder(here.decoder), 0, 0
    for index, token in enumerate(said):
        events = decoder.feed(token)
        lines += sum(isinstance(event, Bar) for event in events)
        if bars is not None and lines > bars:
            return list(said[:index]), units
        units += sum(isinstance(event, Note | str) for event in events)
    return list(said), units


def weigh(reader: LanguageModel, here: Snapshot, seed: int, said: Sequence[int], units: int) -> Candidate:
    """The negative log-likelihood of what was said from a moment on."""
    nats = reader.negative_log_likelihood(np.array(said), here.token, state=here.state)
    return Candidate(seed, len(said), units, float(nats.sum()))
