"""The text of the option `melody`: read from takes and command lines, and made from scores.

The text is `voice; key; events`, with events in order of time and separated by blanks: `tick=numerator/denominator` for
a metre and `tick:duration:pitch` for a note. Ticks are twelfths of a quarter from the stream's start, pitches are MIDI
pitches. For example, `Soprano; G major; 0=4/4 36:12:67 48:24:71` begins with a pickup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from generator.foundation.errors import CarouselError, Option
from generator.music.keys import KEYS, likely
from generator.music.score import Note, Score, TimeSignature, pitch_name
from generator.music.voices import distinct
from generator.streaming.melody_constraint import NEVER, Melody
from generator.tokenizers import score_vocabulary as kinds
from generator.tokenizers.score_grid import to_grid
from generator.tokenizers.score_vocabulary import TICKS_PER_QUARTER, Table

LONGEST = 2**17
"""The maximum number of characters, enough for some ten thousand notes."""
NEAR = 2
"""The maximum number of ticks by which a note is shortened or lengthened to fit the vocabulary."""


def parse(text: str, table: Table, transposed: int = 0) -> Melody:
    """Parse the text of a melody.

    Args:
        transposed: semitones by which the notes were transposed, for the advice in an error message.

    Raises:
        CarouselError: the text is malformed, or the vocabulary cannot express it; the message names the bar and beat.
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


def bars_of(melody: Melody, table: Table) -> int:
    """The number of its bars."""
    return _in_bar(melody.end_ticks - 1, melody.metres, table)[0]


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
    """Advice on how to bring a melody, already transposed by `transposed`, into a range: by the fewest octaves if
    octaves suffice, else by the fewest semitones."""
    least = low - min(note.pitch for note in notes) + transposed
    most = high - max(note.pitch for note in notes) + transposed
    fitting = sorted(range(least, most + 1), key=lambda interval: (interval % 12 != 0, abs(interval)))
    if fitting:
        return Option("transpose"), f" {fitting[0]} brings it there"
    return "its range is too wide; try another ", Option("voice")


def _voice(name: str, table: Table) -> int:
    """The index of the voice with this name, which may not be drums; CarouselError if there is none."""
    names = {part.name.lower(): index for index, part in enumerate(table.parts) if not part.drum}
    if name.lower() not in names:
        known = ", ".join(part.name for part in table.parts if not part.drum) or "none but drums"
        raise CarouselError(f"no voice {name[:40]!r} to have the melody; the voices here are {known}")
    return names[name.lower()]


def _in_bar(tick: int, metres: Sequence[tuple[int, int]], table: Table) -> tuple[int, int, int]:
    """The number of the bar at a tick, from 1; the ticks since its start; and the index of its metre."""
    bars, start, metre = 1, 0, metres[0][1]
    for after, following in metres[1:]:
        if after > tick:
            break
        bars, start, metre = bars + (after - start) // table.bar_ticks(metre), after, following
    length = table.bar_ticks(metre)
    return bars + (tick - start) // length, (tick - start) % length, metre


def _place(tick: int, metres: Sequence[tuple[int, int]], table: Table) -> str:
    """The bar and beat of a tick, for an error message."""
    bar, into, metre = _in_bar(tick, metres, table)
    beat = 1 + into * table.metres[metre][1] / (4 * TICKS_PER_QUARTER)
    return f"bar {bar}, beat {beat:.4g}"


def of_score(score: Score, table: Table, voice: str | None = None, transpose: int = 0) -> str:
    """The melody of a score as text, on the vocabulary's grid.

    The start of a note is rounded to a twelfth of a quarter. Its duration becomes the nearest one in the vocabulary if
    that is at most `NEAR` ticks away.

    Args:
        voice: the voice of the vocabulary that gets the melody, by default the first one. If the score has a voice with
            that name, this is the melody; otherwise the melody is the score's first voice without chords.
        transpose: semitones.

    Raises:
        CarouselError: there is no such voice, or the vocabulary cannot express the melody; the message names the bar
            and beat.
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
        # A small overlap with the next note comes from playing and is cut off; `parse` refuses a larger one.
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
    """The default options for harmonising the melody `text` of a score: the melody itself, that the stream stops at its
    end, and the first tempo of the score if it has one."""
    tempo = {"tempo": min(1000.0, max(1.0, score.tempos[0].quarters_per_minute))} if score.tempos else {}
    return {"melody": text, "at_end": "stop", **tempo}


def _clash(note: Note, after: Note) -> bool:
    """Whether two successive notes sound together for more than `NEAR` ticks, or start together."""
    return note.end_ticks > after.start_ticks + NEAR or note.start_ticks == after.start_ticks


def _chords(line: Sequence[Note]) -> bool:
    """Whether any two successive notes clash."""
    return any(_clash(note, after) for note, after in pairwise(line))
