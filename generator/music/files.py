"""Reads files of music by their suffix: MIDI, MusicXML, ABC and Humdrum."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import omissions_of
from generator.music import midi, notation
from generator.music.score import Score

MIDI = (".mid", ".midi", ".kar", ".rmi")
SUFFIXES = (*MIDI, *notation.FORMATS)


def read(path: str | Path) -> list[Score]:
    """All pieces of a MIDI, MusicXML, ABC or Humdrum file that can be read; an ABC file may contain many.

    Raises:
        CarouselError: the suffix is not that of a music file, or no piece can be read.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise CarouselError(f"{path}: not a music file; use one of {' '.join(SUFFIXES)}")
    return [midi.read(path)] if path.suffix.lower() in MIDI else notation.read(path)


def first(path: Path) -> Score:
    """The first piece of a file. Its omissions include the number of other pieces in the file.

    Raises:
        CarouselError: as `read`.
    """
    piece, *others = read(path)
    left_out = omissions_of({("piece", "left out: of a file only the first one counts"): len(others)})
    return replace(piece, omissions=(*piece.omissions, *left_out))


def read_each(path: Path) -> list[Score | CarouselError]:
    """Each piece of a file, or the error why it cannot be read; one error if the whole file cannot be read."""
    try:
        return [midi.read(path)] if path.suffix.lower() in MIDI else list(notation.read_each(path))
    except CarouselError as error:
        return [error]
