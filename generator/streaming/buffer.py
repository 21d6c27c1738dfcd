"""Tokens that were drawn ahead of a stream, which hands them out one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from generator.foundation.options import SamplingOptions
from generator.streaming.jobs import Cursor, Job, Result


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """Drawn tokens that follow the cursor `start`; the first `used` of them have been handed out."""

    start: Cursor
    tokens: Sequence[int]
    relaxed: Sequence[int]
    """The constraints that were relaxed for each token, as in `Result.relaxed`."""
    end: Cursor | None
    """The cursor after all of these tokens, None if it is not known."""
    options: SamplingOptions
    """The options under which they were drawn."""
    used: int = 0

    @staticmethod
    def empty(start: Cursor, options: SamplingOptions) -> Buffer:
        """No tokens after a cursor."""
        return Buffer(start, (), (), start, options)

    @staticmethod
    def of(job: Job, result: Result) -> Buffer:
        """The tokens of a finished job."""
        return Buffer(job.start, result.tokens, result.relaxed, result.end, job.options)

    @property
    def position(self) -> int:
        """The position of the next token to hand out."""
        return self.start.position + self.used

    @property
    def is_used_up(self) -> bool:
        return self.used == len(self.tokens)

    def begun_at(self, cursor: Cursor) -> Buffer:
        """The rest of the tokens, which follow this cursor."""
        return replace(self, start=cursor, tokens=self.tokens[self.used :], relaxed=self.relaxed[self.used :], used=0)

    def without_rest(self) -> Buffer:
        """Only the tokens that have been handed out."""
        if self.is_used_up:
            return self
        return replace(self, tokens=self.tokens[: self.used], relaxed=self.relaxed[: self.used], end=None)
