"""Reads how a piece was made from its file: from a text event in MIDI, or a miscellaneous field in MusicXML."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from generator.foundation.errors import CarouselError

NAME = "carousel"
FIELD = "miscellaneous-field"
MAX_BYTES = 64 * 2**20
"""Larger files are refused."""
SUFFIXES = (".mid", ".midi", ".musicxml", ".xml")


def read(path: Path) -> str:
    """The `Score.origin` in a MIDI or MusicXML file; empty if there is none.

    Raises:
        CarouselError: the file is of another kind, cannot be read, or is damaged.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise CarouselError(f"{path}: only {' '.join(SUFFIXES)} files contain their origin; choose one of these")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CarouselError(f"{path}: larger than {MAX_BYTES >> 20} MB; this is not a piece of music")
        data = path.read_bytes()
        return _in_midi(data) if path.suffix.lower() in (".mid", ".midi") else _in_musicxml(data)
    except OSError as error:
        raise CarouselError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ET.ParseError, RecursionError, ValueError) as error:
        raise CarouselError(f"{path}: the file or its origin is damaged; use an undamaged copy") from error


def _in_midi(data: bytes) -> str:
    """The origin, found by how it begins, as another program may have moved it within the file."""
    _, mark, rest = data.partition(f"{NAME} {{".encode())
    if not mark:
        return ""
    text = "{" + rest.decode("latin-1")
    return text[: json.JSONDecoder().raw_decode(text)[1]]


def _in_musicxml(data: bytes) -> str:
    fields = ET.fromstring(data).iter(FIELD)
    return next((field.text or "" for field in fields if field.get("name") == NAME), "")
