"""How much a model copies: the runs of notes or characters that its streams share with the training set, compared with
those that held-out pieces share with it.

Held-out pieces were not copied from the training set, and yet they share runs with it, because every style has its
formulas. A collection may hold the same piece under two names in two splits. Such duplicates are left out of the
comparison and listed in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from generator.corpora.copies import Index, Runs, open_index
from generator.corpora.dataset import TokenDataset
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.streaming.engine import Model
from generator.tokenizers.base import Tokens

WINDOWS = {"notes": 16, "characters": 50}
"""A run of this many notes or characters is a copy if it occurs in the training set; notes in any key and rhythm."""
DOUBLE = 0.5
"""A held-out piece is a duplicate if at least this share of its windows occurs in the training set."""
STREAMS = 32
"""The default number of streams."""


def originality(
    model: Model, dataset: TokenDataset, temperature: float = 1.0, streams: int = STREAMS, tokens: int | None = None
) -> dict[str, Any]:
    """The shares of copied windows in generated streams and in held-out pieces, as a JSON object.

    Args:
        dataset: the corpus that the model was trained on, in the model's own tokens.
        streams: the number of streams, with the seeds 0, 1, 2 …, each from a cold start.
        tokens: the length of each stream; None for streams that are together as long as the held-out pieces. No more
            tokens of the held-out pieces are measured than are generated.

    Raises:
        CarouselError: an option is out of its bounds, the corpus is in other tokens than the model's, or its index
            cannot be made.
    """
    if dataset.tokenizer.to_json() != model.tokenizer.to_json():
        raise CarouselError(f"{dataset.facts.name}: prepared for another tokenizer; give the model's own")
    if streams < 1 or (tokens is not None and tokens < 1):
        raise CarouselError(f"{streams} streams of {tokens} tokens cannot be measured; give at least 1 of each")
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
    generated = [index.runs(drawn) for drawn in draw_streams(model, temperature, streams, tokens)]
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
    """The share of the windows that occur in the training set. A window is `WINDOWS` notes or characters in a row that
    belong to one piece."""
    window = WINDOWS[index.unit]
    windows = sum(int((runs.so_far >= window).sum()) for runs in found)
    return sum(int((runs.lengths >= window).sum()) for runs in found) / max(1, windows)


def _figures(index: Index, found: Sequence[Runs]) -> dict[str, Any]:
    """The figures of some streams or pieces, as a JSON object."""
    lengths, places = (np.concatenate([getattr(runs, name) for runs in found]) for name in ("lengths", "places"))
    longest = int(lengths.argmax()) if len(lengths) else None
    return {
        index.unit: len(lengths),
        "share_of_windows_found": round(_share(index, *found), 6),
        "longest_run": 0 if longest is None else int(lengths[longest]),
        "it_stands_in": None if longest is None or places[longest] < 0 else str(index.place(int(places[longest]))),
    }


def draw_streams(model: Model, temperature: float, streams: int, tokens: int) -> list[list[int]]:
    """The tokens of several streams with the seeds 0, 1, 2 …, which are drawn side by side."""
    engine = model.engine()
    options = [asdict(SamplingOptions(seed=seed, temperature=temperature)) for seed in range(streams)]
    opened = [engine.stream(**all_of_them) for all_of_them in options]  # whatever the checkpoint's own defaults
    return [drawn for drawn, _ in engine.draw(opened, tokens)]
