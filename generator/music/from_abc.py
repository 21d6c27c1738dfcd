"""Reads a tune in ABC as written music, by the ABC standard 2.1, and what that leaves open as abc2midi does.

Each sign of the music has a meaning here, or the tune is refused by name: nothing is skipped unseen. An accidental
holds to the end of its bar, in all octaves. Grace notes and chord symbols are left out and counted. Jumps
(D.C.) and the order of parts that a field `P:` asks for are not followed, which is counted too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from fractions import Fraction

from generator.music import abc_fields as fields
from generator.music.abc_fields import Unreadable, number
from generator.music.abc_voice import AbcVoice, bare_name
from generator.music.score import Voice, style_name
from generator.music.written import Written

NOTE = r"(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*"
LENGTH = r"\d*/*\d*"
SIGN = re.compile(
    rf"""
    (?P<nothing> [\s`$*\#;?@\\]+ | !(?![^!\s|]+!) | =(?:20)?\s*$ | [()](?!\d|&) | \.(?=[|(:-]) )
  | (?P<inline> \[[A-Za-z]:[^\]]*\] )
  | (?P<text> "[^"]*" )
  | (?P<mark> ![^!\s|]+! | \+(?![A-Ga-g]+\+)[a-z.]+\+ | [~.] | [H-Wh-w](?!:[^:|]) )
  | (?P<grace> \{{[^}}]*\}} )
  | (?P<tuplet> \(\d+(?::\d*){{0,2}} )
  | (?P<note> {NOTE}{LENGTH} )
  | (?P<rest> [zx]{LENGTH} )
  | (?P<bars> [ZX]\d* )
  | (?P<space> y\d* )
  | (?P<line> (?: :*(?:\[?\|)+(?:\](?=:+\|) | \]?:*) | :+ )(?:\d[\d,.-]*)? | \[\d[\d,.-]* )
  | (?P<chord> \[(?:[^\]|"]|"[^"]*")*\]{LENGTH} )
  | (?P<broken> <+ | >+ )
  | (?P<tie> - )
  | (?P<overlay> & )
    """,
    re.VERBOSE,
)
IN_CHORD = re.compile(rf'(?P<note>{NOTE})(?P<length>{LENGTH})(?P<tie>-?)|"[^"]*"|![^!]*!|[\s().~H-Wh-w]')
IN_THE_TIME_OF = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
"""How many notes last as long as a tuplet of this many; other tuplets last as 2 do, or as 3 in a compound metre."""
JUMPS = re.compile(r"!(D\.?[CS]|dacapo|dalsegno)", re.IGNORECASE)


def read(tune: str) -> Written:
    """The written music of a tune.

    Args:
        tune: from its `X:` on.

    Raises:
        Unreadable: a sign or a field has no meaning.
    """
    return _Reader().read(tune)


class _Reader:
    def __init__(self) -> None:
        self.template = AbcVoice()
        self.voices: dict[str, AbcVoice] = {}
        self.voice = self.template
        self.in_header = True
        self.tempo = ""
        self.written = Written([], [])
        self.left_out: Counter[tuple[str, str]] = self.written.left_out

    def read(self, tune: str) -> Written:
        lines = iter(tune.splitlines())
        in_text = False
        for line in lines:
            in_text = line.startswith("%%begin") or (in_text and not line.startswith("%%end"))
            if in_text:
                continue
            if line.startswith(("%%", "I:")):
                self._directive(line[2:].split())
            plain = re.sub(r"(?<!\\)%.*", "", line)
            if not plain.strip():
                if line.strip() or self.in_header:
                    continue
                break
            found = re.match(r"([A-Za-z+]):(?![|:])(.*)", plain)
            if found:
                self._field(found[1], found[2].strip())
            else:
                self._begin()
                self._music(plain)
        left = sum("|" in line and not line.startswith("%") for line in lines)
        self.left_out["line", "left out: an empty line before it ends the tune"] += left
        voices = list(self.voices.values())
        for voice in voices:
            voice.close("")
        voices = [voice for voice in voices if voice.sounds]
        longest = max(voices, key=lambda voice: voice.now, default=self.template)
        self.written.measures = longest.bars()
        for voice in voices:
            sounds = sorted(voice.sounds, key=lambda sound: sound.start)
            self.written.parts.append((Voice(voice.name, voice.program, voice.drum), sounds))
        return self.written

    def _directive(self, words: list[str]) -> None:
        """What `%%` and `I:` say about the sound of a voice."""
        numbers = [int(word) for word in words if re.fullmatch(r"-?\d{1,3}", word)]
        match [word.lower() for word in words]:
            case ["propagate-accidentals", reach, *_]:
                self.voice.propagate = reach
            case ["midi", "nobarlines", *_]:
                self.voice.propagate = "not"
            case ["midi", "program", *_] if numbers and 0 <= numbers[-1] < 128:
                self.voice.program = numbers[-1]
            case ["midi", "channel", "10", *_]:
                self.voice.drum = True
            case ["midi", "transpose", *_] if numbers:
                self.voice.moves["transpose"] = numbers[0]

    def _field(self, letter: str, text: str) -> None:
        voice = self.voice
        match letter:
            case "T" if not self.written.title:
                self.written.title = re.sub(r"^(.*), (The|An?)$", r"\2 \1", text)  # sorted under its first word
            case "R" if not self.written.style:
                self.written.style = style_name(text)
            case "M":
                voice.metre = fields.metre(text)
            case "L":
                voice.unit = fields.unit(text)
            case "K":
                signs, moves = fields.key(text)
                voice.signs = voice.signs if signs is None else signs
                voice.moves.update(moves)
                voice.heard = {}
                if self.in_header and voice is not self.template:
                    self.template.signs = voice.signs
                    for other in self.voices.values():
                        other.signs = voice.signs
                self._begin()
            case "Q" if self.in_header:
                self.tempo = text
            case "Q":
                self._set_tempo(text)
            case "V":
                self._go_to(text)
            case "P" if self.in_header:
                self.left_out[
                    "tune", "with its parts in the order in which they are written, not in that of its field P:"
                ] += len(re.findall("[A-Z]", text)) > 1
            case "P":
                voice.opens = voice.opens or not voice.in_repeat

    def _begin(self) -> None:
        """End the header."""
        if not self.in_header:
            return
        self.in_header = False
        for voice in [self.template, *self.voices.values()]:
            voice.unit = voice.unit or self.template.unit or fields.default_unit(*voice.metre)
        if not self.voices:
            self.voices[""] = deepcopy(self.template)
        self.voice = next(iter(self.voices.values()))
        self._set_tempo(self.tempo)

    def _set_tempo(self, text: str) -> None:
        tempo = fields.tempo(text, self.voice.unit or Fraction(1))
        if tempo:
            self.written.tempos[self.voice.now] = tempo

    def _go_to(self, text: str) -> None:
        """Go on in the voice that a field `V:` names."""
        words = re.findall(r'[^\s"=]+=(?:"[^"]*"|[^\s"]*)|"[^"]*"|\S+', text)
        name = words[0] if words else ""
        if name not in self.voices:
            only = self.voices.get("")
            if only and not only.now:  # the voice for music before the first field
                del self.voices[""]
            self.voices[name] = deepcopy(self.template)
        voice = self.voice = self.voices[name]
        voice.moves.update(fields.properties(words[1:]))
        for word in words[1:]:
            if found := re.match(r'(?:name|nm)="?([^"]*)', word):
                voice.name = " ".join(found[1].replace("\\n", " ").split())

    def _music(self, line: str) -> None:
        """Read a line of music, sign by sign."""
        place = 0
        while place < len(line):
            found = SIGN.match(line, place)
            if not found or not found[0]:
                raise self._wrong(f"{line[place : place + 10].strip()} has no meaning in ABC")
            if found.lastgroup not in ("nothing", "space"):
                read: Callable[[str], None] = getattr(self, f"_{found.lastgroup}")
                read(found[0])
            place = found.end()

    def _wrong(self, what: str) -> Unreadable:
        return Unreadable(f"bar {len(self.voice.measures) + 1}: {what}")

    def _inline(self, text: str) -> None:
        self._field(text[1], text[3:-1].strip())
        if text[1] == "I":
            self._directive(text[3:-1].split())

    def _text(self, text: str) -> None:
        self.left_out["chord symbol", "left out"] += bool(re.match(r'"\(?[A-G]', text))

    def _mark(self, text: str) -> None:
        self.left_out["jump", "(D.C. or D.S.) not followed"] += bool(JUMPS.match(text))

    def _grace(self, text: str) -> None:
        self.left_out["grace note", "left out"] += len(re.findall("[A-Ga-g]", text))

    def _tuplet(self, text: str) -> None:
        parts, time, count = [*(int(part or "0") for part in text[1:].split(":")), 0, 0][:3]
        beats, unit = self.voice.metre
        time = time or IN_THE_TIME_OF.get(parts, 3 if beats % 3 == 0 and beats > 3 and unit >= 8 else 2)
        self.voice.tuplet = Fraction(number(str(time)), number(str(parts))), count or parts

    def _note(self, text: str) -> None:
        found = re.match(rf"({NOTE})(.*)", text)
        assert found
        self.voice.sound([found[1]], _length(found[2]))

    def _rest(self, text: str) -> None:
        self.voice.sound([], _length(text[1:]))

    def _bars(self, text: str) -> None:
        beats, unit = self.voice.metre
        for index in range(number(text[1:] or "1")):
            if index:
                self.voice.close("|")
            self.voice.advance([], Fraction(4 * beats, unit))

    def _chord(self, text: str) -> None:
        inner, _, outer = text[1:].rpartition("]")
        found, place = [], 0
        while place < len(inner):
            sign = IN_CHORD.match(inner, place)
            if not sign:
                raise self._wrong(f"{text[:20]} is no chord")
            if sign["note"]:
                found.append(sign)
            elif sign[0][0] == '"':
                self._text(sign[0])
            place = sign.end()
        if not found:
            raise self._wrong(f"{text[:20]} is no chord")
        self.voice.sound([sign["note"] for sign in found], _length(found[0]["length"]) * _length(outer))
        self.voice.tie({bare_name(sign["note"]) for sign in found if sign["tie"]})

    def _broken(self, text: str) -> None:
        self.voice.broken(text)

    def _tie(self, text: str) -> None:
        self.voice.tie()

    def _overlay(self, text: str) -> None:
        self.voice.overlay()

    def _line(self, text: str) -> None:
        if text[0] == ":" and text[1:2] not in (":", "|", "["):  # behind a bar line it starts a repeat
            if text != ":" or self.voice.now > self.voice.bar_start:
                raise self._wrong(f"{text} has no meaning in ABC")
            text = "|:"
        self.voice.close(text)


def _length(text: str) -> Fraction:
    """What the unit is multiplied by: `3/2`, `/`, `//`."""
    found = re.fullmatch(r"(\d*)(/*)(\d*)", text)
    assert found
    halves = 1 << min(len(found[2]), 8)
    return Fraction(number(found[1] or "1"), number(found[3]) if found[3] else halves)
