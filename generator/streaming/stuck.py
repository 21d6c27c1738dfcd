"""When a stream is stuck: in a loop, or in silence. Both are told from the starts of its notes alone, as they come.

Notes that start within 40 ms of the first of them are one moment. A moment is as another one was if it follows the
moment before it after the same time, to 40 ms, with the same intervals, counted from that moment's highest note: so the
same cycle in another key is the same cycle.

A loop is a cycle of at most 256 moments that is heard 6 times in a row or more, for 30 s or more. Slips do not end it:
a moment that is as it was a cycle earlier adds 1, up to 16, any other takes 4 away, and it lasts while this is above 0.

Silence is fewer than 8 notes in 30 s. Of text, in which each character is a moment, a loop is a cycle of at most 256
characters that is read 6 times in a row or more, for 300 characters or more.

The figures come from all chorales, folk tunes and ASAP performances. What is heard 6 times there takes 13 s at most,
and what takes 30 s is heard 4 times at most, by tunes that repeat their parts. No piece has fewer than 8 notes in 30 s
but one chorale, BWV 248.64-6, whose voices rest for 42 s while an orchestra plays that the corpus has not.
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

from generator.jit import compiled
from generator.music.score import Score
from generator.tokenizers.base import LARGEST_COUNT, Rows, whole

TOGETHER_MS = 40
LONGEST_CYCLE = 256
CYCLES = 6
PATIENCE_MS = 30_000
PATIENCE = 300
"""Characters."""
FEWEST_NOTES = 8
PAUSE_MS = 3_000
"""What is a long time between two notes; a silence has one of 3.75 s at least, for there are 8 of them in 30 s."""
MOST_TRUST, SLIP = 16, 4

STARTS, SHAPES, TRUST, SINCE, HEARD = range(5)
"""The rows of what a watch remembers. Place p of the first two is the moment p before the latest one: when it started,
and what it was, -1 for none. Place p of the others is the cycle of p + 1 moments: how far it is trusted, and if it is,
when its first turn began and its moments since; 0 where it is not."""


class Watch:
    """Listens to the notes of one stream, or reads its characters; it remembers whole numbers only. Every note costs
    the same, a character more where a loop is near."""

    def __init__(self, now_ms: int = 0) -> None:
        """It begins to listen at some time, as if notes had just been heard."""
        self._recent = deque([now_ms] * FEWEST_NOTES, maxlen=FEWEST_NOTES)
        self._moment: set[int] = set()
        self._moment_ms = self._before_pitch = 0
        self._memory: Rows = np.zeros((5, LONGEST_CYCLE + 1), np.int64)
        self._memory[SHAPES] = -1
        self._near = -1.0  # not reckoned since the last moment

    def hear(self, start_ms: int, pitch: int) -> None:
        """A note starts; notes come in order of their starts, milliseconds from the start of the stream."""
        self._recent.append(start_ms)
        if self._moment and start_ms - self._moment_ms > TOGETHER_MS:
            self._close()
        if not self._moment:
            self._moment_ms = start_ms
        self._moment.add(pitch)

    def _close(self) -> None:
        """The moment is complete: compare it with those before it."""
        highest = max(self._moment)
        shape = crc32(bytes([128 + highest - self._before_pitch, *sorted(highest - pitch for pitch in self._moment)]))
        _turn(self._memory, self._moment_ms, shape, TOGETHER_MS)
        self._before_pitch, self._near = highest, -1.0
        self._moment.clear()

    def read(
        self, characters: Sequence[int], position: int, every: int = 1, after: int = 0, until: float = math.inf
    ) -> int:
        """Characters are said, of which the first stands at `position`.

        Returns:
            How many were read: all, or up to a position that is a multiple of `every`, lies beyond `after`, and has a
            nearness of `until` or more.
        """
        self._near = -1.0
        return int(_read(self._memory, np.array(characters, np.int64), position, every, after, until))

    @property
    def loop_since_ms(self) -> int | None:
        """When the loop began in which the stream is, as far as its complete moments tell."""
        since = _loop_since(self._memory)
        return None if since < 0 else int(since)

    def silence_since_ms(self, now_ms: int) -> int | None:
        """When the silence began in which the stream is, if no note starts from the last one heard until now."""
        return self._recent[0] if now_ms - self._recent[0] >= PATIENCE_MS else None

    @property
    def latest_ms(self) -> int:
        """When the latest note started that it knows of."""
        return max(self._recent[-1], self._moment_ms, int(self._memory[STARTS].max()))

    def nearness(self, now_ms: int | None = None) -> float:
        """How near the stream is to a loop, or to a silence that lasts until now; from 1 on it is stuck.

        Of a loop it is the share of the turns that make it one or of the time, whichever is less. Of a silence it is
        the share of the time since so many notes ago, if one of these waited long for the next: without that, music is
        slow, but no silence. Text has no time.
        """
        if self._near < 0:
            self._near = float(_nearness(self._memory, PATIENCE if now_ms is None else PATIENCE_MS))
        if now_ms is None:
            return self._near
        took = now_ms - self._recent[0]
        if took < PAUSE_MS or all(end - start < PAUSE_MS for start, end in pairwise((*self._recent, now_ms))):
            return self._near
        return max(self._near, took / PATIENCE_MS)

    def copy(self) -> Watch:
        """Another one, that has heard the same."""
        other = copy(self)
        other._recent, other._moment, other._memory = self._recent.copy(), {*self._moment}, self._memory.copy()
        return other

    def state(self) -> dict[str, Any]:
        """All of it, as a JSON value."""
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
    def of(state: dict[str, Any]) -> Watch:
        """From its state, which may come from outside.

        Raises:
            ValueError: or another one that unsound values raise: it is not one.
        """
        watch = Watch()
        watch._recent.extend(whole(start, 0, LARGEST_COUNT) for start in state["recent"])
        watch._moment_ms, *moment = (whole(value, 0, LARGEST_COUNT) for value in state["moment"])
        watch._moment = {whole(pitch, 0, 127) for pitch in moment}
        watch._before_pitch = whole(state["before"], 0, 127)
        starts, shapes, *cycles = watch._memory
        for place, (start, shape) in enumerate(state["moments"]):
            starts[place], shapes[place] = whole(start, 0, LARGEST_COUNT), whole(shape, 0, 2**32 - 1)
        for length, *cycle in state["cycles"]:
            place = whole(length, 1, LONGEST_CYCLE) - 1
            for row, value in zip(cycles, cycle, strict=True):
                row[place] = whole(value, 0, LARGEST_COUNT)
            whole(int(cycles[0][place]), 1, MOST_TRUST)
        return watch


@compiled
def _trusted(before: int, again: bool) -> int:
    """How far a cycle is trusted after a moment that is, or is not, as it was a cycle earlier."""
    return min(before + 1, MOST_TRUST) if again else max(before - SLIP, 0)


@compiled
def _turn(memory: Rows, start: int, shape: int, slack: int) -> None:
    """A moment is complete, the latest one."""
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
    """Each character is a moment; as `Watch.read`."""
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
    """What the nearness is at most while so many more characters are read, whatever they are. It is infinite where the
    moments are not 1 apart, as in no text, but maybe in a take from outside."""
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
    line[:LONGEST_CYCLE] = shapes[LONGEST_CYCLE - 1 :: -1]
    line[LONGEST_CYCLE:] = characters
    trusted = trust[LONGEST_CYCLE - 1 :: -1].astype(np.int32)
    anew = np.full(LONGEST_CYCLE, -1, np.int32)  # with which character each began, if with one of these
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
    """When the earliest loop began; -1 without any."""
    earliest = -1
    for place in range(LONGEST_CYCLE):
        since = memory[SINCE, place]
        often = memory[TRUST, place] and memory[HEARD, place] >= CYCLES * (place + 1)
        if often and memory[STARTS, 0] - since >= PATIENCE_MS and (earliest < 0 or since < earliest):
            earliest = since
    return earliest


@compiled
def _nearness(memory: Rows, patience: int) -> float:
    """Of the cycle that is nearest to being a loop."""
    nearest = 0.0
    for place in range(LONGEST_CYCLE):
        if memory[TRUST, place]:
            turns = memory[HEARD, place] / (CYCLES * (place + 1))
            nearest = max(nearest, min(turns, (memory[STARTS, 0] - memory[SINCE, place]) / patience))
    return nearest


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a stream was stuck: `kind` is `loop` or `silence`."""

    kind: str
    start_ms: int
    end_ms: int


def stretches(score: Score, end_ms: int = 0) -> list[Stretch]:
    """Where a piece, which lasts at least until `end_ms`, is stuck; none in most."""
    seconds = score.clock().seconds
    watch = Watch()
    found: dict[str, list[Stretch]] = {"loop": [], "silence": []}

    def mark(kind: str, since: int | None, now: int) -> None:
        if since is None:
            return
        if found[kind] and found[kind][-1].end_ms >= since:
            since = found[kind].pop().start_ms
        found[kind].append(Stretch(kind, since, now))

    for start, pitch in [(round(1000 * seconds(note.start_ticks)), note.pitch) for note in score.notes]:
        mark("silence", watch.silence_since_ms(start), start)
        watch.hear(start, pitch)
        mark("loop", watch.loop_since_ms, start)
    end = max(end_ms, round(1000 * seconds(score.end_ticks)))
    mark("silence", watch.silence_since_ms(end), end)
    return found["loop"] + found["silence"]
