"""MIDI ports: where live notes go to and come from, by name; one that vanishes is looked for until it is back."""

from __future__ import annotations

from typing import Any

import mido

from generator.foundation.errors import CarouselError
from generator.foundation.terminal import tell

LOOK_SECONDS = 1.0
"""Between looks at the ports that there are."""
SUSTAIN, ALL_NOTES_OFF = 64, 123
"""MIDI's controllers."""


def port_names(kind: str) -> list[str]:
    """The ports of a kind, `input` or `output`, that there are.

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
    """The ports of a kind, in one line."""
    return f"MIDI {kind} ports: {', '.join(map(repr, port_names(kind))) or 'none'}"


class Port:
    """A MIDI port by its name or a part of it, that may vanish and come back."""

    def __init__(self, kind: str, name: str, setup: list[mido.Message]) -> None:
        """Open it, and send the messages of `setup`; they are sent again whenever it comes back.

        Raises:
            CarouselError: there is no such port, or it does not open.
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
        """Send a message, or drop it while the port is away; whether it was sent."""
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
        """What has come in since."""
        try:
            return [] if self._port is None else list(self._port.iter_pending())
        except Exception:  # a driver may raise anything
            self._lose()
            return []

    def silence(self) -> None:
        """End every note that sounds, and say "all notes off" on all channels."""
        for channel, pitch in sorted(self._sounding):
            self.send(mido.Message("note_off", channel=channel, note=pitch))
        for channel in range(16):
            self.send(mido.Message("control_change", channel=channel, control=SUSTAIN, value=0))
            self.send(mido.Message("control_change", channel=channel, control=ALL_NOTES_OFF))

    def look(self, now: float) -> None:
        """Once a second, see whether the port is still there, or back."""
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
        """Silence an output, and let the port go."""
        if self.kind == "output":
            self.silence()
        self._drop()

    def _found(self) -> str | None:
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
        except Exception:  # it has vanished
            return

    def _lose(self) -> None:
        self._drop()
        tell(f"the MIDI {self.kind} port {self.name!r} has vanished; looking for it")
