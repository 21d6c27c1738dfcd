"""Writes scores as ABC, the notation in plain letters in which folk tunes are collected (abcnotation.com, version 2.1).

`layout` decides about bars and note values, as for the engraved score. Each layer of a staff is a voice (`V:`) of its
own. Readers do not agree whether an accidental holds in other octaves too, or after a tie; so one is written wherever
they could differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from statistics import median

from generator.music import marks, names
from generator.music.keys import KEYS, SHARPS
from generator.music.layout import Layout, Staff, lay_out
from generator.music.note_values import Bar, Chord, Value, values
from generator.music.score import Score
from generator.music.symbols import ChordSymbol

UNIT = Fraction(1, 2)
"""The length in quarters that a letter without a number has."""
BARS_IN_A_LINE = 4
ACCIDENTALS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}


def to_abc(score: Score) -> bytes:
    """A score with notes as one ABC tune in UTF-8. The same score gives the same bytes."""
    layout = lay_out(score)
    keys, tempos = marks.keys(score, layout), list(marks.tempos(score, layout))
    symbols = list(marks.chords(score, layout))
    metre = layout.bars[0].metre
    head = ["%abc-2.1", "X:1", f"T:{_line(score.title) or 'Untitled'}"]
    if score.style:
        head.append(f"R:{_line(score.style)}")
    head += [f"M:{metre.numerator}/{metre.denominator}", f"L:1/{4 / UNIT}"]
    if tempos and tempos[0][0] == 0 and not tempos[0][1]:
        head.append(f"Q:1/4={tempos.pop(0)[2]}")
    layers = [(staff, layer) for staff in layout.staves for layer in staff.layers]
    if len(layers) > 1:
        head.append(f"%%score {_grouped(layout)}")
    head.append(f"K:{_key(marks.key_at(keys, 0))}")
    if len(layers) == 1:
        head.append(_program(score, layers[0][0]))
    ends = marks.ends(score, layout)
    body = []
    for number, (staff, layer) in enumerate(layers, start=1):
        body += _voice(score, staff, number) if len(layers) > 1 else []
        for first, last in pairwise(_line_starts(layout, keys)):
            bars = range(first, last)
            sharps = SHARPS[marks.key_at(keys, first)]
            own = []
            for bar in bars:
                quick = {place: f"[Q:1/4={quarters}]" for at, place, quarters in tempos if at == bar and number == 1}
                chords = {place: _symbol(chord, sharps) for at, place, chord in symbols if at == bar and number == 1}
                own.append(_bar(layer, layout.bars[bar], sharps, quick, chords))
            lines = ["|]" if bar in ends else "|" for bar in bars]
            body += _fields(layout, keys, first, after=first - 1 if first or number == 1 else len(layout.bars) - 1)
            body.append(" ".join(f"{notes} {line}" for notes, line in zip(own, lines, strict=True)))
    return ("\n".join([*head, *body]) + "\n").encode()


def _line(text: str) -> str:
    """A text on one line, without the signs that would end or escape it."""
    return " ".join(text.replace("%", " ").replace("\\", " ").split())


def _key(key: int) -> str:
    """One of the `KEYS` as ABC writes it: `Bb`, `F#m`."""
    tonic, mode = KEYS[key].split()
    return tonic.replace("♭", "b").replace("♯", "#") + ("m" if mode == "minor" else "")


def _grouped(layout: Layout) -> str:
    """The numbers of the voices, those on one staff in brackets, the staves of a keyboard in braces."""
    by_voice: dict[int, list[str]] = defaultdict(list)
    number = 1
    for staff in layout.staves:
        own = [str(number + index) for index in range(len(staff.layers))]
        number += len(own)
        by_voice[staff.voice].append(own[0] if len(own) == 1 else f"({' '.join(own)})")
    return " ".join(staves[0] if len(staves) == 1 else f"{{{' '.join(staves)}}}" for staves in by_voice.values())


def _voice(score: Score, staff: Staff, number: int) -> list[str]:
    """The lines with which a voice begins: its clef, its name and its sound."""
    voice = score.voices[staff.voice]
    clef = "perc" if voice.drum else "treble" if median(staff.pitches) >= 60 else "bass"
    name = _line(voice.name).replace('"', "'")
    return [f'V:{number} clef={clef} name="{name}"', _program(score, staff)]


def _program(score: Score, staff: Staff) -> str:
    """The General MIDI program of a staff, for programs that play ABC."""
    voice = score.voices[staff.voice]
    return "%%MIDI channel 10" if voice.drum else f"%%MIDI program {voice.program}"


def _line_starts(layout: Layout, keys: dict[int, int]) -> list[int]:
    """The indices of the bars with which lines begin, and the number of bars. A line begins where metre or key change,
    because not every reader understands them within one."""
    starts = [0]
    for index in range(1, len(layout.bars)):
        if index - starts[-1] == BARS_IN_A_LINE or _fields(layout, keys, index, index - 1):
            starts.append(index)
    return [*starts, len(layout.bars)]


def _fields(layout: Layout, keys: dict[int, int], index: int, after: int) -> list[str]:
    """The metre and the key of a bar, where they are others than in the bar that is written before it, -1 for none."""
    if after < 0:
        return []
    before, metre = (layout.bars[bar].metre for bar in (after, index))
    fields = []
    if (metre.numerator, metre.denominator) != (before.numerator, before.denominator):
        fields.append(f"M:{metre.numerator}/{metre.denominator}")
    if marks.key_at(keys, index) != marks.key_at(keys, after):
        fields.append(f"K:{_key(marks.key_at(keys, index))}")
    return fields


def _bar(
    layer: tuple[Chord, ...], bar: Bar, sharps: int, tempos: dict[Fraction, str], chords: dict[Fraction, str]
) -> str:
    """The notes and rests of one bar. Those within a beat stand together, which draws a beam over them.

    Args:
        tempos: signs by their place in the bar, in quarters; each stands before the next note.
        chords: the same for chord symbols, for which a note that goes on is cut in two.
    """
    written = list(_cut(values(layer, bar), sorted(chords)))
    in_key = {letter: names.spelling_in_key(letter, sharps) for letter in names.STEPS}
    heard: dict[str, dict[int, int]] = defaultdict(dict)  # by letter and octave, since the bar line
    beat = bar.metre.beat
    place, text, tuplet_until = bar.start - bar.origin, "", Fraction(0)
    for index, value in enumerate(written):
        if place % beat == 0 and text:
            text += " "
        text += _due(tempos, place - (bar.start - bar.origin))
        if value.tuplet > 1 and place >= tuplet_until:
            tuplet_until = Fraction(int(place) + 1)
            text += _tuplet(written[index:], value.tuplet, tuplet_until - place)
        text += _due(chords, place - (bar.start - bar.origin))
        scale = Fraction(value.tuplet, 1 << (value.tuplet.bit_length() - 1))
        length = _length(value.length * scale / UNIT)
        pitches = [_pitch(pitch, sharps, in_key, heard) for pitch in value.pitches]
        tie = "-" if value.tied_after else ""
        if not pitches:
            text += f"z{length}"
        elif len(pitches) == 1:
            text += f"{pitches[0]}{length}{tie}"
        else:
            text += f"[{''.join(pitch + length + tie for pitch in pitches)}]"
        place += value.length
    return text


def _due(signs: dict[Fraction, str], place: Fraction) -> str:
    """The signs up to a place, which are taken out."""
    return "".join(signs.pop(at) for at in sorted(signs) if at <= place)


def _cut(written: list[Value], places: list[Fraction]) -> Iterator[Value]:
    """The notes and rests of a bar, cut at these places, but not in tuplets."""
    begun = Fraction(0)
    for value in written:
        end = begun + value.length
        for place in places:
            if begun < place < end and value.tuplet == 1:
                yield replace(value, length=place - begun, tied_after=bool(value.pitches))
                value = replace(value, length=end - place, tied_before=bool(value.pitches))
                begun = place
        yield value
        begun = end


def _symbol(symbol: ChordSymbol, sharps: int) -> str:
    """A chord symbol in quotation marks: `"Bbm7/Ab"`."""
    root, bass = (
        letter + ("#" * alteration or "b" * -alteration) for letter, alteration in names.chord_spelling(symbol, sharps)
    )
    suffix = names.CHORD_SUFFIXES[symbol.kind].replace("♭", "b")
    return f'"{root}{suffix}{f"/{bass}" if bass != root else ""}"'


def _tuplet(written: list[Value], parts: int, room: Fraction) -> str:
    """The sign before a tuplet that fills `room` quarters: how many units take the time of how many, and for how many
    of the following notes that holds."""
    count, filled = 0, Fraction(0)
    while filled < room and count < len(written):
        filled += written[count].length
        count += 1
    return f"({parts}:{1 << (parts.bit_length() - 1)}:{count}"


def _length(units: Fraction) -> str:
    """A length behind a letter: empty for one unit."""
    numerator = "" if units.numerator == 1 else str(units.numerator)
    return numerator if units.denominator == 1 else f"{numerator}/{units.denominator}"


def _pitch(pitch: int, sharps: int, in_key: dict[str, int], heard: dict[str, dict[int, int]]) -> str:
    """A pitch: the letter, with commas or apostrophes for its octave, and an accidental unless every reader would play
    it without one."""
    letter, alteration, octave = names.spelling(pitch, sharps)
    before = heard[letter]
    understood = {in_key[letter], *before.values()} if octave not in before else {*before.values()}
    sign = "" if understood == {alteration} else ACCIDENTALS[alteration]
    before[octave] = alteration
    name = letter if octave <= 4 else letter.lower()
    return sign + name + ("," * (4 - octave) if octave <= 4 else "'" * (octave - 5))
