"""Lists of the latest values in a grammar's row of memory, the newest first."""

from __future__ import annotations

from generator.foundation.jit import compiled
from generator.foundation.options import MOST_NOTES_A_SECOND
from generator.tokenizers.base import Rows

ONSETS = MOST_NOTES_A_SECOND
"""How many note onsets a grammar remembers, as many as the option `density` can limit."""


@compiled
def push(row: Rows, first: int, count: int, value: int) -> None:
    """Put a value at the front of the list in `row[first : first + count]`; its last value drops out."""
    for place in range(first + count - 1, first, -1):
        row[place] = row[place - 1]
    row[first] = value
