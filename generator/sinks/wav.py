"""Scores as sound: every note played from the soundfont, mixed in blocks, written as 16-bit stereo at 44.1 kHz.

Memory does not grow with the music: a block is mixed, limited and written before the next one is begun, and what it
holds does not depend on where it is cut. The path of a sample is the soundfont standard's: interpolate the recording,
low-pass filter, envelope, pan. The filter feeds on its own past, which no array operation does, so the path is one
numba kernel, which leaves the interpreter to other threads.
"""

from __future__ import annotations

import math
import wave
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.foundation.jit import compiled
from generator.music.score import Score
from generator.music.soundfont import Envelope, Soundfont, Zone, general_midi

SAMPLE_RATE = 44100
BLOCK_FRAMES = 1 << 15
CONTROL_FRAMES = 64
"""Envelopes and the filter are worked out anew this often; the volume is a straight line between."""
KNEE = 0.7
"""Below this level the limiter changes nothing."""
SILENCE = 1e-5
CUT_SECONDS = 0.05
"""How fast a note that another one of its exclusive class cuts off falls by 100 dB."""
FADE_FRAMES = 441
"""In which the sound dies away where a piece was cut."""
OPEN_FILTER_HERTZ = 18000.0
LONGEST_HOURS = 6.7
"""A WAV file counts its bytes in 32 bits."""

Block = npt.NDArray[np.float32]
State = npt.NDArray[np.float64]


class Tone(NamedTuple):
    """All that the kernel knows of one note in one zone. Seconds count from its start; `step` is in recorded frames."""

    step: float
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
class Strike:
    """One note in one zone: when it starts, when its key is let go, and when another note cuts it off, if one does."""

    start_seconds: float
    stop_seconds: float
    pitch: int
    velocity: int
    zone: Zone
    cut_seconds: float = math.inf

    def tone(self) -> Tone:
        """What the kernel needs of this."""
        zone = self.zone
        release = max(0.0, self.stop_seconds - self.start_seconds)
        # A key pressed half as hard is a quarter as loud: 40 log10(velocity / 127) dB (SoundFont 2.01, 8.4.1).
        gain = zone.gain * (self.velocity / 127.0) ** 2
        angle = (zone.pan + 1.0) * math.pi / 4.0
        loop_start, loop_end = zone.loop or (0, 0)
        loops_until = release if zone.loop_until_release else math.inf
        return Tone(
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
            # The resonance counts from the flat response's 3 dB below its corner.
            filter_q=10.0 ** ((zone.filter_q_db - 3.01) / 20.0),
            filter_envelope_cents=float(zone.filter_envelope_cents),
            filter_envelope=zone.filter_envelope,
        )


def write(score: Score, path: Path, progress: Callable[[str, float, float, str], None] | None = None) -> None:
    """Play a score into a WAV file: PCM, 16 bits, two channels, 44.1 kHz.

    Args:
        progress: as `progress.when_slow` gives it.

    Raises:
        CarouselError: the music is too long for a WAV file, or the file cannot be written.
    """
    seconds = score.clock().seconds(score.end_ticks)
    hours = seconds / 3600
    if hours > LONGEST_HOURS:
        raise CarouselError(f"{path}: a WAV file holds {LONGEST_HOURS} hours, not {hours:.1f}; write less, or .mid")
    with atomic_write(path) as file, wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        done = 0.0
        for block in cut(render(score), round(seconds * SAMPLE_RATE)) if score.length_ticks else render(score):
            out.writeframes(np.rint(limit(block) * 32767.0).astype("<i2").tobytes())
            done = min(seconds, done + len(block) / SAMPLE_RATE)
            if progress is not None:
                progress("playing it into the file", done, seconds, "seconds")


def render(score: Score, soundfont: Soundfont | None = None, block_frames: int = BLOCK_FRAMES) -> Iterator[Block]:
    """The sound of a score, until its last note has died away, in blocks of shape (block_frames, 2): left and right.

    Not limited yet: loud music goes beyond 1.
    """
    recordings: dict[Zone, npt.NDArray[np.float32]] = {}
    sounding: list[tuple[Strike, Tone, State]] = []
    waiting = strikes(score, soundfont or general_midi())
    waiting.reverse()
    start = 0
    while waiting or sounding:
        while waiting and round(waiting[-1].start_seconds * SAMPLE_RATE) < start + block_frames:
            strike = waiting.pop()
            if strike.zone not in recordings:
                recordings[strike.zone] = _recording(strike.zone)
            # The state: place in the recording, frames played, and the filter's two memories.
            sounding.append((strike, strike.tone(), np.zeros(4)))
        block = np.zeros((block_frames, 2), dtype=np.float32)
        still = []
        for strike, tone, state in sounding:
            begin = max(0, round(strike.start_seconds * SAMPLE_RATE) - start)
            if _play(block[begin:], recordings[strike.zone], tone, state):
                still.append((strike, tone, state))
        sounding = still
        start += block_frames
        yield block


def cut(blocks: Iterable[Block], frames: int) -> Iterator[Block]:
    """So many frames of a sound: it fades out where it goes on, and silence fills up where it does not."""
    left = frames
    for block in chain(blocks, repeat(np.zeros((BLOCK_FRAMES, 2), dtype=np.float32))):
        if left <= 0:
            return
        gain = np.clip((left - np.arange(len(block))) / FADE_FRAMES, 0.0, 1.0).astype(np.float32)
        yield (block * gain[:, np.newaxis])[:left]
        left -= len(block)


def limit(block: Block) -> Block:
    """Bend what lies above the knee so that nothing passes 1; each sample by itself."""
    size = np.abs(block)
    bent = KNEE + (1.0 - KNEE) * np.tanh((size - KNEE) / (1.0 - KNEE))
    return np.where(size <= KNEE, block, np.copysign(bent, block)).astype(np.float32)


def strikes(score: Score, soundfont: Soundfont) -> list[Strike]:
    """Every note in every zone that it sounds, in order of time.

    A note is held by the pedal, let go when its key strikes again, cut off by a note of its exclusive class.
    """
    clock, piece_end_ticks = score.clock(), score.end_ticks
    zones = [soundfont.zones_for(voice.program, voice.drum) for voice in score.voices]
    pedals: dict[int, list[tuple[int, bool]]] = defaultdict(list)
    for pedal in score.pedals:
        pedals[pedal.voice].append((pedal.start_ticks, pedal.down))
    struck: list[Strike] = []
    by_key: dict[tuple[int, int], list[Strike]] = {}
    by_class: dict[tuple[int, int], list[Strike]] = {}
    for note in score.notes:
        start = clock.seconds(note.start_ticks)
        stop = clock.seconds(_let_go(note.end_ticks, pedals[note.voice], piece_end_ticks))
        own = [
            Strike(start, stop, note.pitch, note.velocity, zone)
            for zone in zones[note.voice]
            if zone.plays(note.pitch, note.velocity)
        ]
        for earlier in by_key.get((note.voice, note.pitch), ()):
            earlier.stop_seconds = min(start, earlier.stop_seconds)
        by_key[note.voice, note.pitch] = own
        for exclusive in {strike.zone.exclusive_class for strike in own} - {0}:
            for earlier in by_class.get((note.voice, exclusive), ()):
                earlier.cut_seconds = start
            by_class[note.voice, exclusive] = [strike for strike in own if strike.zone.exclusive_class == exclusive]
        struck += own
    return struck


def _let_go(end_ticks: int, pedals: list[tuple[int, bool]], piece_end_ticks: int) -> int:
    """When a note is let go whose key comes up at `end_ticks`: then, or when the pedal comes up."""
    after = bisect_right(pedals, (end_ticks, True))
    if after == 0 or not pedals[after - 1][1]:
        return end_ticks
    up = next((index for index in range(after, len(pedals)) if not pedals[index][1]), None)
    return pedals[up][0] if up is not None else max(end_ticks, piece_end_ticks)


def _recording(zone: Zone) -> npt.NDArray[np.float32]:
    """A zone's samples between -1 and 1, one before and two more after, which the interpolation reads."""
    samples = zone.samples.astype(np.float32) / 32768.0
    if zone.loop and not zone.loop_until_release:
        start, end = zone.loop
        around = start + np.arange(2) % (end - start)
        return np.concatenate([samples[:1], samples[:end], samples[around]])
    return np.concatenate([samples[:1], samples, np.zeros(2, np.float32)])


@compiled
def _level(envelope: Envelope, seconds: float, release_seconds: float) -> float:
    """An envelope's level, 0 to 1, `seconds` after the start of a note that is let go after `release_seconds`."""
    held = min(seconds, release_seconds) - envelope.delay
    if held <= 0.0:
        return 0.0
    if held < envelope.attack:
        # The amplitude rises in a straight line, and a level is decibels.
        level = max(0.0, 1.0 + math.log10(held / envelope.attack) / 5.0)
    else:
        level = max(envelope.sustain, 1.0 - max(0.0, held - envelope.attack - envelope.hold) / envelope.decay)
    return max(0.0, level - max(0.0, seconds - release_seconds) / envelope.release)


@compiled
def _amplitude(tone: Tone, seconds: float) -> float:
    level = _level(tone.volume, seconds, tone.release_seconds) - max(0.0, seconds - tone.cut_seconds) / CUT_SECONDS
    return 10.0 ** (5.0 * (level - 1.0)) if level > 0.0 else 0.0


@compiled
def _play(out: Block, recording: npt.NDArray[np.float32], tone: Tone, state: State) -> bool:
    """Add the next frames of a tone to `out`; whether it goes on. The state is left where the frames end."""
    position, played, past, past_past = state[0], int(state[1]), state[2], state[3]
    frames = len(out)
    last = len(recording) - 3
    goes_on = True
    done = 0
    while done < frames and goes_on:
        phase = played % CONTROL_FRAMES
        seconds = (played - phase) / SAMPLE_RATE
        volume = _amplitude(tone, seconds)
        change = (_amplitude(tone, seconds + CONTROL_FRAMES / SAMPLE_RATE) - volume) / CONTROL_FRAMES
        if volume < SILENCE and seconds > tone.volume.delay + tone.volume.attack:
            goes_on = False
            break
        looping = seconds < tone.loop_seconds

        # The low-pass filter of Bristow-Johnson's cookbook, as wide open as its envelope says.
        level = _level(tone.filter_envelope, seconds, tone.release_seconds)
        hertz = tone.filter_hertz * 2.0 ** (tone.filter_envelope_cents * level / 1200.0)
        filtering = hertz < OPEN_FILTER_HERTZ
        angle = 2.0 * math.pi * max(20.0, hertz) / SAMPLE_RATE
        width = math.sin(angle) / (2.0 * tone.filter_q)
        scale = 1.0 / (1.0 + width)
        b1 = (1.0 - math.cos(angle)) * scale
        b0 = 0.5 * b1
        a1 = -2.0 * math.cos(angle) * scale
        a2 = (1.0 - width) * scale

        for _ in range(min(CONTROL_FRAMES - phase, frames - done)):
            if looping:
                while position >= tone.loop_end:
                    position -= tone.loop_end - tone.loop_start
            elif position >= last:
                goes_on = False
                break
            # Catmull-Rom through four neighbours; `recording` has one frame more in front.
            whole = int(position)
            x = position - whole
            y0, y1, y2, y3 = recording[whole], recording[whole + 1], recording[whole + 2], recording[whole + 3]
            cubic = 3.0 * (y1 - y2) + y3 - y0
            square = 2.0 * y0 - 5.0 * y1 + 4.0 * y2 - y3
            sample = y1 + 0.5 * x * (y2 - y0 + x * (square + x * cubic))
            position += tone.step
            if filtering:
                filtered = b0 * sample + past
                past = b1 * sample - a1 * filtered + past_past
                past_past = b0 * sample - a2 * filtered
                sample = filtered
            loudness = volume + change * phase
            out[done, 0] += tone.left * loudness * sample
            out[done, 1] += tone.right * loudness * sample
            phase += 1
            played += 1
            done += 1
    state[0], state[1], state[2], state[3] = position, played, past, past_past
    return goes_on
