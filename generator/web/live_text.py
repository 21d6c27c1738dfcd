"""Live takes of text: characters are sent in their order."""

from __future__ import annotations

from typing import Any

from generator.foundation.errors import CarouselError
from generator.streaming.stream import Stream
from generator.web.live import TOKENS, Live

MAX_CHARACTERS = 1_000_000
"""A take that grows beyond this length forgets its oldest half."""
SHOWN_CHARACTERS = 4000
"""A page shows this much of the text before the opening position."""
MOST_SURPRISES = 2048
"""The most characters of which a page is told at once how surprising they were."""
BACK_CHARACTERS = 200
"""The distance that one goes back in text."""


class LiveText(Live):
    """A live take of text."""

    medium = "text"
    ahead = 4096.0

    def __init__(self, stream: Stream, name: str, at: float | None = None) -> None:
        self._primer_text = ""
        self._characters: list[str] = []
        self._forgotten = 0
        self._sent = 0
        super().__init__(stream, name, at)

    def _begin(self, ticks: int) -> None:
        self._begin_ticks = ticks
        self._primer_text, self._characters = "".join(self._characters), []

    def _opening_view(self, ticks: int) -> dict[str, Any]:
        until = ticks - self._begin_ticks - self._forgotten
        before = "".join(self._characters[max(0, until - SHOWN_CHARACTERS) : until])
        return {"voices": [], "primer": self._primer_text[-SHOWN_CHARACTERS:], "before": before}

    def _position(self, ticks: float) -> float:
        return ticks - self._begin_ticks

    def _ticks(self, position: float) -> int:
        return self._begin_ticks + int(min(position, self._horizon()))

    def _tick_to_go_back_to(self, position: float) -> int:
        return max(self._begin_ticks, self._ticks(position) - BACK_CHARACTERS)

    def decisions(self, at: float, pitch: int, voice: int) -> tuple[Stream, dict[str, int]]:
        with self._lock:
            position = len(self._primer) + int(at)
            if position >= self._stream.position:
                raise CarouselError("nothing was drawn here yet; choose an earlier character")
            self._trail.check(self._stream, position)
            return self._stream.fork(), {"Character": position}

    def surprises(self, since: int, until: int) -> list[float]:
        """The model's negative log-likelihood, in nats, of each character from one position to before another.

        Raises:
            CarouselError: there are more than `MOST_SURPRISES`, or they are not drawn yet.
        """
        if not since <= until <= min(since + MOST_SURPRISES, self._horizon()):
            raise CarouselError(f"ask for at most {MOST_SURPRISES:,} characters, and none before they are drawn")
        with self._lock:
            fork = self._stream.fork()
        primed = len(self._primer)
        return [round(draw.surprise, 3) for draw in fork.draws(primed + since, primed + until)]

    def _add_events(self, position: int, events: list[str]) -> None:
        self._characters += events

    def _replace_events(self, step: int, drawn: list[str]) -> None:
        drawn_until = self._stream.horizon_ticks - self._begin_ticks
        self._characters = self._characters[: drawn_until - len(drawn) - self._forgotten] + drawn

    def _sent_until(self) -> float:
        return self._sent

    def _send_from(self, ticks: int) -> None:
        self._sent = ticks - self._begin_ticks

    def _chunk(self) -> dict[str, Any]:
        since = self._sent - self._forgotten
        text = "".join(self._characters[since : since + int(self.ahead) + TOKENS])
        self._sent += len(text)
        ended = self._stream.ended and self._sent == self._horizon()
        if len(self._characters) > MAX_CHARACTERS and self._sent - self._forgotten > MAX_CHARACTERS // 2:
            self._forgotten += MAX_CHARACTERS // 2
            del self._characters[: MAX_CHARACTERS // 2]
        return {"text": text, "horizon": self._sent, "ended": ended}

    def _heard(self, position: float) -> str:
        """The primer, which the page shows too, and the text after it."""
        return self._primer_text + "".join(self._characters[: max(0, int(position) - self._forgotten)])
