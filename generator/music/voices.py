"""What one voice can sound: no pitch twice at once; and, for a singer, one pitch at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from generator.music.score import Note


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
