"""Notes, as values and as columns. What many notes go through at once is arithmetic on columns; a `Note` is made of
them when it is looked at. Other events may be columns, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

DEFAULT_VELOCITY = 80
PITCHES = 128
E = TypeVar("E")
Ints = npt.NDArray[np.int64]
Columns = Ints
"""The starts, durations, pitches, velocities and voices of notes, shape (5, notes); not to be changed."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note of one voice: `pitch` 0 to 127 (60 is middle C), `velocity` 1 to 127."""

    start_ticks: int
    duration_ticks: int
    pitch: int
    velocity: int = DEFAULT_VELOCITY
    voice: int = 0

    @property
    def end_ticks(self) -> int:
        return self.start_ticks + self.duration_ticks


class Events(Sequence[E]):
    """Events of one kind as columns, which have the fields of all events. They equal a tuple of the same events."""

    def __init__(self, kind: Callable[..., E], columns: Iterable[npt.NDArray[Any]]) -> None:
        self._kind = kind
        self.columns = columns

    @cached_property
    def _made(self) -> tuple[E, ...]:
        return tuple(map(self._kind, *(column.tolist() for column in self.columns)))

    def __len__(self) -> int:
        return len(next(iter(self.columns)))

    def __iter__(self) -> Iterator[E]:
        return iter(self._made)

    @overload
    def __getitem__(self, index: int) -> E: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[E, ...]: ...

    def __getitem__(self, index: int | slice) -> E | tuple[E, ...]:
        return self._made[index]

    def __eq__(self, other: object) -> bool:
        return self._made == (other._made if isinstance(other, Events) else other)

    def __hash__(self) -> int:
        return hash(self._made)

    def __repr__(self) -> str:
        return repr(self._made)


class Notes(Events[Note]):
    """Notes as columns."""

    columns: Columns

    def __init__(self, columns: Columns) -> None:
        super().__init__(Note, columns)


def in_columns(kind: type[Any], events: Iterable[E]) -> Events[E]:
    """Events of one kind, which is a dataclass, as columns."""
    if isinstance(events, Events):
        return events
    rows = list(events)
    return Events(kind, [np.array([getattr(row, spec.name) for row in rows]) for spec in fields(kind)])


def columns_of(notes: Iterable[Note]) -> Columns:
    """The columns of notes."""
    if isinstance(notes, Notes):
        return notes.columns
    rows = [(note.start_ticks, note.duration_ticks, note.pitch, note.velocity, note.voice) for note in notes]
    return np.array(rows, dtype=np.int64).reshape(-1, 5).T.copy()


def present(voices: Ints) -> list[int]:
    """The voices that occur, in order."""
    found: list[int] = np.flatnonzero(np.bincount(voices)).tolist()
    return found


def sorted_by(columns: Columns, *keys: Ints) -> Columns:
    """Columns in the order of the first key, equal ones in that of the next."""
    return np.take(columns, np.lexsort(keys[::-1]), axis=1)


def ranks(columns: Columns) -> Ints:
    """Numbers that rise with the starts of notes, then with their voices, then with falling pitch."""
    start, _, pitch, _, voice = columns
    found: Ints = (start * (voice.max(initial=0) + 1) + voice) * PITCHES - pitch
    return found
