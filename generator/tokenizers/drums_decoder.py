"""The decoder of the drums tokenizer: tokens to hits, bar lines, metres and tempos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from generator.music.names import drum_name
from generator.music.score import Bar, Note, PieceEnd, Tempo, TimeSignature
from generator.tokenizers.base import LARGEST_COUNT, Event, whole
from generator.tokenizers.decoders import GrammarDecoder
from generator.tokenizers.drums_grammar import (
    BAR,
    BAR_START,
    DRUM,
    EARLIEST,
    END,
    FIELDS,
    KINDS,
    LAST_DRUM,
    LONGEST_PIECE,
    OFFSET,
    OFFSETS,
    PIECE_START,
    POSITION,
    STEP_TICKS,
    STYLE,
    TEMPO,
    TICKS_PER_QUARTER,
    TIME_SIGNATURE,
    VELOCITY,
    DrumsGrammar,
    clock,
    now,
)

HIT_TICKS = 1
"""The length of every hit. A drum may be struck again at the next tick."""


class DrumsDecoder(GrammarDecoder):
    """Decodes tokens to events. A hit is complete with its velocity. The state has the fields of the memory."""

    def __init__(self, grammar: DrumsGrammar, state: dict[str, Any] | None = None) -> None:
        self._table = grammar.table
        super().__init__(grammar, len(grammar.table.rows), state)

    def _restore(self, state: dict[str, Any]) -> None:
        table = self._table
        fields = [whole(state["memory"][field], EARLIEST, LARGEST_COUNT) for field in FIELDS]
        last, piece_start, piece_clock, bar_start, bar_ticks, metre, tempo = fields[:7]
        style, position, offset, drum, hits = fields[7:]
        in_bar = last in (BAR, POSITION, OFFSET, DRUM, VELOCITY)
        steps = table.steps[metre] if 0 <= metre < len(table.metres) else 0
        named = range(len(table.styles) + 1)
        struck = last in (OFFSET, DRUM, VELOCITY)
        valid = (
            0 <= last < (len(KINDS) if table.styles else STYLE)
            and 0 <= piece_start <= bar_start <= piece_start + (LONGEST_PIECE if in_bar else 0)
            and piece_clock >= 0
            and bar_ticks == (steps * STEP_TICKS if in_bar else 0)
            and (steps > 0 if in_bar or last in (TIME_SIGNATURE, TEMPO) else metre == -1)
            and ((TEMPO, tempo) in table.ids if in_bar or last == TEMPO else tempo == -1)
            and (style in named if in_bar or last == STYLE else style == -1 or (last != END and style in named[1:]))
            and (style > 0 or last != STYLE)
            and (0 <= position < steps if in_bar and last != BAR else position == -1)
            and (offset in OFFSETS if struck else offset == (EARLIEST if in_bar else 0))
            and (not struck or position > 0 or bar_start > piece_start or offset >= 0)
            and ((DRUM, drum) in table.ids or (drum == -1 and last == OFFSET) if struck else drum == -1)
            and (hits >= (last == VELOCITY) if in_bar else hits == 0)
        )
        if not valid:
            raise ValueError("a decoder's state contradicts its vocabulary or itself")
        self.memory[:] = fields

    def state(self) -> dict[str, Any]:
        return {"memory": dict(zip(FIELDS, self.memory.tolist(), strict=True))}

    @property
    def horizon_ticks(self) -> int:
        return int(now(self.memory))

    now_ticks = horizon_ticks

    @property
    def now_ms(self) -> int:
        return int(clock(self.memory, self.now_ticks)) // 1000

    def describe(self, token: int) -> str:
        table = self._table
        kind, value = table.kinds[token], table.values[token]
        if kind == DRUM:
            return drum_name(value)
        if kind == POSITION:
            return f"beat {1 + value / 4:.3g}"
        if kind == OFFSET:
            return f"{abs(value)}/{TICKS_PER_QUARTER} {'early' if value < 0 else 'late'}" if value else "on time"
        if kind == VELOCITY:
            return f"loudness {value}"
        if kind == TIME_SIGNATURE:
            return "{}/{} time".format(*table.metres[value])
        if kind == TEMPO:
            return f"{value} quarters a minute"
        return {BAR: "next bar", END: "end of the piece"}.get(kind) or table.styles[value]

    def decisions(self, tokens: Sequence[int], note: Note) -> dict[str, int]:
        here = int(now(self.memory)), int(self.memory[LAST_DRUM])
        begins = self._table.kinds[tokens[-1]] == VELOCITY and here == (note.start_ticks, note.pitch)
        return {"Drum": 1, "Loudness": 0, "Timing": 2} if begins else {}

    def feed(self, token: int) -> list[Event]:
        self._advance(token)
        kind, value, row = self._table.kinds[token], self._table.values[token], self.memory
        if kind == VELOCITY:
            return [Note(int(now(row)), HIT_TICKS, int(row[LAST_DRUM]), value)]
        if kind == BAR:
            return [Bar(int(row[BAR_START]))]
        start = int(row[PIECE_START])
        if kind == TIME_SIGNATURE:
            return [TimeSignature(start, *self._table.metres[value])]
        if kind == TEMPO:
            return [Tempo(start, float(value))]
        return [PieceEnd(start)] if kind == END else []
