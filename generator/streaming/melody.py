"""A given melody: one voice's notes, which a stream says note for note while the model writes the other voices.

As an option it is text, so that takes record it: `voice; key; events`, events in order of time and separated by blanks:
`tick=numerator/denominator` for a metre, `tick:duration:pitch` for a note, in ticks of a twelfth of a quarter from the
stream's start, pitches as in MIDI. So `Soprano; G major; 0=4/4 36:12:67 48:24:71` begins with a pickup.

What may be said follows from that and from the grammar's memory alone. The voice speaks where the melody has an onset,
and says its pitch and length; time does not pass an onset that is not yet said, nor a bar line the bar's last one; bar
lines name the melody's key, metres are the melody's; no voice begins before it does; the piece ends with the bar in
which the melody ends. Somebody who obeys from the start never comes to a place where nothing may follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from generator.foundation.errors import CarouselError, Option
from generator.foundation.jit import compiled
from generator.music.keys import KEYS, likely
from generator.music.score import Note, Score, TimeSignature, pitch_name
from generator.music.voices import distinct
from generator.streaming.violations import MELODY
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.base import Mask, Rows
from generator.tokenizers.score_grammar import (
    BAR_START,
    BAR_TICKS,
    FREE,
    IN_KEY,
    IN_METRE,
    IN_VOICE,
    KIND,
    NOW,
    VALUE,
    latest_of,
    transposition,
    voices,
)
from generator.tokenizers.score_grid import to_grid
from generator.tokenizers.score_vocabulary import TICKS_PER_QUARTER, Table

LONGEST = 2**17
"""Characters of a melody as text: some ten thousand notes."""
NEAR = 2
"""Ticks by which a note may be shortened or lengthened to fit the vocabulary, as played notes have to be."""
NEVER = 2**62
"""A tick that does not come."""

# What the compiled loop reads of a melody: the fields, then a window of its events from the job's first token on,
# (tick, pitch, duration) for a note and (tick, -1, index) for a metre, which is as many as `CHUNK` tokens can reach: a
# note takes four tokens, a metre with its bar line two.
GIVEN, SINGER, TUNE_KEY, BEGINS, ENDS, METRE_NOW, WINDOW = range(7)
EVENTS = 36
SIZE = WINDOW + 3 * EVENTS


@dataclass(frozen=True)
class Melody:
    """A melody that a vocabulary can say; `voice`, `key` and metres as indices, ticks of a twelfth of a quarter."""

    voice: int
    key: int
    metres: tuple[tuple[int, int], ...]
    """(tick, metre), the first at 0."""
    notes: tuple[Note, ...]
    end_ticks: int
    """Of the bar in which it ends."""
    events: Rows
    """What `WINDOW` says, in order of time; shape (events, 3)."""

    def begin(self, key: int) -> Rows:
        """What the compiled loop reads, but for what `write_due` writes; in another key unless `key` is -1."""
        tune = np.zeros(SIZE, np.int64)
        tune[:WINDOW] = 1, self.voice, self.key if key < 0 else key, self.notes[0].start_ticks, self.end_ticks, 0
        return tune

    def write_due(self, tune: Rows, now: int) -> None:
        """Write the metre in force at a tick and the window of what follows."""
        tune[METRE_NOW] = [metre for tick, metre in self.metres if tick <= now][-1]
        ticks, is_metre = self.events[:, 0], self.events[:, 1] < 0
        window = self.events[(ticks > now) | ((ticks == now) & ~is_metre)][:EVENTS]
        tune[WINDOW:] = NEVER
        tune[WINDOW : WINDOW + window.size] = window.ravel()


@compiled
def of_melody(rules: Rows, tune: Rows, row: Rows, mask: Mask, violations: Rows) -> None:
    """Add to what each open token breaks that it departs from the melody; what has to be said breaks nothing else."""
    if not tune[GIVEN] or row[NOW] >= tune[ENDS]:
        return
    singer, line = tune[SINGER], row[BAR_START] + row[BAR_TICKS]
    said = row[latest_of(rules, singer)]
    onset, pitch, duration, metre = NEVER, 0, 0, tune[METRE_NOW]
    for event in range(WINDOW, SIZE, 3):
        tick = tune[event]
        if tune[event + 1] < 0:
            metre = tune[event + 2] if tick <= line else metre
        elif onset == NEVER and tick > said and tick >= row[NOW]:
            onset, pitch, duration = tick, tune[event + 1], tune[event + 2]
    others = NEVER  # the tick at which another voice is free
    for voice in range(voices(rules)):
        if voice != singer:
            others = min(others, row[FREE + voice])
    early = onset < line or line >= tune[ENDS]  # for a bar line
    for token in range(len(mask)):
        if not mask[token]:
            continue
        kind, value, departs = rules[KIND, token], rules[VALUE, token], False
        if kind == kinds.TIME_SIGNATURE:
            departs = early or value != metre
        elif kind == kinds.TEMPO:
            departs = early or row[IN_METRE] != metre
        elif kind == kinds.BAR:
            departs = early or row[IN_METRE] != metre or (row[IN_KEY] < 0 and value != tune[TUNE_KEY])
        elif kind == kinds.END:
            departs = onset < line or line < tune[ENDS]
        elif kind == kinds.POSITION:
            tick = row[BAR_START] + value
            if tick == onset:
                violations[token] = 0
            departs = tick > onset or tick < tune[BEGINS] or (tick < onset and others > tick)
        elif kind == kinds.VOICE:
            if onset == row[NOW] and value == singer:
                violations[token] = 0
            departs = value > singer if onset == row[NOW] else value == singer
        elif row[IN_VOICE] == singer:
            said_now = pitch == value + transposition(rules, row) if kind == kinds.PITCH else duration == value
            departs = onset != row[NOW] or not said_now
        if departs:
            violations[token] |= MELODY


# Text


def parse(text: str, table: Table, transposed: int = 0) -> Melody:
    """A melody from its text.

    Raises:
        CarouselError: it is no such text, or the vocabulary has not what it says; the message names the place.
    """
    head = text.rsplit(";", 2) if len(text) <= LONGEST else []
    if len(head) != 3 or head[1].strip() not in KEYS:
        raise CarouselError(Option("melody"), " is no melody; in Python, give what Model.melody returns for a Score")
    voice = _voice(head[0].strip(), table)
    metres: list[tuple[int, int]] = []
    notes: list[Note] = []
    for word in head[2].split():
        match = re.fullmatch(r"(\d{1,9})(?:=(\d{1,3}/\d{1,3})|:(\d{1,5}):(\d{1,3}))", word, re.ASCII)
        if match is None:
            raise CarouselError(Option("melody"), f" has {word[:20]!r}, which is neither metre nor note")
        tick = int(match[1])
        if match[2]:
            names = [f"{numerator}/{denominator}" for numerator, denominator in table.metres]
            if match[2] not in names:
                where = f"{_place(tick, metres, table)}: " if metres else ""
                raise CarouselError(f"{where}the metre is {match[2]}; this checkpoint knows {', '.join(names)}")
            metres.append((tick, names.index(match[2])))
        else:
            notes.append(Note(tick, int(match[3]), int(match[4]), voice=voice))
    _check(metres, notes, table, transposed)
    tick, metre = metres[-1]
    length, end = table.bar_ticks(metre), notes[-1].end_ticks
    rows = [(tick, -1, metre) for tick, metre in metres]
    rows += [(note.start_ticks, note.pitch, note.duration_ticks) for note in notes]
    events = np.array(sorted(rows), np.int64)
    end += (tick - end) % length
    return Melody(voice, KEYS.index(head[1].strip()), tuple(metres), tuple(notes), end, events)


def _check(metres: Sequence[tuple[int, int]], notes: Sequence[Note], table: Table, transposed: int) -> None:
    if not metres or metres[0][0] != 0 or not notes:
        raise CarouselError(Option("melody"), " has no notes, or no metre to begin with")
    for (tick, metre), (change, _) in pairwise(metres):
        if change <= tick or (change - tick) % table.bar_ticks(metre):
            raise CarouselError(f"{_place(change, metres[:1], table)}: the metre changes before the bar is full")
    if metres[-1][0] > notes[-1].start_ticks:
        raise CarouselError(Option("melody"), " changes its metre after its last note")
    part = table.parts[notes[0].voice]
    known = set(table.columns[kinds.POSITION].tolist()), set(table.columns[kinds.DURATION].tolist())
    for note, after in zip(notes, [*notes[1:], None], strict=True):
        where = _place(note.start_ticks, metres, table)
        if after is not None and note.end_ticks > after.start_ticks:
            raise CarouselError(f"{where}: a note sounds into the next one; give a melody of single notes")
        if not part.low <= note.pitch <= part.high:
            raise CarouselError(
                f"{where}: {pitch_name(note.pitch)} is out of {part.name}'s range, {pitch_name(part.low)} to "
                f"{pitch_name(part.high)}; ",
                *_remedy(notes, part.low, part.high, transposed),
            )
        if _in_bar(note.start_ticks, metres, table)[1] not in known[0]:
            raise CarouselError(f"{where}: nothing that this checkpoint knows begins there; simplify the rhythm")
        if note.duration_ticks not in known[1]:
            raise CarouselError(
                f"{where}: a note of {note.duration_ticks}/{TICKS_PER_QUARTER} quarters, a length that this checkpoint "
                "has not; split it"
            )


def _remedy(notes: Sequence[Note], low: int, high: int, transposed: int) -> tuple[str, ...]:
    """How to bring a melody, which has been transposed already, into a range: by octaves if that does, else by as
    little as does."""
    least = low - min(note.pitch for note in notes) + transposed
    most = high - max(note.pitch for note in notes) + transposed
    fitting = sorted(range(least, most + 1), key=lambda interval: (interval % 12 != 0, abs(interval)))
    if fitting:
        return Option("transpose"), f" {fitting[0]} brings it there"
    return "its range is too wide; try another ", Option("voice")


def _voice(name: str, table: Table) -> int:
    """The index of a voice that can have the melody."""
    names = {part.name.lower(): index for index, part in enumerate(table.parts) if not part.drum}
    if name.lower() not in names:
        known = ", ".join(part.name for part in table.parts if not part.drum) or "none but drums"
        raise CarouselError(f"no voice {name[:40]!r} to have the melody; the voices here are {known}")
    return names[name.lower()]


def _in_bar(tick: int, metres: Sequence[tuple[int, int]], table: Table) -> tuple[int, int, int]:
    """The bar at a tick, from 1; how far into it the tick is; and the index of its metre."""
    bars, start, metre = 1, 0, metres[0][1]
    for after, following in metres[1:]:
        if after > tick:
            break
        bars, start, metre = bars + (after - start) // table.bar_ticks(metre), after, following
    length = table.bar_ticks(metre)
    return bars + (tick - start) // length, (tick - start) % length, metre


def _place(tick: int, metres: Sequence[tuple[int, int]], table: Table) -> str:
    bar, into, metre = _in_bar(tick, metres, table)
    beat = 1 + into * table.metres[metre][1] / (4 * TICKS_PER_QUARTER)
    return f"bar {bar}, beat {beat:.4g}"


# Scores


def of_score(score: Score, table: Table, voice: str | None = None, transpose: int = 0) -> str:
    """The melody of a score as text, on the vocabulary's grid. A note's start is rounded to a twelfth of a quarter; its
    length goes to the nearest one that the vocabulary has, if that is at most `NEAR` ticks away.

    Args:
        voice: of the vocabulary, which is to have the melody; without it, the first one. If the score has a voice of
            that name, the melody is that one; otherwise it is the first of single notes.
        transpose: semitones.

    Raises:
        CarouselError: there is no such voice, or the vocabulary cannot express the melody; the message names the place.
    """
    parts = [part for part in table.parts if not part.drum]
    if voice is None and parts:
        voice = parts[0].name
    part = table.parts[_voice(voice or "", table)]
    grid = to_grid(score)
    lines = {
        index: [note for note in grid.notes if note.voice == index]
        for index, own in enumerate(grid.voices)
        if not own.drum
    }
    lines = {index: line for index, line in lines.items() if line}
    if not lines:
        raise CarouselError("no notes to take the melody from; give a melody")
    names = distinct(own.name for own in grid.voices)
    named = [index for index in lines if names[index].lower() == part.name.lower()]
    single = [index for index in lines if not _chords(lines[index])]
    index = [*named, *single, *lines][0]
    line = [replace(note, pitch=note.pitch + transpose) for note in lines[index]]
    if any(not 0 <= note.pitch < 128 for note in line):
        raise CarouselError(Option("transpose"), f" {transpose} leads out of what MIDI has; choose a smaller interval")
    metres: list[TimeSignature] = []
    for metre in (TimeSignature(0, 4, 4), *grid.time_signatures):
        if metres and metres[-1].start_ticks == metre.start_ticks:
            metres.pop()
        same = metres and (metres[-1].numerator, metres[-1].denominator) == (metre.numerator, metre.denominator)
        if not same and metre.start_ticks <= line[-1].start_ticks:
            metres.append(metre)
    words = [(metre.start_ticks, f"={metre.numerator}/{metre.denominator}") for metre in metres]
    lengths = table.columns[kinds.DURATION]
    for note, after in zip(line, [*line[1:], None], strict=True):
        # A note that hardly reaches into the next one is played, not meant so; `parse` refuses all others.
        room = NEVER if after is None or _clash(note, after) else after.start_ticks - note.start_ticks
        fitting = lengths[(lengths <= room) & (np.abs(lengths - note.duration_ticks) <= NEAR)]
        away = np.abs(fitting - note.duration_ticks)
        length = int(fitting[away.argmin()]) if len(fitting) else note.duration_ticks
        words.append((note.start_ticks, f":{length}:{note.pitch}"))
    words.sort(key=lambda word: (word[0], word[1].startswith(":")))
    text = f"{part.name}; {KEYS[likely(line)]}; " + " ".join(f"{tick}{what}" for tick, what in words)
    if len(text) > LONGEST:
        raise CarouselError(f"a melody of {len(line):,} notes is too long; give a shorter one")
    parse(text, table, transpose)
    return text


def brought(score: Score, text: str) -> dict[str, Any]:
    """The options that the melody of a score brings, where nothing else is asked: itself as `text`, that the stream
    ends with it, and the score's first tempo, if it has one."""
    tempo = {"tempo": min(1000.0, max(1.0, score.tempos[0].quarters_per_minute))} if score.tempos else {}
    return {"melody": text, "at_end": "stop", **tempo}


def _clash(note: Note, after: Note) -> bool:
    return note.end_ticks > after.start_ticks + NEAR or note.start_ticks == after.start_ticks


def _chords(line: Sequence[Note]) -> bool:
    """Whether two notes sound at once."""
    return any(_clash(note, after) for note, after in pairwise(line))
