"""Is what a model says copied? The runs that its streams share with the training set, beside those of held-out pieces.

Held-out pieces are the yardstick: they were not copied from the training set, and yet they share runs with it, for a
style has its formulas. A collection may hold one piece under two names, in two splits: such doubles are no yardstick,
so they are left out and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from generator.corpora.copies import Index, Runs, open_index
from generator.corpora.dataset import TokenDataset
from generator.foundation.errors import CarouselError
from generator.streaming.engine import Model
from generator.tokenizers.base import Tokens

WINDOWS = {"notes": 16, "characters": 50}
"""How many in a row count as a copy where they stand in the training set; music in any key and rhythm."""
DOUBLE = 0.5
"""A held-out piece is the double of a training piece if at least this share of its windows stands there."""
STREAMS = 32


def originality(
    model: Model, dataset: TokenDataset, temperature: float = 1.0, streams: int = STREAMS, tokens: int | None = None
) -> dict[str, Any]:
    """What `evaluate --originality` prints.

    Args:
        dataset: the corpus that the model was trained on, in the model's own tokens.
        streams: how many, with the seeds 0, 1, 2 …, each from a cold start.
        tokens: of each stream; None for as many in all as are held out. Of the held-out pieces no more are measured
            than the streams say.

    Raises:
        CarouselError: an option is out of its bounds, the corpus is in other tokens than the model's, or its index
            cannot be made.
    """
    if dataset.tokenizer.to_json() != model.tokenizer.to_json():
        raise CarouselError(f"{dataset.facts.name}: prepared for another tokenizer; give the model's own")
    if streams < 1 or (tokens is not None and tokens < 1):
        raise CarouselError(f"{streams} streams of {tokens} tokens say nothing; give at least 1 of each")
    index = open_index(dataset)
    parts = [dataset.split(name) for name in dataset.splits if name != "train"]
    tokens = tokens or -(-sum(len(part.tokens) for part in parts) // streams)
    others: list[Tokens] = [np.zeros(0, np.uint16)]
    doubles: dict[str, str] = {}
    for part in parts:
        for number, name in enumerate(part.names):
            found = index.runs(part[number])
            if _share(index, found) < DOUBLE:
                others.append(part[number])
            else:
                doubles[name] = str(index.place(int(found.places[found.lengths.argmax()])))
    generated = [index.runs(said) for said in listen(model, temperature, streams, tokens)]
    held_out = [index.runs(np.concatenate(others)[: streams * tokens])]
    ours, theirs = (_share(index, *found) for found in (generated, held_out))
    return {
        "corpus": dataset.facts.name,
        "temperature": temperature,
        "streams": streams,
        "tokens_each": tokens,
        "window": f"{WINDOWS[index.unit]} {index.unit}",
        "generated": _figures(index, generated),
        "held_out": _figures(index, held_out),
        "times_held_out": round(ours / theirs, 3) if theirs else None,
        "doubles_left_out": doubles,
    }


def _share(index: Index, *found: Runs) -> float:
    """The share of the windows within a piece that stand in the training set."""
    window = WINDOWS[index.unit]
    windows = sum(int((runs.heard >= window).sum()) for runs in found)
    return sum(int((runs.lengths >= window).sum()) for runs in found) / max(1, windows)


def _figures(index: Index, found: Sequence[Runs]) -> dict[str, Any]:
    lengths, places = (np.concatenate([getattr(runs, name) for runs in found]) for name in ("lengths", "places"))
    longest = int(lengths.argmax()) if len(lengths) else None
    return {
        index.unit: len(lengths),
        "share_of_windows_found": round(_share(index, *found), 6),
        "longest_run": 0 if longest is None else int(lengths[longest]),
        "it_stands_in": None if longest is None or places[longest] < 0 else str(index.place(int(places[longest]))),
    }


def listen(model: Model, temperature: float, streams: int, tokens: int) -> list[list[int]]:
    """The tokens of some streams, side by side."""
    engine = model.engine()
    going = [engine.stream(seed=seed, temperature=temperature) for seed in range(streams)]
    return [said for said, _ in engine.draw(going, tokens)]
