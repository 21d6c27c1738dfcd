"""The fields of ABC that say how its letters are to be read: key, metre, unit, tempo and the properties of a voice.

The ABC standard 2.1 defines them (abcnotation.com/wiki/abc:standard:v2.1); what it leaves open is as in abc2midi.
"""

from __future__ import annotations

import re
from fractions import Fraction

from generator.music.names import STEPS, spelling_in_key

SIGNS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
MODES = {"m": -3, "maj": 0, "ion": 0, "min": -3, "aeo": -3, "mix": -1, "dor": -2, "phr": -4, "lyd": 1, "loc": -5}
"""By how many sharps the signature of a mode differs from that of the major key on the same tonic."""
PIPES = {"F": 1, "C": 1}
"""What the Highland bagpipe plays, `HP` and `Hp`."""
COMMON = {"C": (4, 4), "C|": (2, 2), "none": (4, 4), "": (4, 4)}
"""Metres that are not numbers. Free metre counts bars in 4/4; those of other lengths get their own metre."""
MAX_NUMBER = 10_000
"""Larger numbers are refused wherever a tune has them."""
CLEF = (
    r"(treble|alto|tenor|bass|perc|none|auto|mezzo|baritone|soprano|mezzosoprano|[GCFP])?[1-58]?([+^_-]8|[+-]8v[ab])?"
)


class Unreadable(ValueError):
    """A field or a sign that has no meaning in ABC; the message names it."""


def number(text: str) -> int:
    """A whole number from 1 on.

    Raises:
        Unreadable: it is 0 or too large.
    """
    value = int(text) if len(text) < 6 else 0
    if not 0 < value <= MAX_NUMBER:
        raise Unreadable(f"the number {text[:12]} is out of range")
    return value


def metre(text: str) -> tuple[int, int]:
    """A metre such as `6/8`, `C|` or `(2+3)/8` as beats and unit.

    Raises:
        Unreadable: it is none.
    """
    text = re.sub(r"[\s()]", "", text)
    if text in COMMON:
        return COMMON[text]
    found = re.fullmatch(r"(\d+(?:\+\d+)*)/(\d+)", text)
    if not found:
        raise Unreadable(f"the metre M:{text[:20]} is none")
    return sum(number(part) for part in found[1].split("+")), number(found[2])


def unit(text: str) -> Fraction:
    """The length in quarters that a letter without a number has: `1/8` is half a quarter.

    Raises:
        Unreadable: it is none.
    """
    found = re.fullmatch(r"(\d+)(?:\s*/\s*(\d+))?", text.strip())
    if not found:
        raise Unreadable(f"the unit length L:{text[:20]} is none")
    return Fraction(4 * number(found[1]), number(found[2] or "1"))


def default_unit(beats: int, beat_unit: int) -> Fraction:
    """The unit of a tune that states none, in quarters: a sixteenth below 3/4, an eighth from there on."""
    return Fraction(1, 4) if Fraction(beats, beat_unit) < Fraction(3, 4) else Fraction(1, 2)


def tempo(text: str, unit: Fraction) -> float | None:
    """Quarters a minute of `1/4=90`, `3/8 1/8=60`, `C3=90` (of units) or `90` (of quarters); None for words alone.

    Raises:
        Unreadable: it is none of these.
    """
    plain = re.sub(r'"[^"]*"', "", text).strip()
    if not plain:
        return None
    found = re.fullmatch(r"(?:([^=]*)=)?\s*(\d+(?:\.\d+)?)", plain)
    if not found:
        if "=" in plain or plain[0].isdigit():
            raise Unreadable(f"the tempo Q:{text[:20]} is none")
        return None
    beat = Fraction(1) if found[1] is None else Fraction(0)
    for part in (found[1] or "").split():
        length = re.fullmatch(r"(\d+)/(\d+)|C(\d*)", part)
        if not length:
            raise Unreadable(f"the tempo Q:{text[:20]} is none")
        beat += Fraction(4 * number(length[1]), number(length[2])) if length[1] else unit * number(length[3] or "1")
    return float(found[2]) * float(beat) or None


def key(text: str) -> tuple[dict[str, int] | None, dict[str, int]]:
    """What a key field says: the alterations of letters in semitones (those not named are natural; None if it says
    nothing of them), and the semitones by which notes sound higher, as `properties` has them.

    Raises:
        Unreadable: it is no key.
    """
    text = text.strip()
    signs: dict[str, int] | None = None
    rest = text
    if pipes := re.match(r"H[Pp](?=\s|$)", text):
        signs, rest = dict(PIPES), text[pipes.end() :]
    elif none := re.match(r"(none)?(?=\s|$)", text):
        signs, rest = {}, text[none.end() :]
    elif tonic := re.match(r"([A-G])([#b]?)(?:\s*([A-Za-z]+)|(?=[\s^_=]|$))", text):
        mode = tonic[3] or ""
        sharps = STEPS.index(tonic[1]) - 1 + 7 * {"": 0, "#": 1, "b": -1}[tonic[2]]
        if mode == "m" or mode[:3].lower() in MODES:
            rest = text[tonic.end() :]
            sharps += MODES["m" if mode == "m" else mode[:3].lower()]
        else:  # the word is a clef or `exp`, unless it is joined to the tonic
            rest = text[tonic.end(2) :]
        signs = {letter: spelling_in_key(letter, sharps) for letter in STEPS}
        if rest[:1].isalpha() and rest != "exp":
            raise Unreadable(f"the key K:{text[:30]} is none")
    words = rest.split()
    if "exp" in words:
        signs = {}
    others: list[str] = []
    for word in words:
        if re.fullmatch(r"((\^\^?|__?|=)[A-Ga-g])+", word):
            listed = re.findall(r"(\^\^?|__?|=)([A-Ga-g])", word)
            signs = {**(signs or {}), **{letter.upper(): SIGNS[sign] for sign, letter in listed}}
        elif word != "exp":
            others.append(word)
    return signs, properties(others, f"K:{text}")


def properties(words: list[str], field: str = "") -> dict[str, int]:
    """The semitones by which the words of a field move notes: `octave` of a clef or by `octave=`, and `transpose`.

    Args:
        field: if given, its words may only be clefs and assignments.

    Raises:
        Unreadable: a word is neither.
    """
    moves: dict[str, int] = {}
    for word in words:
        if found := re.fullmatch(r"(octave|transpose|t)=([+-]?\d{1,2})", word):
            moves["octave" if found[1] == "octave" else "transpose"] = int(found[2]) * (
                12 if found[1] == "octave" else 1
            )
        elif clef := re.fullmatch(rf'(?:clef=)?"?{CLEF}"?', word):
            if clef[1] and clef[2] in ("+8", "-8"):
                moves["octave"] = 12 if clef[2] == "+8" else -12
        elif field and "=" not in word:
            raise Unreadable(f"the key {field[:30]} is none")
    return moves
