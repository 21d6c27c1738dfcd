"""What a written score says beside its notes: where pieces begin and end, their keys, tempos and chord symbols."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from generator.music.keys import SHARPS, likely
from generator.music.layout import Layout
from generator.music.score import Note, Score
from generator.music.symbols import ChordSymbol, KeySignature, Marker

MAJOR_NAMES = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
MINOR_NAMES = ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m")
"""The names of keys in MIDI files, from seven flats to seven sharps."""


def with_landmarks(score: Score) -> Score:
    """The score with a marker at the start of each of its pieces, and there the likeliest key of its pitched notes."""
    starts = sorted({0, *(end.start_ticks for end in score.piece_ends)})
    pieces: list[list[Note]] = [[] for _ in starts]
    for note in score.notes:
        pieces[bisect_right(starts, note.start_ticks) - 1].append(note)
    keys: list[KeySignature] = []
    markers: list[Marker] = []
    for start, notes in zip(starts, pieces, strict=True):
        pitched = [note for note in notes if not score.voices[note.voice].drum]
        if notes:
            markers.append(Marker(start, f"Piece {len(markers) + 1}"))
        if pitched:
            key = likely(pitched)
            names = MINOR_NAMES if key >= 12 else MAJOR_NAMES
            keys.append(KeySignature(start, names[SHARPS[key] + 7]))
    return replace(score, keys=tuple(keys), markers=tuple(markers))


def ends(score: Score, layout: Layout) -> set[int]:
    """The indices of the bars with which pieces end; the last bar is one of them."""
    starts = [bar.start for bar in layout.bars]
    found = [Fraction(end.start_ticks, score.ticks_per_quarter) for end in score.piece_ends]
    return {len(starts) - 1, *(max(0, bisect_left(starts, end) - 1) for end in found)}


def keys(score: Score, layout: Layout) -> dict[int, int]:
    """The likeliest key of each piece, as an index into `KEYS`, by the index of the piece's first bar."""
    found: dict[int, int] = {}
    first = 0
    for end in sorted(ends(score, layout)):
        start_ticks, end_ticks = (
            edge * score.ticks_per_quarter for edge in (layout.bars[first].start, layout.bars[end].end)
        )
        notes = [
            note
            for note in score.notes
            if start_ticks <= note.start_ticks < end_ticks and not score.voices[note.voice].drum
        ]
        if notes:
            found[first] = likely(notes)
        first = end + 1
    return found


def key_at(keys: dict[int, int], index: int) -> int:
    """The key in force in a bar, where keys begin as `keys` says."""
    return keys[max((bar for bar in keys if bar <= index), default=0)] if keys else 0


def tempos(score: Score, layout: Layout) -> Iterator[tuple[int, Fraction, int]]:
    """Where the rounded tempo changes: the index of the bar, the place in it in quarters, and the quarters a minute."""
    shown = None
    for tempo in score.tempos:
        number = round(tempo.quarters_per_minute)
        if number != shown:
            for index, place in _place(tempo.start_ticks, score, layout):
                yield index, place, number
                shown = number


def chords(score: Score, layout: Layout) -> Iterator[tuple[int, Fraction, ChordSymbol]]:
    """Where chord symbols stand: the index of the bar, the place in it in quarters, and the symbol."""
    for symbol in score.chords:
        for index, place in _place(symbol.start_ticks, score, layout):
            yield index, place, symbol


def _place(ticks: int, score: Score, layout: Layout) -> Iterator[tuple[int, Fraction]]:
    """The index of the bar in which a tick is, and its place there in quarters; that of the first note before it, and
    nothing behind the last bar."""
    starts = [bar.start for bar in layout.bars]
    place = max(Fraction(ticks, score.ticks_per_quarter), starts[0])
    if place < layout.bars[-1].end:
        index = bisect_right(starts, place) - 1
        yield index, place - starts[index]
