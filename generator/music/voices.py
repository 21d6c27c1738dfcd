"""Voices: names that tell them apart; what one can sound: no pitch twice at once; a singer one pitch at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from typing import Literal

from generator.music.score import Note

OVERLAPPED = ("note", "left out: a longer one of the same pitch begins at the same moment")
"""What a reader says of the notes that `without_overlaps` does away with."""


def distinct(names: Iterable[str]) -> list[str]:
    """The same names, no two alike, small and capital letters aside: of equal ones the second gets a 2, and so on."""
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


def without_overlaps(notes: Iterable[Note]) -> list[Note]:
    """The same notes with no pitch sounding twice at once in a voice.

    A pitch struck again while it sounds ends where it is struck again; of two that start together the longer stays.
    """
    kept: list[Note] = []
    last: dict[tuple[int, int], int] = {}
    for note in sorted(notes, key=lambda note: (note.start_ticks, note.voice, -note.pitch, -note.duration_ticks)):
        key = (note.voice, note.pitch)
        before = last.get(key)
        if before is not None:
            earlier = kept[before]
            if earlier.start_ticks == note.start_ticks:
                continue
            if earlier.end_ticks > note.start_ticks:
                kept[before] = replace(earlier, duration_ticks=note.start_ticks - earlier.start_ticks)
        last[key] = len(kept)
        kept.append(note)
    return kept


def one_at_a_time(notes: Iterable[Note], keep: Literal["highest", "lowest"]) -> list[Note]:
    """A single line out of the notes of one voice: one note of each chord, cut where the next one starts."""
    sign = -1 if keep == "highest" else 1
    line: list[Note] = []
    for note in sorted(notes, key=lambda note: (note.start_ticks, sign * note.pitch, -note.duration_ticks)):
        if line and line[-1].start_ticks == note.start_ticks:
            continue
        if line and line[-1].end_ticks > note.start_ticks:
            line[-1] = replace(line[-1], duration_ticks=note.start_ticks - line[-1].start_ticks)
        line.append(note)
    return line
