"""The option `clamp` holds parts of units at a value, whatever the equations say, so that one hears what they do.

`forget_gate 0.37=1, cell 1.5=0.8, hidden 2=0` holds a gate of unit 37 of layer 0 open, the cell of unit 5 of layer 1 at
0.8, and silences layer 2. The parts, layers and units are those of a trace. Where two clamps meet, the later one holds.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from generator.foundation.errors import CarouselError, Option
from generator.model.config import ModelConfig
from generator.model.state import PARTS, Floats

LONGEST = 2**16
"""The most characters of a text: 2,000 units one by one. It is a part of each take, which may come from anywhere."""
LARGEST_CELL = 100.0
BOUNDS = {
    "input_gate": (0.0, 1.0),
    "forget_gate": (0.0, 1.0),
    "candidate": (-1.0, 1.0),
    "output_gate": (0.0, 1.0),
    "cell": (-LARGEST_CELL, LARGEST_CELL),
    "hidden": (-1.0, 1.0),
}
"""The lowest and highest value of each part."""
_CLAMP = re.compile(r"\s*(\w+)\s+(\d{1,9})(?:\.(\d{1,9}))?\s*=\s*(\S+)\s*", re.ASCII)


@lru_cache(maxsize=256)
def encode(text: str | None, config: ModelConfig) -> Floats | None:
    """The values of what is clamped, and NaN elsewhere, read-only, (`PARTS`, layers, units); None if nothing is.

    Raises:
        CarouselError: the text is malformed or too long, or names a part, layer, unit or value that cannot be.
    """
    if not text:
        return None
    if len(text) > LONGEST:
        raise _refusal(f" has {len(text):,} characters; give at most {LONGEST:,}, and hold layers where you can")
    values = np.full((len(PARTS), config.num_layers, config.hidden_size), np.nan, np.float32)
    for clamp in text.split(","):
        found = _CLAMP.fullmatch(clamp)
        if not found:
            raise _refusal(f" has {clamp.strip()[:40]!r}; write PART LAYER.UNIT=VALUE, as in forget_gate 0.37=1")
        part, layer, unit = found[1], int(found[2]), None if found[3] is None else int(found[3])
        if part not in BOUNDS:
            raise _refusal(f" has no part {part[:40]!r}; a unit has {', '.join(PARTS)}")
        if layer >= config.num_layers or (unit or 0) >= config.hidden_size:
            layers, units = config.num_layers - 1, config.hidden_size - 1
            raise _refusal(f" has {clamp.strip()[:40]!r}; the layers are 0 to {layers}, with units 0 to {units}")
        values[PARTS.index(part), layer, slice(None) if unit is None else unit] = _value(found[4], part)
    values.flags.writeable = False
    return values


def _value(text: str, part: str) -> float:
    low, high = BOUNDS[part]
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not low <= value <= high:
        raise _refusal(f" holds {part} at {text[:40]}; give a number from {low:g} to {high:g}")
    return value


def _refusal(words: str) -> CarouselError:
    return CarouselError(Option("clamp"), words)
