"""A lead sheet: the melody of a score with the symbols of its chords above it."""

from __future__ import annotations

from dataclasses import replace

from generator.foundation.errors import CarouselError
from generator.music.chords import chords
from generator.music.score import Note, Score


def lead_sheet(score: Score, voice: str | None = None) -> Score:
    """The melody of a score, with the chords that all its voices imply.

    Args:
        voice: the name of the voice that has the melody; the first one that has notes by default. Where it has several
            notes at once, the highest is the melody.

    Raises:
        CarouselError: the score has no notes with a pitch, or no voice of that name has any.
    """
    singing = {note.voice for note in score.notes if not score.voices[note.voice].drum}
    if not singing:
        raise CarouselError("there are no notes with a pitch to make a lead sheet of; make the music longer")
    named = [number for number in sorted(singing) if voice in (None, score.voices[number].name)]
    if not named:
        known = ", ".join(score.voices[number].name for number in sorted(singing))
        raise CarouselError(f"no voice {voice!r} has notes; choose one of {known}")
    notes = _highest([note for note in score.notes if note.voice == named[0]])
    return replace(
        score,
        voices=(score.voices[named[0]],),
        notes=tuple(replace(note, voice=0) for note in notes),
        pedals=(),
        chords=chords(score),
        origin="",
    )


def _highest(notes: list[Note]) -> list[Note]:
    """One note at a time: of those that start together the highest, until the next one starts; a note that starts
    below one that goes on is left out."""
    line: list[Note] = []
    for note in sorted(notes, key=lambda note: (note.start_ticks, -note.pitch)):
        if line and note.start_ticks < line[-1].end_ticks:
            before = line[-1]
            if note.pitch <= before.pitch or note.start_ticks == before.start_ticks:
                continue
            line[-1] = replace(before, duration_ticks=note.start_ticks - before.start_ticks)
        line.append(note)
    return line
