"""Random numbers as a pure function of (seed, position): nothing to save, nothing to share, any position at once."""

from __future__ import annotations

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(z: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13 of Stafford's mixers)."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def uniform(seed: int, position: int) -> float:
    """The number in [0, 1), with 53 random bits, that belongs to this seed at this position."""
    return (_mix((_mix(seed & _MASK) + _GOLDEN * (position + 1)) & _MASK) >> 11) * 2.0**-53
