"""The grammar and the decoder of the frames tokenizer.

    piece = transposed frame {frame} end
    frame = {pitch} frame-end, pitches falling

Each set of keys is encoded in one way only. So the probability of a frame given the past is the product of the
probabilities of its tokens, each normalised over the allowed ones. After a frame the piece may also end; to get the
likelihood of frames alone, mask the end token. A key in consecutive frames is one held note, up to `HOLD_LIMIT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from generator.foundation.jit import compiled
from generator.music.names import note_name
from generator.music.score import Note, PieceEnd, Tempo
from generator.tokenizers.base import (
    LARGEST_COUNT,
    SILENT,
    Event,
    Grammar,
    Loops,
    Mask,
    Rows,
    whole,
)
from generator.tokenizers.decoders import SoundingNotesDecoder

LOWEST, HIGHEST = 21, 108
"""The pitches of a piano's 88 keys."""
KEYS = HIGHEST - LOWEST + 1
TRANSPOSITIONS = range(-6, 7)
"""In semitones."""
HOLD_LIMIT = 32
"""The longest note in frames. A key that sounds longer starts a new note, so no sampled note can hang."""
PAUSE = 1
"""The silence between two pieces, in frames."""

VOCABULARY = (
    "end",
    "frame-end",
    *(f"transposed {semitones}" for semitones in TRANSPOSITIONS),
    *(f"pitch {pitch}" for pitch in range(LOWEST, HIGHEST + 1)),
)
END, FRAME, TRANSPOSED = 0, 1, 2
NOT_TRANSPOSED = TRANSPOSED + TRANSPOSITIONS.index(0)
PITCH = TRANSPOSED + len(TRANSPOSITIONS)
"""The first token of each kind; `NOT_TRANSPOSED` is the transposition by 0 semitones."""

# A row of memory has the number of the current frame, the last token, then for each key the frame in which its note
# started (or SILENT), then for each key 1 if the current frame contains it.
TICK, LAST, STARTS = range(3)
IN_FRAME = STARTS + KEYS
SIZE = IN_FRAME + KEYS


@compiled
def advance(rules: Rows, memory: Rows, tokens: Rows) -> None:
    """`Grammar.advance`. A token that is not allowed gives a meaningless row, but nothing is written outside it."""
    for stream in range(len(tokens)):
        row, token = memory[stream], tokens[stream]
        row[LAST] = token
        if token >= PITCH:
            row[IN_FRAME + token - PITCH] = 1
        elif token < TRANSPOSED:
            for key in range(KEYS):
                start = row[STARTS + key]
                if token == END or row[IN_FRAME + key] == 0:
                    row[STARTS + key] = SILENT
                elif start == SILENT or row[TICK] - start >= HOLD_LIMIT:
                    row[STARTS + key] = row[TICK]
                row[IN_FRAME + key] = 0
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
    """The grammar of the frames tokenizer, whose vocabulary is fixed."""

    loops = Loops(allowed, advance)
    rules: Rows = np.zeros((1, 1), dtype=np.int64)
    """Unused: the loops have the vocabulary as constants."""

    size = SIZE

    def begin(self) -> Rows:
        row = np.zeros(SIZE, dtype=np.int64)
        row[LAST], row[STARTS:IN_FRAME] = END, SILENT
        return row


class FramesDecoder(SoundingNotesDecoder):
    """Decodes tokens to notes. A note is complete with the first frame that lacks its key; a piece begins with a tempo.

    The state has the current frame, the last token, the keys of the current frame so far, and `[key, start]` of each
    note that sounds.
    """

    def __init__(
        self, grammar: FramesGrammar, tempo: float, ticks_per_quarter: int, state: dict[str, Any] | None = None
    ) -> None:
        self._tempo, self._ticks_a_minute = tempo, tempo * ticks_per_quarter
        super().__init__(grammar, len(VOCABULARY), state)
        self._starts, self._in_frame = self.memory[STARTS:].reshape(2, KEYS)

    def _restore(self, state: dict[str, Any]) -> None:
        row = self.memory
        tick = row[TICK] = whole(state["tick"], 0, LARGEST_COUNT)
        last = row[LAST] = whole(state["last"], 0, len(VOCABULARY) - 1)
        keys = [whole(key, 0, KEYS - 1) for key in state["said"]]
        row[[IN_FRAME + key for key in keys]] = 1
        if (last - PITCH if last >= PITCH else None) != min(keys, default=None):
            raise ValueError("a decoder's state has a last pitch that is not the lowest of its frame")
        for key, start in state["sounding"]:
            if last in (END, *range(TRANSPOSED, PITCH)):
                raise ValueError("a decoder's state has notes before the first frame of a piece")
            row[STARTS + whole(key, 0, KEYS - 1)] = whole(start, max(0, tick - HOLD_LIMIT), tick - 1)

    def state(self) -> dict[str, Any]:
        keys = np.flatnonzero(self._starts != SILENT)
        return {
            **{"tick": int(self.memory[TICK]), "last": int(self.memory[LAST])},
            **{"said": np.flatnonzero(self._in_frame).tolist()},
            **{"sounding": np.stack((keys, self._starts[keys]), 1).tolist()},
        }

    def describe(self, token: int) -> str:
        if token < TRANSPOSED:
            return ("end of the piece", "next frame")[token]
        if token < PITCH:
            return f"transposed by {TRANSPOSITIONS[token - TRANSPOSED]:+d}"
        return note_name(LOWEST + token - PITCH, 0)

    def decisions(self, tokens: Sequence[int], note: Note) -> dict[str, int]:
        begins = tokens[-1] == PITCH + note.pitch - LOWEST and self.now_ticks == note.start_ticks
        return {"Note": 0} if begins else {}

    @property
    def now_ms(self) -> int:
        return int(self.now_ticks * 60_000 / self._ticks_a_minute)

    def feed(self, token: int) -> list[Event]:
        tick, starts = self.now_ticks, self._starts
        ending = starts != SILENT
        if token == FRAME:
            ending &= (self._in_frame == 0) | (tick - starts >= HOLD_LIMIT)
        events: list[Event] = []
        if token in (END, FRAME):
            for key in np.flatnonzero(ending).tolist():
                start = int(starts[key])
                events.append(Note(start, tick - start, LOWEST + key))
        if token == END:
            events.append(PieceEnd(tick))
        elif TRANSPOSED <= token < PITCH:
            events.append(Tempo(tick, self._tempo))
        self._advance(token)
        return events
