"""The loop detector: whether a stream is stuck in a loop or in silence, from the starts of its notes alone.

Notes that start within 40 ms of the first of them form one moment. Two moments are equal if the time since the moment
before is equal, to 40 ms, and so are the intervals from the highest note of the moment before. So a cycle counts as
repeated in another key too.

A loop is a cycle of at most 256 moments that is repeated at least 6 times in a row, for at least 30 s. A few wrong
notes do not end it: each moment that equals the one a cycle earlier adds 1 to the cycle's trust, up to 16, any other
takes 4 away, and the cycle lasts while its trust is above 0.

Silence is fewer than 8 notes in 30 s. In text each character is a moment, and a loop is a cycle of at most 256
characters that is repeated at least 6 times in a row, for at least 300 characters.

The figures come from all chorales, folk tunes and ASAP performances. There, what is repeated 6 times takes 13 s at
most, and what takes 30 s is repeated 4 times at most, by tunes that repeat their parts. Only one piece has fewer than 8
notes in 30 s: BWV 248.64-6, whose voices rest for 42 s while an orchestra plays that the corpus does not include.
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

from generator.foundation.jit import compiled
from generator.music.score import Score
from generator.tokenizers.base import LARGEST_COUNT, Rows, whole

TOGETHER_MS = 40
LONGEST_CYCLE = 256
CYCLES = 6
PATIENCE_MS = 30_000
PATIENCE = 300
"""The shortest loop in text, in characters."""
FEWEST_NOTES = 8
PAUSE_MS = 3_000
"""A long time between two notes. Every silence has a gap of at least 3.75 s, for 8 gaps fill its 30 s."""
MOST_TRUST, SLIP = 16, 4

STARTS, SHAPES, TRUST, SINCE, HEARD = range(5)
"""Rows of a detector's memory. Column p of the first two describes the moment p before the latest one: its start, and a
hash of its intervals, -1 for none. Column p of the others describes the cycle of p + 1 moments: its trust and, where
that is above 0, the start of its first turn and the number of moments since."""


class LoopDetector:
    """The loop detector of one stream of notes or of characters. Its state is whole numbers. Each note costs the same
    time; a character costs more when a loop is near."""

    def __init__(self, now_ms: int = 0) -> None:
        """Start at some time, as if notes had just been played."""
        self._recent = deque([now_ms] * FEWEST_NOTES, maxlen=FEWEST_NOTES)
        self._moment: set[int] = set()
        self._moment_ms = self._before_pitch = 0
        self._memory: Rows = np.zeros((5, LONGEST_CYCLE + 1), np.int64)
        self._memory[SHAPES] = -1
        self._near = -1.0  # not reckoned since the last moment

    def add_note(self, start_ms: int, pitch: int) -> None:
        """A note starts, in milliseconds from the start of the stream. Notes come in order of their starts."""
        self._recent.append(start_ms)
        if self._moment and start_ms - self._moment_ms > TOGETHER_MS:
            self._close()
        if not self._moment:
            self._moment_ms = start_ms
        self._moment.add(pitch)

    def _close(self) -> None:
        """The current moment is complete: compare it with those before."""
        highest = max(self._moment)
        shape = crc32(bytes([128 + highest - self._before_pitch, *sorted(highest - pitch for pitch in self._moment)]))
        _turn(self._memory, self._moment_ms, shape, TOGETHER_MS)
        self._before_pitch, self._near = highest, -1.0
        self._moment.clear()

    def add_characters(
        self, characters: Sequence[int], position: int, every: int = 1, after: int = 0, until: float = math.inf
    ) -> int:
        """Read characters, of which the first stands at `position`.

        Returns:
            How many were read. It stops early at a position that is a multiple of `every`, lies beyond `after`, and
            has a nearness of `until` or more.
        """
        self._near = -1.0
        return int(_read(self._memory, np.array(characters, np.int64), position, every, after, until))

    @property
    def loop_since_ms(self) -> int | None:
        """The start of the loop that the stream is in; None without one."""
        since = _loop_since(self._memory)
        return None if since < 0 else int(since)

    def silence_since_ms(self, now_ms: int) -> int | None:
        """The start of the silence that the stream is in, if no note follows the latest one; None without one."""
        return self._recent[0] if now_ms - self._recent[0] >= PATIENCE_MS else None

    @property
    def latest_ms(self) -> int:
        """The start of the latest note."""
        return max(self._recent[-1], self._moment_ms, int(self._memory[STARTS].max()))

    def nearness(self, now_ms: int | None = None) -> float:
        """How close the stream is to a loop, or to a silence that lasts until now; from 1 on it is stuck.

        For a loop it is the share of the repetitions that make a loop, or of the time, whichever is less. For a silence
        it is the share of 30 s that the last 8 notes took, if there is a long gap between two of them or since the
        last: slow music without one is no silence. Text has no time, so give no `now_ms`.
        """
        if self._near < 0:
            self._near = float(_nearness(self._memory, PATIENCE if now_ms is None else PATIENCE_MS))
        if now_ms is None:
            return self._near
        took = now_ms - self._recent[0]
        if took < PAUSE_MS or all(end - start < PAUSE_MS for start, end in pairwise((*self._recent, now_ms))):
            return self._near
        return max(self._near, took / PATIENCE_MS)

    def copy(self) -> LoopDetector:
        """An independent copy."""
        other = copy(self)
        other._recent, other._moment, other._memory = self._recent.copy(), {*self._moment}, self._memory.copy()
        return other

    def state(self) -> dict[str, Any]:
        """The whole state, as a JSON value."""
        starts, shapes, *cycles = self._memory
        known, trusted = np.flatnonzero(shapes >= 0), np.flatnonzero(cycles[0])
        return {
            "recent": list(self._recent),
            "moment": [self._moment_ms, *sorted(self._moment)],
            "before": self._before_pitch,
            "moments": np.stack((starts[known], shapes[known]), 1).tolist(),
            "cycles": np.stack((trusted + 1, *(row[trusted] for row in cycles)), 1).tolist(),
        }

    @staticmethod
    def of(state: dict[str, Any]) -> LoopDetector:
        """The detector with this state, which may come from outside.

        Raises:
            ValueError: the state is not sound. Other exceptions are possible too.
        """
        detector = LoopDetector()
        detector._recent.extend(whole(start, 0, LARGEST_COUNT) for start in state["recent"])
        detector._moment_ms, *moment = (whole(value, 0, LARGEST_COUNT) for value in state["moment"])
        detector._moment = {whole(pitch, 0, 127) for pitch in moment}
        detector._before_pitch = whole(state["before"], 0, 127)
        starts, shapes, *cycles = detector._memory
        for place, (start, shape) in enumerate(state["moments"]):
            starts[place], shapes[place] = whole(start, 0, LARGEST_COUNT), whole(shape, 0, 2**32 - 1)
        for length, *cycle in state["cycles"]:
            place = whole(length, 1, LONGEST_CYCLE) - 1
            for row, value in zip(cycles, cycle, strict=True):
                row[place] = whole(value, 0, LARGEST_COUNT)
            whole(int(cycles[0][place]), 1, MOST_TRUST)
        return detector


@compiled
def _trusted(before: int, again: bool) -> int:
    """A cycle's trust after a moment that equals, or does not, the one a cycle earlier."""
    return min(before + 1, MOST_TRUST) if again else max(before - SLIP, 0)


@compiled
def _turn(memory: Rows, start: int, shape: int, slack: int) -> None:
    """Add a moment, the latest one."""
    starts, shapes, trust, since, heard = memory[STARTS], memory[SHAPES], memory[TRUST], memory[SINCE], memory[HEARD]
    gap = start - starts[0]
    for place in range(LONGEST_CYCLE):
        again = shapes[place] == shape and abs(starts[place] - starts[place + 1] - gap) <= slack
        if again and trust[place] == 0:
            since[place], heard[place] = starts[place], place + 1
        trust[place] = _trusted(trust[place], again)
        if trust[place]:
            heard[place] += 1
        else:
            since[place] = heard[place] = 0
    for place in range(LONGEST_CYCLE, 0, -1):
        starts[place], shapes[place] = starts[place - 1], shapes[place - 1]
    starts[0], shapes[0] = start, shape


@compiled
def _read(memory: Rows, characters: Rows, position: int, every: int, after: int, until: float) -> int:
    """As `LoopDetector.add_characters`."""
    if _bound(memory, len(characters)) < until:
        _read_unasked(memory, characters)
        return len(characters)
    for index in range(len(characters)):
        _turn(memory, memory[STARTS, 0] + 1, characters[index], 0)
        reached = position + index + 1
        asked = until < math.inf and reached % every == 0 and reached > after
        if asked and _nearness(memory, PATIENCE) >= until:
            return index + 1
    return len(characters)


@compiled
def _bound(memory: Rows, count: int) -> float:
    """An upper bound of the nearness while so many more characters are read, whatever they are. It is infinite where
    the moments are not 1 apart, which happens in a forged take only."""
    starts, shapes, trust, since, heard = memory[STARTS], memory[SHAPES], memory[TRUST], memory[SINCE], memory[HEARD]
    now, bound, sound = starts[0], 0.0, True
    for place in range(LONGEST_CYCLE):
        length = place + 1
        sound &= shapes[place] < 0 or starts[place + 1] == now - length
        # It goes on, or begins anew with one of them.
        most = max(heard[place], length)
        earliest = min(since[place], now - place) if trust[place] else now - place
        bound = max(bound, min((most + count) / (CYCLES * length), (now + count - earliest) / PATIENCE))
    return bound if sound else np.inf


@compiled
def _read_unasked(memory: Rows, characters: Rows) -> None:
    """`_turn` for each character of a text, whose moments are 1 apart: all are compared before anything is moved."""
    starts, shapes, trust, since, heard = memory[STARTS], memory[SHAPES], memory[TRUST], memory[SINCE], memory[HEARD]
    count, now = len(characters), starts[0]
    # In the order of time, so the longest cycle comes first.
    line = np.empty(LONGEST_CYCLE + count, np.int32)
    trusted = np.empty(LONGEST_CYCLE, np.int32)
    anew = np.empty(LONGEST_CYCLE, np.int32)  # with which character each began, if with one of these
    for cycle in range(LONGEST_CYCLE):
        place = LONGEST_CYCLE - 1 - cycle
        line[cycle], trusted[cycle], anew[cycle] = shapes[place], trust[place], -1
    for index in range(count):
        line[LONGEST_CYCLE + index] = characters[index]
    for index in range(count):
        for cycle in range(LONGEST_CYCLE):
            again = line[index + cycle] == line[LONGEST_CYCLE + index]
            anew[cycle] = index if again and trusted[cycle] == 0 else anew[cycle]
            trusted[cycle] = _trusted(trusted[cycle], again)
    for place in range(LONGEST_CYCLE):
        cycle = LONGEST_CYCLE - 1 - place
        trust[place] = trusted[cycle]
        if trusted[cycle] == 0:
            since[place] = heard[place] = 0
        elif anew[cycle] < 0:
            heard[place] += count
        else:
            since[place], heard[place] = now + anew[cycle] - place, place + 1 + count - anew[cycle]
    for place in range(LONGEST_CYCLE, -1, -1):
        ago = place - count
        starts[place] = starts[ago] if ago >= 0 else now + count - place
        shapes[place] = shapes[ago] if ago >= 0 else characters[count - 1 - place]


@compiled
def _loop_since(memory: Rows) -> int:
    """The start of the earliest loop; -1 without any."""
    earliest = -1
    for place in range(LONGEST_CYCLE):
        since = memory[SINCE, place]
        often = memory[TRUST, place] and memory[HEARD, place] >= CYCLES * (place + 1)
        if often and memory[STARTS, 0] - since >= PATIENCE_MS and (earliest < 0 or since < earliest):
            earliest = since
    return earliest


@compiled
def _nearness(memory: Rows, patience: int) -> float:
    """The largest nearness of all cycles."""
    nearest = 0.0
    for place in range(LONGEST_CYCLE):
        if memory[TRUST, place]:
            turns = memory[HEARD, place] / (CYCLES * (place + 1))
            nearest = max(nearest, min(turns, (memory[STARTS, 0] - memory[SINCE, place]) / patience))
    return nearest


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which a stream was stuck; `kind` is `loop` or `silence`."""

    kind: str
    start_ms: int
    end_ms: int


def stretches(score: Score, end_ms: int = 0) -> list[Stretch]:
    """All times in which a piece is stuck. It lasts until `end_ms` at least."""
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
