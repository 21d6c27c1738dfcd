"""A live performance on MIDI ports: what `sample --midi-out` does, with and without `--midi-in`."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import mido

from generator.foundation.errors import CarouselError
from generator.foundation.signals import handled
from generator.foundation.terminal import tell
from generator.live.player import Player
from generator.live.port import Port
from generator.music.midi import channels
from generator.music.score import Clock
from generator.streaming.band import Source
from generator.tokenizers.base import Event


def perform(
    stream: Source,
    events: Iterator[Event],
    clock: Clock,
    output: str,
    input_: str | None = None,
    *,
    click: bool = False,
) -> None:
    """Play `events` of a stream to the MIDI port named `output`; or, if `input_` names a port, answer what is played
    there. The timing errors are reported on standard error.

    Args:
        clock: it has been set to the tempos of the stream's past.
        click: add a metronome.

    Raises:
        CarouselError: there is no such port, or python-rtmidi is missing.
    """
    if not stream.voices:
        raise CarouselError("this checkpoint generates text; --midi-out is for music")
    pairs = zip(stream.voices, channels(stream.voices), strict=True)
    setup = [mido.Message("program_change", program=voice.program, channel=channel) for voice, channel in pairs]
    port = Port("output", output, setup)
    with handled(signal.SIGTERM, signal.default_int_handler):  # as Ctrl-C, so that no note is left sounding
        try:
            answered = None if input_ is None else Port("input", input_, [])
            player = Player(stream, clock, port, answered, click=click)
            player.play(None if answered is not None else events)
        finally:
            port.close()
    tell(player.report())
