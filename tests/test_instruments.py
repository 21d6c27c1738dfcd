"""Soundfonts: the packaged one, and small ones made here to hold each rule of inheritance."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from generator.foundation.errors import CarouselError
from generator.music.instruments import Soundfont, Zone, general_midi
from generator.music.soundfont_format import Generator

G = Generator
Amounts = dict[int, int]


def keys(low: int, high: int) -> int:
    return low | high << 8


def soundfont(path: Path, preset: list[Amounts], instrument: list[Amounts], bank: int = 0) -> Path:
    """A soundfont of one preset, one instrument and one sample of 200 frames: 22,050 Hz, key 69, 12 cents too low."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    def zones(level: bytes, zones: list[Amounts]) -> bytes:
        starts = np.cumsum([0, *map(len, zones)]).tolist()
        bags = b"".join(struct.pack("<HH", start, 0) for start in starts)
        rows = [(operator, amount & 0xFFFF) for zone in zones for operator, amount in zone.items()]
        return chunk(level + b"bag", bags) + chunk(
            level + b"gen", b"".join(struct.pack("<HH", *row) for row in [*rows, (0, 0)])
        )

    header = struct.pack("<20sIIIIIBbHH", b"Ramp", 100, 300, 120, 280, 22050, 69, 12, 0, 1)
    tables = (
        chunk(
            b"phdr",
            struct.pack("<20sHHHIII", b"Preset", 0, bank, 0, 0, 0, 0)
            + struct.pack("<20sHHHIII", b"EOP", 0, 0, len(preset), 0, 0, 0),
        )
        + zones(b"p", preset)
        + chunk(b"inst", struct.pack("<20sH", b"Instrument", 0) + struct.pack("<20sH", b"EOI", len(instrument)))
        + zones(b"i", instrument)
        + chunk(b"shdr", header + b"EOS".ljust(46, b"\0"))
    )
    samples = chunk(b"smpl", np.arange(400, dtype="<i2").tobytes())
    body = (
        b"sfbk"
        + chunk(b"LIST", b"INFO" + chunk(b"INAM", b"odd"))
        + chunk(b"LIST", b"sdta" + samples)
        + chunk(b"LIST", b"pdta" + tables)
    )
    path.write_bytes(chunk(b"RIFF", body))
    return path


@pytest.fixture
def zones(tmp_path: Path):
    """The zones of the soundfont made from a preset's and an instrument's zones."""

    def make(preset: list[Amounts], instrument: list[Amounts]) -> list[Zone]:
        return Soundfont(soundfont(tmp_path / "made.sf2", preset, instrument)).zones_for(0)

    return make


def test_defaults(zones) -> None:
    (zone,) = zones([{G.INSTRUMENT: 0}], [{G.SAMPLE: 0}])
    assert zone.name == "Ramp"
    assert zone.samples.tolist() == list(range(100, 300))
    assert (zone.low_pitch, zone.high_pitch, zone.low_velocity, zone.high_velocity) == (0, 127, 0, 127)
    assert (zone.sample_rate, zone.root_cents, zone.cents_per_key) == (22050, 6888.0, 100)
    assert zone.loop is None
    assert (zone.gain, zone.pan, zone.exclusive_class) == (1.0, 0.0, 0)
    assert zone.volume.sustain == 1.0
    assert zone.volume.attack == pytest.approx(0.001, rel=0.03)
    assert zone.filter_hertz > 19000


def test_global_zones_fill_in_and_presets_add(zones) -> None:
    made = zones(
        [{G.ATTENUATION: 50, G.FINE_TUNE: 5}, {G.INSTRUMENT: 0}, {G.FINE_TUNE: -20, G.INSTRUMENT: 0}],
        [{G.ATTENUATION: 100, G.PAN: -250}, {G.SAMPLE: 0}, {G.ATTENUATION: 0, G.COARSE_TUNE: 1, G.SAMPLE: 0}],
    )
    # 0.4 of the centibels count; a global zone's tuning is replaced by a local one, a preset's is added.
    assert [round(-20 * np.log10(zone.gain), 3) for zone in made] == [6.0, 2.0, 6.0, 2.0]
    assert [zone.root_cents for zone in made] == [6883.0, 6783.0, 6908.0, 6808.0]
    assert {zone.pan for zone in made} == {-0.5}


def test_nothing_is_louder_than_its_recording(zones) -> None:
    """Whatever a negative attenuation asks for."""
    for centibels, gain in ((-1, 1.0), (-200, 1.0), (0, 1.0), (500, 0.1)):
        [zone] = zones([{G.INSTRUMENT: 0}], [{G.ATTENUATION: centibels, G.SAMPLE: 0}])
        assert zone.gain == pytest.approx(gain, rel=1e-12)


def test_ranges_of_both_levels_intersect(zones) -> None:
    made = zones(
        [{G.KEY_RANGE: keys(40, 70), G.VELOCITY_RANGE: keys(64, 127), G.INSTRUMENT: 0}],
        [
            {G.KEY_RANGE: keys(0, 59), G.SAMPLE: 0},
            {G.KEY_RANGE: keys(60, 127), G.SAMPLE: 0},
            {G.KEY_RANGE: keys(80, 90), G.SAMPLE: 0},
        ],
    )
    assert [(zone.low_pitch, zone.high_pitch, zone.low_velocity) for zone in made] == [(40, 59, 64), (60, 70, 64)]
    assert made[0].plays(59, 64) and not made[0].plays(60, 64) and not made[0].plays(59, 63)


def test_root_key_loop_and_addresses(zones) -> None:
    (zone,) = zones(
        [{G.ROOT_KEY: 10, G.SAMPLE_MODES: 3, G.INSTRUMENT: 0}],  # a preset has no say in either
        [
            {
                G.ROOT_KEY: 60,
                G.SCALE_TUNING: 50,
                G.SAMPLE_MODES: 1,
                G.LOOP_START_OFFSET: 5,
                G.START_OFFSET: 10,
                G.END_OFFSET: -10,
                G.SAMPLE: 0,
            }
        ],
    )
    assert zone.samples.tolist() == list(range(110, 290))
    assert zone.loop == (15, 170) and not zone.loop_until_release
    assert zone.rate(60) == pytest.approx(2 ** (12 / 1200))
    assert zone.rate(84) == pytest.approx(2 ** (1212 / 1200))


@pytest.mark.parametrize(("mode", "looped", "until_release"), [(0, False, False), (1, True, False), (3, True, True)])
def test_a_mode_says_whether_and_how_long_a_sample_is_looped(zones, mode, looped, until_release) -> None:
    (zone,) = zones([{G.INSTRUMENT: 0}], [{G.SAMPLE_MODES: mode, G.SAMPLE: 0}])
    assert (zone.loop is not None, zone.loop_until_release) == (looped, until_release)


def test_addresses_beyond_16_bits(zones) -> None:
    amounts = {G.START_COARSE: 1, G.START_OFFSET: 10 - 32768, G.END_COARSE: -1, G.END_OFFSET: 32767}
    (zone,) = zones([{G.INSTRUMENT: 0}], [{**amounts, G.SAMPLE: 0}])
    assert zone.samples.tolist() == list(range(110, 299))


def test_envelopes_and_filter(zones) -> None:
    (zone,) = zones(
        [{G.INSTRUMENT: 0}],
        [
            {
                34: 1200,
                36: 2400,
                37: 250,
                38: 0,
                G.FILTER_CUTOFF: 6900,
                G.FILTER_Q: 60,
                11: -1200,
                29: 400,
                G.EXCLUSIVE_CLASS: 3,
                G.SAMPLE: 0,
            }
        ],
    )
    assert (zone.volume.attack, zone.volume.decay, zone.volume.sustain, zone.volume.release) == (2.0, 4.0, 0.75, 1.0)
    assert zone.filter_hertz == pytest.approx(440, rel=1e-3)
    assert (zone.filter_q_db, zone.filter_envelope_cents, zone.filter_envelope.sustain) == (6.0, -1200, 0.6)
    assert zone.exclusive_class == 3


def test_a_missing_program_is_played_by_the_first_and_a_missing_bank_by_none(tmp_path: Path) -> None:
    made = Soundfont(soundfont(tmp_path / "made.sf2", [{G.INSTRUMENT: 0}], [{G.SAMPLE: 0}]))
    assert len(made.zones_for(99)) == 1
    assert made.zones_for(0, drum=True) == []


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\x04\0\0\0sfbk", b"MThd" * 100])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.sf2"
    path.write_bytes(data)
    with pytest.raises(CarouselError, match="SoundFont"):
        Soundfont(path)
    with pytest.raises(CarouselError, match="SoundFont"):
        Soundfont(tmp_path / "none.sf2")


def test_a_soundfont_cut_off_is_refused(tmp_path: Path) -> None:
    path = soundfont(tmp_path / "made.sf2", [{G.INSTRUMENT: 0}], [{G.SAMPLE: 0}])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CarouselError, match=r"made\.sf2"):
        Soundfont(path)


@pytest.mark.parametrize("program", range(128))
def test_every_general_midi_program_plays(program: int) -> None:
    zones = general_midi().zones_for(program)
    assert any(zone.plays(60, 80) for zone in zones)
    for zone in zones:
        assert zone.samples.dtype == np.int16 and len(zone.samples) > 8
        assert 8000 <= zone.sample_rate <= 48000
        assert zone.loop is None or 0 <= zone.loop[0] < zone.loop[1] <= len(zone.samples)
        assert 0 < zone.gain <= 1 and -1 <= zone.pan <= 1
        assert all(0 < seconds < 120 for seconds in (*zone.volume[:4], zone.volume.release))
        assert 0 <= zone.volume.sustain <= 1
        # A root far from the keys would be a tuning read wrongly.
        assert zone.cents_per_key != 100 or 0.02 < zone.rate(min(60, zone.high_pitch)) < 20


def test_drums_have_their_own_bank_and_cut_each_other_off() -> None:
    drums = general_midi().zones_for(0, drum=True)
    (closed,) = [zone for zone in drums if zone.plays(42, 80)]
    (opened,) = [zone for zone in drums if zone.plays(46, 80)]
    assert closed.exclusive_class == opened.exclusive_class != 0
    assert general_midi() is general_midi()
