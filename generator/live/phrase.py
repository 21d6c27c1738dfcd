"""A phrase that a musician has played: MIDI messages with the times of their arrival are made into a score."""

from __future__ import annotations

from collections.abc import Sequence

import mido

from generator.music.score import Note, Pedal, Score, Tempo, Voice

TICKS_PER_QUARTER = 480
PEDAL_DOWN = 64
"""The least value of the sustain controller with which the pedal is down."""


def phrase_score(phrase: Sequence[tuple[float, mido.Message]], begin: float, tempo: float) -> Score:
    """The score of a phrase, in one voice.

    Args:
        phrase: (seconds, message) of notes and of the sustain pedal, in order of time, at least one. A note that has
            no end lasts until the last message.
        begin: the time of the score's beginning, on the same clock.
        tempo: quarters a minute.
    """
    ticks_per_second = TICKS_PER_QUARTER * tempo / 60
    end = round((phrase[-1][0] - begin) * ticks_per_second)
    notes: list[Note] = []
    pedals: list[Pedal] = []
    sounding: dict[int, tuple[int, int]] = {}  # by pitch: start and velocity
    for moment, message in phrase:
        tick = round((moment - begin) * ticks_per_second)
        if message.type == "control_change":
            pedals.append(Pedal(tick, message.value >= PEDAL_DOWN))
            continue
        if message.note in sounding:
            start, velocity = sounding.pop(message.note)
            notes.append(Note(start, max(1, tick - start), message.note, velocity))
        if message.type == "note_on" and message.velocity:
            sounding[message.note] = tick, message.velocity
    notes += [Note(start, max(1, end - start), pitch, velocity) for pitch, (start, velocity) in sounding.items()]
    notes.sort(key=lambda note: (note.start_ticks, -note.pitch))
    return Score(TICKS_PER_QUARTER, (Voice(""),), tuple(notes), (), (Tempo(0, tempo),), tuple(pedals))
