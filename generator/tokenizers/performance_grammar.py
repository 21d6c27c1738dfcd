"""The grammar of a piano performance: its table of tokens, and the decoder that knows what may follow what.

A score has exactly one spelling. At one tick note-offs come first, lowest pitch first, then the pedal, then note-ons,
lowest first, each after a velocity token if its velocity is new; a gap is whole seconds first, then the rest. The
grammar allows this spelling and no other: a walk over `allowed()` from end to end is what `encode` makes of its score.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from generator.errors import CarouselError
from generator.music.score import Note, Pedal, PieceEnd
from generator.tokenizers.base import Event, Mask

KINDS = (END, NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY, PEDAL) = (
    "end",
    "note_on",
    "note_off",
    "time_shift",
    "velocity",
    "pedal",
)

TICKS_PER_SECOND = 100
HOLD_LIMIT = 10 * TICKS_PER_SECOND
"""No note is held longer, in ticks, so no sampled note can hang."""
PAUSE = TICKS_PER_SECOND
"""Silence between a piece and the next, in ticks."""

PITCHES = range(21, 109)
"""The 88 keys of a piano."""
VELOCITIES = (*range(4, 125, 4), 127)

VOCABULARY = (
    END,
    *(f"{NOTE_ON} {pitch}" for pitch in PITCHES),
    *(f"{NOTE_OFF} {pitch}" for pitch in PITCHES),
    *(f"{TIME_SHIFT} {ticks}" for ticks in range(1, TICKS_PER_SECOND + 1)),
    *(f"{VELOCITY} {velocity}" for velocity in VELOCITIES),
    *(f"{PEDAL} {down}" for down in (0, 1)),
)


class Table:
    """A vocabulary, read once: `entries[token]` is its kind and value, `spans[kind]` its tokens, one after another.

    Raises:
        CarouselError: the entries are not those of a performance.
    """

    def __init__(self, vocabulary: Iterable[str] = VOCABULARY) -> None:
        self.vocabulary = tuple(vocabulary)
        try:
            parts = [entry.partition(" ") for entry in self.vocabulary]
            self.entries = [(kind, int(value or 0)) for kind, _, value in parts]
            ids = {kind: [index for index, entry in enumerate(self.entries) if entry[0] == kind] for kind in KINDS}
            self.spans = {kind: range(ids[kind][0], ids[kind][-1] + 1) for kind in KINDS}
            values = {kind: [self.entries[index][1] for index in ids[kind]] for kind in KINDS}
            pitches = values[NOTE_ON]
            sound = (
                all(ids[kind] == list(self.spans[kind]) for kind in KINDS)
                and sum(map(len, ids.values())) == len(self.entries)
                and values[END] == [0]
                and values[PEDAL] == [0, 1]
                and values[NOTE_OFF] == pitches == list(range(pitches[0], pitches[-1] + 1))
                and 0 <= pitches[0] <= pitches[-1] <= 127
                and all(1 <= velocity <= 127 for velocity in values[VELOCITY])
                and values[TIME_SHIFT] == list(range(1, len(values[TIME_SHIFT]) + 1))
            )
        except (AttributeError, IndexError, TypeError, ValueError):
            sound = False
        if not sound:
            raise CarouselError(
                "the vocabulary is not that of a performance; take the tokenizer that the model came with"
            )
        self.end = self.spans[END].start
        self.lowest, self.highest = pitches[0], pitches[-1]
        self.velocities = values[VELOCITY]


class PerformanceDecoder:
    """Tokens to notes, each complete at its note-off, and the mask of what may follow.

    The mask is one array, changed in place by `feed`. Within a tick the last token tells how far the order has come.
    """

    def __init__(self, table: Table, state: dict[str, Any] | None = None) -> None:
        self._table = table.entries
        self._end = table.end
        self._lowest = table.lowest
        self._mask: Mask = np.zeros(len(table.entries), dtype=np.bool_)
        self._view = self._mask.view()
        self._view.flags.writeable = False
        spans = table.spans
        self._ons, self._offs, self._shifts, self._velocities, self._pedals = (
            self._mask[spans[kind].start : spans[kind].stop]
            for kind in (NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY, PEDAL)
        )
        self._first_velocity = spans[VELOCITY].start
        state = state or {"tick": 0, "last": self._end, "floor": 0, "velocity": None, "pedal": 0, "sounding": []}
        self._tick: int = state["tick"]
        self._last: int = state["last"]
        self._floor: int = state["floor"]  # lowest note-on, as an index, that may still come at this tick
        self._velocity: int | None = state["velocity"]  # token in force; None until a piece's first note
        self._pedal: int = state["pedal"]
        self._sounding: dict[int, tuple[int, int]] = {p: (start, velocity) for p, start, velocity in state["sounding"]}
        self._on: Mask = np.zeros(len(self._ons), dtype=np.bool_)
        self._on[list(self._sounding)] = True
        self._silent: Mask = ~self._on
        self._update()

    def feed(self, token: int) -> list[Event]:
        """Take one token; return the note, pedal change or end that it completes.

        Raises:
            CarouselError: the grammar does not allow the token here. An end at the start of a piece is nothing.
        """
        if not self._mask[token]:
            if token == self._last == self._end:
                return []
            kind, value = self._table[token]
            raise CarouselError(
                f"token {token} ({kind} {value}) cannot follow here; encode the piece with this tokenizer"
            )
        kind, value = self._table[token]
        events: list[Event] = []
        tick = self._tick
        if kind == TIME_SHIFT:
            self._tick += value
            self._floor = 0
        elif kind == NOTE_ON:
            index = value - self._lowest
            assert self._velocity is not None
            self._sounding[index] = (tick, self._table[self._velocity][1])
            self._on[index], self._silent[index] = True, False
            self._floor = index + 1
        elif kind == NOTE_OFF:
            index = value - self._lowest
            start, velocity = self._sounding.pop(index)
            self._on[index], self._silent[index] = False, True
            events.append(Note(start, tick - start, value, velocity))
        elif kind == VELOCITY:
            self._velocity = token
        elif kind == PEDAL:
            self._pedal = value
            events.append(Pedal(tick, bool(value)))
        else:
            events.append(PieceEnd(tick))
            self._tick += PAUSE
            self._velocity = None
        self._last = token
        self._update()
        return events

    def _oldest(self) -> int:
        """Start of the note that has sounded longest; notes are kept in the order of their starts."""
        for start, _ in self._sounding.values():
            return start
        return self._tick

    def _update(self) -> None:
        """Write the mask anew from the state."""
        kind, value = self._table[self._last]
        self._mask.fill(False)
        floor = self._floor
        if kind == VELOCITY:
            self._ons[floor:] = self._silent[floor:]
            return
        if self._velocity is None:  # a piece opens with a note at its first tick
            self._velocities.fill(True)
            self._pedals[1] = kind == END
            return
        next_off = value - self._lowest + 1 if kind == NOTE_OFF else 0
        oldest = self._oldest()
        left = oldest + HOLD_LIMIT - self._tick
        if left == 0:  # what has reached the limit ends now; only lower notes may end before it
            due = min(index for index, (start, _) in self._sounding.items() if start == oldest)
            self._offs[next_off : due + 1] = self._on[next_off : due + 1]
            return
        self._ons[floor:] = self._silent[floor:]
        if self._ons.any():
            self._velocities.fill(True)
            self._velocities[self._velocity - self._first_velocity] = False
        if kind in (TIME_SHIFT, NOTE_OFF):
            self._offs[next_off:] = self._on[next_off:]
            self._pedals[1 - self._pedal] = True
        if kind != TIME_SHIFT or value == len(self._shifts):
            self._shifts[:left] = True
        if kind in (NOTE_OFF, PEDAL) and not self._sounding and not self._pedal:
            self._mask[self._end] = True

    def allowed(self) -> Mask:
        """Shape (vocab_size,), read-only; it changes with the next `feed`. Never the end alone."""
        return self._view

    @property
    def horizon_ticks(self) -> int:
        return self._oldest()

    def state(self) -> dict[str, Any]:
        return {
            "tick": self._tick,
            "last": self._last,
            "floor": self._floor,
            "velocity": self._velocity,
            "pedal": self._pedal,
            "sounding": [[index, start, velocity] for index, (start, velocity) in self._sounding.items()],
        }
