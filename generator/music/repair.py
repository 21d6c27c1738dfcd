"""Makes a MIDI file plain that is valid but unusual, or damaged in a way that players tolerate.

Taken out of its RIFF wrapper, with a header of the usual length, and with ticks per quarter in the place of frames a
second; patterns that follow each other (type 2) come at their times. A message keeps its status after a system message.
A note that never ends, ends where its pitch is next struck or released, or with its track. Names become UTF-8.

MIDI's data bytes go up to 127. A larger velocity or controller value becomes 127. Removed are messages with a larger
pitch, controller number or program, undefined messages, and tempos and time signatures of a wrong length.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

from generator.foundation.omissions import Omission, omissions_of
from generator.music.midi_scan import HEADER, META_LENGTHS, NAME

Message = tuple[int, int, bytes]
"""Its time in ticks, its status byte, and its other bytes."""
HIGHEST = 127
SYSTEM, ESCAPE, META = 0xF0, 0xF7, 0xFF
NOTE_OFF, NOTE_ON = 0x80, 0x90
DATA_BYTES = {NOTE_OFF: 2, NOTE_ON: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2, 0xF1: 1, 0xF2: 2, 0xF3: 1}
"""How many data bytes follow each status byte; other system messages have none."""
UNDEFINED = (0xF4, 0xF5, 0xF9, 0xFD)
END_OF_TRACK, TEMPO = bytes((0x2F, 0)), 0x51
SEQUENCE = 2
"""The type of a file whose tracks follow each other."""
FRAMES = {24: Fraction(24), 25: Fraction(25), 29: Fraction(30_000, 1001), 30: Fraction(30)}
"""Frames a second by their number in the header."""


def repaired(data: bytes) -> tuple[bytes, tuple[Omission, ...]]:
    """A plain file with the same music, and what was changed.

    Raises:
        ValueError: it is no MIDI file, or more is wrong than what is named above.
    """
    data = unwrapped(data)
    kind, division = (int.from_bytes(data[at : at + 2], "big") for at in (8, 12))
    place = 8 + int.from_bytes(data[4:8], "big")
    if place < 14 or len(data) < place:
        raise ValueError("the header is cut off")
    changes: Counter[tuple[str, str]] = Counter()
    tempo = b""
    if division >> 15:
        division, tempo = _per_quarter(256 - (division >> 8), division & 255)
    tracks: list[list[Message]] = []
    start = 0
    while place < len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "big")
        chunk, place = data[place + 8 : place + 8 + size], place + 8 + size
        if name != b"MTrk":
            continue
        messages = [(start + time, status, rest) for time, status, rest in _messages(chunk)]
        if kind == SEQUENCE:
            start = messages[-1][0]
        if tempo:
            messages = [message for message in messages if not _is_tempo(message, changes)]
        tracks.append(_closed([valid for message in messages for valid in _valid(message, changes)], changes))
    if tempo and tracks:
        tracks[0].insert(0, (0, META, tempo))
    head = HEADER + (1 if kind == SEQUENCE else kind).to_bytes(2, "big") + len(tracks).to_bytes(2, "big")
    return head + division.to_bytes(2, "big") + b"".join(map(_chunk, tracks)), omissions_of(changes)


def unwrapped(data: bytes) -> bytes:
    """The Standard MIDI File in a RIFF file, or the bytes as they are."""
    if not (data.startswith(b"RIFF") and data[8:12] == b"RMID"):
        return data
    at = data.find(b"MThd")
    return data[at:] if at >= 0 else data


def _per_quarter(frames: int, parts: int) -> tuple[int, bytes]:
    """Ticks per quarter, and the tempo with which they last as long as these parts of frames.

    Raises:
        ValueError: there are no such frames.
    """
    if frames not in FRAMES or not parts:
        raise ValueError("frames a second")
    rate = FRAMES[frames] * parts
    division = max(1, round(rate / 2))
    return division, bytes((TEMPO, 3)) + round(division / rate * 1_000_000).to_bytes(3, "big")


def _is_tempo(message: Message, changes: Counter[tuple[str, str]]) -> bool:
    _, status, rest = message
    found = status == META and rest[0] == TEMPO
    changes["tempo", "passed over: the file's ticks are parts of a second"] += found
    return found


def _valid(message: Message, changes: Counter[tuple[str, str]]) -> Iterator[Message]:
    """The message, repaired if needed, or nothing; `changes` counts the repairs."""
    time, status, rest = message
    if status == ESCAPE:  # a system exclusive message goes on
        return
    wrong_length = status == META and META_LENGTHS.get(rest[0], rest[1]) != rest[1]
    if wrong_length or status in UNDEFINED or (status < SYSTEM and rest[0] > HIGHEST):
        changes["damaged message", "passed over"] += 1
        return
    if status < SYSTEM and max(rest) > HIGHEST:
        changes["value", f"above {HIGHEST} taken for {HIGHEST}"] += 1
        rest = bytes((rest[0], HIGHEST))
    if status == META and rest[0] == NAME:
        rest = _in_utf8(rest)
    yield time, status, rest


def _in_utf8(name: bytes) -> bytes:
    """The other bytes of a track's name, with the name in UTF-8."""
    text = _decoded(name[_number(name, 1)[1] :]).encode()
    return bytes((NAME,)) + _encoded(len(text)) + text


def _decoded(name: bytes) -> str:
    """A name in UTF-8, in Shift-JIS, which most older files have that are not ASCII, or in the encoding of Windows."""
    with suppress(UnicodeDecodeError):
        return name.decode("utf-8")
    with suppress(UnicodeDecodeError):
        japanese = name.decode("cp932")
        if any("\u3041" <= letter <= "\u9fff" for letter in japanese):
            return japanese
    return name.decode("cp1252", errors="replace")


def _closed(track: list[Message], changes: Counter[tuple[str, str]]) -> list[Message]:
    """The track with an end for each note. As in symusic, an end belongs to the earliest note of its pitch that
    sounds."""
    struck: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    marks: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for time, status, rest in track:
        if NOTE_OFF <= status < NOTE_ON + 16:
            key = status & 15, rest[0]
            marks[key].append(time)
            if status >= NOTE_ON and rest[1]:
                struck[key].append(time)
            elif struck[key]:
                struck[key].pop(0)
    ends: list[Message] = []
    for (channel, pitch), times in struck.items():
        for time in times:
            end = next((mark for mark in marks[channel, pitch] if mark > time), track[-1][0])
            ends.append((end, NOTE_OFF + channel, bytes((pitch, 0))))
    changes["note", "without an end: it ends where its pitch comes again, or with its track"] += len(ends)
    last = track[-1:]
    return [*sorted([*ends, *track[:-1]], key=lambda message: message[0]), *last] if ends else track


def _messages(track: bytes) -> Iterator[Message]:
    """The messages of a track."""
    place = ticks = status = running = 0
    rest = b""
    while place < len(track):
        delta, start = _number(track, place)
        ticks += delta
        status = running
        if track[start : start + 1] >= b"\x80":
            status, start = track[start], start + 1
        if status < SYSTEM:
            running = status
        if status in (META, SYSTEM, ESCAPE):
            length, body = _number(track, start + (status == META))
            place = body + length
        else:
            place = start + DATA_BYTES.get(status if status > SYSTEM else status & 0xF0, 0)
        rest = track[start:place]
        if place > len(track) or (place == start and status < SYSTEM):
            raise ValueError("a track is cut off")
        yield ticks, status, rest
    if (status, rest) != (META, END_OF_TRACK):
        raise ValueError("a track has no end")


def _number(track: bytes, place: int) -> tuple[int, int]:
    """A variable-length number, and the index after it. All its bytes except the last have their high bit set."""
    number = 0
    while track[place : place + 1] >= b"\x80":
        number = number << 7 | track[place] & 0x7F
        place += 1
    if place >= len(track):
        raise ValueError("a track is cut off")
    return number << 7 | track[place], place + 1


def _chunk(track: list[Message]) -> bytes:
    """The bytes of a track."""
    parts, before = [], 0
    for ticks, status, rest in track:
        parts += [_encoded(ticks - before), bytes((status,)), rest]
        before = ticks
    body = b"".join(parts)
    return b"MTrk" + len(body).to_bytes(4, "big") + body


def _encoded(number: int) -> bytes:
    """A variable-length number."""
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(number & 0x7F | 0x80)
    return bytes(reversed(parts))
