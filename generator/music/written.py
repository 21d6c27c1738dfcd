"""Written music: parts of notes in quarters and their bars. It becomes a `Score`, whose time signatures predict bars.

A short first bar is a pickup, and moves to the end of a whole first bar. A bar that a repeat sign divides is joined
again. Any other irregular bar gets its own time signature, or is refused if the caller wants `regular` bars only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from generator.foundation.omissions import omissions_of
from generator.music import bars
from generator.music.bars import IrregularBars, Measure
from generator.music.score import DEFAULT_VELOCITY, MusicEvent, Note, Score, Tempo, TimeSignature, Voice
from generator.music.voices import OVERLAPPED, without_overlaps

TICKS_PER_QUARTER = 10_080
"""2^5 · 3^2 · 5 · 7: exact for 128th notes and for tuplets of 3, 5, 6, 7 and 9."""
MAX_QUARTERS = 100_000
"""About a day of music."""
METRES = frozenset((beats, unit) for beats in range(1, 256) for unit in (1, 2, 4, 8, 16, 32, 64))
AS_WRITTEN = ("piece", "with repeats as they are written: written out, the bars would not add up")
"""The omission of repeats that are not written out although the caller wants it."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A written note: its start and end in quarters; `tied` if it continues the note before it."""

    start: Fraction
    end: Fraction
    pitch: int
    velocity: int = DEFAULT_VELOCITY
    tied: bool = False


@dataclass
class Written:
    """What a reader of a format finds in one piece."""

    parts: list[tuple[Voice, list[Sound]]]
    """Each voice with its sounds in order of their starts; those without any are left out."""
    measures: list[Measure]
    """The bars that all parts share, one after the other; empty if the piece has no bars."""
    tempos: dict[Fraction, float] = field(default_factory=dict)
    """Quarters a minute, by their start in quarters."""
    title: str = ""
    style: str = ""
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The things that the reader left out, and their fates: how many."""


def to_score(written: Written, regular: bool, expand_repeats: bool) -> Score:
    """The score of a written piece.

    Args:
        regular: refuse the piece if its bars are not those that its time signatures predict.
        expand_repeats: write repeats out, unless that would make the bars irregular.

    Raises:
        IrregularBars: the bars are refused, or the length of a bar has no time signature.
        ValueError: there are no notes, the piece is too long, or it has an unsupported metre.
    """
    left_out = Counter(written.left_out)
    measures = written.measures
    if expand_repeats and (played := bars.played(measures)) != measures:
        try:
            if {measure.start for measure in played} != {measure.start for measure in measures}:
                raise IrregularBars("an ending is never played")
            bars.metres(bars.without_gaps(played), regular=True)
            measures = played
        except IrregularBars:
            left_out[AS_WRITTEN] += 1
    measures_end = written.measures[-1].start + written.measures[-1].length if measures else Fraction(0)
    joined = bars.without_gaps(measures)
    pickup, metres = bars.metres(joined, regular=regular)

    def ticks(quarters: Fraction) -> int:
        return round((quarters + pickup) * TICKS_PER_QUARTER)

    if strange := [metre for _, metre in metres if metre not in METRES]:
        raise ValueError("it has a metre of {}/{}".format(*strange[0]))
    events: list[MusicEvent] = [TimeSignature(round(start * TICKS_PER_QUARTER), *metre) for start, metre in metres]
    for start, tempo in written.tempos.items():
        events.append(Tempo(ticks(start) if start else 0, tempo))
    voices: list[Voice] = []
    notes: list[Note] = []
    for voice, sounds in written.parts:
        if measures:
            outside = len(sounds) - len(_between(sounds, Fraction(0), measures_end))
            if outside:
                raise ValueError(f"{outside} of its notes lie outside its bars")
            sounds = [
                replace(sound, start=sound.start + move, end=sound.end + move)
                for source, target in zip(measures, joined, strict=True)
                for move in [target.start - source.start]
                for sound in _between(sounds, source.start, source.start + source.length)
            ]
        if sounds:
            notes += _notes(sounds, len(voices), ticks)
            voices.append(replace(voice, name=voice.name or f"Voice {len(voices) + 1}"))
    if not notes:
        raise ValueError("it has no notes")
    if max(note.end_ticks for note in notes) > MAX_QUARTERS * TICKS_PER_QUARTER:
        raise ValueError("it lasts longer than a day")
    kept = without_overlaps(notes)
    left_out[OVERLAPPED] = len(notes) - len(kept)
    score = Score.from_events(
        [*events, *kept],
        ticks_per_quarter=TICKS_PER_QUARTER,
        voices=tuple(voices),
        title=" ".join(written.title.split()),
    )
    return replace(score, style=written.style, omissions=omissions_of(left_out))


def _between(sounds: list[Sound], start: Fraction, end: Fraction) -> list[Sound]:
    """The sounds that start from `start` to before `end`."""
    first, last = (bisect_left(sounds, edge, key=lambda sound: sound.start) for edge in (start, end))
    return sounds[first:last]


def _notes(sounds: list[Sound], voice: int, ticks: Callable[[Fraction], int]) -> list[Note]:
    """The sounds of one part as notes in ticks; tied sounds become one note."""
    notes: list[Note] = []
    latest: dict[int, int] = {}
    for sound in sounds:
        start, end = ticks(sound.start), ticks(sound.end)
        if end <= start:
            continue
        before = latest.get(sound.pitch)
        if sound.tied and before is not None and notes[before].end_ticks == start:
            notes[before] = replace(notes[before], duration_ticks=end - notes[before].start_ticks)
        else:
            latest[sound.pitch] = len(notes)
            notes.append(Note(start, end - start, sound.pitch, sound.velocity, voice))
    return notes
