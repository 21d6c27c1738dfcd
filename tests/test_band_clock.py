"""A band's position in time, and a band as an iterator."""

from __future__ import annotations

from itertools import islice

from tests.test_band import band_of


def test_time_goes_in_the_bands_ticks() -> None:
    band = band_of(3)
    for _ in range(60):
        band.step()
        scale = band.ticks_per_quarter // band.leader.engine.tokenizer.ticks_per_quarter
        assert band.now_ticks == band.leader.now_ticks * scale >= band.horizon_ticks
    assert band.now_ticks > 0


def test_a_band_is_an_iterator_of_its_events() -> None:
    expected = list(band_of(3).take(80))
    assert list(islice(band_of(3), len(expected))) == expected
    band = band_of(3)
    band.leader.set(at_end="stop")
    events = list(islice(band, 10**5))
    assert band.ended and events and not list(band)
