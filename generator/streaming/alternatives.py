"""What else could have come: the tokens of a stream with the probabilities from which they were drawn.

A batch of one row draws them once more. It runs the code that draws every token, and leaves the probabilities in its
workspace, so they are exactly those of the draw; a stream that nobody asks pays nothing for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from generator.streaming.batch import Batch
from generator.streaming.governor import lifted
from generator.streaming.jobs import Cursor, Job
from generator.streaming.origin import Origin
from generator.streaming.rng import uniform
from generator.streaming.runtime import Runtime
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.base import Mask

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """How one token came to be."""

    position: int
    token: int
    given: bool
    """Whether it was injected, or belongs to the text of the option `starts_with`, so that nothing was drawn."""
    number: float
    """The random number of this position, in [0, 1). In the order of ids, the token is the one within whose share of
    the probabilities it lies."""
    probabilities: Probabilities
    """The probability of each token as it was drawn: after temperature, top-k, top-p, min-p, grammar and constraints,
    shape (vocab_size,)."""
    plain: Probabilities
    """The model's own probability of each token, before all these, shape (vocab_size,)."""
    open: Mask
    """The tokens that the grammar and the constraints left open, shape (vocab_size,)."""

    @property
    def surprise(self) -> float:
        """The model's own negative log-likelihood of the token in nats."""
        with np.errstate(divide="ignore"):
            return -float(np.log(self.plain[self.token]))

    def likeliest(self, count: int) -> list[int]:
        """The `count` likeliest open tokens, the likeliest first, and the one that came, wherever it ranks."""
        order = np.lexsort((-self.plain, -self.probabilities))
        order = order[self.open[order]]
        return [token for rank, token in enumerate(order.tolist()) if rank < count or token == self.token]


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could have come."""

    token: int
    words: str
    """What it means here, such as `C♯5`, `dotted quarter` or `space` (`Decoder.describe`)."""
    probability: float
    """The probability with which it could have been drawn."""
    plain: float
    """The model's own probability of it."""
    came: bool
    """Whether it is the one that came."""


def draws(engine: Runtime, start: Snapshot, tokens: Sequence[int], origin: Origin) -> Iterator[Draw]:
    """Draw the tokens again that followed a snapshot in a stream of this origin.

    After the last of `tokens` comes the draw of the one that follows them.
    """
    batch = Batch(engine.backend, engine.tokenizer, 1, engine.constraints, engine.index)
    memory = engine.tokenizer.decoder(start.decoder).memory.copy()
    cursor = Cursor(start.state, start.token, start.position, memory, start.match)
    for known in [*tokens, None]:
        position = cursor.position
        changes = origin.timeline[: bisect_right(origin.timeline, position, key=itemgetter(0))]
        options = lifted(changes[-1][1])
        batch.add(Job(cursor, options, 1))
        [(job, result)] = batch.step()
        weights, logits = batch.work.weights, batch.work.logits[0].astype(np.float64)
        plain = np.exp(logits - logits.max())
        probabilities, opened = weights / weights.sum(), batch.work.masks[0].copy()
        text = engine.constraints.starting_text(changes, len(origin.primer), position)
        heard = any(at <= position < at + len(phrase) for at, phrase in origin.injected)
        token = result.tokens[0] if known is None else known
        if token != result.tokens[0]:
            batch.add(replace(job, given=(token,)))
            [(_, result)] = batch.step()
        cursor = result.end
        number = uniform(options.seed, position)
        yield Draw(position, token, bool(text) or heard, number, probabilities, plain / plain.sum(), opened)


def alternatives(
    engine: Runtime, start: Snapshot, tokens: Sequence[int], origin: Origin, count: int
) -> list[Alternative]:
    """What could have followed a snapshot: the `count` likeliest tokens, and the first of `tokens`, which came."""
    draw = next(draws(engine, start, tokens[:1], origin))
    decoder = engine.tokenizer.decoder(start.decoder)
    return [
        Alternative(
            token,
            decoder.describe(token),
            float(draw.probabilities[token]),
            float(draw.plain[token]),
            token == draw.token,
        )
        for token in draw.likeliest(count)
    ]
