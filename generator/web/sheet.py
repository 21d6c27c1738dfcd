"""Sheet music of a few bars of a live take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from generator.foundation.errors import CarouselError
from generator.music import keys
from generator.music.engraving import Whole
from generator.music.excerpt import Excerpt
from generator.web.bars import NoBars
from generator.web.engraver import Engraver
from generator.web.live_music import LiveMusic

MOST_NOTES = 1000
"""The most notes of one request."""
MOST_SEMITONES = 24
"""The furthest transposition."""
WIDTHS = 200, 2000
"""The narrowest and the widest sheet, in pixels."""
STEP = 20
"""Widths are rounded down to this many pixels, so that few pictures are made twice."""


def sheet(live: LiveMusic, since: float, until: float, width: float, transpose: int) -> dict[str, Any]:
    """The bars from one position to another as a JSON object: an SVG picture, its notes as [id, start, end] with
    positions in seconds, and the voices of its staves. The picture is empty if there is nothing to draw.

    Raises:
        CarouselError: this music has no bars, or there are too many notes in them.
    """
    try:
        excerpt, begin = live.excerpt(since, until)
    except NoBars:
        return {"svg": "", "notes": [], "voices": []}
    if len(excerpt.score.notes) > MOST_NOTES:
        raise CarouselError(f"more than {MOST_NOTES:,} notes in a few bars are no sheet music; look at the roll")
    narrowest, widest = WIDTHS
    page = int(min(widest, max(narrowest, width))) // STEP * STEP
    picture = _engraver().engraved(transposed(excerpt, transpose), page)
    notes = [(name, round(begin + start, 4), round(begin + end, 4)) for name, start, end in picture.notes]
    return {"svg": picture.svg, "notes": notes, "voices": picture.voices}


def transposed(excerpt: Excerpt, semitones: int) -> Excerpt:
    """The excerpt so many semitones higher; drums stay, and so do notes that would leave MIDI's range."""
    score = excerpt.score
    notes = (
        note
        if score.voices[note.voice].drum or not 0 <= note.pitch + semitones <= 127
        else replace(note, pitch=note.pitch + semitones)
        for note in score.notes
    )
    key = int(keys.transposed(np.array([excerpt.whole.key]), semitones)[0])
    whole = Whole(key, tuple(centre + semitones for centre in excerpt.whole.centres))
    return replace(excerpt, score=replace(score, notes=tuple(notes)), whole=whole)


@st.cache_resource(show_spinner=False)
def _engraver() -> Engraver:
    """The one of this server."""
    return Engraver()
