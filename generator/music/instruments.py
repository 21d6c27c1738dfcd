"""Reads SoundFont 2.01 files as zones: recorded samples, each with the keys that play it and how it is played.

The zones of a General MIDI program are `Zone` values in plain units (seconds, hertz, cents). The format's inheritance
is resolved: a preset's zones add to those of its instruments, and at each level a global zone gives the defaults.

The numbers in brackets are sections of the SoundFont 2.01 Technical Specification. Not supported are the low-frequency
oscillators, the effect of the modulation envelope on pitch, and all modulators except velocity to loudness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.music.soundfont_format import (
    DEFAULTS,
    FILTER_OPEN_CENTS,
    INSTRUMENT_ONLY,
    RECORDS,
    Generator,
    read_tables,
)

DRUM_BANK = 128


class Envelope(NamedTuple):
    """A level between 0 and 1 over time (8.1.2, generators 25 to 38). Durations are in seconds, `sustain` is a level.

    The level is 0 for `delay`, rises to 1 during `attack`, stays there for `hold`, then falls by 1 per `decay` seconds
    down to `sustain`. When the key is released it falls by 1 per `release` seconds. For the volume, a difference of 1
    is 100 dB, so the amplitude is 10 ** (5 * (level - 1)); but in the attack the amplitude rises linearly.
    """

    delay: float
    attack: float
    hold: float
    decay: float
    sustain: float
    release: float


@dataclass(frozen=True, eq=False, slots=True)
class Zone:
    """One recording, and how notes play it.

    Attributes:
        name: the sample's name.
        low_pitch, high_pitch, low_velocity, high_velocity: the notes that play it, both ends included.
        sample_start: index of the first frame in the soundfont; zones with equal start and length share their data.
        samples: the recording, shape (frames,), mono.
        sample_rate: frames a second.
        root_cents: `pitch * cents_per_key` at which the recording is played unchanged; 6900 for an A4 that is in tune.
        cents_per_key: the interval between two keys, 100, or less for some drums.
        loop: the first frame of the loop and the one after its last; None if the recording is played once.
        loop_until_release: whether looping stops at the release, and the recording is played to its end.
        gain: the factor of the amplitude at velocity 127.
        pan: from -1 (left) to 1 (right).
        volume: the volume's envelope.
        filter_hertz: the cutoff of the low-pass filter when its envelope is 0; about 20 kHz, the most, is no filter.
        filter_q_db: the height of the filter's resonance in dB.
        filter_envelope_cents: by how much an envelope of 1 raises the cutoff.
        filter_envelope: the filter's envelope.
        exclusive_class: if not 0, a note ends all other notes of its class (open and closed hi-hat).
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
        """Whether a note of this pitch and velocity plays this zone; it may play several."""
        return self.low_pitch <= pitch <= self.high_pitch and self.low_velocity <= velocity <= self.high_velocity

    def rate(self, pitch: int) -> float:
        """The playback rate of the sample for this pitch, where 1 is the recorded rate."""
        return float(2.0 ** ((pitch * self.cents_per_key - self.root_cents) / 1200.0))


class Soundfont:
    """The presets of one SoundFont 2 file.

    Raises:
        CarouselError: the file cannot be read, is not a SoundFont 2 file, or is cut off.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            self._tables = read_tables(Path(path).read_bytes())
        except (OSError, KeyError, ValueError) as error:
            raise CarouselError(f"{path}: not a readable SoundFont 2 file; choose another one") from error
        presets = self._tables[b"phdr"]
        self._presets = {(int(row["bank"]), int(row["program"])): index for index, row in enumerate(presets[:-1])}

    def zones_for(self, program: int, drum: bool = False) -> list[Zone]:
        """All zones of a General MIDI program (0 to 127), or of a drum kit.

        If the soundfont lacks it, they are those of program 0 or drum kit 0; empty if it lacks that, too.
        """
        bank = DRUM_BANK if drum else 0
        index = self._presets.get((bank, program), self._presets.get((bank, 0)))
        return [] if index is None else list(self._zones(index))

    def _zones(self, preset: int) -> Iterator[Zone]:
        """The zones of a preset, given as its index in `phdr`."""
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
        """The generators of each zone of a preset or instrument, with those of its global zone (7.3).

        Args:
            level: `p` or `i`, the first letter of the tables of presets or instruments.
            table: `phdr` or `inst`, in which `index` is the preset or instrument.
            link: the generator that all zones have but the global one, which comes first.
        """
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
        """A zone with these amounts of all generators; `sample` is an index in `shdr`."""
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
            # In centibels, times 0.4 as on the hardware that soundfonts are made for, and in FluidSynth.
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
    """The soundfont in the pretty_midi package: TimGM6mb by Tim Brechbill, with all 128 programs in 6 MB."""
    with resources.as_file(resources.files("pretty_midi") / "TimGM6mb.sf2") as path:
        return Soundfont(path)


def _range(amount: int) -> tuple[int, int]:
    """The lowest and the highest value of a range, from the two bytes of an amount."""
    return amount & 0xFF, (amount >> 8) & 0xFF


def _intersection(one: int, other: int) -> int:
    """The amount for the values that are in both ranges."""
    (low, high), (floor, ceiling) = _range(one), _range(other)
    return max(low, floor) | min(high, ceiling) << 8


def _envelope(amounts: dict[int, int], first: Generator) -> Envelope:
    """The envelope from six consecutive generators. Times are in timecents. The fifth, the sustain, is the distance
    from the peak in thousandths of the range: 0.1 % for the filter, 0.1 dB of 100 dB for the volume.
    """
    delay, attack, hold, decay, fall, release = (amounts[first + stage] for stage in range(6))

    def seconds(timecents: int) -> float:
        return float(2.0 ** (min(8000, max(-12000, timecents)) / 1200.0))

    sustain = 1.0 - min(1000, max(0, fall)) / 1000.0
    return Envelope(seconds(delay), seconds(attack), seconds(hold), seconds(decay), sustain, seconds(release))
