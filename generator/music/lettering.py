"""The text in pictures that Verovio engraves: where each run of it stands, and signs of its music font as outlines.

Verovio nests text in elements without a place of their own, with signs of a music font among the words. Programs other
than browsers move such text or lack the font. Verovio brings its fonts as web fonts, which fontTools unpacks.
"""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, NamedTuple

from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.ttLib import TTFont

SVG = "{http://www.w3.org/2000/svg}"
MUSIC, WORDS = "Leipzig", "Liberation"
"""The families of Verovio's fonts."""
FAMILIES = "Liberation Serif, Times New Roman, Times, serif"
"""The font of words, and others whose letters are as wide."""
STYLES = {"tempo": "B", "ending": "B", "reh": "B", "mNum": "I", "dir": "I", "dynam": "I", "label": ""}
"""The style of text by the class of its group, as in Verovio's style sheet."""
ANCHORS = {"middle": 0.5, "end": 1.0}
"""The share of a text's width that is to the left of its place."""


class Run(NamedTuple):
    """A piece of text in one font, at most a line long. Places and sizes are in the units of the picture."""

    text: str
    family: str
    style: str
    """B, I or nothing."""
    size: float

    @property
    def width(self) -> float:
        loaded = font(self.family, self.style)
        names, widths = loaded.getBestCmap(), loaded["hmtx"]
        units = sum(widths[names.get(ord(sign), ".notdef")][0] for sign in self.text)
        return float(units * self.size / loaded["head"].unitsPerEm)


class Part(NamedTuple):
    """Runs one after another from a place that the text states."""

    x: float
    y: float
    anchor: str
    runs: list[Run]

    def placed(self) -> Iterator[tuple[float, Run]]:
        """Where each run begins."""
        x = self.x - sum(run.width for run in self.runs) * ANCHORS.get(self.anchor, 0.0)
        for run in self.runs:
            yield x, run
            x += run.width


def style_of(group: ET.Element, outer: str) -> str:
    """The style of the text in a group: B, I or nothing. `outer` is that around the group."""
    return next((STYLES[kind] for kind in group.get("class", "").split() if kind in STYLES), outer)


def parts(text: ET.Element, style: str) -> list[Part]:
    """What an element `text` shows. Runs in the same font are joined."""
    found: list[Part] = []
    for attributes, words in _runs(text, {}):
        if "x" in attributes or "y" in attributes or not found:
            x, y = (float(attributes.get(name, 0)) for name in ("x", "y"))
            found.append(Part(x, y, attributes.get("text-anchor", ""), []))
        if not words:
            continue
        size = float(attributes.get("font-size", "0").removesuffix("px"))
        music = attributes.get("font-family") == MUSIC
        run = Run(words, MUSIC, "", size) if music else Run(words, WORDS, style, size)
        runs = found[-1].runs
        if runs and runs[-1][1:] == run[1:]:
            runs[-1] = run._replace(text=runs[-1].text + words)
        else:
            runs.append(run)
    return found


def _runs(element: ET.Element, outer: dict[str, str]) -> Iterator[tuple[dict[str, str], str]]:
    """The attributes in force in an element and those in it, places only where they are stated, with the text there.
    Text between elements is the indentation of the file."""
    inner = {name: value for name, value in outer.items() if name not in ("x", "y")} | element.attrib
    yield inner, "" if len(element) else element.text or ""
    for child in element:
        yield from _runs(child, inner)


def flatten(element: ET.Element, style: str = "") -> None:
    """Put plain text and outlines into the place of all text in a picture, which then looks the same in every program
    and needs no music font."""
    for index, child in reversed(list(enumerate(element))):
        if child.tag == f"{SVG}text":
            element[index : index + 1] = [shape for part in parts(child, style) for shape in _shapes(part)]
        else:
            if "font-family" in child.attrib:
                child.set("font-family", FAMILIES)
            flatten(child, style_of(child, style))


def _shapes(part: Part) -> Iterator[ET.Element]:
    """The elements that show a part. One run alone keeps its anchor, so that it fits if another font stands in."""
    alone = len(part.runs) == 1
    for x, run in part.placed():
        if run.family == MUSIC:
            yield from _outlines(run, x, part.y)
        elif run.text.strip():
            indent = run._replace(text=run.text[: -len(run.text.lstrip())] if run.text[0].isspace() else "").width
            place = {"x": f"{part.x if alone else x + indent:.0f}", "y": f"{part.y:.0f}"}
            anchor = {"text-anchor": part.anchor} if alone and part.anchor else {}
            text = ET.Element(f"{SVG}text", {**place, **anchor, "font-size": f"{run.size:g}px"})
            text.text = run.text.strip()
            yield text


def _outlines(run: Run, x: float, y: float) -> Iterator[ET.Element]:
    """The signs of a run of the music font."""
    loaded = font(run.family, run.style)
    names, glyphs = loaded.getBestCmap(), loaded.getGlyphSet()
    scale = run.size / loaded["head"].unitsPerEm
    for sign in run.text:
        name = names.get(ord(sign), ".notdef")
        pen = SVGPathPen(glyphs, ntos=lambda number: f"{number:g}")
        glyphs[name].draw(pen)
        if pen.getCommands():
            place = f"translate({x:.0f},{y:.0f}) scale({scale:g},{-scale:g})"
            yield ET.Element(f"{SVG}path", {"transform": place, "d": pen.getCommands()})
        x += glyphs[name].width * scale


@cache
def font(family: str, style: str) -> Any:
    """One of Verovio's fonts, by a family of `MUSIC` and `WORDS` and a style: B, I or nothing."""
    sheet = (files("verovio") / "data" / f"{family}.css").read_text(encoding="utf-8")
    for face in re.findall(r"@font-face *\{(.*?)\}", sheet, re.DOTALL):
        if ("weight: bold" in face, "style: italic" in face) == (style == "B", style == "I"):
            packed = re.search(r"base64,([^)]*)", face)
            assert packed
            loaded = TTFont(BytesIO(base64.b64decode(packed[1])))
            loaded.flavor = None
            return loaded
    raise ValueError(f"verovio has no {family} in style {style!r}")
