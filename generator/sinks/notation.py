"""Music as notation: MusicXML for other programs, SVG for the eye."""

from __future__ import annotations

from pathlib import Path

from generator.foundation.atomic import atomic_write
from generator.music import engraving
from generator.music.score import Score


def write(score: Score, path: Path) -> None:
    """Write a score as SVG where the suffix says so, else as MusicXML.

    Raises:
        CarouselError: the file cannot be written.
    """
    data = engraving.to_svg(score) if path.suffix.lower() == ".svg" else engraving.to_musicxml(score)
    with atomic_write(path) as file:
        file.write(data)
