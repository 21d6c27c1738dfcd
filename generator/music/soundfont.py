"""A soundfont as zones: recorded samples, each with the keys that play it and the way it is played.

Reads SoundFont 2.01 and hands out, for a General MIDI program, `Zone` values in plain units (seconds, hertz, cents)
with the format's inheritance resolved: a preset's zones add to an instrument's zones, and at each level a global zone
fills in what the others leave out. The tables are arrays of fixed records, so NumPy reads them; sf2utils, the library
for it, resolves no inheritance and needs a module that Python 3.13 no longer has.

Section numbers are those of the SoundFont 2.01 Technical Specification. Left out: the two low-frequency oscillators,
the modulation envelope's say in pitch, and every modulator but velocity to loudness.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError

DRUM_BANK = 128
FILTER_OPEN_CENTS = 13500
"""Cutoff in cents above 8.176 Hz at which the low-pass filter is out of the way (8.1.3)."""

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
"""The chunks that are read, and their records (7.2 to 7.10); the last record of each table but `smpl` is a sentinel."""


class Generator(IntEnum):
    """The parameters of a zone that are used, by number (8.1.2)."""

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
"""What a generator is where no zone names it (8.1.3)."""

INSTRUMENT_ONLY = {
    *(Generator.START_OFFSET, Generator.END_OFFSET, Generator.LOOP_START_OFFSET, Generator.LOOP_END_OFFSET),
    *(Generator.START_COARSE, Generator.END_COARSE, Generator.LOOP_START_COARSE, Generator.LOOP_END_COARSE),
    *(Generator.SAMPLE_MODES, Generator.EXCLUSIVE_CLASS, Generator.ROOT_KEY),
}
"""Generators that a preset may not touch (8.5)."""


class Envelope(NamedTuple):
    """A level between 0 and 1 over time: durations in seconds, `sustain` as a level.

    The level waits for `delay`, rises to 1 in `attack`, stays for `hold`, then falls by 1 per `decay` seconds down to
    `sustain`; once the key is let go it falls by 1 per `release` seconds. The volume's level counts decibels: 1 is
    full, 0 is 100 dB less, silence, so the amplitude is 10 ** (5 * (level - 1)); in the attack it is the amplitude that
    rises in a straight line (8.1.2, generators 25 to 38).
    """

    delay: float
    attack: float
    hold: float
    decay: float
    sustain: float
    release: float


@dataclass(frozen=True, eq=False, slots=True)
class Zone:
    """One recording and how keys play it.

    Attributes:
        name: the sample's name.
        low_pitch, high_pitch, low_velocity, high_velocity: which notes it sounds for, both ends included.
        sample_start: where the data begins in the soundfont; zones with the same start and length share their data.
        samples: the recording, shape (frames,), int16, one channel.
        sample_rate: frames a second.
        root_cents: the key, in cents, that plays the recording as it is: 6900 for the A of 440 Hz, tuning included.
        cents_per_key: 100, or less where keys are not semitones apart (some drums).
        loop: first frame of the loop and the one after its last; None where the recording plays once.
        loop_until_release: after the release, play on to the end of the recording instead of looping.
        gain: linear, at velocity 127.
        pan: from -1, left, to 1, right.
        volume: the volume's envelope.
        filter_hertz: the low-pass filter's cutoff where its envelope is 0; 20 kHz means that there is no filter.
        filter_q_db: the height of the filter's resonance in dB.
        filter_envelope_cents: how far the filter's envelope at 1 moves the cutoff.
        filter_envelope: the filter's envelope.
        exclusive_class: a note ends every other one of the same class, if not 0 (open and closed hi-hat).
    """

    name: str
    low_pitch: int
    high_pitch: int
    low_velocity: int
    high_velocity: int
    sample_start: int
    samples: npt.NDArray[np.int16]
    sample_rate: int
    root_cents: float
    cents_per_key: int
    loop: tuple[int, int] | None
    loop_until_release: bool
    gain: float
    pan: float
    volume: Envelope
    filter_hertz: float
    filter_q_db: float
    filter_envelope_cents: int
    filter_envelope: Envelope
    exclusive_class: int

    def plays(self, pitch: int, velocity: int) -> bool:
        """Whether a note of this pitch and velocity sounds this zone; a note may sound several."""
        return self.low_pitch <= pitch <= self.high_pitch and self.low_velocity <= velocity <= self.high_velocity

    def rate(self, pitch: int) -> float:
        """How many times as fast as it was recorded the sample is to be played, for this pitch."""
        return float(2.0 ** ((pitch * self.cents_per_key - self.root_cents) / 1200.0))


class Soundfont:
    """The presets of one SoundFont 2 file.

    Raises:
        CarouselError: the file cannot be read, is not a SoundFont 2 file, or is cut off.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            data = Path(path).read_bytes()
            chunks = dict(_chunks(data, 0, len(data)))
            self._tables: dict[bytes, npt.NDArray[Any]] = {
                name: np.frombuffer(data, record, count=size // record.itemsize, offset=offset)
                for name, record in RECORDS.items()
                for offset, size in (chunks[name],)
            }
        except (OSError, KeyError, ValueError) as error:
            raise CarouselError(f"{path}: not a readable SoundFont 2 file; choose another one") from error
        presets = self._tables[b"phdr"]
        self._presets = {(int(row["bank"]), int(row["program"])): index for index, row in enumerate(presets[:-1])}

    def zones_for(self, program: int, drum: bool = False) -> list[Zone]:
        """Every zone of a General MIDI program (0 to 127), or of a drum kit.

        A program or kit that the soundfont lacks is played by the first of its bank.
        """
        bank = DRUM_BANK if drum else 0
        index = self._presets.get((bank, program), self._presets.get((bank, 0)))
        return [] if index is None else list(self._zones(index))

    def _zones(self, preset: int) -> Iterator[Zone]:
        for outer in self._levels(b"p", b"phdr", preset, Generator.INSTRUMENT):
            for inner in self._levels(b"i", b"inst", outer[Generator.INSTRUMENT], Generator.SAMPLE):
                amounts = {**DEFAULTS, **inner}
                for operator, amount in outer.items():
                    if operator in (Generator.KEY_RANGE, Generator.VELOCITY_RANGE):
                        amounts[operator] = _intersection(amounts[operator], amount)
                    elif operator in DEFAULTS and operator not in INSTRUMENT_ONLY:
                        amounts[operator] += amount
                zone = self._zone(amounts, inner[Generator.SAMPLE])
                if zone.low_pitch <= zone.high_pitch and zone.low_velocity <= zone.high_velocity:
                    yield zone

    def _levels(self, level: bytes, table: bytes, index: int, link: Generator) -> Iterator[dict[int, int]]:
        """The generators of each zone of a preset or an instrument; a first zone without a link holds for all (7.3)."""
        bags, generators = self._tables[level + b"bag"], self._tables[level + b"gen"]
        first, last = (int(bag) for bag in self._tables[table]["bag"][index : index + 2])
        shared: dict[int, int] = {}
        for bag in range(first, last):
            rows = generators[bags["generator"][bag] : bags["generator"][bag + 1]]
            own = dict(zip(rows["operator"].tolist(), rows["amount"].tolist(), strict=True))
            if link in own:
                yield {**shared, **own}
            elif bag == first:
                shared = own

    def _zone(self, amounts: dict[int, int], sample: int) -> Zone:
        header = {name: self._tables[b"shdr"][sample][name].item() for name in RECORDS[b"shdr"].names or ()}

        def address(name: str, fine: Generator, coarse: Generator) -> int:
            return int(header[name]) + amounts[fine] + 32768 * amounts[coarse]

        start = address("start", Generator.START_OFFSET, Generator.START_COARSE)
        end = address("end", Generator.END_OFFSET, Generator.END_COARSE)
        loop_start = address("loop_start", Generator.LOOP_START_OFFSET, Generator.LOOP_START_COARSE) - start
        loop_end = address("loop_end", Generator.LOOP_END_OFFSET, Generator.LOOP_END_COARSE) - start
        loops = amounts[Generator.SAMPLE_MODES] in (1, 3) and 0 <= loop_start < loop_end <= end - start

        low_pitch, high_pitch = _range(amounts[Generator.KEY_RANGE])
        low_velocity, high_velocity = _range(amounts[Generator.VELOCITY_RANGE])
        root_key = amounts[Generator.ROOT_KEY]
        if root_key < 0:
            root_key = header["root_key"] if header["root_key"] < 128 else 60
        tuning = 100 * amounts[Generator.COARSE_TUNE] + amounts[Generator.FINE_TUNE] + header["correction"]
        return Zone(
            name=header["name"].decode("latin-1").strip(),
            low_pitch=low_pitch,
            high_pitch=high_pitch,
            low_velocity=low_velocity,
            high_velocity=high_velocity,
            sample_start=start,
            samples=self._tables[b"smpl"][start:end],
            sample_rate=header["rate"],
            root_cents=float(root_key * amounts[Generator.SCALE_TUNING] - tuning),
            cents_per_key=amounts[Generator.SCALE_TUNING],
            loop=(loop_start, loop_end) if loops else None,
            loop_until_release=amounts[Generator.SAMPLE_MODES] == 3,
            # Centibels, of which the hardware that soundfonts are made for heeds two fifths; FluidSynth does the same.
            gain=10.0 ** (-0.4 * max(0, amounts[Generator.ATTENUATION]) / 200.0),
            pan=min(1.0, max(-1.0, amounts[Generator.PAN] / 500.0)),
            volume=_envelope(amounts, Generator.VOLUME_ENVELOPE),
            filter_hertz=8.176 * 2.0 ** (min(FILTER_OPEN_CENTS, amounts[Generator.FILTER_CUTOFF]) / 1200.0),
            filter_q_db=max(0, amounts[Generator.FILTER_Q]) / 10.0,
            filter_envelope_cents=amounts[Generator.ENVELOPE_TO_FILTER],
            filter_envelope=_envelope(amounts, Generator.FILTER_ENVELOPE),
            exclusive_class=amounts[Generator.EXCLUSIVE_CLASS],
        )


@cache
def general_midi() -> Soundfont:
    """The soundfont that the pretty_midi package ships: TimGM6mb, by Tim Brechbill, all 128 programs in 6 MB."""
    with resources.as_file(resources.files("pretty_midi") / "TimGM6mb.sf2") as path:
        return Soundfont(path)


def _chunks(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Name, offset and size of every RIFF chunk, those inside lists too; each padded to an even size."""
    while start + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, start)
        if name in (b"RIFF", b"LIST"):
            yield from _chunks(data, start + 12, min(end, start + 8 + size))
        else:
            yield name, (start + 8, size)
        start += 8 + size + size % 2


def _range(amount: int) -> tuple[int, int]:
    """Two bytes: the lowest and the highest."""
    return amount & 0xFF, (amount >> 8) & 0xFF


def _intersection(one: int, other: int) -> int:
    (low, high), (floor, ceiling) = _range(one), _range(other)
    return max(low, floor) | min(high, ceiling) << 8


def _envelope(amounts: dict[int, int], first: Generator) -> Envelope:
    """Six generators in a row, times in timecents. The fifth is how far the sustain lies below the peak: in 0.1 % for
    the filter, in 0.1 dB of 100 dB for the volume, which comes to the same."""
    delay, attack, hold, decay, fall, release = (amounts[first + stage] for stage in range(6))

    def seconds(timecents: int) -> float:
        return float(2.0 ** (min(8000, max(-12000, timecents)) / 1200.0))

    sustain = 1.0 - min(1000, max(0, fall)) / 1000.0
    return Envelope(seconds(delay), seconds(attack), seconds(hold), seconds(decay), sustain, seconds(release))
