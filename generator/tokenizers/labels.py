"""Labels: what a tokenizer knows before each token, with which the units of a model are compared.

Row n of a label is about the moment before token n, when the tokens before n have been read. A label of truth values
says whether something holds, another one how much of it there is. The few labels that look ahead say so in their names.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Label = npt.NDArray[np.bool_] | npt.NDArray[np.float64]
"""(tokens,), truth values or numbers."""
Labels = dict[str, Label]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]

MOST_STYLES = 6
"""The labels for styles are about the first ones of the vocabulary, which are the commonest."""


def latest(flags: Flags) -> npt.NDArray[np.int64]:
    """The index of the last true flag up to each, -1 before the first."""
    return np.maximum.accumulate(np.where(flags, np.arange(len(flags)), -1))


def since(flags: Flags) -> Numbers:
    """How many rows ago the last flag was true, 0 where it is; before the first, as if one were just before row 0."""
    return (np.arange(len(flags)) - latest(flags)).astype(np.float64)


def kept(flags: Flags, values: npt.ArrayLike, at_first: float = 0) -> Numbers:
    """The value where a flag was true last; `at_first` before the first."""
    at = latest(flags)
    return np.where(at < 0, at_first, np.asarray(values, np.float64)[at])


def counted(flags: Flags, begins: Flags) -> Numbers:
    """How many flags have been true since the last beginning, the one at the beginning not counted."""
    total = np.cumsum(flags)
    return total - kept(begins, total, float(total[0] * flags[0]) if len(total) else 0)


def before(values: npt.NDArray[np.generic], first: float = 0) -> npt.NDArray[np.generic]:
    """What held one row earlier; `first` in row 0."""
    return np.concatenate([np.array([first], values.dtype), values[:-1]])


def ahead(numbers: Numbers, ends: Flags) -> Numbers:
    """How far a number that grows within a piece has to go until its value where `ends` is true next, or at the end."""
    at = np.flatnonzero(ends)
    goals = np.append(numbers[at], numbers[-1:])
    return goals[np.searchsorted(at, np.arange(len(numbers)))] - numbers


def styles(tokens: npt.NDArray[np.int64], names: tuple[str, ...], first: int, ends: Flags) -> Labels:
    """For each of the first styles, whether the piece has it; `ends` is true in the row after the end of a piece."""
    read = before(tokens, -1).astype(np.int64)
    style = kept((read >= first) | ends, np.where(read >= first, read - first, -1), -1)
    return {f"the style is {name}": style == index for index, name in enumerate(names[:MOST_STYLES])}
