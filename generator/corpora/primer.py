"""The primer given on the command line: a file with a text or a piece of music, or for a text model the text itself."""

from __future__ import annotations

import os
from pathlib import Path

from generator.corpora.text import SUFFIXES, read_text
from generator.foundation.errors import CarouselError
from generator.foundation.terminal import tell
from generator.music import files
from generator.music.score import Score


def read_primer(text: str, medium: str) -> str | Score:
    """The primer that `text` stands for: the content of the file of this name, or for a text model `text` itself.

    Args:
        medium: `text` or `music`, of the model.

    Raises:
        CarouselError: the file is missing or of the wrong kind, or the path is not that of a file.
    """
    path = Path(text)
    try:
        exists = path.is_file()
        if text and not exists and path.exists():
            raise CarouselError(f"{text}: a folder, or something else that is no file; name a file")
    except OSError:  # too long for a name
        exists = False
    if medium == "text":
        if not exists and path.suffix.lower() in (*SUFFIXES, *files.SUFFIXES):
            raise CarouselError(f"{text}: no such file; to begin with these words themselves, write them into a file")
        if not exists and os.sep in text and len(text.split()) == 1:
            tell(f"{text}: no such file, so the stream begins with these words themselves")
        if exists and path.suffix.lower() in files.SUFFIXES:
            raise CarouselError(f"{path}: a music file, but this checkpoint generates text; give a text file or text")
        return read_text(path) if exists else text
    if not exists:
        raise CarouselError(
            f"{text}: no such file; a music checkpoint is primed with a MIDI, MusicXML, ABC or krn file"
        )
    return files.first(path)
