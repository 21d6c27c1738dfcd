"""Moments: where a unit is strongest, and where in a corpus the memory is as it was in a span."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from generator.analysis import units
from generator.analysis.reading import Watched, watch
from generator.analysis.state_index import StateIndex
from generator.analysis.units import PARTS
from generator.corpora.dataset import Split, TokenDataset
from generator.corpora.primer import read_primer
from generator.foundation.errors import CarouselError
from generator.model.checkpoint import Checkpoint
from generator.model.state import Floats
from generator.streaming.course import Progress, quiet
from generator.streaming.engine import Model
from generator.streaming.stream import Stream
from generator.tokenizers.base import Tokenizer, Tokens

BINS = 40
SPAN = 32
"""How many tokens `like` takes from the end of what it is given."""
PUSHED = 8
"""How many of the tokens are named that a unit raises most, and lowers most."""
MOST = 1000
"""The most moments, and the most tokens around each."""

Pushes = tuple[tuple[str, float], ...]
"""Tokens in words, and by how much an h of 1 raises the logit of each."""


@dataclass(frozen=True, eq=False)
class Moment:
    """Some tokens of a piece of a split around a moment."""

    piece: str
    """The name of the piece."""
    index: int
    """The piece is `split[index]`."""
    position: int
    """The moment's place in tokens from the start of the piece; this token is drawn from its step."""
    start: int
    """Where the shown tokens begin, in tokens from the start of the piece; `position` - `start` is an index into
    `words` and `values`."""
    words: tuple[str, ...]
    """What each token that is shown means: of text its character, of music `C♯5`, `dotted quarter`, `next bar`."""
    values: Floats
    """What the unit does at the step of each shown token, (tokens,), to tint them. In a similar span they are how
    much each step is like that of the query, from 0 to 1; 0 before and after it."""
    score: float
    """The unit's value at the moment; for a similar span, which begins at the moment, the mean of its `values`."""


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
    raises: Pushes
    """The tokens whose logits a unit of the top layer raises most, the most first; empty for other layers, which reach
    the logits only through the layers above."""
    lowers: Pushes
    """As `raises`, the tokens whose logits it lowers most."""


def portrait(
    watched: Watched, layer: int, unit: int, part: str = "cell", count: int = 8, around: int = 24, lowest: bool = False
) -> Portrait:
    """What one unit does in a split that was watched.

    Args:
        part: `cell` or `hidden`.
        count: how many moments; there are fewer if the split is too short for so many that do not overlap.
        around: how many tokens of its piece are shown before a moment and after it.
        lowest: show where the unit is lowest, not where it is highest.

    Raises:
        CarouselError: there is no such unit or part, or a number is out of its bounds.
    """
    layers, size = watched.cell.shape[1:]
    if part not in PARTS or not (0 <= layer < layers and 0 <= unit < size):
        known = f"there are {' and '.join(PARTS)} of units 0.0 to {layers - 1}.{size - 1}"
        raise CarouselError(f"no {part[:40]} of unit {layer}.{unit}; {known}")
    if not (1 <= count <= MOST and 0 <= around <= MOST):
        raise CarouselError(f"{count} moments with {around} tokens around each; give at most {MOST} of both")
    values = watched.values(layer, unit, part)
    found, split = [], watched.split
    for at in _apart(-values if lowest else values, split, count, around):
        first, past = _shown(split, at, at - around, at + around + 1)
        found.append(_moment(watched.checkpoint.tokenizer, split, at, first, values[first:past], float(values[at])))
    counts, edges = np.histogram(values, BINS)
    top = layer == layers - 1
    return Portrait(
        layer,
        unit,
        part,
        tuple(found),
        tuple(counts.tolist()),
        tuple(edges.tolist()),
        float(watched.time_constants[layer, unit]),
        *(_pushed(watched, unit, int(values.argmax())) if top else ((), ())),
    )


def similar(
    checkpoint: Checkpoint, dataset: TokenDataset, cells: Floats, count: int = 8, progress: Progress = quiet
) -> list[Moment]:
    """Where in the training split the memory is most as it was in a span; see `state_index`. The first call for a
    checkpoint and a dataset reads the whole split.

    Args:
        cells: `Trace.cell` of the span, (steps, layers, units).

    Raises:
        CarouselError: the span has no steps or too many, or is another model's; the cache cannot be written.
    """
    index = StateIndex.open(checkpoint, dataset, progress)
    query, split, steps = index.query(cells), dataset.split("train"), len(cells)
    found = []
    for at in index.search(query, split.offsets, count):
        first, past = _shown(split, at, at - steps, at + 2 * steps)
        alike = index.likeness(query, np.array([at]))[0]
        values = np.pad(alike, (at - first, past - at - steps))
        found.append(_moment(checkpoint.tokenizer, split, at, first, values, float(alike.mean())))
    return found


def like(model: Model, dataset: TokenDataset, said: str, progress: Progress = quiet) -> dict[str, Any]:
    """What `evaluate --like` prints: `similar` to the end of a text, or of the piece in a file.

    Raises:
        CarouselError: as `similar`; or the file cannot be read, or the vocabulary cannot express it.
    """
    tokenizer = model.tokenizer
    tokens = tokenizer.encode(read_primer(said, tokenizer.medium))[:-1].tolist()
    cells = Stream.trace_of(model.engine(), tokens, progress=progress).cell[-SPAN:]
    between = "" if tokenizer.medium == "text" else ", "
    found = [
        {"piece": moment.piece, "token": moment.position, "likeness": round(moment.score, 4)}
        | {"around": between.join(moment.words)}
        for moment in similar(model.checkpoint, dataset, cells, progress=progress)
    ]
    return {"corpus": dataset.facts.name, "split": "train", "tokens": len(cells), "like": found}


def of_unit(
    checkpoint: Checkpoint, dataset: TokenDataset, split: str, name: str, progress: Progress = quiet
) -> dict[str, Any]:
    """What `evaluate --unit` prints: the portrait of a unit such as `1.27` in a split, and what it follows.

    Raises:
        CarouselError: there is no such unit or split.
    """
    place = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", name, re.ASCII)
    if place is None:
        raise CarouselError(f"{name[:40]!r} is no unit; give its layer and number, such as 1.27")
    layer, unit = int(place[1]), int(place[2])
    watched = watch(checkpoint, dataset.split(split), progress=progress)
    found = portrait(watched, layer, unit)
    known = units.of(checkpoint)
    rows = [row for row in known.units if (row.layer, row.unit) == (layer, unit)] if known else []
    between = "" if checkpoint.tokenizer.medium == "text" else ", "
    return {
        "corpus": dataset.facts.name,
        "split": split,
        "unit": name,
        "follows": [{"label": row.label, row.measure: round(row.confirmed, 3), "falls": row.falls} for row in rows],
        "time_constant": round(found.time_constant, 2),
        "highest": [
            {"piece": moment.piece, "token": moment.position, "cell": round(moment.score, 3)}
            | {"before": between.join(moment.words[: moment.position - moment.start])}
            for moment in found.moments
        ],
        "histogram": {"counts": found.counts, "edges": [round(edge, 3) for edge in found.edges]},
        "raises": dict(found.raises),
        "lowers": dict(found.lowers),
    }


def _apart(values: Floats, split: Split, count: int, around: int) -> list[int]:
    """Where the highest values are, the highest first: one in each piece, then a second one, and so on; their contexts
    do not overlap."""
    left, chosen = values.copy(), list[int]()
    while len(chosen) < count:
        tops = [first + int(left[first:past].argmax()) for first, past in pairwise(split.offsets.tolist())]
        tops = [at for at in tops if left[at] > -np.inf]
        if not tops:
            break
        for at in sorted(tops, key=lambda at: -left[at])[: count - len(chosen)]:
            chosen.append(at)
            left[max(0, at - 2 * around) : at + 2 * around + 1] = -np.inf
    return sorted(chosen, key=lambda at: -values[at])


def _shown(split: Split, at: int, first: int, past: int) -> tuple[int, int]:
    """The part of a range that lies within the piece of the token `at`."""
    piece = _piece(split, at)
    return max(first, int(split.offsets[piece])), min(past, int(split.offsets[piece + 1]))


def _piece(split: Split, at: int) -> int:
    return int(np.searchsorted(split.offsets, at, side="right")) - 1


def _moment(tokenizer: Tokenizer, split: Split, at: int, first: int, values: Floats, score: float) -> Moment:
    """The moment before the token `at` of a split, with `values` of the tokens from `first` on."""
    piece = _piece(split, at)
    begin = int(split.offsets[piece])
    words = _words(tokenizer, split[piece], first - begin, first - begin + len(values))
    return Moment(split.names[piece], piece, at - begin, first - begin, words, values, score)


def _words(tokenizer: Tokenizer, piece: Tokens, first: int, past: int) -> tuple[str, ...]:
    """What the tokens from `first` to before `past` of a piece mean."""
    shown = piece[first:past]
    if tokenizer.medium == "text":
        return tuple(tokenizer.decode(shown))
    decoder = tokenizer.decoder()
    decoder.skip(piece[:first].tolist())
    words = []
    for token in shown.tolist():
        words.append(decoder.describe(token))
        decoder.skip([token])
    return tuple(words)


def _pushed(watched: Watched, unit: int, at: int) -> tuple[Pushes, Pushes]:
    """The tokens that a unit of the top layer raises and lowers most, in the words that they would have at `at`."""
    weights = watched.checkpoint.weights["output.weight"][:, unit]
    split, decoder = watched.split, watched.checkpoint.tokenizer.decoder()
    piece = _piece(split, at)
    decoder.skip(split.tokens[split.offsets[piece] : at].tolist())
    order = np.argsort(weights, kind="stable").tolist()
    down, up = order[:PUSHED], order[::-1][:PUSHED]
    raises, lowers = (
        tuple((decoder.describe(token), float(weights[token])) for token in tokens) for tokens in (up, down)
    )
    return raises, lowers
