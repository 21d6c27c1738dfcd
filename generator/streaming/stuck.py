"""When a stream is stuck: in a loop, or in silence. Both are told from the starts of its notes alone, as they come.

Notes that start within 40 ms of the first of them are one moment. A moment is as another one was if it follows the
moment before it after the same time, to 40 ms, with the same intervals, counted from that moment's highest note: so the
same cycle in another key is the same cycle.

A loop is a cycle of at most 256 moments that is heard 6 times in a row or more, for 30 s or more. Slips do not end it:
a moment that is as it was a cycle earlier adds 1, up to 16, any other takes 4 away, and it lasts while this is above 0.

Silence is fewer than 8 notes in 30 s.

The figures come from all chorales, folk tunes and ASAP performances. What is heard 6 times there takes 13 s at most,
and what takes 30 s is heard 4 times at most, by tunes that repeat their parts. No piece has fewer than 8 notes in 30 s
but one chorale, BWV 248.64-6, whose voices rest for 42 s while an orchestra plays that the corpus has not.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from generator.music.score import Score
from generator.tokenizers.base import Rows

TOGETHER_MS = 40
LONGEST_CYCLE = 256
CYCLES = 6
PATIENCE_MS = 30_000
FEWEST_NOTES = 8
MOST_TRUST, SLIP = 16, 4

LENGTHS: Rows = np.arange(1, LONGEST_CYCLE + 1)


class Watch:
    """Listens to the notes of one stream; whole numbers only, the same cost for every note."""

    def __init__(self) -> None:
        self._recent = deque([0] * FEWEST_NOTES, maxlen=FEWEST_NOTES)
        self._moment: list[int] = []
        self._moment_ms = self._before_ms = 0
        self._before_pitch = 0
        # The last moments, the latest first: place p - 1 is p moments ago, where the last turn of a cycle of p began.
        self._gaps: Rows = np.zeros(LONGEST_CYCLE, np.int64)
        self._shapes: Rows = np.full(LONGEST_CYCLE, -1, np.int64)
        self._starts: Rows = np.zeros(LONGEST_CYCLE, np.int64)
        # Of each cycle length: how far it is trusted, and if it is, when its first turn began and its moments since.
        self._trust: Rows = np.zeros(LONGEST_CYCLE, np.int64)
        self._since: Rows = np.zeros(LONGEST_CYCLE, np.int64)
        self._heard: Rows = np.zeros(LONGEST_CYCLE, np.int64)

    def hear(self, start_ms: int, pitch: int) -> None:
        """A note starts; notes come in order of their starts, milliseconds from the start of the stream."""
        self._recent.append(start_ms)
        if self._moment and start_ms - self._moment_ms > TOGETHER_MS:
            self._close()
        if not self._moment:
            self._moment_ms = start_ms
        self._moment.append(pitch)

    def _close(self) -> None:
        """The moment is complete: compare it with those before it."""
        highest = max(self._moment)
        shape = crc32(bytes([128 + highest - self._before_pitch, *sorted({highest - pitch for pitch in self._moment})]))
        gap = self._moment_ms - self._before_ms
        again = (self._shapes == shape) & (np.abs(self._gaps - gap) <= TOGETHER_MS)
        new = again & (self._trust == 0)
        np.copyto(self._since, self._starts, where=new)
        np.copyto(self._heard, LENGTHS, where=new)
        self._heard += 1
        self._trust = np.where(again, np.minimum(self._trust + 1, MOST_TRUST), np.maximum(self._trust - SLIP, 0))
        for row, latest in ((self._gaps, gap), (self._shapes, shape), (self._starts, self._moment_ms)):
            row[1:] = row[:-1]
            row[0] = latest
        self._before_ms, self._before_pitch = self._moment_ms, highest
        self._moment.clear()

    @property
    def loop_since_ms(self) -> int | None:
        """When the loop began in which the stream is, as far as its complete moments tell."""
        looping = (self._trust > 0) & (self._heard >= CYCLES * LENGTHS) & (self._before_ms - self._since >= PATIENCE_MS)
        return int(self._since[looping].min()) if looping.any() else None

    def silence_since_ms(self, now_ms: int) -> int | None:
        """When the silence began in which the stream is, if no note starts from the last one heard until now."""
        return self._recent[0] if now_ms - self._recent[0] >= PATIENCE_MS else None


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
