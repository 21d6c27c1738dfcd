"""What a live take remembers of its stream's events and sends of them; music and text differ in this alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.web.listening import Phrase


class Events(ABC):
    """The events of a stream, in the order in which they were drawn, and up to where the browser has them.

    Positions count from the end of the primer, in seconds of music or characters of text.
    """

    medium: ClassVar[str]
    ahead: ClassVar[float]
    """The most that one pull may draw, in the unit of positions."""
    _stream: Stream

    @abstractmethod
    def _begin(self, ticks: int) -> None:
        """Let position 0 be at a tick, the end of the primer."""

    @abstractmethod
    def _opening_view(self, ticks: int) -> dict[str, Any]:
        """The voices, and the events before a tick that a page shows, as a JSON object."""

    def _reaches(self, position: float) -> bool:
        """Whether enough is drawn to play up to a position."""
        return self._horizon() >= position

    def _horizon(self) -> float:
        """The position before which nothing can be added any more."""
        return self._position(self._drawn_ticks())

    def _drawn_ticks(self) -> int:
        """The tick before which nothing can be added any more."""
        return self._stream.horizon_ticks

    def _taken(self, stream: Stream) -> Snapshot:
        """The take of a moment, at which a fork of the stream is."""
        return stream.snapshot()

    @abstractmethod
    def _position(self, ticks: float) -> float:
        """The position of a tick of the stream."""

    @abstractmethod
    def _ticks(self, position: float) -> int:
        """The first tick of the stream that is not before a position, at most its horizon."""

    @abstractmethod
    def _tick_to_go_back_to(self, position: float) -> int:
        """The tick that `back` goes back to from a position."""

    @abstractmethod
    def _add_events(self, position: int, events: list[Any]) -> None:
        """Remember the events of a step that began at `position`, in tokens."""

    @abstractmethod
    def _replace_events(self, step: int, drawn: list[Any]) -> None:
        """Remember the events before the position `step`, and those that the stream has drawn since, in new lists."""

    def _listen(self, phrase: Phrase) -> dict[str, Any]:
        """Let the stream hear a phrase now; returns what the page is told about it."""
        return {"refused": f"this checkpoint generates {self.medium}; play with one for music"}

    @abstractmethod
    def _sent_until(self) -> float:
        """The position up to which the browser has everything."""

    @abstractmethod
    def _send_from(self, ticks: int) -> None:
        """Send everything again that has not ended at a tick."""

    @abstractmethod
    def _chunk(self) -> dict[str, Any]:
        """The next events, no more than fit into `ahead`, as a JSON object with their `horizon`, and whether the stream
        has `ended` there."""

    @abstractmethod
    def _heard(self, position: float) -> Any:
        """The piece up to a position, a text or a score."""

    @abstractmethod
    def decisions(self, at: float, pitch: int, voice: int) -> tuple[Stream, dict[str, int]]:
        """A fork of the stream, and the positions in tokens of the decisions that made what starts at a position, by
        their names: of music the note of this pitch and voice.

        Raises:
            CarouselError: there is no such note, or it is too long ago.
        """
