"""The governor raises a stream's temperature when the stream comes close to a loop or to silence.

`LoopDetector.nearness` says how close, as one number: 0 is free, 1 is stuck. From two fifths on, each further twentieth
raises the temperature by another quarter, until the nearness is below two fifths; then the stream has its own options
again. The governor looks at every second token (in text only where its decision can change), so its decisions do not
depend on chunks. Each change of options is written into the stream's timeline, so a replay needs no governor.
`docs/governor.md` says what it is good for, and where the figures come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from generator.foundation.options import SamplingOptions
from generator.tokenizers.base import Decoder, Event
from generator.tokenizers.loop_detector import LoopDetector

EVERY = 2
"""It looks at every second token. Less often would be too late: one token of silence may last for a second or a bar."""
PARTS, FREE = 20, 7
"""Nearness is counted in so many parts; up to `FREE` of them the governor does nothing."""
TOO_NEAR = (FREE + 1) / PARTS
"""The nearness from which on it raises the temperature."""
STEP, MOST = 0.25, 1.5
"""By how much the temperature is raised for each further part, and by how much at most."""
HOTTEST = 1.6
"""The temperature is raised to this value at most. At higher ones the model draws rests as often as notes, and leaves
one silence only to fall into another."""


class Governor:
    """The governor of one stream. Its only state is its loop detector."""

    def __init__(self, decoder: Decoder, is_text: bool, detector: LoopDetector | None = None) -> None:
        """Watch what a decoder is fed; a new detector starts at the decoder's time.

        Raises:
            ValueError: the detector has seen notes that lie after that time.
        """
        self._decoder, self._is_text = decoder, is_text
        if detector is not None and not is_text and detector.latest_ms > decoder.now_ms:
            raise ValueError("detector")
        self.detector = LoopDetector(decoder.now_ms) if detector is None else detector.copy()

    def hear(
        self, tokens: Sequence[int], position: int, written: int, options: SamplingOptions
    ) -> tuple[list[Event], int, SamplingOptions]:
        """Feed tokens to the decoder, and stop after the one at which the options change.

        Args:
            tokens: the first stands at `position`.
            written: the options do not change up to this position.

        Returns:
            The events that they complete, how many tokens were fed, and the options from there on.
        """
        count, steered, events = 0, options, []
        while count < len(tokens) and steered is options:
            if self._is_text:
                until = _free_until(options)
                read = self.detector.add_characters(tokens[count:], position + count, EVERY, written, until)
                events += self._decoder.feed_all(tokens[count : count + read])
                count += read
            else:
                events += self._hear(tokens[count])
                count += 1
            if (position + count) % EVERY == 0 and position + count > written:
                steered = self._steer(options)
        return events, count, steered

    def _hear(self, token: int) -> list[Event]:
        events = self._decoder.feed(token)
        for pitch in self._decoder.started(token, events):
            self.detector.add_note(self._decoder.now_ms, pitch)
        return events

    @property
    def nearness(self) -> float:
        """How close the stream is to being stuck; from 1 on it is."""
        return self.detector.nearness(None if self._is_text else self._decoder.now_ms)

    def _steer(self, options: SamplingOptions) -> SamplingOptions:
        """The options with the right rise of temperature; the same object if nothing changes."""
        if not options.governor:
            return options
        near = self.nearness
        lift = max(options.lift, min(STEP * (int(PARTS * near) - FREE), MOST)) if near >= TOO_NEAR else 0.0
        return options if lift == options.lift else replace(options, lift=lift)


def _free_until(options: SamplingOptions) -> float:
    """The nearness below which the options do not change."""
    if not options.governor:
        return math.inf
    return 0.0 if options.lift else TOO_NEAR


def lifted(options: SamplingOptions) -> SamplingOptions:
    """The options that a token is drawn with: temperature, top-p and min-p changed by the governor's `lift`, without
    top-k. Otherwise the filters would undo the higher temperature."""
    if not options.lift:
        return options
    return replace(
        options,
        temperature=max(options.temperature, min(options.temperature + options.lift, HOTTEST)),
        top_k=0,
        top_p=min(1.0, options.top_p + options.lift),
        min_p=max(0.0, options.min_p - options.lift),
    )
