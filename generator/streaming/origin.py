"""The origin of a stream: everything that is needed to draw its past again, as a value and as a line of text.

Takes contain it, and so do the MIDI and MusicXML files to which a stream is written. `docs/take.md` describes both.
"""

from __future__ import annotations

import base64
import bz2
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.model.backends import BACKENDS
from generator.music.song import Song
from generator.tokenizers.base import LARGEST_COUNT, whole

VERSION = 5
"""The newest version of the format. Writers use the oldest version that suffices, so that older readers understand it:
5 for a stream with a song or a drummer and for a music file with landmarks, 4 for one with other instruments than the
vocabulary's, 3 for one that was cut, 2 with injected tokens, else 1."""
CUTS_NOTES, NAMES_INSTRUMENTS, HAS_MORE = 3, 4, 5
"""From the first of these versions on a cut ends the notes that sound there; the second has instruments, and the third
songs, drummers and landmarks."""
LARGEST_TOKEN = 2**16 - 1
LARGEST_PRIMER = 2**24
"""The maximum number of tokens in a primer."""
MOST_INJECTED = 2**20
"""The maximum number of injected tokens in a stream."""
LARGEST_SONG = 2**22
"""The maximum number of bytes of a song."""
LONGEST_NAME = 255
REMOVED_BACKENDS = ("bf16",)

Change = tuple[int, SamplingOptions]
"""A position, and the options that hold from there on."""
Injection = tuple[int, tuple[int, ...]]
"""A position, and the tokens from there on that were given to the stream (`Stream.listen`) instead of drawn."""

MOST_ENTRIES = 10_000
"""The maximum number of times that a drummer enters or leaves."""

READ_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""The exceptions that reading malformed data may raise."""
OPTIONS = {spec.name for spec in fields(SamplingOptions)}
LATER_OPTIONS = {"clamp": None, "length": None, "form": None, "close": False, "key_distance": None, "lines": None}
"""Options that older readers do not know, with their defaults; they are written only where they differ from these."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The end of a music file that stops before its stream does: no event starts at `ticks` or later."""

    ticks: int
    overhangs: bool = False
    """If true, as before version 3, notes sound past the cut and the file may end before it. Otherwise notes are cut
    off there, and the file lasts until there."""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """`fingerprint` identifies the checkpoint; `checkpoint` is the name of its folder, which helps to find it.
    `position` counts the tokens, the primer's included. `timeline` has every change of options in order, from position
    0 on, and `injected` the injected tokens in order. `corpus` is the key of the index for `max_copy`, empty without
    one. `drums` is the origin of the stream that plays drums beside this one (`band.Band`), which enters and leaves in
    turn at the ticks `entries` of this one."""

    checkpoint: str
    fingerprint: str
    backend: str
    position: int
    timeline: tuple[Change, ...]
    primer: tuple[int, ...]
    corpus: str
    injected: tuple[Injection, ...] = field(default=(), kw_only=True)
    song: Song | None = field(default=None, kw_only=True)
    """The song in whose tracks the music is written."""
    drums: Origin | None = field(default=None, kw_only=True)
    entries: tuple[int, ...] = field(default=(), kw_only=True)

    @property
    def limited(self) -> bool:
        """Whether `max_copy` was ever set, so that drawing again needs the corpus."""
        return any(options.max_copy for _, options in self.timeline)

    @property
    def options(self) -> SamplingOptions:
        """The options in force."""
        return self.timeline[-1][1]

    @property
    def lifts(self) -> int:
        """How often the governor began to raise the temperature."""
        return lifts(self.timeline)

    @property
    def wanted(self) -> str:
        """The checkpoint that is needed, for an error message."""
        return f"{self.checkpoint or 'without a name'} (fingerprint {self.fingerprint[:16]}…)"

    def facts(self) -> dict[str, Any]:
        """All but the primer and the drums as a JSON object, in which a change of the timeline has only the options
        that differ."""
        changes: list[tuple[int, dict[str, Any]]] = []
        before: dict[str, Any] = dict(LATER_OPTIONS)
        for position, options in self.timeline:
            now = asdict(options)
            changes.append((position, {name: now[name] for name in now if before.get(name, ...) != now[name]}))
            before = now
        injected = [(position, _packed(tokens)) for position, tokens in self.injected]
        return {
            "version": HAS_MORE if self.song or self.drums else 2 if injected else 1,
            "checkpoint": self.checkpoint,
            "fingerprint": self.fingerprint,
            "backend": self.backend,
            "position": self.position,
            "timeline": changes,
            **({"corpus": self.corpus} if self.limited else {}),
            **({"heard": injected} if injected else {}),
            **({"song": [_compressed(self.song.midi), self.song.tracks]} if self.song else {}),
            **({"entries": list(self.entries)} if self.drums else {}),
        }

    def text(self, cut: Cut | None = None, instruments: Mapping[str, int] = {}, landmarks: bool = False) -> str:
        """The origin as one line of ASCII, for a music file with this cut, with these programs by the names of voices,
        and with keys and markers if it has `landmarks`."""
        facts = {**self.facts(), "until_ticks": cut.ticks if cut else None, "primer": _packed(self.primer)}
        if cut and not cut.overhangs:
            facts["version"] = max(facts["version"], CUTS_NOTES)
        if instruments:
            facts |= {"version": max(facts["version"], NAMES_INSTRUMENTS), "instruments": dict(instruments)}
        if landmarks:
            facts |= {"version": max(facts["version"], HAS_MORE), "landmarks": True}
        if self.drums:
            facts["drums"] = self.drums.text()
        return json.dumps({**facts, "digest": _digest(facts)})


def read_text(text: str, most: int = LARGEST_PRIMER) -> tuple[Origin, Cut | None, dict[str, int], bool]:
    """Read the result of `Origin.text`: the origin, the cut, the instruments, and whether there are landmarks.

    Raises:
        CarouselError: the text is malformed, was edited, or comes from a newer version.
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
            cut = Cut(whole(until_ticks, 0, LARGEST_COUNT), overhangs=facts["version"] < CUTS_NOTES)
        instruments = {str(name): whole(program, 0, 127) for name, program in facts.pop("instruments", {}).items()}
        landmarks = facts.pop("landmarks", False) is True
        drums = read_text(facts.pop("drums"), most)[0] if "drums" in facts else None
        return Origin(**checked(facts, _unpacked(primer, most), drums)), cut, instruments, landmarks
    except READ_ERRORS as error:
        raise CarouselError("its provenance is damaged; without it nothing can be drawn again") from error


def refuse_newer(facts: Any) -> None:
    """Raise a CarouselError if the format is newer than `VERSION`."""
    if whole(facts["version"], 1, LARGEST_COUNT) > VERSION:
        raise CarouselError("made by a newer Carousel; update this one")


def checked(facts: dict[str, Any], primer: Sequence[int], drums: Origin | None = None) -> dict[str, Any]:
    """Validate the result of `Origin.facts`, a primer and drums, and return the fields of an `Origin`.

    Raises:
        CarouselError: an option or backend is unknown, or an option is out of its bounds.
        READ_ERRORS: something else is malformed.
    """
    name, fingerprint, backend = facts["checkpoint"], facts["fingerprint"], facts["backend"]
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError("checkpoint")
    corpus = facts.get("corpus", "")
    if not _is_digest(fingerprint):
        raise ValueError("fingerprint")
    if corpus != "" and not _is_digest(corpus):
        raise ValueError("corpus")
    if backend in REMOVED_BACKENDS:
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
        "song": _song(facts["song"]) if "song" in facts else None,
        "drums": drums,
        "entries": () if drums is None else _entries(facts["entries"], drums),
    }


def _entries(ticks: Any, drums: Origin) -> tuple[int, ...]:
    """Validate the ticks at which drums enter and leave; they have no drums of their own."""
    entries = tuple(whole(tick, 0, LARGEST_COUNT) for tick in ticks)
    if drums.drums or len(entries) > MOST_ENTRIES or list(entries) != sorted(set(entries)):
        raise ValueError("entries")
    return entries


def _song(packed: Any) -> Song:
    """Validate a song; whether its file can be read shows when it is written."""
    text, tracks = packed
    data = _decompressed(text, LARGEST_SONG)
    places = [
        (whole(track, -1, LARGEST_TOKEN), whole(channel, 0, 15), whole(velocity, 1, 127))
        for track, channel, velocity in tracks
    ]
    return Song(data, tuple(places))


def _injected(phrases: Any, start: int, until: int) -> tuple[Injection, ...]:
    """Validate injections that have to lie between the positions `start` and `until`."""
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
    """How often the governor began to raise the temperature."""
    lifted = [False, *(options.lift > 0 for _, options in timeline)]
    return sum(now and not before for before, now in pairwise(lifted))


def injected_until(injected: tuple[Injection, ...], position: int) -> tuple[Injection, ...]:
    """The injected tokens before a position."""
    return tuple((start, tokens[: position - start]) for start, tokens in injected if start < position)


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 64 and not set(text) - set("0123456789abcdef")


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _packed(tokens: tuple[int, ...]) -> str:
    return _compressed(np.array(tokens, "<u2").tobytes())


def _compressed(data: bytes) -> str:
    # bzip2 has one implementation, so it writes the same bytes everywhere; zlib has several.
    return base64.b64encode(bz2.compress(data)).decode() if data else ""


def _unpacked(text: str, most: int) -> list[int]:
    tokens: list[int] = np.frombuffer(_decompressed(text, 2 * most), "<u2").tolist()
    return tokens


def _decompressed(text: str, most: int) -> bytes:
    """The result of `_compressed`, which has at most `most` bytes."""
    packed = base64.b64decode(text, validate=True)
    unpacker = bz2.BZ2Decompressor()
    try:
        data = unpacker.decompress(packed, most) if packed and most else b""
    except OSError as error:
        raise ValueError("tokens") from error
    if packed and (not unpacker.eof or unpacker.unused_data):
        raise ValueError("tokens")
    return data
