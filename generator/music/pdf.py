"""Draws the pages that Verovio engraves, in the part of SVG that it uses, into a PDF with ReportLab.

The pages carry a few kinds of shapes, glyphs that are used again and again, and text. Verovio brings its fonts as web
fonts, which fontTools unpacks.
"""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, NamedTuple

from fontTools.pens.basePen import BasePen
from fontTools.svgLib.path import parse_path
from fontTools.ttLib import TTFont
from reportlab.pdfbase import pdfmetrics, ttfonts
from reportlab.pdfgen.canvas import Canvas

SVG, HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
POINTS = 72 / 2540
"""In 0.01 mm, in which the pages count."""
STYLES = {"tempo": "B", "ending": "B", "reh": "B", "mNum": "I", "dir": "I", "dynam": "I", "label": ""}
"""The style of text by the class of its group, as in Verovio's style sheet."""
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
                _draw(canvas, child, next((STYLES[kind] for kind in kinds if kind in STYLES), style))
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


class Run(NamedTuple):
    """A piece of text in one font."""

    text: str
    font: str
    size: float

    @property
    def width(self) -> float:
        return float(pdfmetrics.stringWidth(self.text, self.font, self.size))


def _text(canvas: Any, element: ET.Element, style: str) -> None:
    """Draw a text; each of its parts with a place of its own is aligned there."""
    parts: list[tuple[dict[str, str], list[Run]]] = []
    for attributes, words in _runs(element, {}):
        if "x" in attributes or "y" in attributes or not parts:
            parts.append((attributes, []))
        if words:
            family = "Leipzig" if attributes.get("font-family") == "Leipzig" else "Liberation"
            font = _font(family, style if family == "Liberation" else "")
            parts[-1][1].append(Run(words, font, float(attributes.get("font-size", "0").removesuffix("px"))))
    for attributes, runs in parts:
        x, y = float(attributes.get("x", 0)), float(attributes.get("y", 0))
        x -= sum(run.width for run in runs) * {"middle": 0.5, "end": 1.0}.get(attributes.get("text-anchor", ""), 0.0)
        for run in runs:
            canvas.saveState()
            canvas.translate(x, y)
            canvas.scale(1, -1)
            canvas.setFont(run.font, run.size)
            canvas.drawString(0, 0, run.text)
            canvas.restoreState()
            x += run.width


def _runs(element: ET.Element, outer: dict[str, str]) -> Iterator[tuple[dict[str, str], str]]:
    """The attributes in force in an element and those in it, places only where they are stated, with the text there.
    Text between elements is the indentation of the file."""
    inner = {name: value for name, value in outer.items() if name not in ("x", "y")} | element.attrib
    yield inner, "" if len(element) else element.text or ""
    for child in element:
        yield from _runs(child, inner)


@cache
def _font(family: str, style: str) -> str:
    """The name of one of Verovio's fonts, which is ready for use: `Leipzig`, or `Liberation` in style B, I or none."""
    sheet = (files("verovio") / "data" / f"{family}.css").read_text(encoding="utf-8")
    for face in re.findall(r"@font-face *\{(.*?)\}", sheet, re.DOTALL):
        if ("weight: bold" in face, "style: italic" in face) == (style == "B", style == "I"):
            packed = re.search(r"base64,([^)]*)", face)
            assert packed
            font = TTFont(BytesIO(base64.b64decode(packed[1])))
            font.flavor = None
            plain = BytesIO()
            font.save(plain)
            plain.seek(0)
            name = f"{family}{style}"
            pdfmetrics.registerFont(ttfonts.TTFont(name, plain))
            return name
    raise ValueError(f"verovio has no {family} in style {style!r}")
