"""The loop detector: whether a stream is stuck in a loop or in silence. It reads onsets and pitches, or characters.

Notes that start within 40 ms of the first of them form one moment. Two moments are equal if they have the same
intervals to the highest note of the moment before, and the same time since it, to within 40 ms. So a cycle that is
transposed still counts as repeated.

A loop is a cycle of at most 256 moments that is played at least 6 times in a row, for at least 30 s. A few wrong notes
do not end it. Each cycle has a trust: a moment that equals the one a cycle earlier adds 1 to it, up to 16; any other
moment subtracts 4; and the cycle lasts while its trust is above 0.

Silence is fewer than 8 notes in 30 s. In text each character is a moment, and a loop is a cycle of at most 256
characters that occurs at least 6 times in a row, for at least 300 characters.

These limits were chosen so that the Bach chorales, the folk tunes and the ASAP performances contain no loops. What is
played 6 times in a row there lasts 13 s at most, and what lasts 30 s is played 4 times at most. Only one piece contains
silence: BWV 248.64-6, in which the voices rest for 42 s while the orchestra plays, which is not in the corpus.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np

from generator.music.score import Score
from generator.tokenizers import loop_cycles as cycles
from generator.tokenizers.base import LARGEST_COUNT, Rows, whole
from generator.tokenizers.loop_cycles import LONGEST_CYCLE, MOST_TRUST

SAME_TIME_MS = 40
"""Notes that start within this time form one moment, and times that differ by no more are equal."""
SILENCE_MS = 30_000
SILENCE_NOTES = 8
"""Fewer notes than this in `SILENCE_MS` are silence."""
PAUSE_MS = 3_000
"""A silence has a gap of at least this length. In fact one gap is 3.75 s or more, as `SILENCE_NOTES` gaps fill 30 s."""


class LoopDetector:
    """The loop detector of one stream of notes or of characters.

    Its state consists of integers. The time to add a note is constant; a character takes longer when a loop is near.
    """

    def __init__(self, now_ms: int = 0) -> None:
        """Start at `now_ms`, as if notes had just been played then."""
        self._recent = deque([now_ms] * SILENCE_NOTES, maxlen=SILENCE_NOTES)
        self._moment: set[int] = set()
        self._moment_ms = self._last_highest = 0
        self._memory: Rows = np.zeros((5, LONGEST_CYCLE + 1), np.int64)
        self._memory[cycles.SHAPES] = -1
        self._nearness = -1.0  # -1: not computed since the last moment

    def add_note(self, start_ms: int, pitch: int) -> None:
        """Add a note by its start, in ms from the start of the stream. Notes must come in order of their starts."""
        self._recent.append(start_ms)
        if self._moment and start_ms - self._moment_ms > SAME_TIME_MS:
            self._complete_moment()
        if not self._moment:
            self._moment_ms = start_ms
        self._moment.add(pitch)

    def _complete_moment(self) -> None:
        """Compare the current moment with those before, and begin the next one."""
        highest = max(self._moment)
        shape = crc32(bytes([128 + highest - self._last_highest, *sorted(highest - pitch for pitch in self._moment)]))
        cycles.add_moment(self._memory, self._moment_ms, shape, SAME_TIME_MS)
        self._last_highest, self._nearness = highest, -1.0
        self._moment.clear()

    def add_characters(
        self, characters: Sequence[int], position: int, every: int = 1, after: int = 0, until: float = math.inf
    ) -> int:
        """Add characters, given as integers, the first of which is at `position`.

        Returns:
            How many were added: all, or those up to the first position that is a multiple of `every`, is greater than
            `after`, and has a nearness of at least `until`.
        """
        self._nearness = -1.0
        return int(cycles.add_characters(self._memory, np.array(characters, np.int64), position, every, after, until))

    @property
    def loop_since_ms(self) -> int | None:
        """The start of the loop that the stream is in, in ms; None without a loop."""
        start = cycles.loop_start(self._memory)
        return None if start < 0 else int(start)

    def silence_since_ms(self, now_ms: int) -> int | None:
        """The start in ms of the silence that the stream is in at `now_ms`, if no note follows until then; else
        None."""
        return self._recent[0] if now_ms - self._recent[0] >= SILENCE_MS else None

    @property
    def latest_ms(self) -> int:
        """The start of the latest note, in ms."""
        return max(self._recent[-1], self._moment_ms, int(self._memory[cycles.STARTS].max()))

    def nearness(self, now_ms: int | None = None) -> float:
        """How near the stream is to a loop or a silence; from 1 on it is in one.

        For a loop this is the smaller of two fractions: of the repetitions and of the length that make a loop. For a
        silence it is the time since the start of the eighth note from the end, as a fraction of 30 s. It only counts if
        there is a gap of 3 s or more between two of these notes or after the last, so slow music is not silence.

        Args:
            now_ms: the current time; None for text.
        """
        if self._nearness < 0:
            shortest = cycles.SHORTEST_LOOP_CHARACTERS if now_ms is None else cycles.SHORTEST_LOOP_MS
            self._nearness = float(cycles.nearness(self._memory, shortest))
        if now_ms is None:
            return self._nearness
        elapsed = now_ms - self._recent[0]
        if elapsed < PAUSE_MS or all(end - start < PAUSE_MS for start, end in pairwise((*self._recent, now_ms))):
            return self._nearness
        return max(self._nearness, elapsed / SILENCE_MS)

    def copy(self) -> LoopDetector:
        """An independent copy."""
        other = copy(self)
        other._recent, other._moment, other._memory = self._recent.copy(), {*self._moment}, self._memory.copy()
        return other

    def state(self) -> dict[str, Any]:
        """The whole state, as a JSON value."""
        starts, shapes, *of_cycles = self._memory
        known, trusted = np.flatnonzero(shapes >= 0), np.flatnonzero(of_cycles[0])
        return {
            "recent": list(self._recent),
            "moment": [self._moment_ms, *sorted(self._moment)],
            "before": self._last_highest,
            "moments": np.stack((starts[known], shapes[known]), 1).tolist(),
            "cycles": np.stack((trusted + 1, *(row[trusted] for row in of_cycles)), 1).tolist(),
        }

    @staticmethod
    def from_state(state: dict[str, Any]) -> LoopDetector:
        """The detector with this state, which may come from outside.

        Raises:
            ValueError, LookupError, TypeError: the state is not valid.
        """
        detector = LoopDetector()
        detector._recent.extend(whole(start, 0, LARGEST_COUNT) for start in state["recent"])
        detector._moment_ms, *moment = (whole(value, 0, LARGEST_COUNT) for value in state["moment"])
        detector._moment = {whole(pitch, 0, 127) for pitch in moment}
        detector._last_highest = whole(state["before"], 0, 127)
        starts, shapes, *of_cycles = detector._memory
        for place, (start, shape) in enumerate(state["moments"]):
            starts[place], shapes[place] = whole(start, 0, LARGEST_COUNT), whole(shape, 0, 2**32 - 1)
        for length, *cycle in state["cycles"]:
            place = whole(length, 1, LONGEST_CYCLE) - 1
            for row, value in zip(of_cycles, cycle, strict=True):
                row[place] = whole(value, 0, LARGEST_COUNT)
            whole(int(of_cycles[0][place]), 1, MOST_TRUST)
        return detector


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which a stream was in a loop or in silence; `kind` is `loop` or `silence`."""

    kind: str
    start_ms: int
    end_ms: int


def stretches(score: Score, end_ms: int = 0) -> list[Stretch]:
    """All loops and then all silences of a piece, which is taken to last until `end_ms` at least."""
    seconds = score.clock().seconds
    detector = LoopDetector()
    found: dict[str, list[Stretch]] = {"loop": [], "silence": []}

    def mark(kind: str, since: int | None, now: int) -> None:
        if since is None:
            return
        if found[kind] and found[kind][-1].end_ms >= since:
            since = found[kind].pop().start_ms
        found[kind].append(Stretch(kind, since, now))

    for start, pitch in [(round(1000 * seconds(note.start_ticks)), note.pitch) for note in score.notes]:
        mark("silence", detector.silence_since_ms(start), start)
        detector.add_note(start, pitch)
        mark("loop", detector.loop_since_ms, start)
    end = max(end_ms, round(1000 * seconds(score.end_ticks)))
    mark("silence", detector.silence_since_ms(end), end)
    return found["loop"] + found["silence"]
