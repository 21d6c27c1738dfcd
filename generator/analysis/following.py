"""Which units follow which labels: every unit of a split against everything that the tokenizer knows.

All is done with ranks, so it does not matter how a unit is scaled. For a label of truth values the score is the area
under the ROC curve, which follows from a sum of ranks (Hanley and McNeil 1982); for a numeric one it is Spearman's
correlation. Of so many units some score high by chance. So the best of all units is compared with the best of all units
for labels that are shifted in time: they have the same rhythm, but belong to other tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from generator.analysis.reading import MOST_TOKENS, Watched, watch
from generator.analysis.units import AUC, CORRELATION, LONGEST_NAME, PARTS, UnitLabel, Units, is_name
from generator.corpora.dataset import Split, TokenDataset
from generator.foundation.errors import CarouselError
from generator.foundation.terminal import printable
from generator.model.checkpoint import Checkpoint
from generator.streaming.course import Progress, quiet
from generator.tokenizers.labels import Label, Labels

DRAWS, SEED = 8, 1
"""The baseline is the best of so many random shifts."""
BEST = 3
"""How many units of each label are kept."""
FEWEST = 30
"""A label of truth values is compared if it is true, and false, at so many tokens at least, a numeric one if there are
twice as many tokens."""
BLOCK = 64
"""How many units are ranked together."""

MINUS_ZERO = 2**15
"""The bits of -0 as float16."""
ORDERS = {
    np.dtype(np.float16): np.concatenate([np.arange(2**15, 2**16)[::-1], np.arange(2**15)]),
    np.dtype(np.int8): np.roll(np.arange(2**8), 2**7),
}
"""The bits of all numbers of a type, from the lowest number to the highest."""

Floats = npt.NDArray[np.float32]


def find(checkpoint: Checkpoint, dataset: TokenDataset, progress: Progress = quiet) -> Units:
    """What each unit follows: found on the validation split and confirmed on the test split. Without a test split the
    validation split is cut in two.

    Raises:
        CarouselError: the corpus has no validation split, or not enough of it.
    """
    splits = held_out(dataset)
    finding, confirming = (split for _, split in splits)
    finding_labels, confirming_labels = (checkpoint.tokenizer.labels(split.tokens) for split in (finding, confirming))
    names = [name for name in finding_labels if varies(finding_labels, name) and varies(confirming_labels, name)]
    names = [name for name in names if is_name(name)]
    if not names:
        raise CarouselError(f"{dataset.facts.name}: too little is held out to compare units with; give a larger corpus")
    watched = watch(checkpoint, finding, progress=progress)
    time_constants = tuple(tuple(round(value, 3) for value in layer) for layer in watched.time_constants.tolist())
    chosen, baseline = effects(watched, [finding_labels[name] for name in names], DRAWS, progress)
    del watched  # there might be no room for two
    watched = watch(checkpoint, confirming, progress=progress)
    confirmed, _ = effects(watched, [confirming_labels[name] for name in names], 0, progress)
    measures = [AUC if finding_labels[name].dtype == np.bool_ else CORRELATION for name in names]
    of_labels, of_units = rows(names, measures, chosen, confirmed, baseline)
    corpus = printable(dataset.facts.name)[-LONGEST_NAME:]
    (found_on, _), (confirmed_on, _) = splits
    return Units(checkpoint.fingerprint, corpus, found_on, confirmed_on, of_labels, of_units, time_constants)


def held_out(dataset: TokenDataset) -> list[tuple[str, Split]]:
    """The split to find units on and the one to confirm them on, in words and at most `MOST_TOKENS` of it."""
    whole = dataset.split("validation")
    size = len(whole.tokens)
    if "test" in dataset.splits:
        parts = [("validation", whole), ("test", dataset.split("test"))]
    else:
        inner = whole.offsets[1:-1]  # a single piece is cut itself
        middle = int(inner[np.abs(inner - size // 2).argmin()]) if len(inner) else size // 2
        halves = whole.part(0, middle), whole.part(middle, size)
        parts = [("first half of validation", halves[0]), ("second half of validation", halves[1])]
    return [_beginning(*part) for part in parts]


def _beginning(name: str, whole: Split) -> tuple[str, Split]:
    split, size = whole.beginning(MOST_TOKENS), len(whole.tokens)
    count = f"{size:,}" if len(split.tokens) == size else f"the first {len(split.tokens):,} of {size:,}"
    return f"{name}, {count} tokens", split


def varies(labels: Labels, name: str) -> bool:
    """Whether there is such a label, with enough differences in it."""
    label = labels.get(name)
    if label is None:
        return False
    if label.dtype == np.bool_:
        return FEWEST <= int(label.sum()) <= len(label) - FEWEST
    return len(label) >= 2 * FEWEST and bool(label.min() < label.max())


def effects(watched: Watched, labels: list[Label], draws: int, progress: Progress) -> tuple[Floats, Floats]:
    """How far each part of each unit follows each label, from -1 to 1: Spearman's correlation, or 2·AUC - 1.

    Returns:
        Of the labels as they are, (labels, `PARTS`, layers, units), and the largest of all units, parts and draws with
        shifted labels, whatever its sign, (labels,).
    """
    tokens, layers, size = watched.cell.shape
    weights = np.stack([_weights(label) for label in labels], 1)
    is_binary = np.array([label.dtype == np.bool_ for label in labels])
    shifts = np.random.default_rng(SEED).integers(tokens // 20, tokens - tokens // 20, draws).tolist()
    found = np.empty((len(PARTS), layers * size, len(labels)), np.float32)
    largest = np.zeros(len(labels), np.float32)
    parts: tuple[npt.NDArray[Any], ...] = watched.cell, watched.hidden
    for number, part in enumerate(parts):
        columns = part.reshape(tokens, -1)
        for first in range(0, layers * size, BLOCK):
            block = np.ascontiguousarray(columns[:, first : first + BLOCK].T)
            ranks, lengths = zip(*map(midranks, block), strict=True)
            ranked, spread = np.stack(ranks), np.array(lengths)[:, np.newaxis]
            scale = np.where(is_binary, 1.0, 1 / spread).astype(np.float32)
            found[number, first : first + BLOCK] = (ranked @ weights) * scale
            for shift in shifts:  # the label at token n is compared with the unit at n + shift
                product = ranked[:, shift:] @ weights[:-shift] + ranked[:, :shift] @ weights[-shift:]
                largest = np.maximum(largest, np.abs(product * scale).max(0))
            share = (number + min(1, (first + BLOCK) / (layers * size))) / len(parts)
            progress("comparing the units with labels", round(share * tokens), tokens)
    return found.reshape(len(PARTS), layers, size, -1).transpose(3, 0, 1, 2), largest


def _weights(label: Label) -> Floats:
    """What to multiply midranks with, so that their sum is 2·AUC - 1, or, of ranks of length 1, the correlation."""
    if label.dtype == np.bool_:
        true = label.astype(np.float64)
        positive = true.sum()
        return np.asarray((true - true.mean()) * 2 / (positive * (len(true) - positive)), np.float32)
    ranks, length = midranks(label)
    return ranks / np.float32(length)


def midranks(values: npt.NDArray[Any]) -> tuple[Floats, float]:
    """The ranks of values, (n,), less their mean, and the length of that vector, which is 1 if all ranks are equal.
    Equal values have the mean of their ranks."""
    if values.dtype in ORDERS:
        codes, order = values.view(f"u{values.itemsize}"), ORDERS[values.dtype]
        counts = np.bincount(codes, minlength=len(order))
    else:
        _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
        order = np.arange(len(counts))
    if values.dtype == np.float16:  # -0 is as high as 0
        counts[0] += counts[MINUS_ZERO]
        counts[MINUS_ZERO] = 0
    ranks = np.empty(len(counts), np.float64)
    ranks[order] = np.cumsum(counts[order]) - (counts[order] + 1) / 2 - (len(values) - 1) / 2
    if values.dtype == np.float16:
        ranks[MINUS_ZERO] = ranks[0]
    length = float(np.sqrt((counts * ranks**2).sum()))
    return ranks.astype(np.float32)[codes], length or 1.0


def rows(
    names: list[str], measures: list[str], chosen: Floats, confirmed: Floats, baseline: Floats
) -> tuple[tuple[UnitLabel, ...], tuple[UnitLabel, ...]]:
    """The best units of each label, and the best label of each unit that follows one more than the baseline.

    Args:
        chosen, confirmed: of both splits, (labels, `PARTS`, layers, units).
        baseline: (labels,).
    """

    def row(label: int, layer: int, unit: int) -> UnitLabel:
        part = int(np.abs(chosen[label, :, layer, unit]).argmax())
        effect, later = chosen[label, part, layer, unit], confirmed[label, part, layer, unit]
        values = (abs(effect), later * np.sign(effect), baseline[label])
        scored = [round(float(0.5 + value / 2 if measures[label] == AUC else value), 4) for value in values]
        return UnitLabel(names[label], measures[label], layer, unit, PARTS[part], bool(effect < 0), *scored)

    strengths = np.abs(chosen).max(1)
    size = strengths.shape[-1]
    best = np.argsort(-strengths.reshape(len(names), -1), axis=1, kind="stable")[:, :BEST].tolist()
    of_labels = [row(label, *divmod(unit, size)) for label, units in enumerate(best) for unit in units]
    margins = (strengths - baseline[:, None, None]) / (1 - baseline[:, None, None])
    followed = margins.argmax(0)
    of_units = [row(int(label), *at) for at, label in np.ndenumerate(followed)]
    return tuple(of_labels), tuple(row for row in of_units if min(row.score, row.confirmed) > row.baseline)
