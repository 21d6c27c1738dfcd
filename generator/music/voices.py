"""Voices: distinct names for them, and notes that a voice cannot sound together cut short or left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from itertools import count
from typing import Literal

from generator.music.score import Note

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


def cut_overlaps(
    notes: Iterable[Note], line_of: Callable[[Note], Hashable], longest: Callable[[int], int] = lambda ticks: ticks
) -> tuple[list[Note], int]:
    """Cut each note where the next note of its line starts. Of notes that start together the first one is kept.

    Args:
        notes: in the order of their starts.
        line_of: the line of a note; only notes of one line cut each other.
        longest: the longest duration in ticks that a note may have in so many ticks. If it is 0, the note stays as it
            is, and the next one is left out.

    Returns:
        The notes, and how many of them were cut.
    """
    kept: list[Note] = []
    latest: dict[Hashable, int] = {}
    cut = 0
    for note in notes:
        line = line_of(note)
        if line in latest:
            earlier = kept[latest[line]]
            if note.start_ticks < earlier.end_ticks or note.start_ticks == earlier.start_ticks:
                duration = longest(note.start_ticks - earlier.start_ticks)
                if duration == 0:
                    continue
                kept[latest[line]] = replace(earlier, duration_ticks=duration)
                cut += 1
        latest[line] = len(kept)
        kept.append(note)
    return kept, cut


def from_the_top(notes: Iterable[Note]) -> list[Note]:
    """Notes by start, voice, falling pitch and falling duration."""
    return sorted(notes, key=lambda note: (note.start_ticks, note.voice, -note.pitch, -note.duration_ticks))


def without_overlaps(notes: Iterable[Note]) -> list[Note]:
    """The same notes with no pitch sounding twice at once in a voice.

    A note ends where its pitch starts again in its voice; of two that start together the longer one is kept.
    """
    return cut_overlaps(from_the_top(notes), lambda note: (note.voice, note.pitch))[0]


def one_at_a_time(notes: Iterable[Note], keep: Literal["highest", "lowest"]) -> list[Note]:
    """A single line of notes of one voice: the highest or lowest note of each chord, cut where the next one starts."""
    sign = -1 if keep == "highest" else 1
    ordered = sorted(notes, key=lambda note: (note.start_ticks, sign * note.pitch, -note.duration_ticks))
    return cut_overlaps(ordered, lambda note: 0)[0]
