"""Scores as sound, 44.1 kHz in stereo: WAV and FLAC with 16 bits, and Ogg Vorbis, a tenth of their size.

The sound begins with the first note: nobody waits for a pickup through the silence before it. A block is synthesised,
limited and written before the next one is begun, so memory does not grow with the length of the music. The samples do
not depend on the size of the blocks.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import IO

import numpy as np
import soundfile

from generator.foundation.atomic import atomic_write
from generator.foundation.errors import CarouselError
from generator.music.score import Score
from generator.sinks import Progress
from generator.sinks.synthesis import BLOCK_FRAMES, SAMPLE_RATE, Block, render

KNEE = 0.7
"""The limiter leaves amplitudes below this one as they are."""
FADE_FRAMES = 441
"""The length of the fade-out where a piece was cut: 10 ms."""
LEAD_SECONDS = 0.05
"""The silence before the first note that is kept."""
LONGEST_HOURS = 6.7
"""The header of a WAV file counts the bytes in 32 bits, so a file can be no longer than this."""
FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
"""The format and the encoding of each suffix, as libsndfile calls them."""


def write(score: Score, path: Path, progress: Progress | None = None) -> None:
    """Write the sound of a score, from its first note on, in the format that the suffix names.

    Args:
        progress: called with a name for the work, the seconds done, the seconds in all, and "seconds".

    Raises:
        CarouselError: the music is too long for such a file, or the file cannot be written.
    """
    clock = score.clock()
    silent = max(0.0, clock.seconds(min(note.start_ticks for note in score.notes)) - LEAD_SECONDS)
    seconds = clock.seconds(score.end_ticks) - silent
    hours, suffix = seconds / 3600, path.suffix.lower()
    if hours > LONGEST_HOURS:
        name = suffix[1:].upper()
        raise CarouselError(f"{path}: a {name} file holds {LONGEST_HOURS} hours, not {hours:.1f}; write less, or .mid")
    form, encoding = FORMATS[suffix]
    with atomic_write(path) as file, tempfile.TemporaryFile() as pages:
        target = pages if suffix == ".ogg" else file
        try:
            with soundfile.SoundFile(target, "w", SAMPLE_RATE, 2, encoding, format=form) as out:
                done = 0.0
                blocks = without_beginning(render(score), round(silent * SAMPLE_RATE))
                if score.length_ticks:
                    blocks = with_length(blocks, round(seconds * SAMPLE_RATE))
                for block in blocks:
                    out.write(np.rint(limit(block) * 32767.0).astype(np.int16))
                    done = min(seconds, done + len(block) / SAMPLE_RATE)
                    if progress is not None:
                        progress("playing it into the file", done, seconds, "seconds")
        except soundfile.LibsndfileError as error:
            raise CarouselError(f"{path}: cannot write: {error}; free some space or choose another place") from error
        if suffix == ".ogg":
            pages.seek(0)
            file.writelines(_numbered(pages))


def _numbered(file: IO[bytes]) -> Iterator[bytes]:
    """The pages of an Ogg file, with 0 in the place of a random serial number, so that the same music gives the same
    bytes. Each page has a checksum (RFC 3533), a CRC of the polynomial of zlib's, but with the bits in the usual order.
    """
    while head := file.read(27):
        sizes = file.read(head[26])
        rest = sizes + file.read(sum(sizes))
        page = head[:14] + bytes(4) + head[18:22] + bytes(4) + head[26:] + rest
        checksum = int(f"{zlib.crc32(page.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)
        yield page[:22] + checksum.to_bytes(4, "little") + page[26:]


MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the opposite order."""


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
