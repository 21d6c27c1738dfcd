"""A meter follows a stream and measures how much of its latest output also stands in the training set."""

from __future__ import annotations

from collections.abc import Sequence

from generator.corpora.copies import Index, Place, Runs
from generator.tokenizers.base import Event, Rows, Tokens


class Meter:
    """Measures a stream's current run: its longest suffix that also stands in the training set.

    A meter is fed either tokens or events, in portions of any size; large portions cost less per token. Its only state
    is `memory`, a row of integers with the shape (SIZE,).
    """

    def __init__(self, index: Index, memory: Rows | None = None) -> None:
        """Start at the beginning of a stream, or go on from a copy of another meter's `memory`."""
        self._index = index
        self.memory: Rows = index.begin() if memory is None else memory.copy()

    @property
    def unit(self) -> str:
        """The unit of run lengths, `characters` or `notes`."""
        return self._index.unit

    def feed(self, tokens: Sequence[int] | Tokens) -> Runs:
        """Feed the stream's next tokens; return the runs that end with each of their notes or characters."""
        return self._index.follow(self.memory, tokens)

    def hear(self, events: Sequence[Event]) -> Runs:
        """Feed the stream's next events instead; only notes, characters and ends of pieces count.

        A note of a performance becomes an event when it ends, but the index orders notes by their start. So no portion
        may contain a note that starts before a note of an earlier portion; events that start before the stream's
        `horizon_ticks` are safe to feed.
        """
        return self.feed(self._index.spelled(events))

    @property
    def run(self) -> int:
        """The length of the current run in notes or characters. A single note always counts as copied."""
        return self._index.run(self.memory)

    def where(self) -> Place | None:
        """Where the current run begins in the training set, None without a run. For music this decodes a piece."""
        return self._index.where(self.memory)

    @property
    def longest(self) -> int:
        """The length of the longest run so far, in notes or characters."""
        return self._index.longest(self.memory)

    def where_longest(self) -> Place | None:
        """Where the longest run begins in the training set, as `where`."""
        return self._index.where_longest(self.memory)
