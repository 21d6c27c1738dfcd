"""How much of what a stream says right now is copied: it listens along, and finds the run in the training set."""

from __future__ import annotations

from collections.abc import Sequence

from generator.corpora.copies import Index, Place, Runs
from generator.tokenizers.base import Event, Rows, Tokens


class Meter:
    """The run that a stream is in: the longest that it has just said and that also stands in the training set.

    One meter is fed either tokens or events, in portions of any size; large ones cost less a token. All that it
    remembers is one row of int64, `memory`, shape (SIZE,).
    """

    def __init__(self, index: Index, memory: Rows | None = None) -> None:
        """Begin with the stream, or where `memory` is."""
        self._index = index
        self.memory: Rows = index.begin() if memory is None else memory.copy()

    @property
    def unit(self) -> str:
        """What runs are counted in: `characters` or `notes`."""
        return self._index.unit

    def feed(self, tokens: Sequence[int] | Tokens) -> Runs:
        """Take a stream's next tokens; return the runs that end with each of their notes or characters."""
        return self._index.follow(self.memory, tokens)

    def hear(self, events: Sequence[Event]) -> Runs:
        """Take a stream's next events instead; other than notes, characters and ends of pieces, they are left out.

        A note of a performance is an event when it ends, yet its place is where it starts. So music comes in portions
        of which none holds a note from before the last one in an earlier portion, as below a stream's `horizon_ticks`.
        """
        return self.feed(self._index.spelled(events))

    @property
    def run(self) -> int:
        """In notes or characters. A single note always stands in the training set."""
        return self._index.run(self.memory)

    def where(self) -> Place | None:
        """Where the run begins; None where there is nothing to find. Of music a piece is decoded."""
        return self._index.where(self.memory)

    @property
    def longest(self) -> int:
        """The longest run so far, in notes or characters."""
        return self._index.longest(self.memory)

    def where_longest(self) -> Place | None:
        """Where that one begins, as `where`."""
        return self._index.where_longest(self.memory)
