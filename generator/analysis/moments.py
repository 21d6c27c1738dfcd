"""Moments: where a unit is strongest, and where in a corpus the memory is as it was in a span."""

from __future__ import annotations

from dataclasses import dataclass

from generator.model.state import Floats


@dataclass(frozen=True, eq=False)
class Moment:
    """Some tokens of a piece of a split around a moment."""

    piece: str
    """The name of the piece."""
    position: int
    """Of the moment, in tokens from the start of the piece."""
    start: int
    """Of the first token that is shown, in tokens from the start of the piece; `position` - `start` is an index into
    `words` and `values`."""
    words: tuple[str, ...]
    """What each token that is shown means: of text its character, of music `C♯5`, `dotted quarter`, `next bar`."""
    values: Floats
    """Of the unit at the step that each of these tokens is drawn from, (tokens,), to tint them."""
    score: float
    """Of the unit the value at the moment; of a similar span how similar it is, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """What a page about one unit shows."""

    layer: int
    unit: int
    part: str
    moments: tuple[Moment, ...]
    """The strongest, from different pieces where there are as many, the strongest first."""
    counts: tuple[int, ...]
    """How many steps have a value in each bin of the histogram."""
    edges: tuple[float, ...]
    """The bounds of the bins, one more than there are bins."""
    time_constant: float
    """In tokens; see `Units.time_constants`."""
    raises: tuple[tuple[str, float], ...]
    """Of the top layer: the tokens whose logits its h raises most, in words, and by how much a full h (1) raises each;
    empty for other layers, which reach the logits only through the layers above."""
    lowers: tuple[tuple[str, float], ...]
    """As `raises`, the tokens whose logits it lowers most."""
