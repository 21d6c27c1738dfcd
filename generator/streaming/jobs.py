"""The values that go into a batch and come out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from generator.foundation.options import SamplingOptions
from generator.model.state import Floats, State
from generator.tokenizers.base import Rows

CHUNK = 64
"""The maximum number of tokens of one job, so that no stream waits long for a row. With slightly more, the loop
detector could not process the text of a job in one piece (`loop_cycles.nearness_bound`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Cursor:
    """The state of a stream between two tokens: with the options it determines the next token."""

    state: State
    token: int
    """The last token, which the model has not read yet."""
    position: int
    """The position of the next token."""
    grammar: Rows
    """The grammar's memory, (grammar.size,)."""
    match: Rows | None = None
    """The memory of the search for copies in the engine's index, (SIZE,); None without an index."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A request for `count` tokens from a cursor, at most `CHUNK`: first the `given` ones, then drawn ones."""

    start: Cursor
    options: SamplingOptions
    count: int
    given: Sequence[int] = ()
    traced: bool = False
    """Whether the result is to have a trace."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The tokens of a finished job, and the cursor after them."""

    tokens: list[int]
    """Fewer than the job's `count` if the end of a piece stopped the stream."""
    relaxed: list[int]
    """For each token the constraints that were relaxed: bit i stands for `PRIORITIES[i]`."""
    end: Cursor
    trace: Floats | None = None
    """What the units did before each token was drawn, (tokens, `state.PARTS`, layers, units), if the job asked."""
