"""The synthesiser: every note of a score is played from the soundfont and mixed into blocks of samples.

Each note is computed as the soundfont standard (SoundFont 2.01) has it: the recording is interpolated, filtered by a
low-pass filter, multiplied by an envelope and panned. The filter is recursive, so it cannot be written as array
operations; the loop over the samples is compiled by numba, and releases the interpreter lock for other threads.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled
from generator.music.instruments import Envelope, Soundfont, Zone, general_midi
from generator.music.score import Score

SAMPLE_RATE = 44100
BLOCK_FRAMES = 1 << 15
CONTROL_FRAMES = 64
"""Envelopes and filter coefficients are computed once in this many frames; between two such points the volume is
interpolated linearly."""
SILENCE = 1e-5
"""A note ends once its amplitude is below this."""
CUT_SECONDS = 0.05
"""A note that is cut off by another one of its exclusive class falls by 100 dB in this time."""
OPEN_FILTER_HERTZ = 18000.0
"""A filter with a cutoff frequency from here on is left out: it would change nothing that can be heard."""

Block = npt.NDArray[np.float32]
"""Samples of shape (frames, 2): left and right."""
State = npt.NDArray[np.float64]
"""Shape (4,): the position in the recording, the frames played, and the two past values that the filter needs."""


class Parameters(NamedTuple):
    """The parameters of the compiled loop for one note in one zone. Seconds count from the start of the note."""

    step: float
    """Frames of the recording for one frame of sound."""
    loop_start: int
    loop_end: int
    loop_seconds: float
    release_seconds: float
    cut_seconds: float
    left: float
    right: float
    volume: Envelope
    filter_hertz: float
    filter_q: float
    filter_envelope_cents: float
    filter_envelope: Envelope


@dataclass(slots=True)
class ZoneNote:
    """One note played with one zone of the soundfont. Its times count from the start of the score."""

    start_seconds: float
    stop_seconds: float
    """When it is released, by its key or by the pedal."""
    pitch: int
    velocity: int
    zone: Zone
    cut_seconds: float = math.inf
    """When a later note of the same exclusive class cuts it off."""

    def parameters(self) -> Parameters:
        """The parameters of the compiled loop for this note."""
        zone = self.zone
        release = max(0.0, self.stop_seconds - self.start_seconds)
        # Half the velocity gives a quarter of the amplitude: 40 log10(velocity / 127) dB (SoundFont 2.01, 8.4.1).
        gain = zone.gain * (self.velocity / 127.0) ** 2
        angle = (zone.pan + 1.0) * math.pi / 4.0
        loop_start, loop_end = zone.loop or (0, 0)
        loops_until = release if zone.loop_until_release else math.inf
        return Parameters(
            step=zone.rate(self.pitch) * zone.sample_rate / SAMPLE_RATE,
            loop_start=loop_start,
            loop_end=loop_end,
            loop_seconds=loops_until if zone.loop else 0.0,
            release_seconds=release,
            cut_seconds=self.cut_seconds - self.start_seconds,
            left=gain * math.cos(angle),
            right=gain * math.sin(angle),
            volume=zone.volume,
            filter_hertz=zone.filter_hertz,
            # The standard counts resonance from a filter without peak, which is 3.01 dB down at its cutoff frequency.
            filter_q=10.0 ** ((zone.filter_q_db - 3.01) / 20.0),
            filter_envelope_cents=float(zone.filter_envelope_cents),
            filter_envelope=zone.filter_envelope,
        )


def render(score: Score, soundfont: Soundfont | None = None, block_frames: int = BLOCK_FRAMES) -> Iterator[Block]:
    """The sound of a score until its last note has died away, in blocks of shape (block_frames, 2): left and right.

    The samples are not limited: in loud music they exceed 1.

    Args:
        soundfont: by default the General MIDI soundfont.
    """
    recordings: dict[Zone, npt.NDArray[np.float32]] = {}
    sounding: list[tuple[ZoneNote, Parameters, State]] = []
    waiting = zone_notes(score, soundfont or general_midi())
    waiting.reverse()
    start = 0
    while waiting or sounding:
        while waiting and round(waiting[-1].start_seconds * SAMPLE_RATE) < start + block_frames:
            zone_note = waiting.pop()
            if zone_note.zone not in recordings:
                recordings[zone_note.zone] = _recording(zone_note.zone)
            sounding.append((zone_note, zone_note.parameters(), np.zeros(4)))
        block = np.zeros((block_frames, 2), dtype=np.float32)
        still = []
        for zone_note, parameters, state in sounding:
            begin = max(0, round(zone_note.start_seconds * SAMPLE_RATE) - start)
            if _add_frames(block[begin:], recordings[zone_note.zone], parameters, state):
                still.append((zone_note, parameters, state))
        sounding = still
        start += block_frames
        yield block


def zone_notes(score: Score, soundfont: Soundfont) -> list[ZoneNote]:
    """All notes of a score, each with every zone that plays it, in order of their start.

    The pedal holds a note after its key is released, the same key struck again releases it, and a note of the same
    exclusive class cuts it off.
    """
    clock, piece_end_ticks = score.clock(), score.end_ticks
    zones = [soundfont.zones_for(voice.program, voice.drum) for voice in score.voices]
    pedals: dict[int, list[tuple[int, bool]]] = defaultdict(list)
    for pedal in score.pedals:
        pedals[pedal.voice].append((pedal.start_ticks, pedal.down))
    found: list[ZoneNote] = []
    by_key: dict[tuple[int, int], list[ZoneNote]] = {}
    by_class: dict[tuple[int, int], list[ZoneNote]] = {}
    for note in score.notes:
        start = clock.seconds(note.start_ticks)
        stop = clock.seconds(_release_ticks(note.end_ticks, pedals[note.voice], piece_end_ticks))
        own = [
            ZoneNote(start, stop, note.pitch, note.velocity, zone)
            for zone in zones[note.voice]
            if zone.plays(note.pitch, note.velocity)
        ]
        for earlier in by_key.get((note.voice, note.pitch), ()):
            earlier.stop_seconds = min(start, earlier.stop_seconds)
        by_key[note.voice, note.pitch] = own
        for exclusive in {zone_note.zone.exclusive_class for zone_note in own} - {0}:
            for earlier in by_class.get((note.voice, exclusive), ()):
                earlier.cut_seconds = start
            by_class[note.voice, exclusive] = [
                zone_note for zone_note in own if zone_note.zone.exclusive_class == exclusive
            ]
        found += own
    return found


def _release_ticks(end_ticks: int, pedals: list[tuple[int, bool]], piece_end_ticks: int) -> int:
    """When a note ends whose key is released at `end_ticks`: then, or if the pedal is down, when it is lifted."""
    after = bisect_right(pedals, (end_ticks, True))
    if after == 0 or not pedals[after - 1][1]:
        return end_ticks
    up = next((index for index in range(after, len(pedals)) if not pedals[index][1]), None)
    return pedals[up][0] if up is not None else max(end_ticks, piece_end_ticks)


def _recording(zone: Zone) -> npt.NDArray[np.float32]:
    """A zone's samples, from -1 to 1, with one more in front and two more behind, which the interpolation reads."""
    samples = zone.samples.astype(np.float32) / 32768.0
    if zone.loop and not zone.loop_until_release:
        start, end = zone.loop
        around = start + np.arange(2) % (end - start)
        return np.concatenate([samples[:1], samples[:end], samples[around]])
    return np.concatenate([samples[:1], samples, np.zeros(2, np.float32)])


@compiled
def _envelope_level(envelope: Envelope, seconds: float, release_seconds: float) -> float:
    """The level of an envelope, 0 to 1. Both times count from the start of the note."""
    held = min(seconds, release_seconds) - envelope.delay
    if held <= 0.0:
        return 0.0
    if held < envelope.attack:
        # During the attack the amplitude rises linearly; levels are in decibels, 1 for 0 dB and 0 for -100 dB.
        level = max(0.0, 1.0 + math.log10(held / envelope.attack) / 5.0)
    else:
        level = max(envelope.sustain, 1.0 - max(0.0, held - envelope.attack - envelope.hold) / envelope.decay)
    return max(0.0, level - max(0.0, seconds - release_seconds) / envelope.release)


@compiled
def _amplitude(parameters: Parameters, seconds: float) -> float:
    """The amplitude of a note, 0 to 1, `seconds` after its start."""
    level = (
        _envelope_level(parameters.volume, seconds, parameters.release_seconds)
        - max(0.0, seconds - parameters.cut_seconds) / CUT_SECONDS
    )
    return 10.0 ** (5.0 * (level - 1.0)) if level > 0.0 else 0.0


@compiled
def _add_frames(out: Block, recording: npt.NDArray[np.float32], parameters: Parameters, state: State) -> bool:
    """Add the next frames of a note to `out`, and update its state. Returns whether the note goes on.

    Args:
        out: shape (frames, 2).
        recording: as `_recording` returns it.
    """
    position, played, past, past_past = state[0], int(state[1]), state[2], state[3]
    frames = len(out)
    last = len(recording) - 3
    goes_on = True
    done = 0
    while done < frames and goes_on:
        phase = played % CONTROL_FRAMES
        seconds = (played - phase) / SAMPLE_RATE
        volume = _amplitude(parameters, seconds)
        change = (_amplitude(parameters, seconds + CONTROL_FRAMES / SAMPLE_RATE) - volume) / CONTROL_FRAMES
        if volume < SILENCE and seconds > parameters.volume.delay + parameters.volume.attack:
            goes_on = False
            break
        looping = seconds < parameters.loop_seconds

        # The low-pass filter of Bristow-Johnson's Audio EQ Cookbook; an envelope moves its cutoff frequency.
        level = _envelope_level(parameters.filter_envelope, seconds, parameters.release_seconds)
        hertz = parameters.filter_hertz * 2.0 ** (parameters.filter_envelope_cents * level / 1200.0)
        filtering = hertz < OPEN_FILTER_HERTZ
        angle = 2.0 * math.pi * max(20.0, hertz) / SAMPLE_RATE
        width = math.sin(angle) / (2.0 * parameters.filter_q)
        scale = 1.0 / (1.0 + width)
        b1 = (1.0 - math.cos(angle)) * scale
        b0 = 0.5 * b1
        a1 = -2.0 * math.cos(angle) * scale
        a2 = (1.0 - width) * scale

        for _ in range(min(CONTROL_FRAMES - phase, frames - done)):
            if looping:
                while position >= parameters.loop_end:
                    position -= parameters.loop_end - parameters.loop_start
            elif position >= last:
                goes_on = False
                break
            # A Catmull-Rom spline through four neighbouring samples; `recording` has one sample more in front.
            whole = int(position)
            x = position - whole
            y0, y1, y2, y3 = recording[whole], recording[whole + 1], recording[whole + 2], recording[whole + 3]
            cubic = 3.0 * (y1 - y2) + y3 - y0
            square = 2.0 * y0 - 5.0 * y1 + 4.0 * y2 - y3
            sample = y1 + 0.5 * x * (y2 - y0 + x * (square + x * cubic))
            position += parameters.step
            if filtering:
                filtered = b0 * sample + past
                past = b1 * sample - a1 * filtered + past_past
                past_past = b0 * sample - a2 * filtered
                sample = filtered
            loudness = volume + change * phase
            out[done, 0] += parameters.left * loudness * sample
            out[done, 1] += parameters.right * loudness * sample
            phase += 1
            played += 1
            done += 1
    state[0], state[1], state[2], state[3] = position, played, past, past_past
    return goes_on
