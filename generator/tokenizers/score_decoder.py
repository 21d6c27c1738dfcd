"""The decoder of the score tokenizer: tokens to notes, bar lines, metres and tempos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from generator.music.keys import KEYS, SHARPS
from generator.music.names import note_name, value_name
from generator.music.score import DEFAULT_VELOCITY, Bar, Note, PieceEnd, Tempo, TimeSignature
from generator.tokenizers import score_history as history
from generator.tokenizers.base import LARGEST_COUNT, Event, Rows, whole
from generator.tokenizers.decoders import GrammarDecoder
from generator.tokenizers.recent import ONSETS
from generator.tokenizers.score_grammar import ScoreGrammar
from generator.tokenizers.score_loudness import DYNAMICS
from generator.tokenizers.score_memory import (
    ABOVE_ALL,
    AT_PITCH,
    CLOCK,
    FIELDS,
    FREE,
    IN_KEY,
    IN_METRE,
    IN_VOICE,
    LAST_NOTE_SIZE,
    NOW,
    RECENT,
    SECOND,
    hold_note,
    loudness_of,
    transposition,
    velocities,
)
from generator.tokenizers.score_vocabulary import (
    BAR,
    DURATION,
    END,
    KINDS,
    LARGEST_VALUE,
    LOUDNESS,
    PITCH,
    POSITION,
    STYLE,
    TEMPO,
    TICKS_PER_QUARTER,
    TIME_SIGNATURE,
    VOICE,
)


class ScoreDecoder(GrammarDecoder):
    """Decodes tokens to events. A note is complete with its duration.

    The state has the fields of the memory; `[voice, pitch, end tick]` of each note that sounds; for each voice `[start
    tick, pitch, pitch of the note before]` of its last note; the last second's onsets in microseconds, the newest
    first; if the vocabulary has loudness, the velocity of each voice; and, with features, what `score_history` keeps.
    """

    def __init__(self, grammar: ScoreGrammar, state: dict[str, Any] | None = None) -> None:
        self._table, self._rules = grammar.table, grammar.rules
        super().__init__(grammar, len(grammar.table.rows), state)

    def _restore(self, state: dict[str, Any]) -> None:
        table, row = self._table, self.memory
        fields = [whole(state["memory"][field], -1, LARGEST_COUNT) for field in FIELDS]
        last, bar_start, bar_ticks, now, position, key, metre, tempo, voice, pitch, notes, clock = fields
        lowest, highest = max(0, table.lowest_pitch), min(127, table.values[table.past[PITCH] - 1])
        in_bar = last not in (END, STYLE, TIME_SIGNATURE, TEMPO)
        valid = (
            0 <= last < len(KINDS)
            and (last < STYLE or table.first[last] < table.past[last])
            and bar_start >= 0
            and notes >= 0
            and clock >= 0
            and key < len(KEYS)
            and metre < len(table.metres)
            and voice < len(table.parts)
            and (pitch in (-1, ABOVE_ALL) or lowest <= pitch <= highest)
            and (last in (END, STYLE) or metre >= 0)
            and (last in (END, STYLE, TIME_SIGNATURE) or tempo >= 0)
            and (key >= 0 or not in_bar)
            and bar_ticks == (table.bar_ticks(metre) if in_bar else 0)
            and (position < bar_ticks or not in_bar)
            and now == bar_start + (max(0, position) if in_bar else 0)
            and (last not in (VOICE, LOUDNESS, PITCH, DURATION) or voice >= 0)
            and (last not in (PITCH, DURATION) or lowest <= pitch <= highest)
        )
        if not valid:
            raise ValueError("a decoder's state contradicts its vocabulary or itself")
        row[: len(FIELDS)] = fields
        for voice, pitch, end in state["sounding"]:
            voice, pitch = whole(voice, 0, len(table.parts) - 1), whole(pitch, lowest, highest)
            hold_note(self._rules, row, voice, pitch, whole(end, now + 1, now + LARGEST_VALUE))
        last_notes = [
            (whole(start, -1, now), whole(pitch, -1, highest), whole(before, -1, highest))
            for start, pitch, before in state["latest"]
        ]
        self._last_notes(row)[:] = np.array(last_notes).reshape(len(table.parts), LAST_NOTE_SIZE)
        onsets = [whole(onset, max(0, clock - SECOND), clock) for onset in state["recent"]]
        row[RECENT : RECENT + ONSETS][: len(onsets)] = onsets
        if table.velocities.size:
            loudness = [whole(velocity, -1, 127) for velocity in state["loudness"]]
            if not set(loudness) <= {-1, *table.velocities.tolist()}:
                raise ValueError("a decoder's state has a loudness that its vocabulary lacks")
            velocities(self._rules, row)[:] = np.array(loudness).reshape(len(table.parts))
        if self._history.size:
            self._history[:] = history.from_json(state["history"], table)

    def _last_notes(self, row: Rows) -> Rows:
        """Each voice's last note, shape (voices, 3)."""
        voices = len(self._table.parts)
        return row[FREE + voices : FREE + voices * (1 + LAST_NOTE_SIZE)].reshape(voices, LAST_NOTE_SIZE)

    @property
    def _history(self) -> Rows:
        """The memory of the last bars; empty without features."""
        return self.memory[history.history_of(self._rules) :]

    def state(self) -> dict[str, Any]:
        table, memory = self._table, self.memory
        voices = len(table.parts)
        ends = memory[FREE + voices * (1 + LAST_NOTE_SIZE) : loudness_of(self._rules, 0)].reshape(voices, -1)
        onsets = memory[RECENT : RECENT + ONSETS]
        return {
            "memory": dict(zip(FIELDS, memory[: len(FIELDS)].tolist(), strict=True)),
            "sounding": [
                [voice, table.lowest_pitch + index, int(ends[voice, index])]
                for voice, index in np.argwhere(ends > memory[NOW]).tolist()
            ],
            "latest": self._last_notes(memory).tolist(),
            "recent": onsets[onsets > memory[CLOCK] - SECOND].tolist(),
            **({"loudness": velocities(self._rules, memory).tolist()} if table.velocities.size else {}),
            **({"history": history.to_json(self._history)} if self._history.size else {}),
        }

    @property
    def horizon_ticks(self) -> int:
        return int(self.memory[NOW])

    now_ticks = horizon_ticks

    @property
    def now_ms(self) -> int:
        return int(self.memory[CLOCK]) // 1000

    def describe(self, token: int) -> str:
        table, memory = self._table, self.memory
        kind, value, key, metre = table.kinds[token], table.values[token], int(memory[IN_KEY]), int(memory[IN_METRE])
        if kind == PITCH:
            pitch = value + transposition(self._rules, memory)
            return f"drum {pitch}" if table.parts[memory[IN_VOICE]].drum else note_name(pitch, SHARPS[key])
        if kind == DURATION:
            return value_name(value / TICKS_PER_QUARTER)
        if kind == POSITION:
            return f"beat {1 + value * table.metres[metre][1] / (4 * TICKS_PER_QUARTER):.3g}"
        if kind == BAR:
            return "next bar" if key >= 0 else f"in {KEYS[value]}"
        if kind == TIME_SIGNATURE:
            return "{}/{} time".format(*table.metres[value])
        if kind == TEMPO:
            return f"{value} quarters a minute"
        if kind == LOUDNESS:
            return DYNAMICS.get(value, f"velocity {value}")
        return (
            table.parts[value].name if kind == VOICE else table.styles[value] if kind == STYLE else "end of the piece"
        )

    def decisions(self, tokens: Sequence[int], note: Note) -> dict[str, int]:
        here = self.memory[[NOW, IN_VOICE, AT_PITCH]].tolist()
        begins = self._table.kinds[tokens[-1]] == DURATION and here == [note.start_ticks, note.voice, note.pitch]
        is_set = len(tokens) > 2 and self._table.kinds[tokens[-3]] == LOUDNESS
        return {"Pitch": 1, "Length": 0, **({"Loudness": 2} if is_set else {}), "Voice": 2 + is_set} if begins else {}

    def feed(self, token: int) -> list[Event]:
        self._advance(token)
        kind, value, now = self._table.kinds[token], self._table.values[token], int(self.memory[NOW])
        if kind == DURATION:
            voice = int(self.memory[IN_VOICE])
            velocity = int(velocities(self._rules, self.memory)[voice])
            return [Note(now, value, int(self.memory[AT_PITCH]), velocity if velocity > 0 else DEFAULT_VELOCITY, voice)]
        if kind == TIME_SIGNATURE:
            return [TimeSignature(now, *self._table.metres[value])]
        if kind == TEMPO:
            return [Tempo(now, float(value))]
        if kind == BAR:
            return [Bar(now)]
        if kind == END:
            return [PieceEnd(now)]
        return []
