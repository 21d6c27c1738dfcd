"""The vocabulary of the score tokenizer, which encoding, decoding and the grammar share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.music.keys import KEYS
from generator.music.score import TimeSignature, Voice
from generator.tokenizers.styles import check

TICKS_PER_QUARTER = 12
KINDS = (
    *("end", "bar", "time-signature", "tempo", "position", "voice", "pitch", "duration", "style"),
    "loudness",
)
LARGEST_VALUE = 2**16
"""The largest value of a row. It is far longer than the longest bar, 64 whole notes, in ticks."""
END, BAR, TIME_SIGNATURE, TEMPO, POSITION, VOICE, PITCH, DURATION, STYLE, LOUDNESS = range(len(KINDS))

MOVES = {False: (-6, 5), True: (0, 0)}
"""How many semitones down and up pitches are transposed at most so that the tonic is C; for drums under `True`."""

MOST_VOICES = 15
"""As many as MIDI has channels for pitched voices."""


@dataclass(frozen=True, slots=True)
class Part:
    """A voice of the vocabulary. It is monophonic if it plays one note at a time; `low` and `high` are its range."""

    name: str
    program: int
    drum: bool
    monophonic: bool
    low: int
    high: int

    @property
    def voice(self) -> Voice:
        return Voice(self.name, self.program, self.drum)


def is_metre(numerator: int, denominator: int) -> bool:
    """Whether a vocabulary may contain this metre: up to 64 beats a bar, from whole notes to sixty-fourths."""
    return 1 <= numerator <= 64 and denominator in (1, 2, 4, 8, 16, 32, 64)


def _place(kind: int) -> int:
    """Where the rows of a kind stand among the others: styles come last."""
    return len(KINDS) if kind == STYLE else kind


class Table:
    """A vocabulary: one row for each token, with its kind and value, grouped by kind.

    A row is written as `kind value`: `position 36`, `pitch 60`, `time-signature 3/4`, `bar D minor`. Values rise within
    a kind, and pitches have no gaps. Two kinds are optional: `loudness 80`, a MIDI velocity, and styles, which come
    last: `style reel`. In `values`, a metre, key or style is its index in `metres`, `KEYS` or `styles`.

    Raises:
        CarouselError: the rows are not a vocabulary of the score tokenizer, or the parts do not fit them.
        ValueError: a value is not a number.
    """

    def __init__(self, rows: Sequence[str], parts: Sequence[Part]) -> None:
        self.rows = tuple(rows)
        self.parts = tuple(parts)
        self.kinds: list[int] = []
        self.values: list[int] = []
        self.metres: list[tuple[int, int]] = []
        styles: list[str] = []
        for row in self.rows:
            kind, _, text = row.partition(" ")
            if kind not in KINDS:
                raise CarouselError(f"unknown row {row!r} in the vocabulary")
            self.kinds.append(KINDS.index(kind))
            if kind == "time-signature":
                numerator, denominator = (int(number) for number in text.split("/"))
                if not is_metre(numerator, denominator):
                    raise CarouselError(f"the vocabulary's {row!r} is not a supported metre")
                self.metres.append((numerator, denominator))
                text = str(len(self.metres) - 1)
            elif kind == "bar":
                text = str(KEYS.index(text) if text in KEYS else -1)
            elif kind == "style":
                styles.append(text)
                text = str(len(styles) - 1)
            self.values.append(int(text) if text else 0)
        self.bar_lengths = [TimeSignature(0, *metre).bar_ticks(TICKS_PER_QUARTER) for metre in self.metres]
        """In ticks, of each metre."""
        self.styles = tuple(styles)
        check(self.styles)
        places = np.array([_place(kind) for kind in self.kinds])
        self.first = [int(np.searchsorted(places, _place(kind))) for kind in range(len(KINDS))]
        """The first token of each kind."""
        self.past = [int(np.searchsorted(places, _place(kind), side="right")) for kind in range(len(KINDS))]
        """The token after the last one of each kind."""
        self.columns = [np.array(self.values[first:past]) for first, past in zip(self.first, self.past, strict=True)]
        """The values of each kind, as arrays."""
        self.ids = {row: token for token, row in enumerate(zip(self.kinds, self.values, strict=True))}
        """The token of each (kind, value)."""
        self.tempos = self.columns[TEMPO].tolist()
        """In quarters a minute."""
        self.velocities = self.columns[LOUDNESS]
        """Those of the classes of loudness, rising; empty if the vocabulary has no loudness."""
        self._check(places)
        self.lowest_pitch = self.values[self.first[PITCH]]

    def _check(self, places: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        """Raise a CarouselError if the rows or the parts are not valid."""
        missing = any(first == past for first, past in zip(self.first[:STYLE], self.past[:STYLE], strict=True))
        if (np.diff(places) < 0).any() or missing:
            raise CarouselError("the vocabulary's rows are out of order or a kind is missing")
        for kind in (POSITION, PITCH, DURATION, VOICE, TEMPO):
            values = self.columns[kind]
            steps = np.diff(values)
            gaps = (steps < 1).any() or (kind in (PITCH, VOICE) and (steps != 1).any())
            if gaps or (kind != PITCH and values.min() < 0) or values.max() > LARGEST_VALUE:
                raise CarouselError(f"the vocabulary's {KINDS[kind]} rows are out of order or out of range")
        if (np.diff(self.velocities) < 1).any() or not all(1 <= velocity <= 127 for velocity in self.velocities):
            raise CarouselError("the vocabulary's loudness rows are out of order or no velocities")
        if list(self.columns[BAR]) != list(range(len(KEYS))):
            raise CarouselError("the vocabulary's bars do not name every key")
        if (
            list(self.columns[VOICE]) != list(range(len(self.parts)))
            or len(self.parts) > MOST_VOICES
            or not all(isinstance(part.name, str) for part in self.parts)
            or not (self.columns[PITCH][0] >= -6 and self.columns[PITCH][-1] <= 132)
            or not all(0 <= part.low <= part.high <= 127 and 0 <= part.program <= 127 for part in self.parts)
            or not all(self.can_write(part.low, part) and self.can_write(part.high, part) for part in self.parts)
        ):
            raise CarouselError("the vocabulary's voices do not fit its rows")
        if self.values[self.first[POSITION]] != 0 or self.values[self.first[DURATION]] < 1:
            raise CarouselError("the vocabulary's positions do not start at 0, or a duration is below 1")
        if self.values[self.first[TEMPO]] < 1 or any(self.bar_ticks(index) < 1 for index in range(len(self.metres))):
            raise CarouselError("the vocabulary contains a tempo of 0 or a metre without length")

    def can_write(self, pitch: int, part: Part) -> bool:
        """Whether the vocabulary has this pitch of a part after the transposition from any key."""
        low, high = self.reach(part)
        return low <= pitch <= high

    def reach(self, part: Part) -> tuple[int, int]:
        """The lowest and the highest pitch of a part that the vocabulary has after the transposition from any key."""
        below, above = MOVES[part.drum]
        return int(self.columns[PITCH][0]) - below, int(self.columns[PITCH][-1]) - above

    def tokens(self, kind: int, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The tokens of values of a kind that the vocabulary has."""
        return self.first[kind] + np.searchsorted(self.columns[kind], values)

    def voices_at(self, tokens: npt.NDArray[Any], pitches: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The voices of the pitches that stand at these places among tokens."""
        before = tokens[pitches - 1].astype(np.int64)
        loud = (self.first[LOUDNESS] <= before) & (before < self.past[LOUDNESS])
        voices: npt.NDArray[np.int64] = np.where(loud, tokens[pitches - 2], before).astype(np.int64)
        return voices - self.first[VOICE]

    def bar_ticks(self, metre: int) -> int:
        """The length in ticks of a bar, given its metre as an index into `metres`."""
        return self.bar_lengths[metre]
