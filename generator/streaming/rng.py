"""Random numbers as a pure function of (seed, position), so there is no generator state to save or to share."""

from __future__ import annotations

import numpy as np

from generator.foundation.jit import compiled

_GOLDEN, _ONE = np.uint64(0x9E3779B97F4A7C15), np.uint64(1)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = tuple(np.uint64(bits) for bits in (30, 27, 31, 11))


@compiled
def _mix(z: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13 of Stafford's mixers)."""
    z = (z ^ (z >> _SHIFTS[0])) * _FIRST
    z = (z ^ (z >> _SHIFTS[1])) * _SECOND
    return z ^ (z >> _SHIFTS[2])


@compiled
def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) with 53 random bits: element `position` of the SplitMix64 sequence that begins at the mixed
    seed."""
    mixed = _mix(_mix(np.uint64(seed)) + _GOLDEN * (np.uint64(position) + _ONE))
    return float(mixed >> _SHIFTS[3]) * 2.0**-53
