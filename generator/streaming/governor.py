"""The governor raises a stream's temperature when the stream comes close to a loop or to silence.

`LoopDetector.nearness` measures how close: 0 is free, 1 is stuck. From 0.4 on the governor raises the temperature by
0.25 for each further 0.05 of nearness. When the nearness falls below 0.4, it restores the stream's own options. The
governor decides after every second token (in text only where its decision can change), so its decisions do not depend
on how the stream is cut into chunks. Each change of options is written into the stream's timeline, so a replay needs no
governor. `docs/governor.md` describes its effect and where the figures come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from generator.foundation.options import SamplingOptions
from generator.tokenizers.base import Decoder, Event
from generator.tokenizers.loop_detector import LoopDetector

EVERY = 2
"""Tokens between two decisions. More would be too late: one token of silence may last for a second or a bar."""
PARTS, FREE = 20, 7
"""Nearness is rounded down to parts of 1 / `PARTS`; up to `FREE` parts the governor does nothing."""
TOO_NEAR = (FREE + 1) / PARTS
"""The nearness from which on the governor raises the temperature."""
STEP, MOST = 0.25, 1.5
"""The rise of the temperature for each part above `FREE`, and its maximum."""
HOTTEST = 1.6
"""The governor raises no temperature above this. At higher ones the model draws rests as often as notes, and leaves one
silence only to fall into another."""


class Governor:
    """The governor of one stream. Its only state is its loop detector."""

    def __init__(self, decoder: Decoder, is_text: bool, detector: LoopDetector | None = None) -> None:
        """Feed tokens to this decoder; go on from a copy of `detector`, or from a new one at the decoder's time.

        Raises:
            ValueError: the detector has seen notes after the decoder's time.
        """
        self._decoder, self._is_text = decoder, is_text
        if detector is not None and not is_text and detector.latest_ms > decoder.now_ms:
            raise ValueError("detector")
        self.detector = LoopDetector(decoder.now_ms) if detector is None else detector.copy()

    def feed(
        self, tokens: Sequence[int], position: int, fixed_until: int, options: SamplingOptions
    ) -> tuple[list[Event], int, SamplingOptions]:
        """Feed tokens to the decoder, up to and including the first after which the options change.

        Args:
            position: the position of the first token.
            fixed_until: the options cannot change up to this position.

        Returns:
            The events that these tokens complete, how many tokens were fed, and the options after them; the same object
            as `options` if they do not change.
        """
        count, steered, events = 0, options, []
        while count < len(tokens) and steered is options:
            if self._is_text:
                until = _free_until(options)
                read = self.detector.add_characters(tokens[count:], position + count, EVERY, fixed_until, until)
                events += self._decoder.feed_all(tokens[count : count + read])
                count += read
            else:
                events += self._feed_note_token(tokens[count])
                count += 1
            if (position + count) % EVERY == 0 and position + count > fixed_until:
                steered = self._steer(options)
        return events, count, steered

    def _feed_note_token(self, token: int) -> list[Event]:
        events = self._decoder.feed(token)
        for pitch in self._decoder.started(token, events):
            self.detector.add_note(self._decoder.now_ms, pitch)
        return events

    @property
    def nearness(self) -> float:
        """How close the stream is to a loop or to silence, from 0; at 1 or more it is stuck."""
        return self.detector.nearness(None if self._is_text else self._decoder.now_ms)

    def _steer(self, options: SamplingOptions) -> SamplingOptions:
        """The options with the `lift` for the present nearness; the same object if it does not change."""
        if not options.governor:
            return options
        near = self.nearness
        lift = max(options.lift, min(STEP * (int(PARTS * near) - FREE), MOST)) if near >= TOO_NEAR else 0.0
        return options if lift == options.lift else replace(options, lift=lift)


def _free_until(options: SamplingOptions) -> float:
    """The nearness below which `_steer` would not change these options."""
    if not options.governor:
        return math.inf
    return 0.0 if options.lift else TOO_NEAR


def lifted(options: SamplingOptions) -> SamplingOptions:
    """The options with which a token is drawn: the governor's `lift` raises temperature and top-p, lowers min-p and
    disables top-k, because these filters would undo the higher temperature."""
    if not options.lift:
        return options
    return replace(
        options,
        temperature=max(options.temperature, min(options.temperature + options.lift, HOTTEST)),
        top_k=0,
        top_p=min(1.0, options.top_p + options.lift),
        min_p=max(0.0, options.min_p - options.lift),
    )
