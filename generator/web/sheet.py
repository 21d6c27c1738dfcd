"""Sheet music of a few bars of a live take. It is engraved in a process of its own, so that no listener waits."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st

from generator.foundation.errors import CarouselError
from generator.music import keys
from generator.music.excerpt import Excerpt, Picture, engrave
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
    positions in seconds, and the voices of its staves.

    Raises:
        CarouselError: there are no such bars, or too many notes in them.
    """
    excerpt, begin = live.excerpt(since, until)
    if len(excerpt.score.notes) > MOST_NOTES:
        raise CarouselError(f"more than {MOST_NOTES:,} notes in a few bars are no sheet music; look at the roll")
    narrowest, widest = WIDTHS
    picture = _engraved(transposed(excerpt, transpose), int(min(widest, max(narrowest, width))) // STEP * STEP)
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
    key = int(keys.transposed(np.array([excerpt.key]), semitones)[0])
    return replace(excerpt, score=replace(score, notes=tuple(notes)), key=key)


@lru_cache(maxsize=64)
def _engraved(excerpt: Excerpt, width: int) -> Picture:
    """What `engrave` returns, made in the other process; the same bars are not engraved twice."""
    try:
        return _engraver().submit(engrave, excerpt, width).result()
    except BrokenProcessPool:
        _engraver.clear()
        raise CarouselError("the sheet could not be drawn; it is tried again") from None


@st.cache_resource(show_spinner=False)
def _engraver() -> Executor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_step_back)


def _step_back() -> None:
    """Leave the processor to those who listen, and Ctrl-C to the server."""
    os.nice(10)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
