"""Repairs single invalid bytes in a MIDI file: values that are too large, and undefined messages.

MIDI's data bytes go up to 127. A larger velocity or controller value becomes 127. Removed are messages with a larger
pitch, controller number or program, undefined messages, and tempos and time signatures of a wrong length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from generator.foundation.omissions import Omission, omissions_of

HEADER_BYTES = 14
HIGHEST = 127
SYSTEM, ESCAPE, META = 0xF0, 0xF7, 0xFF
DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2, 0xF1: 1, 0xF2: 2, 0xF3: 1}
"""How many data bytes follow each status byte; other system messages have none."""
UNDEFINED = (0xF4, 0xF5, ESCAPE, 0xF9, 0xFD)
META_LENGTHS = {0x51: 3, 0x58: 4}
"""The lengths of tempos and time signatures in bytes."""
NOTHING = bytes((META, 0x01, 0))
"""An empty text event. It replaces a removed message, as the time before that still counts."""
END_OF_TRACK = bytes((0x2F, 0))


def suspicious(data: bytes) -> bool:
    """Whether there may be a tempo or time signature of a wrong length, which symusic does not notice."""
    return any(
        data.count(bytes((META, kind))) != data.count(bytes((META, kind, length)))
        for kind, length in META_LENGTHS.items()
    )


def repaired(data: bytes) -> tuple[bytes, tuple[Omission, ...]]:
    """The bytes of the file with all messages valid, and what was changed.

    Raises:
        ValueError: a track is cut off or has no end event, so more is wrong than single bytes.
    """
    out, place = bytearray(data[:HEADER_BYTES]), HEADER_BYTES
    changes: Counter[tuple[str, str]] = Counter()
    while place < len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "big")
        chunk, place = data[place + 8 : place + 8 + size], place + 8 + size
        if name == b"MTrk":
            chunk = b"".join(_valid(*message, changes) for message in _messages(chunk))
        out += name + len(chunk).to_bytes(4, "big") + chunk
    return bytes(out), omissions_of(changes)


def _valid(time: bytes, status: int, rest: bytes, changes: Counter[tuple[str, str]]) -> bytes:
    """The bytes of a message and the time before it, repaired if needed; `changes` counts the repairs."""
    wrong_length = status == META and META_LENGTHS.get(rest[0], rest[1]) != rest[1]
    if wrong_length or status in UNDEFINED or (status < SYSTEM and rest[0] > HIGHEST):
        changes["damaged message", "passed over"] += 1
        return time + NOTHING
    if status < SYSTEM and max(rest) > HIGHEST:
        changes["value", f"above {HIGHEST} taken for {HIGHEST}"] += 1
        rest = bytes((rest[0], HIGHEST))
    return time + bytes((status,)) + rest


def _messages(track: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """The messages of a track: the bytes of the time before each, its status byte, and its other bytes."""
    place = status = 0
    rest = b""
    while place < len(track):
        start = _past_number(track, place)
        time = track[place:start]
        if track[start : start + 1] >= b"\x80":
            status, start = track[start], start + 1
        if status in (META, SYSTEM, ESCAPE):
            body = _past_number(track, start + (status == META))
            length = 0
            for byte in track[start + (status == META) : body]:
                length = length << 7 | byte & 0x7F
            place = body + length
        else:
            place = start + DATA_BYTES.get(status if status > SYSTEM else status & 0xF0, 0)
        rest = track[start:place]
        if place > len(track) or (place == start and status < SYSTEM):
            raise ValueError("a track is cut off")
        yield time, status, rest
    if (status, rest) != (META, END_OF_TRACK):
        raise ValueError("a track has no end")


def _past_number(track: bytes, place: int) -> int:
    """The index after a variable-length number. All its bytes except the last have their high bit set."""
    while track[place : place + 1] >= b"\x80":
        place += 1
    return place + 1
