"""Scores as sound: WAV files of 16-bit stereo at 44.1 kHz.

The sound begins with the first note: nobody waits for a pickup through the silence before it. A block is synthesised,
limited and written before the next one is begun, so memory does not grow with the length of the music. The samples do
not depend on the size of the blocks.
"""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

import numpy as np

from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.music.score import Score
from generator.sinks.synthesis import BLOCK_FRAMES, SAMPLE_RATE, Block, render

KNEE = 0.7
"""The limiter leaves amplitudes below this one as they are."""
FADE_FRAMES = 441
"""The length of the fade-out where a piece was cut: 10 ms."""
LEAD_SECONDS = 0.05
"""The silence before the first note that is kept."""
LONGEST_HOURS = 6.7
"""The header of a WAV file counts the bytes in 32 bits, so a file can be no longer than this."""


def write(score: Score, path: Path, progress: Callable[[str, float, float, str], None] | None = None) -> None:
    """Write the sound of a score, from its first note on, as a WAV file: PCM, 16 bits, two channels, 44.1 kHz.

    Args:
        progress: called with a name for the work, the seconds done, the seconds in all, and "seconds".

    Raises:
        CarouselError: the music is too long for a WAV file, or the file cannot be written.
    """
    clock = score.clock()
    silent = max(0.0, clock.seconds(min(note.start_ticks for note in score.notes)) - LEAD_SECONDS)
    seconds = clock.seconds(score.end_ticks) - silent
    hours = seconds / 3600
    if hours > LONGEST_HOURS:
        raise CarouselError(f"{path}: a WAV file holds {LONGEST_HOURS} hours, not {hours:.1f}; write less, or .mid")
    with atomic_write(path) as file, wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        done = 0.0
        blocks = without_beginning(render(score), round(silent * SAMPLE_RATE))
        if score.length_ticks:
            blocks = with_length(blocks, round(seconds * SAMPLE_RATE))
        for block in blocks:
            out.writeframes(np.rint(limit(block) * 32767.0).astype("<i2").tobytes())
            done = min(seconds, done + len(block) / SAMPLE_RATE)
            if progress is not None:
                progress("playing it into the file", done, seconds, "seconds")


def without_beginning(blocks: Iterable[Block], frames: int) -> Iterator[Block]:
    """A sound without its first frames."""
    for block in blocks:
        if frames < len(block):
            yield block[frames:]
        frames = max(0, frames - len(block))


def with_length(blocks: Iterable[Block], frames: int) -> Iterator[Block]:
    """Exactly this many frames of a sound: a longer one is faded out at the end, silence is added to a shorter one."""
    left = frames
    for block in chain(blocks, repeat(np.zeros((BLOCK_FRAMES, 2), dtype=np.float32))):
        if left <= 0:
            return
        gain = np.clip((left - np.arange(len(block))) / FADE_FRAMES, 0.0, 1.0).astype(np.float32)
        yield (block * gain[:, np.newaxis])[:left]
        left -= len(block)


def limit(block: Block) -> Block:
    """Compress each amplitude above the knee by a tanh, so that none exceeds 1."""
    size = np.abs(block)
    bent = KNEE + (1.0 - KNEE) * np.tanh((size - KNEE) / (1.0 - KNEE))
    return np.where(size <= KNEE, block, np.copysign(bent, block)).astype(np.float32)
