"""One voice of a tune in ABC while it is read: where it is, what its letters mean there, and what it has played."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction

from generator.music.abc_fields import SIGNS, Unreadable
from generator.music.bars import Measure
from generator.music.written import MAX_QUARTERS, Sound

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass
class AbcVoice:
    """The signs of a voice so far. Lengths are in quarters."""

    name: str = ""
    program: int = 0
    drum: bool = False
    metre: tuple[int, int] = (4, 4)
    unit: Fraction | None = None
    signs: dict[str, int] = field(default_factory=dict)
    moves: dict[str, int] = field(default_factory=dict)
    propagate: str = "pitch"
    """How far an accidental reaches: `pitch` (to all octaves), `octave` or `not`."""
    sounds: list[Sound] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    now: Fraction = Fraction(0)
    bar_start: Fraction = Fraction(0)
    bar_end: Fraction = Fraction(0)
    """The latest end of what the bar has, in any of its layers."""
    bar_metre: tuple[int, int] = (4, 4)
    has_lines: bool = False
    opens: bool = False
    in_repeat: bool = False
    """Whether a repeat has a sign at its start, so that a double bar does not start one."""
    endings: frozenset[int] = frozenset()
    heard: dict[str, int] = field(default_factory=dict)
    layer: int = 0
    tied: dict[int, dict[str, int]] = field(default_factory=dict)
    """By layer: the notes, without their signs, that go on, and their pitches."""
    last: tuple[Fraction, Fraction, list[tuple[str, int]]] | None = None
    """The start, the length and the notes, without their signs and with their pitches, of what the bar has last."""
    next_scale: Fraction = Fraction(1)
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)
    """What the lengths of the following notes are multiplied by, and for how many."""

    def sound(self, names: list[str], units: Fraction) -> None:
        """Notes that start together, or a rest."""
        assert self.unit
        length = units * self.unit * self.next_scale
        self.next_scale = Fraction(1)
        scale, left = self.tuplet
        if left:
            length *= scale
            self.tuplet = scale, left - 1
        self.advance(names, length)

    def advance(self, names: list[str], length: Fraction) -> None:
        """Notes of a length in quarters, and on to their end."""
        if self.now == self.bar_start:
            self.bar_metre = self.metre
        ties = self.tied.pop(self.layer, {})
        start, end = self.now, self.now + length
        if end > MAX_QUARTERS:
            raise Unreadable("it lasts longer than a day")
        notes = [(bare_name(name), self._pitch(name, ties)) for name in names]
        raised = sum(self.moves.values())
        for _, pitch in notes:
            if not 0 <= pitch + raised < 128:
                raise Unreadable(f"bar {len(self.measures) + 1}: {' '.join(names)} is too high or too low")
            self.sounds.append(Sound(start, end, pitch + raised, tied=pitch in ties.values()))
        self.last, self.now = (start, length, notes), end

    def _pitch(self, name: str, ties: dict[str, int]) -> int:
        """The pitch of a note as the key, the bar and ties to it have it, before it is transposed."""
        bare = bare_name(name)
        sign, letter = name[: len(name) - len(bare)], bare[0].upper()
        octave = 12 * (bare.count("'") - bare.count(",") + bare[0].islower())
        reach = letter if self.propagate != "octave" else f"{letter}{octave}"
        if sign:
            if self.propagate != "not":
                self.heard[reach] = SIGNS[sign]
        elif bare in ties:
            return ties[bare]
        altered = SIGNS[sign] if sign else self.heard.get(reach, self.signs.get(letter, 0))
        return 60 + STEPS[letter] + octave + altered

    def tie(self, names: set[str] | None = None) -> None:
        """Tie the last note or chord to the next one, or those of its notes that are named."""
        if self.last:
            ties = self.tied.setdefault(self.layer, {})
            ties.update({name: pitch for name, pitch in self.last[2] if names is None or name in names})

    def broken(self, text: str) -> None:
        """Make the last note longer and the next one shorter, or the other way."""
        if not self.last or len(text) > 4:
            raise Unreadable(f"bar {len(self.measures) + 1}: {text[:10]} has no note before it")
        short = Fraction(1, 1 << len(text))
        before, self.next_scale = (2 - short, short) if text[0] == ">" else (short, 2 - short)
        start, length, notes = self.last
        length *= before
        for index in range(len(self.sounds) - len(notes), len(self.sounds)):
            self.sounds[index] = replace(self.sounds[index], end=start + length)
        self.last = start, length, notes
        self.now = start + length

    def overlay(self) -> None:
        """Go back to the start of the bar, for another layer of notes."""
        self.bar_end = max(self.bar_end, self.now)
        self.now, self.layer, self.last = self.bar_start, self.layer + 1, None
        self.heard = {}

    def close(self, text: str) -> None:
        """End a bar with a bar line; one without text is that after the last note."""
        found = re.fullmatch(r"(.*?)\[?(\d[\d,.-]*)?", text)
        assert found
        line = found[1]
        end = max(self.bar_end, self.now)
        before, after = len(line) - len(line.lstrip(":")), len(line) - len(line.rstrip(":"))
        if line and not line.strip(":"):  # `::` ends a repeat and starts the next
            before, after = len(line) // 2, len(line) // 2
        if end > self.bar_start:
            length = end - self.bar_start
            measure = Measure(self.bar_start, length, self.bar_metre, self.opens, 1 + before, self.endings)
            self.measures.append(measure)
            if len(self.measures) > MAX_QUARTERS:
                raise Unreadable("it has too many bars")
            self.opens = False
        elif before and self.measures:
            self.measures[-1] = replace(self.measures[-1], times=1 + before)
        double = line.count("|") > 1 or "[" in line or "]" in line
        self.has_lines = self.has_lines or bool(line)
        self.in_repeat = bool(after) or (self.in_repeat and not before)
        self.opens = self.opens or bool(after) or (double and not before and not self.in_repeat)
        if double or before or after:
            self.endings = frozenset()
        if found[2]:
            self.endings = endings_of(found[2])
        self.bar_start = self.now = self.bar_end = end
        self.layer, self.last = 0, None
        self.heard = {}

    def bars(self) -> list[Measure]:
        """The bars of the voice, also if it has no bar lines."""
        if self.has_lines:
            return self.measures
        full = Measure(Fraction(0), Fraction(4 * self.metre[0], self.metre[1]), self.metre)
        starts = [index * full.length for index in range(-(-self.now // full.length))]
        return [replace(full, start=start, length=min(full.length, self.now - start)) for start in starts]


def bare_name(name: str) -> str:
    """The name of a note without its accidental: `c'` of `^c'`."""
    return name.lstrip("^_=")


def endings_of(text: str) -> frozenset[int]:
    """The repetitions that an ending is for: `1,2`, `1-3`."""
    numbers: set[int] = set()
    for part in re.split(r"[,.]", text.rstrip(",.-")):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit() or int(last or first) > 99:
            raise Unreadable(f"the ending [{text[:10]} has no meaning in ABC")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)
