"""Reads MusicXML, ABC and Humdrum files as scores, each format by a reader of its own.

`written` describes how written bars become time signatures; the readers, what they leave out.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

from generator.foundation.errors import CarouselError
from generator.music import from_abc, from_humdrum, from_musicxml
from generator.music.bars import IrregularBars
from generator.music.score import Score
from generator.music.written import Written, to_score

MAX_BYTES = 64 * 2**20
"""Larger files, packed or unpacked, are refused."""
FORMATS = {".xml": "musicxml", ".musicxml": "musicxml", ".mxl": "musicxml", ".abc": "abc", ".krn": "humdrum"}
NAMES = {"musicxml": "MusicXML", "abc": "ABC", "humdrum": "Humdrum"}


def read(path: str | Path, *, regular: bool = False, expand_repeats: bool = False) -> list[Score]:
    """All pieces of a file that can be read, as `read_each` reads them; an ABC file may contain many.

    Raises:
        CarouselError: the file cannot be read, or no piece in it can be read.
    """
    pieces = list(read_each(path, regular=regular, expand_repeats=expand_repeats))
    scores = [piece for piece in pieces if isinstance(piece, Score)]
    for piece in pieces:
        if isinstance(piece, CarouselError) and not scores:
            raise piece
    return scores


def read_each(
    path: str | Path, *, regular: bool = False, expand_repeats: bool = False
) -> Iterator[Score | CarouselError]:
    """Each piece of a file, or the error why it cannot be read; the other pieces are read all the same.

    Args:
        regular: refuse pieces whose bars are not those that their time signatures predict.
        expand_repeats: write repeats out, unless that would make the bars irregular.

    Raises:
        CarouselError: the file as a whole cannot be read.
    """
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise CarouselError(f"{path}: not a file of written music; use one of {' '.join(FORMATS)}")
    _check_size(path)
    sources = _tunes(path) if form == "abc" else [path]
    for source in sources:
        tune = re.search(r"^X: *(\d+)", source, re.MULTILINE) if isinstance(source, str) else None
        name = f"{path}, tune {tune[1]}" if tune else str(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # music21 warns about details of notation
                yield to_score(_written(source, form), regular, expand_repeats)
        except IrregularBars as error:
            yield CarouselError(f"{name}: {error}")
        except Exception as error:  # music21 raises all kinds of them for damaged files
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            yield CarouselError(f"{name}: cannot be read as {NAMES[form]} ({reason}); repair it or take it out")


def _check_size(path: Path) -> None:
    """Raise a CarouselError if the file is missing, empty or too large, also when it is unpacked."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise CarouselError(f"{path}: cannot be read ({error}); check the path and the file") from error
    if size == 0:
        raise CarouselError(f"{path}: the file is empty; take it out")
    if size > MAX_BYTES:
        raise CarouselError(
            f"{path}: {size / 2**20:.0f} MB is too large for a score; the limit is {MAX_BYTES >> 20} MB"
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:  # older files are in Latin-1, which decodes any byte
        return path.read_text(encoding="latin-1")


def _tunes(path: Path) -> list[str]:
    """The tunes of an ABC file, each with the header lines that come before the first one."""
    text = _text(path)
    head, *tunes = re.split(r"^(?=X:)", text, flags=re.MULTILINE)
    if not tunes:
        return [text]
    shared = "".join(line for line in head.splitlines(keepends=True) if re.match(r"[A-Z]:", line))
    return [re.sub(r"^(X:.*\n)", lambda match: match[1] + shared, tune, count=1) for tune in tunes]


def _written(source: str | Path, form: str) -> Written:
    """The written music of a file, or of the text of a tune."""
    if isinstance(source, str):
        return from_abc.read(source)
    if form == "humdrum":
        return from_humdrum.read(_text(source))
    return from_musicxml.read(source)
