"""Voices: distinct names for them, and notes that a voice cannot sound together cut short or left out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.music.notes import PITCHES, Columns, Ints, Note, Notes, columns_of, ranks, sorted_by

ANY = np.empty(0, np.int64)
"""In the place of the durations that a note may have: all."""
OVERLAPPED = ("note", "left out: a longer one of the same pitch begins at the same moment")
"""The omission of a note that `without_overlaps` leaves out, for readers of files."""


def distinct(names: Iterable[str]) -> list[str]:
    """The same names, all different, also if case is ignored: the second of equal names gets a 2, and so on."""
    names = list(names)
    taken = {name.lower() for name in names}
    numbers: dict[str, count[int]] = {}
    apart: list[str] = []
    for name in names:
        key = name.lower()
        if key in numbers:
            name = next(new for number in numbers[key] if (new := f"{name} {number}".strip()).lower() not in taken)
            taken.add(name.lower())
        else:
            numbers[key] = count(2)
        apart.append(name)
    return apart


def cut_overlaps(columns: Columns, lines: Ints, durations: Ints = ANY) -> tuple[Columns, int]:
    """Cut each note where the next note of its line starts. Of notes that start together the first one is kept.

    Args:
        columns: notes in the order of their starts.
        lines: the line of each note, counted from 0; only notes of one line cut each other.
        durations: those that a note may have, rising. A note is cut to the longest that fits; if none does, it stays
            as it is, and the next one is left out.

    Returns:
        The notes, and how many of them were cut.
    """
    kept = columns.copy()
    latest = np.full(int(lines.max(initial=-1)) + 1, -1)
    sounds = np.ones(len(lines), np.bool_)
    cut = _cut(kept[0], kept[1], lines, durations, latest, sounds)
    return kept[:, sounds], cut


@compiled
def _cut(starts: Ints, lengths: Ints, lines: Ints, durations: Ints, latest: Ints, sounds: npt.NDArray[Any]) -> int:
    """Cut `lengths`, clear `sounds` where a note is left out, and return how many were cut. `latest` has the latest
    note of each line, or -1."""
    cut = 0
    for note in range(len(starts)):
        earlier = latest[lines[note]]
        if earlier >= 0:
            gap = starts[note] - starts[earlier]
            if gap < lengths[earlier] or gap == 0:
                if len(durations):
                    fitting = np.searchsorted(durations, gap, side="right")
                    gap = durations[fitting - 1] if fitting else 0
                if gap == 0:
                    sounds[note] = False
                    continue
                lengths[earlier] = gap
                cut += 1
        latest[lines[note]] = note
    return cut


def from_the_top(columns: Columns) -> Columns:
    """Notes by start, voice, falling pitch and falling duration."""
    return sorted_by(columns, ranks(columns), -columns[1])


def without_overlaps(notes: Iterable[Note]) -> Notes:
    """The same notes from the top, with no pitch sounding twice at once in a voice.

    A note ends where its pitch starts again in its voice; of two that start together the longer one is kept.
    """
    columns = from_the_top(columns_of(notes))
    return Notes(cut_overlaps(columns, columns[4] * PITCHES + columns[2])[0])


def one_at_a_time(notes: Iterable[Note], keep: Literal["highest", "lowest"]) -> Notes:
    """A single line of notes of one voice: the highest or lowest note of each chord, cut where the next one starts."""
    columns = columns_of(notes)
    start, duration, pitch, _, voice = columns
    return Notes(
        cut_overlaps(
            sorted_by(columns, start, -pitch if keep == "highest" else pitch, -duration), np.zeros_like(voice)
        )[0]
    )
