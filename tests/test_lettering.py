"""The text in pictures of scores: the same in every program, without a font of music."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import resvg_py
from PIL import Image

from generator.music import engraving, lettering
from generator.music.lettering import SVG
from generator.music.score import Tempo, TimeSignature
from generator.music.symbols import ChordSymbol
from tests.test_engraving import line, score

PRIVATE = re.compile("[\ue000-\uf8ff]")
"""Where fonts of music have their signs."""
PIECE = score(*line("67:4 " * 4), TimeSignature(0, 4, 4), programs=(73,), title="A title")


def ink(picture: ET.Element) -> npt.NDArray[np.bool_]:
    """Where a rasteriser that is no browser, and that is given no font, draws something; shape (height, width)."""
    data: Any = resvg_py.svg_to_bytes(svg_string=ET.tostring(picture, encoding="unicode"), skip_system_fonts=True)
    return np.asarray(Image.open(BytesIO(bytes(data))).convert("L")) < 128


def test_the_note_of_a_tempo_mark_stands_over_the_first_bar() -> None:
    picture = ET.fromstring(engraving.to_svg(replace(PIECE, tempos=(Tempo(0, 72),))))
    whole = ink(picture)
    [mark] = (group for group in picture.iter(f"{SVG}g") if group.get("class") == "tempo")
    mark[:] = []
    without = ink(picture)
    note = whole & ~without
    rows, columns = np.flatnonzero(note.any(axis=1)), np.flatnonzero(note.any(axis=0))
    assert 20 < np.ptp(rows) < 30 and 8 < np.ptp(columns) < 13, "a quarter note"
    first_line = int(without.mean(axis=1).argmax())
    staff = np.flatnonzero(without[first_line])
    assert rows[-1] < first_line and staff[0] < columns[0] < staff[0] + len(staff) / 8


def test_text_is_plain_and_signs_are_outlines() -> None:
    symbols = (ChordSymbol(0, 10, "minor-seventh", 8), ChordSymbol(24, 6, "half-diminished", 6))
    picture = engraving.to_svg(replace(PIECE, tempos=(Tempo(0, 72),), chords=symbols)).decode()
    root = ET.fromstring(picture)
    texts = {" ".join((text.text or "").split()) for text in root.iter(f"{SVG}text")}
    assert {"A title", "Voice 1", "= 72", "B", "m7/A", "F"} <= texts
    assert not PRIVATE.search(picture) and "@font-face" not in picture and "tspan" not in picture
    for group in (group for group in root.iter(f"{SVG}g") if group.get("class") == "harm"):
        places = [float(text.get("x", "")) for text in group.iter(f"{SVG}text")]
        assert all(20 < after - before < 1500 for before, after in pairwise(places))
        assert group.find(f"{SVG}path") is not None, "flats and sharps"


def text_of(body: str) -> list[lettering.Part]:
    return lettering.parts(ET.fromstring(f"<text {body}</text>"), "")


def test_runs_follow_one_another() -> None:
    [part] = text_of('x="100" y="7" font-size="0px"> <tspan><tspan font-size="10px">ab</tspan> </tspan>'
                     ' <tspan font-size="10px">c</tspan><tspan font-size="20px">d</tspan>')  # fmt: skip
    assert [run.text for run in part.runs] == ["abc", "d"] and (part.x, part.y) == (100, 7)
    (first, _), (second, _) = part.placed()
    assert first == 100 and second == pytest.approx(100 + part.runs[0].width)
    assert part.runs[1].width == pytest.approx(2 * lettering.Run("d", lettering.WORDS, "", 10).width)


def test_signs_follow_one_another() -> None:
    flat = lettering.Run("\ue260", lettering.MUSIC, "", 720)
    first, second = lettering._outlines(flat._replace(text=2 * flat.text), 100, 0)
    places = [float(re.findall(r"[\d.]+", path.get("transform", ""))[0]) for path in (first, second)]
    assert places == [100, round(100 + flat.width)]


def test_text_is_aligned_at_its_place() -> None:
    [part] = text_of('x="100" y="7" text-anchor="end" font-size="10px">abc')
    [(left, run)] = part.placed()
    assert left + run.width == pytest.approx(100)
    page = ET.fromstring(
        f'<svg xmlns="{SVG[1:-1]}"><text x="9" y="7" text-anchor="middle" font-size="10px"> a </text></svg>'
    )
    lettering.flatten(page)
    [text] = page
    assert text.attrib == {"x": "9", "y": "7", "text-anchor": "middle", "font-size": "10px"} and text.text == "a"
