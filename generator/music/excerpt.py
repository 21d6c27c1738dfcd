"""Some bars of a piece as a picture, and when each note in it sounds."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from zlib import crc32

import verovio

from generator.foundation.errors import CarouselError
from generator.music.engraving import Whole, to_musicxml
from generator.music.layout import lay_out
from generator.music.score import Score

SCALES = ((700, 50), (0, 34))
"""The scale in percent for pages from a width in pixels on; at 50 a staff is 36 pixels high."""
OPTIONS: dict[str, Any] = {
    "pageHeight": 60000,
    "adjustPageHeight": True,
    "pageMarginTop": 40,
    "pageMarginBottom": 40,
    "pageMarginLeft": 40,
    "pageMarginRight": 20,
    "breaks": "auto",
    "minLastJustification": 0.55,
    "header": "none",
    "footer": "none",
    "svgViewBox": True,
    "svgRemoveXlink": True,
}


@dataclass(frozen=True)
class Excerpt:
    """The bars to be shown, with notes in them, from tick `start` to `end` of a score of one piece. The score has a bar
    more on either side where there is one, for ties that go over the edges."""

    score: Score
    start: int
    end: int
    whole: Whole


@dataclass(frozen=True)
class Picture:
    """An SVG picture, with the notes in it as (id, start, end), in seconds from the start of the score, and the voice
    of each staff from the top down."""

    svg: str
    notes: list[tuple[str, float, float]]
    voices: list[int]


def engrave(excerpt: Excerpt, width: int) -> Picture:
    """Engrave an excerpt, for a page that is `width` pixels wide. The same excerpt always gives the same picture, and
    pictures of different ones share no ids.

    Raises:
        CarouselError: Verovio cannot draw it.
    """
    score = excerpt.score
    quarter = score.ticks_per_quarter
    layout = lay_out(score)
    first = int(layout.bars[0].start * quarter)
    shown = [
        number for number, bar in enumerate(layout.bars, start=1) if excerpt.start <= bar.origin * quarter < excerpt.end
    ]
    data = _for_the_page(to_musicxml(score, whole=excerpt.whole), opening=excerpt.start == 0)
    scale = next(scale for narrowest, scale in SCALES if width >= narrowest)
    toolkit = verovio.toolkit(False)
    toolkit.setResourcePath(str(files("verovio") / "data"))
    page = {"pageWidth": width * 100 // scale, "scale": scale, "xmlIdSeed": crc32(data) & 0x7FFFFFFF}
    toolkit.setOptions({**OPTIONS, **page})
    if not toolkit.loadData(data.decode()):
        raise CarouselError("verovio cannot draw these bars")
    times: Any = toolkit.renderToTimemap()
    toolkit.select({"measureRange": f"{shown[0]}-{shown[-1]}"})
    toolkit.redoLayout()
    svg = toolkit.renderToSVG(1).replace(' color="black"', ' color="currentColor"')
    clock, begun = score.clock(), dict[str, float]()
    notes: list[tuple[str, float, float]] = []
    for entry in times:
        seconds = clock.seconds(first + round(entry["qstamp"] * quarter))
        for name in entry.get("off", ()):
            if name in begun:
                notes.append((name, begun.pop(name), seconds))
        begun |= dict.fromkeys(entry.get("on", ()), seconds)
    drawn = [note for note in notes if f'id="{note[0]}"' in svg]
    return Picture(svg, drawn, [staff.voice for staff in layout.staves])


def _for_the_page(data: bytes, *, opening: bool) -> bytes:
    """MusicXML without tempo marks, whose notes need a font, and after the opening of a piece without the names of
    parts and the metre of the first bar."""
    root = ET.fromstring(data)
    for measure in root.iter("measure"):
        for mark in measure.findall("direction"):
            measure.remove(mark)
    if not opening:
        for name in root.iter("part-name"):
            name.set("print-object", "no")
        for attributes in root.iterfind("part/measure[1]/attributes"):
            for metre in attributes.findall("time"):
                attributes.remove(metre)
    return ET.tostring(root)
