"""What a visitor plays on a page: read as a phrase, and played into a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mido

from generator.foundation.errors import CarouselError
from generator.live.phrase import phrase_score
from generator.live.port import SUSTAIN
from generator.music.score import DEFAULT_TEMPO, MusicEvent, Note, Score
from generator.streaming.stream import Stream
from generator.web.fields import is_number

MAX_MESSAGES = 1000
MAX_SECONDS = 120.0
"""The longest phrase."""


@dataclass(frozen=True)
class Phrase:
    """MIDI messages with their times in seconds, the first at 0. They were played from the position `at` of a take on,
    by the stream's voice of that name, or by whichever suits if that is None."""

    at: float
    voice: str | None
    messages: tuple[tuple[float, mido.Message], ...]

    def score(self, upbeat: float = 0.0, tempo: float = DEFAULT_TEMPO) -> Score:
        """The phrase in one voice, so many seconds after the beginning of the score.

        Args:
            tempo: quarters a minute.
        """
        return phrase_score(self.messages, -upbeat, tempo)


def read(value: Any) -> Phrase:
    """Read a phrase from a request: {at, voice, messages: [[seconds, status, data, data], …]}. The messages are those
    of MIDI for notes and the sustain pedal.

    Raises:
        CarouselError: it is malformed or too long, or begins with no note.
    """
    try:
        at, voice = value["at"], value["voice"]
        rows = [(seconds, bytes(message)) for seconds, *message in value["messages"]]
        if not isinstance(voice, str) or not all(is_number(moment) for moment in (at, *(row[0] for row in rows))):
            raise TypeError
        messages = tuple((float(seconds), mido.Message.from_bytes(message)) for seconds, message in rows)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise CarouselError("the request's phrase is malformed; load the page again") from None
    moments = [seconds for seconds, _ in messages]
    if len(messages) > MAX_MESSAGES or max(moments, default=0.0) > MAX_SECONDS:
        raise CarouselError(f"a phrase has {MAX_MESSAGES:,} messages and {MAX_SECONDS:g} seconds at most; pause sooner")
    kinds = [(message.type, getattr(message, "control", SUSTAIN)) for _, message in messages]
    known = set(kinds) <= {(name, SUSTAIN) for name in ("note_on", "note_off", "control_change")}
    begins = bool(messages) and messages[0][1].type == "note_on" and messages[0][1].velocity > 0 and moments[0] == 0
    if not known or not begins or moments != sorted(moments):
        raise CarouselError("the request's phrase is malformed; it begins with a note at 0 seconds")
    return Phrase(float(at), voice or None, messages)


def begin_with_phrase(stream: Stream, request: Any) -> None:
    """Play the phrase into a stream that the request for its start has, if it has one.

    Raises:
        CarouselError: it is malformed, or the stream cannot hear it.
    """
    if isinstance(request, Mapping) and "phrase" in request:
        phrase = read(request["phrase"])
        stream.listen(phrase.score(), phrase.voice)


def heard_by(stream: Stream, phrase: Phrase, upbeat: float, tempo: float) -> tuple[list[MusicEvent], int]:
    """Play a phrase into a stream; returns the events that this completes, and the tick of the phrase's first note.

    Args:
        upbeat: the seconds from a bar line to the phrase's first note.
        tempo: quarters a minute.

    Raises:
        CarouselError: the stream cannot hear it; it may have completed a note.
    """
    before = stream.snapshot()
    stream.listen(phrase.score(upbeat, tempo), phrase.voice)
    start, _ = stream.snapshot().injected[-1]
    decoder = stream.engine.tokenizer.decoder(before.decoder)
    tokens = stream.tokens()[before.position :]
    events: list[Any] = decoder.feed_all(tokens[: start - before.position].tolist())
    begun = decoder.now_ticks
    played: list[Any] = decoder.feed_all(tokens[start - before.position :].tolist())
    first = min(event.start_ticks for event in played if isinstance(event, Note) and event.start_ticks >= begun)
    return events + played, first
