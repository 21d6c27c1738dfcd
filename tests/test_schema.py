"""MusicXML as its standard, version 4.0, wants it: what is written obeys the schema, which a package brings."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import xmlschema

from generator.music import engraving
from generator.music.chords import KINDS
from generator.music.score import Note, PieceEnd, Score, Tempo, TimeSignature, Voice
from generator.music.symbols import ChordSymbol
from tests.conftest import four_voices
from tests.test_engraving import line, score

TUPLETS = score(
    *line("60:1/3 62:1/3 64:1/3 66:5 67:2 61:2/3 60:2/3 58:2/3 70:1/5 70:2/5 71:2/5 0:1/2 72:13/2"),
    *(TimeSignature(0, 4, 4), TimeSignature(144, 6, 8)), PieceEnd(144), Tempo(0, 90.4), Tempo(30, 60),
    quarter=60, programs=(73,),
)  # fmt: skip
PIANO = score(
    *(Note(start * 6, length, 36 + (start * 11) % 50, 80) for start in range(40) for length in (6, 30)), programs=(0,)
)
DRUMS = Score(12, (Voice("Drums", drum=True),), tuple(Note(at * 6, 6, key) for at in range(16) for key in (36, 42)))
CHORDS = replace(
    score(*line("67:1 " * 4 * len(KINDS)), programs=(73,)),
    chords=tuple(
        ChordSymbol(12 * at, (7 * at) % 12, kind, (7 * at + steps[at % len(steps)]) % 12)
        for at, (kind, steps) in zip(count(), [*KINDS.items()] * 4, strict=False)
    ),
)
PIECES = {"voices": four_voices(4), "tuplets": TUPLETS, "piano": PIANO, "drums": DRUMS, "chords": CHORDS}


@pytest.fixture(scope="module")
def schema() -> Any:
    spec = find_spec("musicxml")  # whose code is not imported: it has faults that Python warns of
    assert spec and spec.origin
    schema = Path(spec.origin).parent / "generate_classes" / "musicxml_4_0.xsd"
    return xmlschema.XMLSchema(str(schema), allow="local")


@pytest.mark.parametrize("name", PIECES)
def test_what_is_written_is_valid(name: str, schema: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.musicxml"
    path.write_bytes(engraving.to_musicxml(PIECES[name]))
    assert [f"{error.path}: {error.reason}" for error in schema.iter_errors(str(path))] == []


def test_the_schema_finds_faults(schema: Any, tmp_path: Path) -> None:
    whole = engraving.to_musicxml(TUPLETS).decode()
    for right, wrong in (
        ("<step>C", "<step>H"),
        ("<duration>", "<voice>9</voice><duration>"),
        ("<key>", "<clef/><key>"),
    ):
        path = tmp_path / "a.musicxml"
        path.write_text(whole.replace(right, wrong, 1))
        assert right in whole and not schema.is_valid(str(path)), wrong
