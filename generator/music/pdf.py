"""Draws the pages that Verovio engraves, in the part of SVG that it uses, into a PDF with ReportLab.

The pages carry a few kinds of shapes, glyphs that are used again and again, and text, of which `lettering` knows more.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from typing import Any

from fontTools.pens.basePen import BasePen
from fontTools.svgLib.path import parse_path
from reportlab.pdfbase import pdfmetrics, ttfonts
from reportlab.pdfgen.canvas import Canvas

from generator.music import lettering
from generator.music.lettering import SVG

HREF = "{http://www.w3.org/1999/xlink}href"
POINTS = 72 / 2540
"""In 0.01 mm, in which the pages count."""
HIDDEN = "placeholder"
"""The class of what is not shown."""


def to_pdf(pages: Iterable[str], title: str = "") -> bytes:
    """A PDF of pages of A4, as Verovio's SVG with `viewBox` in 0.01 mm. The same pages give the same bytes."""
    data = BytesIO()
    canvas = Canvas(data, invariant=True, pageCompression=True)
    canvas.setTitle(title or "Carousel")
    canvas.setCreator("Carousel")
    for page in pages:
        root = ET.fromstring(page)
        [inner] = root.findall(f"{SVG}svg")
        width, height = (float(size) * POINTS for size in inner.get("viewBox", "").split()[2:])
        canvas.setPageSize((width, height))
        for glyph in root.findall(f"{SVG}defs/{SVG}g"):
            if not canvas.hasForm(_name(glyph.get("id", ""))):
                _form(canvas, glyph)
        canvas.translate(0, height)
        canvas.scale(POINTS, -POINTS)
        _draw(canvas, inner, "")
        canvas.showPage()
    canvas.save()
    return data.getvalue()


def _name(identifier: str) -> str:
    """The name of a glyph on all pages: its code. Behind it Verovio writes a code of the page."""
    return identifier.lstrip("#").partition("-")[0]


def _form(canvas: Any, glyph: ET.Element) -> None:
    """Define a glyph, which may then be drawn again and again."""
    canvas.beginForm(_name(glyph.get("id", "")), -5000, -5000, 5000, 5000)
    canvas.scale(1, -1)
    for outline in glyph.iter(f"{SVG}path"):
        canvas.drawPath(_path(canvas, outline.get("d", "")), stroke=0, fill=1)
    canvas.endForm()


def _draw(canvas: Any, element: ET.Element, style: str) -> None:
    """Draw what an element contains; `style` is that of its text: B, I or nothing."""
    for child in element:
        kinds = child.get("class", "").split()
        if HIDDEN in kinds:
            continue
        tag = child.tag.removeprefix(SVG)
        if tag == "text":
            _text(canvas, child, style)
        elif tag == "g" or tag == "use":
            canvas.saveState()
            for what, numbers in re.findall(r"(translate|scale)\(([^)]*)\)", child.get("transform", "")):
                getattr(canvas, what)(*map(float, numbers.split(",")))
            if tag == "use":
                canvas.doForm(_name(child.get(HREF, "")))
            else:
                _draw(canvas, child, lettering.style_of(child, style))
            canvas.restoreState()
        elif tag in SHAPES:
            canvas.setLineWidth(float(child.get("stroke-width", 1)))
            round_ends = child.get("stroke-linecap") == "round"
            canvas.setLineCap(int(round_ends))
            canvas.setLineJoin(int(round_ends))
            canvas.drawPath(SHAPES[tag](canvas, child), stroke=1, fill=int(child.get("fill") != "none"))


class _Pen(BasePen):  # type: ignore[misc]
    """Draws outlines into a path of ReportLab's."""

    def __init__(self, path: Any) -> None:
        super().__init__()
        self._moveTo = lambda point: path.moveTo(*point)
        self._lineTo = lambda point: path.lineTo(*point)
        self._curveToOne = lambda one, two, point: path.curveTo(*one, *two, *point)
        self._closePath = path.close


def _path(canvas: Any, outline: str) -> Any:
    path = canvas.beginPath()
    parse_path(outline, _Pen(path))
    return path


def _points(canvas: Any, element: ET.Element) -> Any:
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", element.get("points", ""))]
    path = canvas.beginPath()
    path.moveTo(*numbers[:2])
    for index in range(2, len(numbers), 2):
        path.lineTo(*numbers[index : index + 2])
    if element.tag == f"{SVG}polygon":
        path.close()
    return path


def _rectangle(canvas: Any, element: ET.Element) -> Any:
    path = canvas.beginPath()
    path.rect(*(float(element.get(name, 0)) for name in ("x", "y", "width", "height")))
    return path


def _ellipse(canvas: Any, element: ET.Element) -> Any:
    x, y, across, down = (float(element.get(name, 0)) for name in ("cx", "cy", "rx", "ry"))
    path = canvas.beginPath()
    path.ellipse(x - across, y - down, 2 * across, 2 * down)
    return path


SHAPES: dict[str, Any] = {
    "path": lambda canvas, element: _path(canvas, element.get("d", "")),
    "polygon": _points,
    "polyline": _points,
    "rect": _rectangle,
    "ellipse": _ellipse,
}


def _text(canvas: Any, element: ET.Element, style: str) -> None:
    """Draw a text."""
    for part in lettering.parts(element, style):
        for x, run in part.placed():
            canvas.saveState()
            canvas.translate(x, part.y)
            canvas.scale(1, -1)
            canvas.setFont(_font(run.family, run.style), run.size)
            canvas.drawString(0, 0, run.text)
            canvas.restoreState()


@cache
def _font(family: str, style: str) -> str:
    """The name by which ReportLab knows one of Verovio's fonts."""
    plain = BytesIO()
    lettering.font(family, style).save(plain)
    plain.seek(0)
    name = f"{family}{style}"
    pdfmetrics.registerFont(ttfonts.TTFont(name, plain))
    return name
