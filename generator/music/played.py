"""Played music put into bars: its times, which are seconds, are counted along beats that somebody has marked.

Between two beats time runs evenly, so the notes keep their places between the beats, and each bar gets the tempo in
which it was played.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.music.notes import Events, Ints, Notes, in_columns, ranks, sorted_by
from generator.music.score import Pedal, Score, Tempo, TimeSignature

TICKS_PER_QUARTER = 480
SHORTEST, LONGEST = 0.1, 5.0
"""In seconds, from one beat to the next."""
MOST_SECONDS = 600.0
"""The longest time before the first marked beat or after the last one in which beats are supposed to go on."""
EARLY = 1 / 24
"""In beats: a note that begins less than this before a bar line belongs to the bar."""
Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Beats:
    """The beats of a piece, at least two, and which of them begin a bar, at least two; both of shape (beats,)."""

    seconds: Seconds
    downbeats: npt.NDArray[np.bool_]
    denominator: int
    """The note value of a beat: 4 for quarters, 8 for eighths."""

    def __post_init__(self) -> None:
        gaps = np.diff(self.seconds)
        if self.downbeats.sum() < 2 or not ((gaps >= SHORTEST) & (gaps <= LONGEST)).all():
            raise CarouselError(
                f"fewer than two downbeats, or beats that are not from {SHORTEST} to {LONGEST:g} seconds apart"
            )


def in_bars(score: Score, beats: Beats) -> Score:
    """The score with ticks that follow the beats. Its metres and tempos are those of the bars between the downbeats.

    Before the first beat and behind the last one beats go on as there. A bar that is longer than most by two beats or
    more is cut after as many as these have. Bars of silence at the beginning are left out.

    Raises:
        CarouselError: the notes go on for minutes where no beats are.
    """
    start, duration, pitch, velocity, voice = score.columns
    starts, ends = _seconds(score, np.array((start, start + duration)))
    marked, at = beats.seconds, np.flatnonzero(beats.downbeats)
    usual = Counter(np.diff(at).tolist()).most_common(1)[0][0]
    before, behind = marked[0] - starts.min(), ends.max() - marked[-1]
    if max(before, behind) > MOST_SECONDS:
        raise CarouselError("the notes go on for minutes where no beats are marked")
    first, last = marked[1] - marked[0], marked[-1] - marked[-2]
    missing = max(0, int(np.ceil(before / first - EARLY)))
    missing += -(missing + int(at[0])) % usual
    after = max(0, int(np.ceil(behind / last))) + 2 * usual
    earlier, later = marked[0] - first * np.arange(missing, 0, -1), marked[-1] + last * np.arange(1, after + 1)
    times = np.concatenate((earlier, marked, later))
    every = np.arange(len(times))
    at = at + missing
    lines = _bar_lines([*range(0, at[0], usual), *at.tolist(), *range(at[-1] + usual, len(times), usual)], usual)
    places = np.interp(starts, times, every)
    first_place, last_place = places.min(), places.max()
    opening = max(index for index, line in enumerate(lines) if index == 0 or line - EARLY <= first_place)
    origin = lines[opening]
    ticks = TICKS_PER_QUARTER * 4 // beats.denominator

    def moved(seconds: Seconds) -> Ints:
        found = (np.interp(seconds, times, every) - origin) * ticks
        return np.maximum(np.rint(found), 0).astype(np.int64)

    edges = np.array(lines[opening:])
    lengths, at = np.diff(edges), (edges[:-1] - origin) * ticks
    tempo = np.rint(240.0 / beats.denominator * lengths / np.diff(times[edges]))
    played = edges[:-1] <= last_place
    metres = [
        TimeSignature(start, length, beats.denominator)
        for start, length in zip(*_changes(at[played], lengths[played]), strict=True)
    ]
    tempos = [Tempo(start, value) for start, value in zip(*_changes(at[played], tempo[played]), strict=True)]
    start = moved(starts)
    columns = np.array((start, np.maximum(moved(ends) - start, 1), pitch, velocity, voice))
    at, down, feet = in_columns(Pedal, score.pedals).columns
    return replace(
        score,
        ticks_per_quarter=TICKS_PER_QUARTER,
        notes=Notes(sorted_by(columns, ranks(columns))),
        time_signatures=tuple(metres),
        tempos=tuple(tempos),
        pedals=Events(Pedal, (moved(_seconds(score, at)), down, feet)),
    )


def _seconds(score: Score, ticks: npt.NDArray[np.int64]) -> Seconds:
    """The times of ticks, of any shape."""
    clock = score.clock()
    knots = sorted({0, *(tempo.start_ticks for tempo in score.tempos), int(ticks.max(initial=1))})
    return np.interp(ticks, knots, [clock.seconds(knot) for knot in knots])


def _changes(at: Ints, values: npt.NDArray[Any]) -> tuple[list[int], list[Any]]:
    """Where positive values are not those before them, and what they are there."""
    changed = np.diff(values, prepend=0) != 0
    return at[changed].tolist(), values[changed].tolist()


def _bar_lines(downbeats: list[int], usual: int) -> list[int]:
    """The beats at which bars begin: at downbeats, and in long bars after every `usual` beats."""
    lines = downbeats[:1]
    for line in downbeats[1:]:
        while line - lines[-1] >= usual + 2:
            lines.append(lines[-1] + usual)
        if line > lines[-1]:
            lines.append(line)
    return lines
