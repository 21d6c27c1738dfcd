"""Reads Humdrum files as written music: the spines in `**kern`, wherever their columns go (humdrum.org/rep/kern).

A part is a spine with all that it splits into. Every note has to start where the one before it in its column ends, or
the file is refused with the line. Grace notes are left out and counted; other spines, such as lyrics, are ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby
from typing import Any

from generator.music.bars import Measure
from generator.music.score import Voice
from generator.music.written import MAX_QUARTERS, Sound, Written

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
MAX_SPINES = 1000


class Unreadable(ValueError):
    """A line of a file that is no Humdrum; the message names it."""


@dataclass
class Part:
    """A `**kern` spine: its names and all its notes."""

    name: str = ""
    code: str = ""
    """The instrument as `*Icello` has it, without `*I`."""
    sounds: list[Sound] = field(default_factory=list)


@dataclass
class Spine:
    """A column of the file."""

    part: Part | None = None
    """None for what is not in `**kern`."""
    until: Fraction = Fraction(0)
    """Where its last note ends, in quarters."""
    loose: bool = False
    """Whether it is split off and has not played yet, so that it may start later."""


def read(text: str) -> Written:
    """The written music of a file.

    Raises:
        Unreadable: a line is wrong; the message says which.
    """
    return _Reader().read(text)


class _Reader:
    def __init__(self) -> None:
        self.spines: list[Spine] = []
        self.parts: list[Part] = []
        self.written = Written([], [])
        self.metre = (4, 4)
        self.tempo: float | None = None
        self.bars: list[tuple[Fraction, tuple[int, int], bool]] = []
        """The start, the metre and whether a repeat starts there, bar by bar."""
        self.ends: list[bool] = []
        """Whether each of these bars ends with a repeat sign."""
        self.lines: list[str] = []
        """The bar lines since the last note."""

    def read(self, text: str) -> Written:
        for number, row in enumerate(text.splitlines(), 1):
            if row.startswith("!!!OTL") and not self.written.title:
                self.written.title = row.partition(":")[2].strip()
            if not row.strip() or row[0] == "!":
                continue
            try:
                self._row(row.split("\t"))
            except Unreadable as error:
                raise Unreadable(f"line {number} {error}") from None
        end = max((spine.until for spine in self.spines), default=Fraction(0))
        end = max([end, *(sound.end for part in self.parts for sound in part.sounds[-1:])])
        had_lines = len(self.bars) > 1 or bool(self.lines)
        self.lines = self.lines or ["="]
        self._bar(end)
        starts = [start for start, _, _ in self.bars]
        if had_lines:
            for (start, metre, opens), after, repeated in zip(self.bars, starts[1:], self.ends, strict=False):
                self.written.measures.append(Measure(start, after - start, metre, opens, 2 if repeated else 1))
        for part in reversed(self.parts):  # the lowest comes first in a file
            if part.sounds:
                part.sounds.sort(key=lambda sound: sound.start)
                self.written.parts.append((_voice(part), part.sounds))
        return self.written

    def _row(self, tokens: list[str]) -> None:
        if not self.spines:
            self.spines = [Spine() for _ in tokens]
            if not all(token.startswith("**") for token in tokens):
                raise Unreadable("does not begin spines")
        if len(tokens) != len(self.spines):
            raise Unreadable(f"has {len(tokens)} columns where {len(self.spines)} spines are open")
        kind = tokens[0][:1]
        if kind == "*":
            for spine, token in zip(self.spines, tokens, strict=True):
                self._interpretation(spine, token)
            self._paths(tokens)
        elif kind == "=":
            self.lines += [token for spine, token in zip(self.spines, tokens, strict=True) if spine.part][:1]
        else:
            self._data(tokens)

    def _interpretation(self, spine: Spine, token: str) -> None:
        if token.startswith("**"):
            spine.part = Part() if token == "**kern" else None
            self.parts += [spine.part] if spine.part else []
        elif not spine.part:
            return
        elif found := re.match(r"\*M(\d{1,3})/(\d{1,2})(?:%\d+)?$", token):
            unit = 1 if set(found[2]) == {"0"} else int(found[2])
            self.metre = int(found[1]) * (1 << len(found[2]) if set(found[2]) == {"0"} else 1), unit
        elif found := re.match(r"\*MM(\d+(?:\.\d+)?)", token):
            self.tempo = float(found[1]) or None
        elif token.startswith('*I"'):
            spine.part.name = " ".join(token[3:].split())
        elif re.match(r"\*I[a-z]", token):
            spine.part.code = spine.part.code or token[2:]

    def _paths(self, tokens: list[str]) -> None:
        """Split, join, exchange, add and end columns."""
        spines = list(self.spines)
        exchanged = [index for index, token in enumerate(tokens) if token == "*x"]
        if len(exchanged) % 2:
            raise Unreadable("exchanges a spine with none")
        for first, second in zip(exchanged[::2], exchanged[1::2], strict=True):
            spines[first], spines[second] = spines[second], spines[first]
        row: list[Spine] = []
        pairs = zip(spines, tokens, strict=True)
        for (token, _), group in groupby(pairs, lambda pair: (pair[1], pair[1] == "*v" and id(pair[0].part))):
            found = [spine for spine, _ in group]
            if token == "*v":
                playing = [spine.until for spine in found if not spine.loose] or [found[0].until]
                row.append(replace(found[0], until=max(playing), loose=all(spine.loose for spine in found)))
            elif token == "*^":
                row += [replace(spine, loose=True) for spine in found for _ in range(2)]
            elif token == "*+":
                now = max(spine.until for spine in self.spines)
                row += [each for spine in found for each in (spine, Spine(until=now))]
            elif token != "*-":
                row += found
        if len(row) > MAX_SPINES:
            raise Unreadable(f"opens more than {MAX_SPINES} spines")
        self.spines = row

    def _bar(self, now: Fraction) -> None:
        """Begin a bar here if there was a bar line."""
        line = "".join(self.lines)
        starts = bool(re.search("[|!]:", line))
        if not self.bars:
            self.bars.append((now, self.metre, starts))
        elif self.lines:
            self.ends += [bool(re.search(":[|!]", line))]
            self.bars.append((now, self.metre, starts or "||" in line or "==" in line))
        self.lines = []

    def _data(self, tokens: list[str]) -> None:
        playing = [
            (spine, spine.part, token)
            for spine, token in zip(self.spines, tokens, strict=True)
            if spine.part and token not in (".", "")
        ]
        if not playing:
            return
        now = max(spine.until for spine, _, _ in playing)
        if any(spine.until != now and not spine.loose for spine, _, _ in playing):
            raise Unreadable("has notes that do not start together, because those before them do not end together")
        if now > MAX_QUARTERS:
            raise Unreadable("lasts longer than a day")
        self._bar(now)
        if self.tempo:
            self.written.tempos[now], self.tempo = self.tempo, None
        for spine, part, token in playing:
            length = Fraction(0)
            for text in token.split():
                if "q" in text or "Q" in text:
                    self.written.left_out["grace note", "left out"] += "r" not in text
                    continue
                length = _length(text) or length
                if not length:
                    raise Unreadable(f"has a note without a length: {text[:20]}")
                if "r" not in text:
                    part.sounds.append(Sound(now, now + length, _pitch(text), tied="_" in text or "]" in text))
            if length:
                spine.until, spine.loose = now + length, False


def _length(text: str) -> Fraction | None:
    """The length of a note in quarters: `4.` is one and a half, `0` is two whole notes, `3%2` two thirds of one."""
    found = re.search(r"(\d+)(?:%(\d+))?(\.*)", text)
    if not found or max(len(part or "") for part in found.groups()) > 4:
        return None
    whole = Fraction(2 ** len(found[1])) if set(found[1]) == {"0"} else Fraction(int(found[2] or "1"), int(found[1]))
    return 4 * whole * (2 - Fraction(1, 1 << len(found[3])))


def _pitch(text: str) -> int:
    """The pitch of a note: `c` is middle C, `cc` the octave above it, `C` the one below, `c#` a semitone above it."""
    found = re.search(r"(([A-Ga-g])\2*)(#+|-+)?", text)
    if not found:
        raise Unreadable(f"has a note without a pitch: {text[:20]}")
    name, sign = found[1], found[3] or ""
    octave = len(name) - 1 if name[0].islower() else -len(name)
    pitch = 60 + 12 * octave + STEPS[name[0].upper()] + (len(sign) if "#" in sign else -len(sign))
    if not 0 <= pitch < 128:
        raise Unreadable(f"has a note that is too high or too low: {text[:20]}")
    return pitch


def _voice(part: Part) -> Voice:
    """The name and the sound of a part, by music21's list of Humdrum's instruments."""
    name, program = part.name, 0
    if part.code:
        from music21.humdrum import instruments  # slow to import

        try:
            instrument: Any = instruments.fromHumdrumInstrument(part.code)  # type: ignore[no-untyped-call]
        except instruments.HumdrumInstrumentException:
            return Voice(name)
        name = name or str(instrument.instrumentName or "")
        program = min(127, max(0, instrument.midiProgram or 0))
    return Voice(name, program)
