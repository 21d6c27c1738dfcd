"""What stands above a staff and nothing plays: key signatures, markers and chord symbols."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeySignature:
    """The key from `start_ticks` on, named as in MIDI files: `Bb` is B flat major, `F#m` is F sharp minor."""

    start_ticks: int
    name: str


@dataclass(frozen=True, slots=True)
class Marker:
    """A place in a piece that has a name."""

    start_ticks: int
    text: str


@dataclass(frozen=True, slots=True)
class ChordSymbol:
    """The chord from `start_ticks` on, as it stands above a staff: the pitch classes of its root and of its bass, 0 for
    C, and its kind, one of `chords.KINDS`."""

    start_ticks: int
    root: int
    kind: str
    bass: int
