"""What was left out of a piece or changed in it: counted by cause where it happens, worded in sentences here alone.

A tokenizer's `Report` is a dataclass of counts, each with its `cause`. What a reader of files leaves out is an
`Omission` that the score carries. What concerns more than a tenth of all there is, is said loudly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

LOUD = 0.1
"""Above this share of the notes, or of whatever is counted, a sentence is a warning."""
WHEN_PREPARING = "try --tokenizer {}"
WHEN_PRIMING = "try a checkpoint of kind {}"
"""Remedies, with a place for the kind of tokenizer that would lose nothing; a primer's is that of its checkpoint."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The words around a count."""

    thing: str
    """What is counted, in the singular."""
    fate: str
    """What became of it; in braces what else the report says."""
    why: str
    """What the tokenizer lacks."""
    better: str = ""
    """The kind of tokenizer that has it."""
    remedy: str = ""
    """What else can be done."""
    of: str = ""
    """The field that says how many there are; without it the count is never loud."""
    gone: bool = False
    """Whether these are notes that do not sound any more."""


def cause(thing: str, fate: str, why: str, **facts: Any) -> Any:
    """A count in a report, of the `Cause` that has these fields."""
    return field(default=0, metadata={"cause": Cause(thing, fate, why, **facts)})


@dataclass(frozen=True, slots=True)
class Report:
    """What a tokenizer could not express of one piece, or of many: first how much it has kept, then counts by cause."""

    @property
    def dropped(self) -> int:
        """Notes that are gone, by whatever cause."""
        return sum(getattr(self, spec.name) for spec in fields(self) if _gone(spec.metadata))


@dataclass(frozen=True, slots=True)
class Omission:
    """What a reader left out of files, or changed: a count, the thing in the singular, and what became of it."""

    count: int
    thing: str
    fate: str


class Sentence(NamedTuple):
    """One thing that is worth knowing."""

    text: str
    loud: bool

    def __str__(self) -> str:
        return f"WARNING: {self.text}" if self.loud else self.text


def many(count: int, thing: str) -> str:
    """A count with its noun."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def omissions_of(counts: Mapping[tuple[str, str], int]) -> tuple[Omission, ...]:
    """Counts of things and their fates, those that occur, as omissions."""
    return tuple(Omission(count, *words) for words, count in counts.items() if count)


def summed(omissions: Iterable[Omission]) -> tuple[Omission, ...]:
    """The same, each kind once, the commonest first."""
    counts: Counter[tuple[str, str]] = Counter()
    for omission in omissions:
        counts[omission.thing, omission.fate] += omission.count
    return omissions_of(dict(counts.most_common()))


def sentences(
    report: Report, omissions: Iterable[Omission] = (), remedy: str = WHEN_PREPARING, told: Collection[str] = ()
) -> list[Sentence]:
    """What was left out or changed, the loud first; nothing where nothing was.

    Args:
        omissions: what the reader of the piece, or of the pieces, has left out already.
        remedy: `WHEN_PREPARING` or `WHEN_PRIMING`.
        told: the fields of the report that are told elsewhere.
    """
    values = asdict(report)
    unit = next(iter(values))
    values[unit] += report.dropped
    said = omitted(omissions, values[unit])
    for spec in fields(report):
        count, found = values[spec.name], spec.metadata.get("cause")
        if found is None or not count or spec.name in told:
            continue
        share = ""
        if found.of:
            percent = 100 * count / values[found.of]
            share = f" ({percent:.{0 if percent >= 1 else 2}f} % of {many(values[found.of], found.of[:-1])})"
        advice = remedy.format(found.better) if found.better else found.remedy
        text = f"{many(count, found.thing)} {found.fate.format(**values)}{share}: {found.why}"
        loud = bool(found.of) and count > LOUD * values[found.of]
        said.append(Sentence(f"{text}; {advice}" if advice else text, loud))
    return sorted(said, key=lambda sentence: not sentence.loud)


def omitted(omissions: Iterable[Omission], notes: int) -> list[Sentence]:
    """What readers left out of pieces that have so many notes."""
    return [
        Sentence(f"{many(each.count, each.thing)} {each.fate}", each.count > LOUD * (notes + each.count))
        for each in summed(omissions)
    ]


def _gone(metadata: Any) -> bool:
    return "cause" in metadata and metadata["cause"].gone
