"""A score as a JSON object, in which one of the app's processes gives it to another."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from generator.foundation.omissions import Omission
from generator.music.score import Bar, Note, Pedal, PieceEnd, Score, Tempo, TimeSignature, Voice
from generator.music.symbols import ChordSymbol

VALUES = ("ticks_per_quarter", "title", "length_ticks", "style", "origin")
TUPLES: dict[str, Any] = {
    "voices": Voice,
    "notes": Note,
    "time_signatures": TimeSignature,
    "tempos": Tempo,
    "pedals": Pedal,
    "bars": Bar,
    "piece_ends": PieceEnd,
    "omissions": Omission,
    "chords": ChordSymbol,
}
"""The fields that hold tuples, and what these hold."""


def to_json(score: Score) -> dict[str, Any]:
    """The score as a JSON object."""
    tuples = {name: [astuple(one) for one in getattr(score, name)] for name in TUPLES}
    return {name: getattr(score, name) for name in VALUES} | tuples


def from_json(data: dict[str, Any]) -> Score:
    """The score that `to_json` has written."""
    fields: dict[str, Any] = {name: data[name] for name in VALUES}
    for name, kind in TUPLES.items():
        fields[name] = tuple(kind(*values) for values in data[name])
    return Score(**fields)
