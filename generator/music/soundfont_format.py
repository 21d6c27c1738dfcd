"""The SoundFont 2.01 file format: its chunks, its records, and the generators (parameters) of a zone.

The numbers in brackets are sections of the SoundFont 2.01 Technical Specification. The tables are arrays of fixed
records, which NumPy reads. The library sf2utils is not used: it does not resolve the inheritance between zones, and
needs a module that Python 3.13 does not have.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

FILTER_OPEN_CENTS = 13500
"""The cutoff of an open low-pass filter, in cents above 8.176 Hz (8.1.3)."""

RECORDS = {
    b"phdr": np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("unused", "V12")]),
    b"pbag": np.dtype([("generator", "<u2"), ("modulator", "<u2")]),
    b"pgen": np.dtype([("operator", "<u2"), ("amount", "<i2")]),
    b"inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    b"ibag": np.dtype([("generator", "<u2"), ("modulator", "<u2")]),
    b"igen": np.dtype([("operator", "<u2"), ("amount", "<i2")]),
    b"shdr": np.dtype(
        [
            *[("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"), ("loop_end", "<u4")],
            *[("rate", "<u4"), ("root_key", "u1"), ("correction", "i1"), ("link", "<u2"), ("kind", "<u2")],
        ]
    ),
    b"smpl": np.dtype("<i2"),
}
"""The dtype of each chunk that is read (7.2 to 7.10). The last record of each table except `smpl` is a sentinel."""


class Generator(IntEnum):
    """The numbers of the generators that are used (8.1.2)."""

    START_OFFSET = 0
    END_OFFSET = 1
    LOOP_START_OFFSET = 2
    LOOP_END_OFFSET = 3
    START_COARSE = 4
    FILTER_CUTOFF = 8
    FILTER_Q = 9
    ENVELOPE_TO_FILTER = 11
    END_COARSE = 12
    PAN = 17
    FILTER_ENVELOPE = 25
    VOLUME_ENVELOPE = 33
    INSTRUMENT = 41
    KEY_RANGE = 43
    VELOCITY_RANGE = 44
    LOOP_START_COARSE = 45
    ATTENUATION = 48
    LOOP_END_COARSE = 50
    COARSE_TUNE = 51
    FINE_TUNE = 52
    SAMPLE = 53
    SAMPLE_MODES = 54
    SCALE_TUNING = 56
    EXCLUSIVE_CLASS = 57
    ROOT_KEY = 58


FULL_RANGE = 127 << 8
DEFAULTS = {
    **{int(generator): 0 for generator in Generator},
    **{first + stage: -12000 for first in (25, 33) for stage in (0, 1, 2, 3, 5)},
    **{first + 4: 0 for first in (25, 33)},
    Generator.FILTER_CUTOFF: FILTER_OPEN_CENTS,
    Generator.KEY_RANGE: FULL_RANGE,
    Generator.VELOCITY_RANGE: FULL_RANGE,
    Generator.SCALE_TUNING: 100,
    Generator.ROOT_KEY: -1,
}
"""The amount of a generator that no zone sets (8.1.3)."""

INSTRUMENT_ONLY = {
    *(Generator.START_OFFSET, Generator.END_OFFSET, Generator.LOOP_START_OFFSET, Generator.LOOP_END_OFFSET),
    *(Generator.START_COARSE, Generator.END_COARSE, Generator.LOOP_START_COARSE, Generator.LOOP_END_COARSE),
    *(Generator.SAMPLE_MODES, Generator.EXCLUSIVE_CLASS, Generator.ROOT_KEY),
}
"""The generators that a preset cannot change (8.5)."""


def read_tables(data: bytes) -> dict[bytes, npt.NDArray[Any]]:
    """The tables of a file by the names of their chunks, as arrays with the dtypes in `RECORDS`.

    Raises:
        KeyError, ValueError: the data is not a SoundFont 2 file, or is cut off.
    """
    chunks = dict(_chunks(data, 0, len(data)))
    return {
        name: np.frombuffer(data, record, count=size // record.itemsize, offset=offset)
        for name, record in RECORDS.items()
        for offset, size in (chunks[name],)
    }


def _chunks(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """The name, offset and size of all RIFF chunks, also of those in lists. Chunks are padded to an even size."""
    while start + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, start)
        if name in (b"RIFF", b"LIST"):
            yield from _chunks(data, start + 12, min(end, start + 8 + size))
        else:
            yield name, (start + 8, size)
        start += 8 + size + size % 2
