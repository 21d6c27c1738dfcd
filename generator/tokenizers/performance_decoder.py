"""The decoder of the performance tokenizer: tokens to notes and pedal changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from generator.foundation.errors import CarouselError
from generator.music.keys import KEYS, SHARPS
from generator.music.names import note_name
from generator.music.score import Note, Pedal, PieceEnd
from generator.tokenizers.base import LARGEST_COUNT, SILENT, Event, whole
from generator.tokenizers.decoders import SoundingNotesDecoder
from generator.tokenizers.performance_grammar import (
    END,
    FLOOR,
    HOLD_LIMIT,
    KEY,
    KEY_INDEX,
    LAST,
    NOTE_OFF,
    NOTE_ON,
    PEDAL,
    PEDAL_DOWN,
    STARTS,
    STYLE,
    TICK,
    TICKS_PER_SECOND,
    TIME_SHIFT,
    VELOCITY,
    VELOCITY_TOKEN,
    PerformanceGrammar,
    pitch_range,
    transposition,
)
from generator.tokenizers.recent import ONSETS


class PerformanceDecoder(SoundingNotesDecoder):
    """Decodes tokens to notes, each complete at its note-off, and pedal changes.

    The state has the fields of the memory; `[index, start tick, velocity]` of each note that sounds, the oldest first,
    where `index` counts the vocabulary's pitches from 0; and the ticks of the last second's onsets, the newest first.
    """

    def __init__(self, grammar: PerformanceGrammar, state: dict[str, Any] | None = None) -> None:
        self._table, self._rules = grammar.table, grammar.rules
        super().__init__(grammar, len(grammar.table.entries), state)
        self._starts, self._velocities = self.memory[STARTS:-ONSETS].reshape(2, -1)

    def _restore(self, state: dict[str, Any]) -> None:
        table, row = self._table, self.memory
        velocities, notes = table.spans[VELOCITY], len(table.written)
        tick = row[TICK] = whole(state["tick"], 0, LARGEST_COUNT)
        row[LAST] = whole(state["last"], 0, len(table.entries) - 1)
        row[FLOOR] = whole(state["floor"], 0, notes)
        last = table.entries[row[LAST]][0]
        row[PEDAL_DOWN] = whole(state["pedal"], 0, 1)
        if last not in (END, STYLE):
            row[KEY_INDEX] = whole(state["key"], 0, len(KEYS) - 1)
        elif state["key"] is not None:
            raise ValueError("a decoder's state has a key before the key token of its piece")
        fresh = last in (END, STYLE, KEY)  # the piece has no notes and no pedal changes yet
        if state["velocity"] is None:
            wrong = state["floor"] or state["sounding"] or row[PEDAL_DOWN] == fresh or not (fresh or last == PEDAL)
        else:
            wrong, row[VELOCITY_TOKEN] = fresh, whole(state["velocity"], velocities.start, velocities.stop - 1)
        if wrong:
            raise ValueError("a decoder's state has notes without a velocity, or a velocity before the key")
        low, past = pitch_range(self._rules, row)
        for note, start, velocity in state["sounding"]:
            at = STARTS + whole(note, low, past - 1)
            row[at] = whole(start, max(0, tick - HOLD_LIMIT), tick)
            row[at + notes] = whole(velocity, 1, 127)
        onsets = [whole(onset, max(0, tick - TICKS_PER_SECOND), tick) for onset in state["recent"]]
        row[-ONSETS:][: len(onsets)] = onsets

    def state(self) -> dict[str, Any]:
        tick, last, floor, velocity, pedal, key = self.memory[:STARTS].tolist()
        onsets = self.memory[-ONSETS:]
        notes = np.flatnonzero(self._starts != SILENT)
        notes = notes[np.argsort(self._starts[notes], kind="stable")]
        return {
            **{"tick": tick, "last": last, "floor": floor, "velocity": None if velocity < 0 else velocity},
            **{"pedal": pedal, "key": None if key < 0 else key},
            "sounding": np.stack((notes, self._starts[notes], self._velocities[notes]), 1).tolist(),
            "recent": onsets[onsets > tick - TICKS_PER_SECOND].tolist(),
        }

    @property
    def now_ms(self) -> int:
        return self.now_ticks * 1000 // TICKS_PER_SECOND

    def started(self, token: int, events: list[Event]) -> list[int]:
        kind, pitch = self._table.entries[token]
        return [pitch + transposition(self.memory)] if kind == NOTE_ON else []

    def describe(self, token: int) -> str:
        kind, value = self._table.entries[token]
        if kind in (NOTE_ON, NOTE_OFF):
            key = int(self.memory[KEY_INDEX])
            name = note_name(value + transposition(self.memory), SHARPS[key] if key >= 0 else 0)
            return name if kind == NOTE_ON else f"{name} ends"
        if kind == TIME_SHIFT:
            return f"wait {value / TICKS_PER_SECOND:.2f} s"
        if kind == VELOCITY:
            return f"loudness {value}"
        if kind == PEDAL:
            return "pedal down" if value else "pedal up"
        return KEYS[value] if kind == KEY else self._table.styles[value] if kind == STYLE else "end of the piece"

    def decisions(self, tokens: Sequence[int], note: Note) -> dict[str, int]:
        kind, value = self._table.entries[tokens[-1]]
        sounds = value + transposition(self.memory)
        if kind != NOTE_ON or (sounds, self.now_ticks) != (note.pitch, note.start_ticks):
            return {}
        is_louder = len(tokens) > 1 and self._table.entries[tokens[-2]][0] == VELOCITY
        return {"Note": 0, **({"Loudness": 1} if is_louder else {})}

    def feed(self, token: int) -> list[Event]:
        """Take one token, and return the note, pedal change or end that it completes.

        An end token at the start of a piece is ignored.

        Raises:
            CarouselError: the grammar does not allow the token here.
        """
        kind, value = self._table.entries[token]
        tick = self.now_ticks
        if not self.allowed()[token]:
            if token == self.memory[LAST] == self._table.end:
                return []
            raise CarouselError(
                f"token {token} ({kind} {value}) cannot follow here; encode the piece with this tokenizer"
            )
        events: list[Event] = []
        if kind == NOTE_OFF:
            note = value - self._table.written.start
            start, velocity = int(self._starts[note]), int(self._velocities[note])
            events.append(Note(start, tick - start, value + transposition(self.memory), velocity))
        elif kind == PEDAL:
            events.append(Pedal(tick, bool(value)))
        elif kind == END:
            events.append(PieceEnd(tick))
        self._advance(token)
        return events
