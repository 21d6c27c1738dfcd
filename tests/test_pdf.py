"""The PDF to print, as another program sees it: every note is on paper, and text can be read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from generator.music import engraving
from generator.music.score import Tempo, TimeSignature
from generator.sinks import write
from tests.conftest import four_voices
from tests.test_engraving import SVG, line, score

PIXELS = 2.0
"""In a point."""
FILLED = "E0A4"
"""The code of a filled notehead in SMuFL."""
HREF = "{http://www.w3.org/1999/xlink}href"


def noteheads(page: str) -> list[tuple[float, float, bool]]:
    """Where the noteheads are on a page of Verovio's, their left ends in points from the upper left corner, and whether
    they are filled."""
    root = ET.fromstring(page)
    margin = next(group for group in root.iter(f"{SVG}g") if group.get("class") == "page-margin")
    left, top = map(float, re.findall(r"[\d.-]+", margin.get("transform", "")))
    heads = [group for group in root.iter(f"{SVG}g") if group.get("class") == "notehead"]
    uses = [use for head in heads for use in head.iter(f"{SVG}use")]
    places = [(*re.findall(r"[\d.-]+", use.get("transform", ""))[:2], FILLED in use.get(HREF, "")) for use in uses]
    return [((float(x) + left) * 72 / 2540, (float(y) + top) * 72 / 2540, filled) for x, y, filled in places]


def test_every_note_is_on_paper(tmp_path: Path) -> None:
    piece = replace(four_voices(24), title="Dvořák & sons", tempos=(Tempo(0, 72),))
    path = tmp_path / "a.pdf"
    shares: list[float] = []
    write(piece, path, progress=lambda name, done, total, unit: shares.append(done / total))
    assert shares == sorted(shares) and shares[-1] == 1
    pages = list(engraving._pages(piece, engraving.VEROVIO | engraving.PRINTED, engraving.quiet))
    document: Any = pypdfium2.PdfDocument(path)
    assert len(document) == len(pages) > 1
    found = 0
    for number, (svg, page) in enumerate(zip(pages, document, strict=True), start=1):
        assert page.get_size() == pytest.approx((595.28, 841.89), abs=0.1), "A4"
        ink = page.render(scale=PIXELS).to_numpy()[:, :, 0] < 128
        for x, y, filled in noteheads(svg):
            found += 1
            head = ink[
                round((y - 1) * PIXELS) : round((y + 1) * PIXELS), round((x + 1) * PIXELS) : round((x + 5) * PIXELS)
            ]
            assert head.mean() > (0.7 if filled else 0.22), (number, x, y)
        text = page.get_textpage().get_text_range()
        assert (number == 1) == ("Dvořák & sons" in text and "Soprano" in text and "= 72" in text)
        assert (number > 1) == (f"– {number} –" in text)
    assert found == len(piece.notes)
    document.close()
    assert path.read_bytes() == engraving.to_pdf(piece), "the same score gives the same bytes"


def test_tuplets_and_ties_are_drawn(tmp_path: Path) -> None:
    """Brackets are lines without filling, ties are filled curves."""
    piece = score(*line("60:1/3 62:1/3 64:1/3 65:5 67:2"), TimeSignature(0, 4, 4), programs=(73,))
    (tmp_path / "a.pdf").write_bytes(engraving.to_pdf(piece))
    document: Any = pypdfium2.PdfDocument(tmp_path / "a.pdf")
    kinds = [thing.type for thing in document[0].get_objects()]
    assert len(kinds) > 20
    document.close()
