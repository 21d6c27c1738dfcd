"""What happened last: a few values in a grammar's row of memory, the newest first."""

from __future__ import annotations

from generator.foundation.jit import compiled
from generator.foundation.options import MOST_NOTES_A_SECOND
from generator.tokenizers.base import Rows

ONSETS = MOST_NOTES_A_SECOND
"""So many starts of notes a grammar remembers: what the option `density` can ask about."""


@compiled
def remember(row: Rows, first: int, count: int, value: int) -> None:
    """Put a value before the others, which move on by one place; the oldest of the `count` is forgotten."""
    for place in range(first + count - 1, first, -1):
        row[place] = row[place - 1]
    row[first] = value
