"""A program of the soundfont as bytes for the browser, which makes audio buffers and gain envelopes of it.

4 bytes     the length of the list in bytes, unsigned, little-endian
list        JSON, padded with spaces to an even length: an object for each zone, with the fields of `Zone`, and in the
            place of its samples `offset` (bytes from the end of the list) and `frames`
samples     16-bit PCM, little-endian, one channel; zones that play the same recording share it
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from typing import Any

from generator.foundation.errors import CarouselError
from generator.music.instruments import Envelope, Zone, general_midi

LEFT_OUT = ("name", "samples", "sample_start")
"""The fields of `Zone` that are not in the list."""


@lru_cache(maxsize=16)
def pack(program: int, drum: bool) -> bytes:
    """The zones and samples of a General MIDI program, 0 to 127, or of a drum kit.

    Raises:
        CarouselError: there is no such program.
    """
    if not 0 <= program <= 127:
        raise CarouselError(f"there is no program {program}; programs are numbered 0 to 127")
    offsets: dict[tuple[int, int], int] = {}
    samples = bytearray()
    zones = []
    for zone in general_midi().zones_for(program, drum):
        place = (zone.sample_start, len(zone.samples))
        if place not in offsets:
            offsets[place] = len(samples)
            samples += zone.samples.astype("<i2").tobytes()
        zones.append({**_plain(zone), "offset": offsets[place], "frames": len(zone.samples)})
    header = json.dumps(zones).encode()
    header += b" " * (len(header) % 2)
    return len(header).to_bytes(4, "little") + header + bytes(samples)


def _plain(zone: Zone) -> dict[str, Any]:
    """A zone as a JSON object, without its samples."""
    values = {spec.name: getattr(zone, spec.name) for spec in fields(zone) if spec.name not in LEFT_OUT}
    return {name: value._asdict() if isinstance(value, Envelope) else value for name, value in values.items()}
