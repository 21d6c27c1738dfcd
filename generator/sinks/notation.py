"""Scores as notation: MusicXML for other programs, SVG as a picture."""

from __future__ import annotations

from pathlib import Path

from generator.foundation.atomic import atomic_write
from generator.music import engraving
from generator.music.score import Score


def write(score: Score, path: Path) -> None:
    """Write a score as SVG if the suffix is `.svg`, else as MusicXML.

    Raises:
        CarouselError: the file cannot be written.
    """
    data = engraving.to_svg(score) if path.suffix.lower() == ".svg" else engraving.to_musicxml(score)
    with atomic_write(path) as file:
        file.write(data)
