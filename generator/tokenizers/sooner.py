"""What comes next, brought forward: the next onset of written music, and the end of a wait of a performance.

Where notes sound on for long, a change of options would be heard late, because it is heard with the next onset. So the
notes that would end first end sooner, and the next position stands there. The tokens of the stream are given again from
the first of these notes on, with other durations.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.tokenizers import splice
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.performance_grammar import TIME_SHIFT
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_memory import BAR_START, BAR_TICKS, IN_KEY, RECENT, SECOND, clock_at
from generator.tokenizers.score_vocabulary import BAR, DURATION, POSITION, TICKS_PER_QUARTER

GRID = (TICKS_PER_QUARTER, TICKS_PER_QUARTER // 2, TICKS_PER_QUARTER // 4)
"""Where an onset may come, the best first: at a multiple of so many ticks from the bar line."""


def shorter_wait(tokenizer: PerformanceTokenizer, token: int, ticks: int) -> tuple[int, list[int]] | None:
    """How a wait, of which `token` is the last one, ends so many ticks sooner: as from `sooner`, where the wait itself
    is not among the tokens. None if it is no wait, or no longer than that."""
    waits = tokenizer.table.spans[TIME_SHIFT]
    return (0, [token - ticks]) if ticks > 0 and token in waits and token - ticks in waits else None


def longest_ticks(tokenizer: ScoreTokenizer) -> int:
    """The length of the longest note of a vocabulary."""
    return int(tokenizer.table.columns[DURATION][-1])


def sooner(
    tokenizer: ScoreTokenizer, state: dict[str, Any], tokens: Sequence[int], ticks: range, options: SamplingOptions
) -> tuple[int, list[int]] | None:
    """How the next onset comes at one of `ticks`.

    Args:
        state: the decoder's where `tokens` begin.
        tokens: those of a stream, up to where the next onset is to be.
        ticks: where it may be.
        options: those that hold for the onset. It obeys their `density` and `voices_at_once`.

    Returns:
        How many of the last tokens change, and what comes in their place, with the position of the onset, all of which
        the grammar allows. None if there is no way.
    """
    table, decoder = tokenizer.table, tokenizer.decoder(state)
    notes: list[tuple[int, int, int]] = []
    for index, token in enumerate(tokens):
        if table.kinds[token] == DURATION:
            notes.append((index, decoder.now_ticks, decoder.now_ticks + table.values[token]))
        decoder.feed(token)
    row = decoder.memory
    begun, past = int(row[BAR_START]), int(row[BAR_START] + row[BAR_TICKS])
    if begun == past:  # a piece begins or ends
        return None
    for step in GRID:
        for tick in ticks:
            position = table.ids.get((POSITION, tick - begun if tick < past else tick - past))
            if (tick - begun) % step or position is None or tick > past:
                continue
            if options.density and clock_at(row, tick) - row[RECENT + options.density - 1] < SECOND:
                continue
            onset = [position] if tick < past else [table.ids[BAR, int(row[IN_KEY])], position]
            sounding = [note for note in notes if note[1] < tick < note[2]]
            first = min((end for _, _, end in sounding), default=0)
            lengths = {index: (DURATION, tick - start) for index, start, end in sounding if end == first}
            shorter = {index: table.ids[length] for index, length in lengths.items() if length in table.ids}
            if options.voices_at_once and sounding and not shorter:
                continue
            since = min(shorter, default=len(tokens))
            given = [shorter.get(index, token) for index, token in enumerate(tokens)][since:] + onset
            with suppress(CarouselError):  # no voice may begin a note there
                splice.check(tokenizer, tokenizer.decoder(state), [*tokens[:since], *given])
                return len(tokens) - since, given
    return None
