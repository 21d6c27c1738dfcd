"""Music as a Standard MIDI File."""

from __future__ import annotations

from pathlib import Path

from generator.music import midi
from generator.music.score import Score


def write(score: Score, path: Path) -> None:
    """Write a score as a MIDI file of type 1.

    Raises:
        CarouselError: the file cannot be written.
    """
    midi.write(score, path)
