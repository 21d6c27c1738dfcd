"""Where a stream comes from: all that its past can be drawn again from, as a value and as a line of text.

A take holds it, and the MIDI and MusicXML files that a stream is written to carry it. `docs/take.md` describes both.
"""

from __future__ import annotations

import base64
import bz2
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.model.backends import BACKENDS
from generator.tokenizers.base import LARGEST_COUNT, whole

VERSION = 3
"""The newest, of a file of music that was cut; else 2 where something was given mid-stream; else 1, which older ones
read too."""
LARGEST_TOKEN = 2**16 - 1
LARGEST_PRIMER = 2**24
"""Tokens; a text that unpacks to more is refused."""
MOST_INJECTED = 2**20
"""Tokens given mid-stream, in all."""
LONGEST_NAME = 255
GONE = ("bf16",)
"""Backends of older versions."""

Change = tuple[int, SamplingOptions]
"""From this position on, these options hold."""
Injection = tuple[int, tuple[int, ...]]
"""From this position on, these tokens were given, not drawn."""

UNSOUND = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a value from outside may raise where it is not what it should be."""
OPTIONS = {spec.name for spec in fields(SamplingOptions)}


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a file of music ends before its stream: no event of it starts at this tick or later."""

    ticks: int
    overhangs: bool = False
    """Whether notes that began before go on, and silence counts for nothing, as was the custom before version 3; else
    notes are cut off there, and the file lasts until then."""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """`checkpoint` is the name of its folder and helps to find it, `fingerprint` is what it is known by. `position`
    counts the tokens, the primer's included; `timeline` begins at position 0 and holds every change of options; `heard`
    holds what was given since, in order of position; `corpus` is the key of the index that was asked for copies, empty
    where there was none."""

    checkpoint: str
    fingerprint: str
    backend: str
    position: int
    timeline: tuple[Change, ...]
    primer: tuple[int, ...]
    corpus: str
    injected: tuple[Injection, ...] = field(default=(), kw_only=True)

    @property
    def limited(self) -> bool:
        """Whether copies were ever forbidden, so that nothing can be drawn again without the corpus."""
        return any(options.max_copy for _, options in self.timeline)

    @property
    def options(self) -> SamplingOptions:
        """The options in force."""
        return self.timeline[-1][1]

    @property
    def lifts(self) -> int:
        """How often the governor stepped in."""
        return lifts(self.timeline)

    @property
    def wanted(self) -> str:
        """The checkpoint that it needs, for a message."""
        return f"{self.checkpoint or 'without a name'} (fingerprint {self.fingerprint[:16]}…)"

    def facts(self) -> dict[str, Any]:
        """All but the primer, as a JSON object; of the timeline what each change changed."""
        changes: list[tuple[int, dict[str, Any]]] = []
        before: dict[str, Any] = {}
        for position, options in self.timeline:
            now = asdict(options)
            changes.append((position, {name: now[name] for name in now if before.get(name, ...) != now[name]}))
            before = now
        injected = [(position, _packed(tokens)) for position, tokens in self.injected]
        return {
            "version": 2 if injected else 1,
            "checkpoint": self.checkpoint,
            "fingerprint": self.fingerprint,
            "backend": self.backend,
            "position": self.position,
            "timeline": changes,
            **({"corpus": self.corpus} if self.limited else {}),
            **({"heard": injected} if injected else {}),
        }

    def text(self, cut: Cut | None = None) -> str:
        """As one line of ASCII, for a file of music, which may be cut."""
        facts = {**self.facts(), "until_ticks": cut.ticks if cut else None, "primer": _packed(self.primer)}
        if cut and not cut.overhangs:
            facts["version"] = VERSION
        return json.dumps({**facts, "digest": _digest(facts)})


def read_text(text: str) -> tuple[Origin, Cut | None]:
    """An origin from its text, and where the file is cut.

    Raises:
        CarouselError: it is not such a text, was edited, or comes from a newer version.
    """
    try:
        facts = json.loads(text)
        refuse_newer(facts)
        digest = facts.pop("digest")
        if digest != _digest(facts):
            raise CarouselError("its provenance was edited; without it nothing can be drawn again")
        until_ticks, primer = facts.pop("until_ticks"), facts.pop("primer")
        cut = None
        if until_ticks is not None:
            cut = Cut(whole(until_ticks, 0, LARGEST_COUNT), overhangs=facts["version"] < VERSION)
        return Origin(**checked(facts, _unpacked(primer, LARGEST_PRIMER))), cut
    except UNSOUND as error:
        raise CarouselError("its provenance is damaged; without it nothing can be drawn again") from error


def refuse_newer(facts: Any) -> None:
    """Raise a CarouselError if these were written by a version that this one does not know."""
    if whole(facts["version"], 1, LARGEST_COUNT) > VERSION:
        raise CarouselError("made by a newer Carousel; update this one")


def checked(facts: dict[str, Any], primer: Sequence[int]) -> dict[str, Any]:
    """The fields of an `Origin` from `Origin.facts` and its primer, which may come from anywhere.

    Raises:
        CarouselError: an option is unknown, as of a newer version, or out of its bounds.
        ValueError: or another one of `UNSOUND`: something else is not as it should be.
    """
    name, fingerprint, backend = facts["checkpoint"], facts["fingerprint"], facts["backend"]
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError("checkpoint")
    corpus = facts.get("corpus", "")
    if not _is_digest(fingerprint):
        raise ValueError("fingerprint")
    if corpus != "" and not _is_digest(corpus):
        raise ValueError("corpus")
    if backend in GONE:
        raise CarouselError(f"made with the backend {backend}, which is gone; draw it anew")
    if backend not in BACKENDS:
        raise CarouselError(f"made with the backend {str(backend)[:20]!r} of a newer Carousel; update this one")
    position = whole(facts["position"], len(primer), LARGEST_COUNT)
    for token in primer:
        whole(token, 0, LARGEST_TOKEN)
    timeline: list[Change] = []
    options = SamplingOptions()
    for start, change in facts["timeline"]:
        unknown = change.keys() - OPTIONS
        if unknown:
            raise CarouselError(f"the option {min(unknown)[:40]!r} is of a newer Carousel; update this one")
        options = replace(options, **change)
        timeline.append((whole(start, timeline[-1][0] + 1 if timeline else 0, position if timeline else 0), options))
    if not timeline:
        raise ValueError("timeline")
    return {
        "checkpoint": name,
        "fingerprint": fingerprint,
        "backend": backend,
        "position": position,
        "timeline": tuple(timeline),
        "primer": tuple(primer),
        "corpus": corpus,
        "injected": _injected(facts.get("heard", []), len(primer), position),
    }


def _injected(phrases: Any, start: int, until: int) -> tuple[Injection, ...]:
    """What was given between two positions, from outside."""
    injected: list[Injection] = []
    left = MOST_INJECTED
    for at, packed in phrases:
        tokens = tuple(_unpacked(packed, left))
        whole(at, start, until - len(tokens))
        if not tokens:
            raise ValueError("heard")
        injected.append((at, tokens))
        start, left = at + len(tokens), left - len(tokens)
    return tuple(injected)


def lifts(timeline: Sequence[Change]) -> int:
    """How often the governor stepped in."""
    lifted = [False, *(options.lift > 0 for _, options in timeline)]
    return sum(now and not before for before, now in pairwise(lifted))


def injected_until(injected: tuple[Injection, ...], position: int) -> tuple[Injection, ...]:
    """What was heard before a position."""
    return tuple((start, tokens[: position - start]) for start, tokens in injected if start < position)


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 64 and not set(text) - set("0123456789abcdef")


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _packed(tokens: tuple[int, ...]) -> str:
    # There is one bzip2, and it writes the same bytes everywhere; of zlib there are several.
    return base64.b64encode(bz2.compress(np.array(tokens, "<u2").tobytes())).decode() if tokens else ""


def _unpacked(text: str, most: int) -> list[int]:
    packed = base64.b64decode(text, validate=True)
    unpacker = bz2.BZ2Decompressor()
    try:
        data = unpacker.decompress(packed, 2 * most) if packed and most else b""
    except OSError as error:
        raise ValueError("tokens") from error
    if packed and (not unpacker.eof or unpacker.unused_data):
        raise ValueError("tokens")
    tokens: list[int] = np.frombuffer(data, "<u2").tolist()
    return tokens
