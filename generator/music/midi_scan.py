"""Finds out quickly whether a MIDI file has anything that symusic would refuse, misread or drop without a message.

It is a loop over the bytes, compiled, because every file of a corpus passes through it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from generator.foundation.jit import compiled

HEADER = b"MThd\0\0\0\6"
HEADER_BYTES = 14
NAME = 0x03
"""The name of a track, which symusic reads as UTF-8 alone."""
META_LENGTHS = {0x51: 3, 0x58: 4}
"""The lengths of tempos and time signatures in bytes."""


def is_plain(data: bytes) -> bool:
    """Whether this is a file of type 0 or 1 with ticks per quarter, with valid messages, all of whose notes end."""
    if not data.startswith(HEADER) or len(data) < HEADER_BYTES or data[9] > 1 or data[12] > 127:
        return False
    return bool(_is_plain(np.frombuffer(data, np.uint8)))


@compiled
def _is_plain(data: npt.NDArray[np.uint8]) -> bool:
    sounding = np.zeros(16 * 128, np.int32)
    place = HEADER_BYTES
    while place + 8 <= len(data):
        is_track = data[place] == ord("M") and data[place + 1] == ord("T") and data[place + 2] == ord("r")
        size = 0
        for at in range(place + 4, place + 8):
            size = 256 * size + int(data[at])
        place += 8
        if place + size > len(data):
            return False
        if is_track and not _is_plain_track(data, place, place + size, sounding):
            return False
        place += size
    return True


@compiled
def _is_plain_track(data: npt.NDArray[np.uint8], place: int, end: int, sounding: npt.NDArray[np.int32]) -> bool:
    """Whether the track in `data[place:end]` is plain; `sounding` is overwritten."""
    sounding[:] = 0
    status = 0
    while place < end:
        while place < end and data[place] > 127:  # the time before the message
            place += 1
        place += 1
        if place >= end:
            return False
        if data[place] > 127:
            status = int(data[place])
            place += 1
        if status >= 0xF0:
            if status != 0xF0 and status != 0xFF:
                return False
            kind = 0
            if status == 0xFF:
                if place >= end:
                    return False
                kind = int(data[place])
                place += 1
            length = 0
            while place < end and data[place] > 127:
                length = 128 * length + int(data[place] & 127)
                place += 1
            if place >= end:
                return False
            length = 128 * length + int(data[place])
            place += 1
            if kind == NAME:
                for at in range(place, min(end, place + length)):
                    if data[at] > 127:
                        return False
            place += length
            if place > end or (kind == 0x51 and length != 3) or (kind == 0x58 and length != 4):
                return False
            if kind == 0x2F:
                return place == end and sounding.max() == 0
            status = 0  # what follows has to have a status of its own
            continue
        size = 1 if 0xC0 <= status < 0xE0 else 2
        if status == 0 or place + size > end or data[place] > 127 or data[place + size - 1] > 127:
            return False
        if 0x80 <= status < 0xA0:
            note = (status & 15) * 128 + int(data[place])
            if status >= 0x90 and data[place + 1] > 0:
                sounding[note] += 1
            elif sounding[note] > 0:
                sounding[note] -= 1
        place += size
    return False
