"""What the browser gets of the soundfont."""

from __future__ import annotations

import json

import numpy as np
import pytest

from generator.foundation.errors import CarouselError
from generator.web.samples import pack


def test_an_instrument_is_a_list_of_zones_and_their_samples() -> None:
    data = pack(19, False)
    size = int.from_bytes(data[:4], "little")
    zones = json.loads(data[4 : 4 + size])
    samples = np.frombuffer(data[4 + size :], "<i2")
    assert size % 2 == 0 and zones and len(samples)
    for zone in zones:
        assert zone["offset"] % 2 == 0 and zone["offset"] // 2 + zone["frames"] <= len(samples)
        assert set(zone["volume"]) == {"delay", "attack", "hold", "decay", "sustain", "release"}
    assert pack(0, True) != pack(0, False)
    with pytest.raises(CarouselError, match="no program"):
        pack(128, False)
