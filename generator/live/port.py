"""MIDI ports by name. A port that disappears, as when its cable is pulled out, is opened again once it is back."""

from __future__ import annotations

from typing import Any

import mido

from generator.foundation.errors import CarouselError
from generator.foundation.terminal import tell

LOOK_SECONDS = 1.0
"""The list of ports is read at most once in this time."""
SUSTAIN, ALL_NOTES_OFF = 64, 123
"""The numbers of MIDI controllers."""


def port_names(kind: str) -> list[str]:
    """The names of all ports of a kind, `input` or `output`.

    Raises:
        CarouselError: python-rtmidi is missing, or the system has no MIDI.
    """
    try:
        return list(mido.get_input_names() if kind == "input" else mido.get_output_names())
    except ImportError as error:
        raise CarouselError("MIDI ports need python-rtmidi; install it: pip install python-rtmidi") from error
    except Exception as error:  # a driver may raise anything
        raise CarouselError(f"the system's MIDI does not answer: {error}; see that its sound service runs") from error


def listing(kind: str) -> str:
    """A line with the names of all ports of a kind, `input` or `output`."""
    return f"MIDI {kind} ports: {', '.join(map(repr, port_names(kind))) or 'none'}"


class Port:
    """A MIDI port, found by its name or a part of it, which may disappear and come back."""

    def __init__(self, kind: str, name: str, setup: list[mido.Message]) -> None:
        """Open the port and send the messages of `setup`, which are sent again whenever it comes back.

        Args:
            kind: `input` or `output`.

        Raises:
            CarouselError: there is no such port, or it cannot be opened.
        """
        self.kind, self.name, self._setup = kind, name, setup
        self._port: Any = None
        self._looked = -LOOK_SECONDS
        self._sounding: set[tuple[int, int]] = set()
        if self._found() is None:
            raise CarouselError(f"no MIDI {kind} port is named {name!r}; {listing(kind)}")
        if not self._open():
            raise CarouselError(f"the MIDI {kind} port {name!r} does not open; another program may hold it")

    def send(self, message: mido.Message) -> bool:
        """Send a message, or drop it while the port is missing. Returns whether it was sent."""
        if self._port is None:
            return False
        try:
            self._port.send(message)
        except Exception:  # a driver may raise anything
            self._lose()
            return False
        if message.type == "note_on":
            self._sounding.add((message.channel, message.note))
        elif message.type == "note_off":
            self._sounding.discard((message.channel, message.note))
        return True

    def received(self) -> list[mido.Message]:
        """The messages that have arrived since the last call."""
        try:
            return [] if self._port is None else list(self._port.iter_pending())
        except Exception:  # a driver may raise anything
            self._lose()
            return []

    def silence(self) -> None:
        """End every note that sounds, and send "all notes off" on all channels."""
        for channel, pitch in sorted(self._sounding):
            self.send(mido.Message("note_off", channel=channel, note=pitch))
        for channel in range(16):
            self.send(mido.Message("control_change", channel=channel, control=SUSTAIN, value=0))
            self.send(mido.Message("control_change", channel=channel, control=ALL_NOTES_OFF))

    def look(self, now: float) -> None:
        """Find out, at most once a second, whether the port has disappeared or come back.

        Args:
            now: the time in seconds.
        """
        if now < self._looked + LOOK_SECONDS:
            return
        self._looked = now
        try:
            found = self._found() is not None
        except CarouselError:
            found = False
        if self._port is not None and not found:
            self._lose()
        elif self._port is None and found and self._open():
            tell(f"the MIDI {self.kind} port {self.name!r} is back")

    def close(self) -> None:
        """Close the port; an output is silenced first."""
        if self.kind == "output":
            self.silence()
        self._drop()

    def _found(self) -> str | None:
        """The full name of the port; None if there is no such port."""
        names = port_names(self.kind)
        alike = (name for name in names if self.name.lower() in name.lower())
        return self.name if self.name in names else next(alike, None)

    def _open(self) -> bool:
        opened = mido.open_input if self.kind == "input" else mido.open_output
        try:
            self._port = opened(self._found())
        except Exception:  # a driver may raise anything
            return False
        if self.kind == "output":
            self.silence()
            for message in self._setup:
                self.send(message)
        return self._port is not None

    def _drop(self) -> None:
        port, self._port = self._port, None
        self._sounding.clear()
        try:
            if port is not None:
                port.close()
        except Exception:  # it has disappeared
            return

    def _lose(self) -> None:
        self._drop()
        tell(f"the MIDI {self.kind} port {self.name!r} has vanished; looking for it")
