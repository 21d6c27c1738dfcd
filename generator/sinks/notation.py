"""Scores as notation: MusicXML for other programs, ABC for people who type, SVG as a picture, PDF to print."""

from __future__ import annotations

from pathlib import Path

from generator.foundation.atomic import atomic_write
from generator.music.score import Score
from generator.sinks import Progress


def write(score: Score, path: Path, progress: Progress | None = None) -> None:
    """Write a score as ABC, SVG or PDF if the suffix says so, else as MusicXML.

    Args:
        progress: called with a name for the work, the percent done, 100, and "percent".

    Raises:
        CarouselError: the file cannot be written.
    """

    def step(share: float) -> None:
        if progress is not None:
            progress("engraving it", 100.0 * share, 100.0, "percent")

    suffix = path.suffix.lower()
    if suffix == ".abc":
        from generator.music.abc import to_abc

        data = to_abc(score)
    else:
        from generator.music import engraving  # slow to import, and ABC does not need it

        data = {".svg": engraving.to_svg, ".pdf": engraving.to_pdf}.get(suffix, engraving.to_musicxml)(score, step)
    with atomic_write(path) as file:
        file.write(data)
