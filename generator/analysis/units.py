"""What the units of a checkpoint follow, as `evaluate --units` found it: the file `units.json` of its folder.

    {"format": 1, "checkpoint": "520856d9…", "corpus": "bach-chorales", "found_on": …, "confirmed_on": …,
     "labels": [a row for each of the best units of each label],
     "units": [a row for each unit, with the label that it follows best],
     "time_constants": [[tokens for each unit] for each layer]}

A row has the fields of `UnitLabel`. The file is no part of the checkpoint's fingerprint, but names it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.terminal import printable
from generator.model.checkpoint import UNITS, Checkpoint

FORMAT = 1
PARTS = ("cell", "hidden")
"""The parts of a unit that labels are compared with."""
AUC, CORRELATION = "auc", "correlation"
LONGEST_NAME, MOST_ROWS = 80, 2**16
PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class UnitLabel:
    """One unit that follows one label. Row n of a trace is compared with what the tokenizer knows before token n."""

    label: str
    """As in `Tokenizer.labels`: `position in the bar`."""
    measure: str
    """`auc` for a label that is true or false: the probability that the unit is higher where it is true than where it
    is false (0.5 is chance). `correlation` for a numeric label: Spearman's, of ranks (0 is chance)."""
    layer: int
    unit: int
    part: str
    """`cell` or `hidden`."""
    falls: bool
    """Whether the unit falls where the label rises; all scores are those of the unit turned upside down then."""
    score: float
    """On the split on which this unit was chosen of all."""
    confirmed: float
    """The same unit's on the other split."""
    baseline: float
    """The score of the best of all units, of either part, once the label is shifted in time by a random number of
    tokens: the highest of several draws."""

    @property
    def strength(self) -> float:
        """The score on the confirming split on a scale from 0, chance, to 1, whatever the measure."""
        return on_one_scale(self.measure, self.confirmed)


@dataclass(frozen=True)
class Units:
    """The content of `units.json`."""

    checkpoint: str
    """The fingerprint of the checkpoint."""
    corpus: str
    found_on: str
    """In words, such as `validation, 14 pieces, 11,071 tokens`."""
    confirmed_on: str
    labels: tuple[UnitLabel, ...]
    """The best units of each label, the best first; the labels in the tokenizer's order."""
    units: tuple[UnitLabel, ...]
    """For each unit the label that it follows best, where that is more than the baseline."""
    time_constants: tuple[tuple[float, ...], ...]
    """The time constant of each unit in tokens, by layer: -1 / mean(log f), f its forget gate at each token. What was
    written into the cell fades to 1/e in that time."""

    def of(self, layer: int, unit: int) -> UnitLabel | None:
        """The label that a unit follows best; None if it follows none."""
        return next((row for row in self.units if (row.layer, row.unit) == (layer, unit)), None)

    def best(self) -> list[UnitLabel]:
        """The best unit of each label."""
        return list({row.label: row for row in reversed(self.labels)}.values())[::-1]

    def percentiles(self) -> list[dict[str, float]]:
        """The percentiles of the time constants of each layer, in tokens."""
        found = np.percentile(np.array(self.time_constants), PERCENTILES, axis=1).round(2).T.tolist()
        return [dict(zip((f"{share}%" for share in PERCENTILES), layer, strict=True)) for layer in found]

    def summary(self) -> dict[str, Any]:
        """What `evaluate --units` prints."""
        rows = [{**asdict(row), "unit": f"{row.layer}.{row.unit}"} for row in self.best()]
        return {
            "corpus": self.corpus,
            "found_on": self.found_on,
            "confirmed_on": self.confirmed_on,
            "labels": [{name: value for name, value in row.items() if name != "layer"} for row in rows],
            "units_with_a_label": len(self.units),
            "time_constants_in_tokens": {f"layer {layer}": row for layer, row in enumerate(self.percentiles())},
        }

    def to_json(self) -> str:
        """The content of the file, with each row on a line of its own."""

        def lines(rows: tuple[Any, ...], write: Callable[[Any], Any]) -> str:
            return "[\n" + ",\n".join("  " + json.dumps(write(row), ensure_ascii=False) for row in rows) + "\n ]"

        head = {"format": FORMAT, "checkpoint": self.checkpoint, "corpus": self.corpus}
        parts = [*head.items(), ("found_on", self.found_on), ("confirmed_on", self.confirmed_on)]
        written = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in parts]
        written += [f' "{name}": {lines(getattr(self, name), asdict)}' for name in ("labels", "units")]
        written.append(f' "time_constants": {lines(self.time_constants, list)}')
        return "{\n" + ",\n".join(written) + "\n}\n"


def on_one_scale(measure: str, score: float) -> float:
    """A score from 0, chance, to 1: an AUC as the rank-biserial correlation (Cureton 1956), 2·AUC - 1."""
    return 2 * score - 1 if measure == AUC else score


def load(folder: str | Path) -> Units | None:
    """What is known of the units of the checkpoint in a folder; raises as `of` and `Checkpoint.load`."""
    return of(Checkpoint.load(folder))


def of(checkpoint: Checkpoint) -> Units | None:
    """What is known of the units of a checkpoint; None if its folder has no `units.json`.

    Raises:
        CarouselError: the file is damaged, of another version, or of another checkpoint.
    """
    if not checkpoint.units:
        return None
    name = f"{checkpoint.name}/{UNITS}".lstrip("/")
    try:
        data = json.loads(checkpoint.units)
        if data["format"] != FORMAT:
            raise CarouselError(f"{name}: of another version of Carousel; make it anew with evaluate --units")
        texts = {key: _text(data[key]) for key in ("checkpoint", "corpus", "found_on", "confirmed_on")}
        labels, units = (tuple(_row(row, checkpoint) for row in _few(data[key])) for key in ("labels", "units"))
        time_constants = _time_constants(data["time_constants"], checkpoint)
        found = Units(**texts, labels=labels, units=units, time_constants=time_constants)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CarouselError(f"{name}: damaged; make it anew with evaluate --units, or remove it") from error
    if found.checkpoint != checkpoint.fingerprint:
        raise CarouselError(f"{name}: of another checkpoint; make it anew with evaluate --units, or remove it")
    return found


def is_name(text: str) -> bool:
    """Whether a text may be the name of something in the file."""
    return len(text) <= LONGEST_NAME and text == printable(text)


def _few(rows: Any) -> list[Any]:
    if not isinstance(rows, list) or len(rows) > MOST_ROWS:
        raise ValueError
    return rows


def _text(value: Any) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise ValueError
    return value


def _number(value: Any, low: float, high: float) -> float:
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError
    return float(value)


def _row(row: Any, checkpoint: Checkpoint) -> UnitLabel:
    names = {field.name for field in fields(UnitLabel)}
    config = checkpoint.config
    if row.keys() != names or row["measure"] not in (AUC, CORRELATION) or row["part"] not in PARTS:
        raise ValueError
    if type(row["falls"]) is not bool or not all(type(row[name]) is int for name in ("layer", "unit")):
        raise ValueError
    if not (0 <= row["layer"] < config.num_layers and 0 <= row["unit"] < config.hidden_size):
        raise ValueError
    scores = {name: _number(row[name], -1, 1) for name in ("score", "confirmed", "baseline")}
    return UnitLabel(**{**row, **scores, "label": _text(row["label"])})


def _time_constants(layers: Any, checkpoint: Checkpoint) -> tuple[tuple[float, ...], ...]:
    shape = checkpoint.config.num_layers, checkpoint.config.hidden_size
    if len(layers) != shape[0] or any(len(units) != shape[1] for units in layers):
        raise ValueError
    return tuple(tuple(_number(value, 0, sys.float_info.max) for value in units) for units in layers)
