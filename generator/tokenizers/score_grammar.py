"""The grammar of the score tokenizer: what may follow what, and which events a token completes.

    piece    = time-signature tempo bars end
    bars     = one or more of: [time-signature] [tempo] bar {position notes}
    notes    = one or more of: voice pitch duration

Positions rise within a bar. At one position voices rise; a voice that may hold chords repeats with falling pitches. A
monophonic voice begins its next note when the last one has ended; no voice sounds one pitch twice at once; each voice
keeps to the range that it has in the training split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from generator.errors import CarouselError
from generator.music.score import Bar, Note, PieceEnd, Tempo, TimeSignature, Voice
from generator.tokenizers.base import Event, Mask

TICKS_PER_QUARTER = 12
KINDS = ("end", "bar", "time-signature", "tempo", "position", "voice", "pitch", "duration")
LARGEST_VALUE = 2**16
"""Of any row: far beyond a bar of 64 whole notes in ticks."""
END, BAR, TIME_SIGNATURE, TEMPO, POSITION, VOICE, PITCH, DURATION = range(len(KINDS))


@dataclass(frozen=True, slots=True)
class Part:
    """A voice of the vocabulary: who plays it, whether it holds one note at a time, and its range of pitches."""

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
    """Whether a vocabulary may hold this metre: up to 64 notes a bar, each a whole, a half … a sixty-fourth."""
    return 1 <= numerator <= 64 and denominator in (1, 2, 4, 8, 16, 32, 64)


class Table:
    """The vocabulary: one row a token, a kind and a value, grouped by kind; encode, decode and masks all read it.

    A row is written as `kind value`: `position 36`, `pitch 60`, `time-signature 3/4`. Values rise within a kind;
    pitches have no gaps.
    """

    def __init__(self, rows: Sequence[str], parts: Sequence[Part]) -> None:
        self.rows = tuple(rows)
        self.parts = tuple(parts)
        self.kinds: list[int] = []
        self.values: list[int] = []
        self.metres: list[tuple[int, int]] = []
        for row in self.rows:
            kind, _, text = row.partition(" ")
            if kind not in KINDS:
                raise CarouselError(f"unknown row {row!r} in the vocabulary")
            self.kinds.append(KINDS.index(kind))
            if kind == "time-signature":
                numerator, denominator = (int(number) for number in text.split("/"))
                if not is_metre(numerator, denominator):
                    raise CarouselError(f"the vocabulary's {row!r} is no metre")
                self.metres.append((numerator, denominator))
                text = str(len(self.metres) - 1)
            self.values.append(int(text) if text else 0)
        kinds = np.array(self.kinds)
        self.first = [int(np.searchsorted(kinds, kind)) for kind in range(len(KINDS))]
        """The first token of each kind; the last is just before the first of the next."""
        self.past = [int(np.searchsorted(kinds, kind, side="right")) for kind in range(len(KINDS))]
        self.columns = [np.array(self.values[first:past]) for first, past in zip(self.first, self.past, strict=True)]
        """The values of each kind."""
        self.ids = {row: token for token, row in enumerate(zip(self.kinds, self.values, strict=True))}
        """(kind, value) to token."""
        self._check(kinds)
        self.lowest_pitch = self.values[self.first[PITCH]]

    def _check(self, kinds: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        if (np.diff(kinds) < 0).any() or any(first == past for first, past in zip(self.first, self.past, strict=True)):
            raise CarouselError("the vocabulary's rows are out of order or a kind is missing")
        for kind in (POSITION, PITCH, DURATION, VOICE, TEMPO):
            values = self.columns[kind]
            steps = np.diff(values)
            gaps = (steps < 1).any() or (kind in (PITCH, VOICE) and (steps != 1).any())
            if gaps or values.min() < 0 or values.max() > LARGEST_VALUE:
                raise CarouselError(f"the vocabulary's {KINDS[kind]} rows do not rise as they should")
        low, high = self.values[self.first[PITCH]], self.values[self.past[PITCH] - 1]
        voices = self.past[VOICE] - self.first[VOICE]
        if (
            voices != len(self.parts)
            or high > 127
            or not all(low <= part.low <= part.high <= high and 0 <= part.program <= 127 for part in self.parts)
        ):
            raise CarouselError("the vocabulary's voices do not fit its rows")
        if self.values[self.first[POSITION]] != 0 or self.values[self.first[DURATION]] < 1:
            raise CarouselError("the vocabulary's positions start at 0 and its durations at 1 or more")
        if self.values[self.first[TEMPO]] < 1 or any(self.bar_ticks(index) < 1 for index in range(len(self.metres))):
            raise CarouselError("the vocabulary holds a tempo or a metre of no length")

    def bar_ticks(self, metre: int) -> int:
        """Length of a bar of that metre in ticks."""
        return TimeSignature(0, *self.metres[metre]).bar_ticks(TICKS_PER_QUARTER)


@dataclass(slots=True)
class _Memory:
    """All that the decoder remembers. Metre, tempo, voice are values of their rows; -1 where there is none yet."""

    last: int = END
    """Kind of the last token."""
    bar_start: int = 0
    bar_ticks: int = 0
    now: int = 0
    position: int = -1
    metre: int = -1
    tempo: int = -1
    voice: int = -1
    pitch: int = -1
    """Pitch of the last note of `voice` at this position; 128 before its first."""
    notes: int = 0
    """Notes of this piece so far."""


class ScoreDecoder:
    """Tokens to notes and bar lines, one at a time; a note is complete with its duration."""

    def __init__(self, table: Table, state: dict[str, Any] | None = None) -> None:
        self._table = table
        self._memory = _Memory()
        # Pitch to the tick where it ends, for each voice.
        self._sounding: list[dict[int, int]] = [{} for _ in table.parts]
        self._mask: Mask = np.zeros(len(table.rows), dtype=np.bool_)
        self._view = self._mask.view()
        self._view.flags.writeable = False
        if state is not None:
            self._memory = _Memory(**state["memory"])
            for voice, pitch, end in state["sounding"]:
                self._sounding[voice][pitch] = end

    def state(self) -> dict[str, Any]:
        sounding = [[v, pitch, end] for v, pitches in enumerate(self._sounding) for pitch, end in pitches.items()]
        return {"memory": asdict(self._memory), "sounding": sounding}

    @property
    def horizon_ticks(self) -> int:
        return self._memory.now

    def feed(self, token: int) -> list[Event]:
        table, memory = self._table, self._memory
        kind, value = table.kinds[token], table.values[token]
        memory.last = kind
        if kind == POSITION:
            memory.position, memory.voice = value, -1
            self._move_to(memory.bar_start + value)
        elif kind == VOICE:
            memory.pitch = memory.pitch if memory.voice == value else 128
            memory.voice = value
        elif kind == PITCH:
            memory.pitch = value
        elif kind == DURATION:
            memory.notes += 1
            self._sounding[memory.voice][memory.pitch] = memory.now + value
            return [Note(memory.now, value, memory.pitch, voice=memory.voice)]
        elif kind == TIME_SIGNATURE:
            self._finish_bar()
            memory.metre = value
            return [TimeSignature(memory.now, *table.metres[value])]
        elif kind == TEMPO:
            self._finish_bar()
            memory.tempo = value
            return [Tempo(memory.now, float(value))]
        elif kind == BAR:
            self._finish_bar()
            memory.bar_start, memory.bar_ticks = memory.now, table.bar_ticks(memory.metre)
            memory.position = -1
            return [Bar(memory.now)]
        else:
            return self._end()
        return []

    def _end(self) -> list[Event]:
        """The piece ends with the bar, or with the bar in which its last note ends."""
        memory = self._memory
        self._finish_bar()
        last = max((end for pitches in self._sounding for end in pitches.values()), default=0)
        if memory.metre >= 0:
            length = self._table.bar_ticks(memory.metre)
            while memory.now < last:
                self._move_to(memory.now + length)
        self._memory = _Memory(now=memory.now, bar_start=memory.now)
        return [PieceEnd(memory.now)]

    def _finish_bar(self) -> None:
        memory = self._memory
        self._move_to(memory.bar_start + memory.bar_ticks)
        memory.bar_start, memory.bar_ticks = memory.now, 0

    def _move_to(self, tick: int) -> None:
        self._memory.now = tick
        for pitches in self._sounding:
            for pitch in [pitch for pitch, end in pitches.items() if end <= tick]:
                del pitches[pitch]

    def allowed(self) -> Mask:
        """Shape (vocab_size,), read-only; it changes with the next call. Never all `False`."""
        table, memory, mask = self._table, self._memory, self._mask
        mask[:] = False
        if memory.last == END:
            self._open(TIME_SIGNATURE)
        elif memory.last == TIME_SIGNATURE:
            self._open_other(TEMPO, memory.tempo)
            mask[table.first[BAR]] = memory.tempo >= 0
        elif memory.last == TEMPO:
            mask[table.first[BAR]] = True
        elif memory.last == POSITION:
            self._open_voices()
        elif memory.last == VOICE:
            self._open_pitches()
        elif memory.last == PITCH:
            self._open(DURATION)
        else:
            mask[table.first[BAR]] = True
            self._open_other(TIME_SIGNATURE, memory.metre)
            self._open_other(TEMPO, memory.tempo)
            mask[table.first[END]] = memory.notes > 0
            self._open_positions()
            if memory.last == DURATION:
                self._open_voices()
        return self._view

    def _open(self, kind: int) -> None:
        self._mask[self._table.first[kind] : self._table.past[kind]] = True

    def _open_other(self, kind: int, current: int) -> None:
        """All rows of a kind but the one in force."""
        table = self._table
        for token in range(table.first[kind], table.past[kind]):
            self._mask[token] = table.values[token] != current

    def _open_positions(self) -> None:
        """Positions later in this bar at which some voice is free."""
        table, memory = self._table, self._memory
        free = min(self._free_from(voice) for voice in range(len(table.parts)))
        low = max(memory.position + 1, free - memory.bar_start)
        first, past = np.searchsorted(table.columns[POSITION], (low, memory.bar_ticks))
        if first < past:
            self._mask[table.first[POSITION] + first : table.first[POSITION] + past] = True

    def _free_from(self, voice: int) -> int:
        """The first tick at which a voice may begin a note."""
        part, pitches = self._table.parts[voice], self._sounding[voice]
        if not pitches:
            return 0
        if part.monophonic:
            return max(pitches.values())
        within = sum(part.low <= pitch <= part.high for pitch in pitches)
        return 0 if within <= part.high - part.low else min(pitches.values())

    def _open_voices(self) -> None:
        table, memory = self._table, self._memory
        for voice in range(max(0, memory.voice), len(table.parts)):
            part = table.parts[voice]
            if voice == memory.voice:
                free = not part.monophonic and any(
                    pitch not in self._sounding[voice] for pitch in range(part.low, min(memory.pitch, part.high + 1))
                )
            else:
                free = self._free_from(voice) <= memory.now
            self._mask[table.first[VOICE] + voice] = free

    def _open_pitches(self) -> None:
        table, memory = self._table, self._memory
        part = table.parts[memory.voice]
        base = table.first[PITCH] - table.lowest_pitch
        self._mask[base + part.low : base + min(part.high + 1, memory.pitch)] = True
        for pitch in self._sounding[memory.voice]:
            self._mask[base + pitch] = False
