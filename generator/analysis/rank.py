"""Which model predicts a piece best: the negative log-likelihood in nats a note or a character.

Models have different vocabularies, and one that cannot write a note must not gain by leaving it out. So each note or
character that a vocabulary lacks costs as much as a uniform choice: a note one among 88 pitches, 48 positions and 48
lengths (a 4/4 bar in twelfths of a quarter); a character one of Unicode, beside the cost of the token for an unknown
one. Notes that a vocabulary can only write moved or shortened cost nothing more. A `performance` checkpoint is also
charged for velocities and pedals, which `score` checkpoints do not write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import TaskProgressColumn

from generator.corpora.progress import bar
from generator.corpora.text import read_text
from generator.foundation.errors import CarouselError
from generator.music import files
from generator.music.score import Note, Score, pitch_name
from generator.streaming.engine import Model, load
from generator.tokenizers.base import Tokens
from generator.tokenizers.char import UNKNOWN

Piece = str | Score
Nats = npt.NDArray[np.float64]

UNITS = {"text": "character", "music": "note"}
PRICES = {"text": math.log(0x110000 - 0x800), "music": math.log(88 * 48 * 48)}
"""The cost in nats of each character or note that a vocabulary lacks."""
PLACES = 5
"""The number of places that are listed as best predicted, and as worst predicted."""
STRETCH = 16
"""The length in characters of a place in a text."""
EPSILON = 1e-9
"""Quarters; added to the start of a note so that rounding does not move it into the bar before."""


@dataclass(frozen=True)
class Reading:
    """The result of reading one piece with one model."""

    tokens: Tokens
    nats: Nats
    """Negative log-likelihood of each token, shape (tokens,)."""
    units: int
    """Notes or characters in the piece."""
    missing: int
    """How many of these the vocabulary lacks."""


def read(model: Model, piece: Piece) -> Reading:
    """Read a piece with a model. The style of the piece is left out, because not every model has a token for it.

    Raises:
        CarouselError: the model is of another medium, or its vocabulary has no character or note of the piece.
    """
    tokenizer = model.tokenizer
    piece = piece if isinstance(piece, str) else replace(piece, style="")
    nats = model.score(piece)
    tokens = tokenizer.encode(piece)
    if isinstance(piece, str):
        units, missing = len(piece), int((tokens == UNKNOWN).sum())
        if missing == units:
            raise CarouselError("none of its characters is in the vocabulary")
    else:
        units = len(piece.notes)
        missing = units - len(tokenizer.decode(tokens).notes)
    return Reading(tokens, nats, units, missing)


def rank(
    pieces: Sequence[Piece],
    models: Sequence[tuple[str, Model]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """A ranking of models, from the one that predicts the pieces best to the worst, as a JSON object.

    Args:
        pieces: at least one, all of the same medium; each is read from a cold start.
        models: (name, model).
        progress: called with the readings done and the readings in all.
    """
    medium = "text" if isinstance(pieces[0], str) else "music"
    unit, price = UNITS[medium], PRICES[medium]
    rows: list[dict[str, Any]] = []
    others: list[dict[str, str]] = []
    best: tuple[Model, list[Reading]] | None = None
    for index, (name, model) in enumerate(models):
        readings: list[Reading] = []
        try:
            for number, piece in enumerate(pieces):
                readings.append(read(model, piece))
                progress(index * len(pieces) + number + 1, len(models) * len(pieces))
        except CarouselError as error:
            others.append({"checkpoint": name, "reason": str(error)})
            continue
        nats = sum(float(reading.nats.sum()) for reading in readings)
        missing = sum(reading.missing for reading in readings)
        each = (nats + price * missing) / sum(reading.units for reading in readings)
        if all(each < row[f"nats_per_{unit}"] for row in rows):
            best = model, readings
        rows.append({"checkpoint": name, f"nats_per_{unit}": each, f"missing_{unit}s": missing})
    rows.sort(key=lambda row: row[f"nats_per_{unit}"])
    least, most = _extremes(pieces, *best) if best else ([], [])
    return {
        "convention": f"each piece from a cold start, END tokens included, {price:.2f} nats for each {unit} that the "
        "vocabulary lacks",
        "medium": medium,
        "pieces": len(pieces),
        f"{unit}s": sum(len(piece) if isinstance(piece, str) else len(piece.notes) for piece in pieces),
        "best": rows[0]["checkpoint"] if rows else None,
        "ranking": rows,
        "not_applicable": others,
        "least_expected": least,
        "most_expected": most,
    }


def _extremes(
    pieces: Sequence[Piece], model: Model, readings: Sequence[Reading]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The places of the pieces that the model predicted worst, the worst first, and best, the best first."""
    places = []
    for number, (piece, reading) in enumerate(zip(pieces, readings, strict=True), 1):
        found = _in_text(piece, reading) if isinstance(piece, str) else _in_music(piece, reading, model)
        places += [({"piece": number} if len(pieces) > 1 else {}) | place for place in found]
    key = f"nats_per_{UNITS[model.tokenizer.medium]}"
    places.sort(key=lambda place: place[key])
    return places[: -PLACES - 1 : -1], places[:PLACES]


def _in_text(text: str, reading: Reading) -> list[dict[str, Any]]:
    """The stretches of a text that were predicted best, and those predicted worst; no two of either overlap."""
    length = min(STRETCH, len(text))
    sums = np.cumsum(np.append(0.0, reading.nats[: len(text)]))
    means = (sums[length:] - sums[:-length]) / length
    places = []
    for order in (np.argsort(means), np.argsort(-means)):
        chosen: list[int] = []
        for at in order.tolist():
            if all(abs(at - other) >= length for other in chosen):
                chosen.append(at)
            if len(chosen) == PLACES:
                break
        places += chosen
    return [
        {
            "line": text.count("\n", 0, at) + 1,
            "column": at - text.rfind("\n", 0, at),
            "text": text[at : at + length],
            "nats_per_character": float(means[at]),
        }
        for at in dict.fromkeys(places)
    ]


def _in_music(score: Score, reading: Reading, model: Model) -> list[dict[str, Any]]:
    """Each beat of a score with the notes that begin in it. Performances have no bars: each second with the notes that
    end in it. The nats of a note are those of all tokens since the note before it."""
    tokenizer = model.tokenizer
    clock = tokenizer.decode(reading.tokens).clock()
    bars = list(score.bar_starts())
    bar_quarters = np.array([start / score.ticks_per_quarter for start, _ in bars])

    def place(note: Note) -> tuple[tuple[str, int], ...]:
        if not tokenizer.bar_lines:
            return (("second", int(clock.seconds(note.end_ticks))),)
        quarters = note.start_ticks / tokenizer.ticks_per_quarter + EPSILON
        bar = int(np.searchsorted(bar_quarters, quarters, side="right")) - 1
        beat = (quarters - bar_quarters[bar]) * bars[bar][1].denominator / 4
        return ("bar", bar + 1), ("beat", int(beat) + 1)

    found: dict[tuple[tuple[str, int], ...], tuple[list[float], list[str]]] = {}
    decoder, waiting = tokenizer.decoder(), 0.0
    for token, nats in zip(reading.tokens.tolist(), reading.nats.tolist(), strict=True):
        waiting += nats
        for event in decoder.feed(token):
            if isinstance(event, Note):
                each, names = found.setdefault(place(event), ([], []))
                each.append(waiting)
                voice = f"{tokenizer.voices[event.voice].name} " if len(tokenizer.voices) > 1 else ""
                names.append(voice + pitch_name(event.pitch))
                waiting = 0.0
    return [
        {**dict(where), "notes": ", ".join(names), "nats_per_note": sum(each) / len(each)}
        for where, (each, names) in found.items()
    ]


def open_and_rank(path: Path, checkpoints: Sequence[str]) -> dict[str, Any]:
    """A ranking of checkpoints by all pieces of a file, which is MIDI, MusicXML, ABC or Humdrum, else text.

    Args:
        checkpoints: folders, or names of checkpoints. One that cannot be loaded is listed in the result.

    Raises:
        CarouselError: the file cannot be read.
    """
    music = path.suffix.lower() in files.SUFFIXES
    pieces: list[Piece] = [*files.read(path)] if music else [read_text(path)]
    models = []
    broken = []
    for name in checkpoints:
        try:
            models.append((name, load(name)))
        except CarouselError as error:
            broken.append({"checkpoint": name, "reason": str(error)})
    with bar("ranking", TaskProgressColumn()) as show:
        found = rank(pieces, models, lambda done, total: show(completed=done, total=total))
    found["not_applicable"] += broken
    return {"file": str(path), **found}
