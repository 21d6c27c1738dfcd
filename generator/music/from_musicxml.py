"""Reads MusicXML files as written music through music21, and checks that it finds every note.

Cue notes, which remind a player of what others play, become rests; music21 takes them for notes.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from generator.music import from_music21
from generator.music.written import Written


def read(path: Path) -> Written:
    """The written music of a file, packed (`.mxl`) or not.

    Raises:
        Exception: of many kinds, where the file is damaged.
        ValueError: music21 finds other notes than are in the file.
    """
    from music21.musicxml.xmlToM21 import MusicXMLImporter  # slow to import

    root = _root(path)
    if root.tag != "score-partwise":
        raise ValueError(f"its root is {root.tag[:30]}, not score-partwise")
    cues, notes = _without_cues(root)
    importer: Any = MusicXMLImporter()  # type: ignore[no-untyped-call]
    importer.xmlRootToScore(root, importer.stream)
    if importer.stream.metadata.movementName is None:
        importer.stream.metadata.movementName = path.stem
    written = from_music21.written(importer.stream)
    written.left_out["cue note", "left out"] = cues
    found = sum(len(sounds) for _, sounds in written.parts) + written.left_out["note without a length", "left out"]
    if found != notes:
        raise ValueError(f"music21 finds {found} of its {notes} notes")
    return written


def _root(path: Path) -> Any:
    """The root element of a file, or of the score in a packed file, which `META-INF/container.xml` names."""
    if not zipfile.is_zipfile(path):
        return ElementTree.parse(path).getroot()
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.startswith("META-INF/")]
        if "META-INF/container.xml" in archive.namelist():
            container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
            named = [element.get("full-path") for element in container.iter() if element.tag.endswith("rootfile")]
        else:
            named = [name for name in names if name.lower().endswith((".xml", ".musicxml"))]
        name = next((name for name in named if name in names), None)
        if name is None:
            raise ValueError("it holds no score")
        return ElementTree.fromstring(archive.read(name))


def _without_cues(root: Any) -> tuple[int, int]:
    """Make rests of cue notes. Returns how many there were, and how many notes with a pitch and a length are left."""
    cues = notes = 0
    for measure in root.iter("measure"):
        for note in list(measure.iter("note")):
            pitch = note.find("pitch")
            if note.find("cue") is not None and note.find("grace") is None:
                cues += pitch is not None
                if note.find("chord") is not None:
                    measure.remove(note)
                elif pitch is not None:
                    kept = [child for child in note if child.tag in ("duration", "voice", "type", "dot", "staff")]
                    note[:] = [ElementTree.Element("rest"), *kept]
            elif pitch is not None and note.find("grace") is None:
                notes += 1
    return cues, notes
