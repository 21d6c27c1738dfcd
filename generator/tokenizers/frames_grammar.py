"""The grammar of frames: what may follow what, and which notes a frame ends.

    piece = transposed frame {frame} end
    frame = {pitch} frame-end, pitches from the top down

So each set of keys has one spelling, and the probability of a frame given the past is the product of its tokens', each
among those allowed. Where a frame could begin the piece may end instead; who wants the likelihood of frames alone masks
that out. A key that is in one frame and in the next sounds on, up to `HOLD_LIMIT`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from generator.foundation.jit import compiled
from generator.music.score import Note, PieceEnd, Tempo
from generator.tokenizers.base import LARGEST_COUNT, Event, Grammar, GrammarDecoder, Mask, Rows, whole

LOWEST, HIGHEST = 21, 108
"""The 88 keys of a piano."""
KEYS = HIGHEST - LOWEST + 1
TRANSPOSITIONS = range(-6, 7)
"""Semitones."""
HOLD_LIMIT = 32
"""No note is held for more frames; it is struck again. So no sampled note can hang."""
PAUSE = 1
"""Silence between a piece and the next, in frames."""

VOCABULARY = (
    "end",
    "frame-end",
    *(f"transposed {semitones}" for semitones in TRANSPOSITIONS),
    *(f"pitch {pitch}" for pitch in range(LOWEST, HIGHEST + 1)),
)
END, FRAME, TRANSPOSED = 0, 1, 2
UNMOVED = TRANSPOSED + TRANSPOSITIONS.index(0)
PITCH = TRANSPOSED + len(TRANSPOSITIONS)
"""The first token of each kind; `UNMOVED` is the transposition by nothing."""

# A row of memory: the frame under way, the last token, then for each key the frame in which the note that sounds there
# started, then for each key whether this frame has it.
TICK, LAST, STARTS = range(3)
SAID = STARTS + KEYS
SIZE = SAID + KEYS
SILENT = 2**62
"""In the place of a start: later than all of them."""


@compiled
def advance(rules: Rows, memory: Rows, tokens: Rows) -> None:
    """`Grammar.advance`. A token that is not allowed leads nowhere, but never out of the row."""
    for stream in range(len(tokens)):
        row, token = memory[stream], tokens[stream]
        row[LAST] = token
        if token >= PITCH:
            row[SAID + token - PITCH] = 1
        elif token < TRANSPOSED:
            for key in range(KEYS):
                start = row[STARTS + key]
                if token == END or row[SAID + key] == 0:
                    row[STARTS + key] = SILENT
                elif start == SILENT or row[TICK] - start >= HOLD_LIMIT:
                    row[STARTS + key] = row[TICK]
                row[SAID + key] = 0
            row[TICK] += PAUSE if token == END else 1


@compiled
def allowed(rules: Rows, memory: Rows, masks: Mask) -> None:
    """`Grammar.allowed`."""
    masks[:] = False
    for stream in range(len(memory)):
        last, mask = memory[stream, LAST], masks[stream]
        if last == END:
            for token in range(TRANSPOSED, PITCH):
                mask[token] = True
            continue
        mask[FRAME] = True
        mask[END] = last == FRAME
        for token in range(PITCH, last if last >= PITCH else PITCH + KEYS):
            mask[token] = True


class FramesGrammar(Grammar):
    """The grammar, for many streams at once."""

    loops = allowed, advance
    rules: Rows = np.zeros((1, 1), dtype=np.int64)
    """None that the loops do not have."""

    size = SIZE

    def begin(self) -> Rows:
        row = np.zeros(SIZE, dtype=np.int64)
        row[LAST], row[STARTS:SAID] = END, SILENT
        return row


class FramesDecoder(GrammarDecoder):
    """Tokens to notes, each complete when a frame is without it; every piece begins with its tempo.

    Its state: the frame under way, the last token, the keys that this frame has so far, and `[key, start]` of each note
    that sounds.
    """

    def __init__(
        self, grammar: FramesGrammar, tempo: float, ticks_per_quarter: int, state: dict[str, Any] | None = None
    ) -> None:
        self._tempo, self._ticks_a_minute = tempo, tempo * ticks_per_quarter
        super().__init__(grammar, len(VOCABULARY), state)
        self._starts, self._said = self.memory[STARTS:].reshape(2, KEYS)

    def _restore(self, state: dict[str, Any]) -> None:
        row = self.memory
        tick = row[TICK] = whole(state["tick"], 0, LARGEST_COUNT)
        last = row[LAST] = whole(state["last"], 0, len(VOCABULARY) - 1)
        said = [whole(key, 0, KEYS - 1) for key in state["said"]]
        row[[SAID + key for key in said]] = 1
        if (last - PITCH if last >= PITCH else None) != min(said, default=None):
            raise ValueError("a decoder's state has a last pitch that is not the lowest of its frame")
        for key, start in state["sounding"]:
            if last in (END, *range(TRANSPOSED, PITCH)):
                raise ValueError("a decoder's state has notes before its piece")
            row[STARTS + whole(key, 0, KEYS - 1)] = whole(start, max(0, tick - HOLD_LIMIT), tick - 1)

    def state(self) -> dict[str, Any]:
        keys = np.flatnonzero(self._starts != SILENT)
        return {
            **{"tick": int(self.memory[TICK]), "last": int(self.memory[LAST])},
            **{"said": np.flatnonzero(self._said).tolist()},
            **{"sounding": np.stack((keys, self._starts[keys]), 1).tolist()},
        }

    @property
    def horizon_ticks(self) -> int:
        """No note that still sounds has started before."""
        return int(min(self._starts.min(), self.memory[TICK]))

    @property
    def now_ticks(self) -> int:
        return int(self.memory[TICK])

    @property
    def now_ms(self) -> int:
        return int(self.now_ticks * 60_000 / self._ticks_a_minute)

    def feed(self, token: int) -> list[Event]:
        tick, starts = int(self.memory[TICK]), self._starts
        over = starts != SILENT
        if token == FRAME:
            over &= (self._said == 0) | (tick - starts >= HOLD_LIMIT)
        events: list[Event] = []
        if token in (END, FRAME):
            events += [Note(start := int(starts[key]), tick - start, LOWEST + int(key)) for key in np.flatnonzero(over)]
        if token == END:
            events.append(PieceEnd(tick))
        elif TRANSPOSED <= token < PITCH:
            events.append(Tempo(tick, self._tempo))
        self._advance(token)
        return events
