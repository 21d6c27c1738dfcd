"""The governor: it hears what a stream says, and lifts its temperature where that comes near to a loop or to silence.

How near is one number, from what was said alone (`Watch.nearness`). From two fifths of the way on, every twentieth more
lifts by a quarter more, until the stream is free: then it has its own options again at once. The governor is asked at
every second token of a stream (of text, where its answer may change anything), so what it does is no matter of chunks;
each change of options is in the timeline, so a replay needs no governor. `docs/governor.md` says what it is good for,
and where the figures come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from generator.music.score import Note
from generator.options import SamplingOptions
from generator.streaming.stuck import Watch
from generator.tokenizers import frames_grammar, performance_grammar, score_grammar
from generator.tokenizers.base import Decoder, Event, Rows, Tokenizer
from generator.tokenizers.frames import FramesTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer

EVERY = 2
"""Tokens between two questions: a token of silence may last for a second or a bar."""
PARTS, FREE = 20, 7
"""Of the way to being stuck; and how many of them are none of its business."""
TOO_NEAR = (FREE + 1) / PARTS
"""From here on it lifts."""
STEP, MOST = 0.25, 1.5
"""Of a lift."""
HOTTEST = 1.6
"""To here a lift raises the temperature at most: what is drawn hotter has rests as often as notes, and is free of one
silence to fall into another."""


class Governor:
    """Of one stream. All that it remembers is its `watch`."""

    def __init__(self, tokenizer: Tokenizer, memory: Rows, watch: Watch | None = None) -> None:
        """Of a stream whose grammar remembers `memory`, shape (size,); without a watch it begins to listen there.

        Raises:
            ValueError: the watch has heard what is still to come.
        """
        self._tokenizer = tokenizer
        self._reads = tokenizer.medium == "text"
        # A performance's notes are events when they end.
        self._onsets: dict[int, int] = _onsets(tokenizer) if isinstance(tokenizer, PerformanceTokenizer) else {}
        now_ms = 0 if self._reads else self._now_ms(memory)
        if watch is not None and not self._reads and watch.latest_ms > now_ms:
            raise ValueError("watch")
        self.watch = Watch(now_ms) if watch is None else watch.copy()

    def hear(
        self, tokens: Sequence[int], decoder: Decoder, position: int, written: int, options: SamplingOptions
    ) -> tuple[list[Event], int, SamplingOptions]:
        """Feed tokens, of which the first stands at `position`, to the decoder, up to the one after which the options
        change; up to the position `written` they do not.

        Returns:
            The events that they complete, how many were fed, and the options from there on.
        """
        count, steered, events = 0, options, []
        while count < len(tokens) and steered is options:
            if self._reads:
                read = self.watch.read(tokens[count:], position + count, EVERY, written, _free_until(options))
                events += decoder.feed_all(tokens[count : count + read])
                count += read
            else:
                events += self._hear(tokens[count], decoder)
                count += 1
            if (position + count) % EVERY == 0 and position + count > written:
                steered = self._steer(options, decoder.memory)
        return events, count, steered

    def _hear(self, token: int, decoder: Decoder) -> list[Event]:
        events = decoder.feed(token)
        if token in self._onsets:
            pitch = self._onsets[token] + performance_grammar.moved(decoder.memory)
            self.watch.hear(self._now_ms(decoder.memory), pitch)
        elif not self._onsets:
            for event in events:
                if isinstance(event, Note):
                    self.watch.hear(self._now_ms(decoder.memory), event.pitch)
        return events

    def _now_ms(self, memory: Rows) -> int:
        """Where the clock stands."""
        tokenizer = self._tokenizer
        if isinstance(tokenizer, ScoreTokenizer):
            return int(memory[score_grammar.CLOCK]) // 1000
        if isinstance(tokenizer, FramesTokenizer):
            frames_a_minute = tokenizer.quarters_per_minute * tokenizer.ticks_per_quarter
            return int(int(memory[frames_grammar.TICK]) * 60_000 / frames_a_minute)
        return int(memory[performance_grammar.TICK]) * 1000 // performance_grammar.TICKS_PER_SECOND

    def nearness(self, memory: Rows) -> float:
        """How near to being stuck the stream is, from 0; from 1 on it is."""
        return self.watch.nearness(self._now_ms(memory) if not self._reads else None)

    def _steer(self, options: SamplingOptions, memory: Rows) -> SamplingOptions:
        """The options with the lift that the stream needs now; the same object if it has that lift."""
        if not options.governor:
            return options
        near = self.nearness(memory)
        lift = max(options.lift, min(STEP * (int(PARTS * near) - FREE), MOST)) if near >= TOO_NEAR else 0.0
        return options if lift == options.lift else replace(options, lift=lift)


def _free_until(options: SamplingOptions) -> float:
    """The nearness below which the options stay as they are."""
    if not options.governor:
        return math.inf
    return 0.0 if options.lift else TOO_NEAR


def _onsets(tokenizer: PerformanceTokenizer) -> dict[int, int]:
    """The tokens with which a note starts, and their pitches as they are written."""
    on = performance_grammar.NOTE_ON
    return {token: tokenizer.table.entries[token][1] for token in tokenizer.table.spans[on]}


def lifted(options: SamplingOptions) -> SamplingOptions:
    """The options that a token is drawn with. Filters, which could undo a higher temperature, open by as much; top-k,
    which cannot by degrees, is off."""
    if not options.lift:
        return options
    return replace(
        options,
        temperature=max(options.temperature, min(options.temperature + options.lift, HOTTEST)),
        top_k=0,
        top_p=min(1.0, options.top_p + options.lift),
        min_p=max(0.0, options.min_p - options.lift),
    )
