"""A score on the score tokenizer's grid: the nearest place, length, voice, metre and tempo that a vocabulary has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.music.score import DEFAULT_TEMPO, DEFAULT_VELOCITY, MusicEvent, Note, Score, Tempo, TimeSignature
from generator.tokenizers.score_vocabulary import DURATION, POSITION, TEMPO, TICKS_PER_QUARTER, Table


@dataclass(frozen=True, slots=True)
class Report:
    """What the grid could not express of one score's notes.

    Where all but `notes` is zero, each note comes back with its start, length and pitch. Not counted: velocities and
    pedals, which the vocabulary has not; voices that another one plays; tempos, which move to a bar line and to the
    nearest value; and bars that break off before their metre is full.
    """

    notes: int
    """Notes kept."""
    dropped: int
    """Notes without a voice or a pitch in the vocabulary, or at the place of another one."""
    cut: int
    """Notes shortened: by the next one of their voice, or of their pitch where the voice holds chords."""
    max_onset_error_quarters: float
    mean_onset_error_quarters: float
    max_duration_error_quarters: float
    """Before notes are cut."""
    metres_changed: int
    """Bars whose metre the vocabulary has not."""


def quantise(score: Score, table: Table) -> tuple[list[MusicEvent], Report]:
    """The score as this vocabulary can express it, and how far that is from the original."""
    grid = to_grid(score)

    assigned = _assign(table, grid)
    bars, changed = _metred_bars(table, grid)
    starts = np.array([start for start, _ in bars])
    positions, durations = table.columns[POSITION], table.columns[DURATION]
    placed: list[Note] = []
    onset_errors: list[float] = []
    duration_errors = [0.0]
    for before, note in zip(score.notes, grid.notes, strict=True):
        voice = assigned[note.voice]
        if voice is None or not table.writes(note.pitch, table.parts[voice]):
            continue
        bar = int(np.searchsorted(starts, note.start_ticks, side="right")) - 1
        room = positions[positions < table.bar_ticks(bars[bar][1])]
        start = int(starts[bar]) + _nearest(room, note.start_ticks - int(starts[bar]))
        duration = _nearest(durations, note.duration_ticks)
        onset_errors.append(
            abs(before.start_ticks * TICKS_PER_QUARTER / score.ticks_per_quarter - start) / TICKS_PER_QUARTER
        )
        duration_errors.append(
            abs(before.duration_ticks * TICKS_PER_QUARTER / score.ticks_per_quarter - duration) / TICKS_PER_QUARTER
        )
        placed.append(replace(note, start_ticks=start, duration_ticks=duration, voice=voice, velocity=DEFAULT_VELOCITY))
    notes, cut = _one_at_a_time(table, placed)
    report = Report(
        notes=len(notes),
        dropped=len(score.notes) - len(notes),
        cut=cut,
        max_onset_error_quarters=max(onset_errors, default=0.0),
        mean_onset_error_quarters=float(np.mean(onset_errors)) if onset_errors else 0.0,
        max_duration_error_quarters=max(duration_errors),
        metres_changed=changed,
    )
    events: list[MusicEvent] = [*notes]
    for index, (start, metre) in enumerate(bars):
        if not index or bars[index - 1][1] != metre:
            events.append(TimeSignature(start, *table.metres[metre]))
    events.extend(_tempos(table, grid, starts))
    return events, report


def _metred_bars(table: Table, grid: Score) -> tuple[list[tuple[int, int]], int]:
    """Bar starts with the index of their metre, and how many metres had to be changed to one the vocabulary has."""
    changed = 0
    bars: list[tuple[int, int]] = []
    now = 0
    wanted = bars_of(grid)
    for start, metre in wanted:
        if start < now:
            continue
        key = (metre.numerator, metre.denominator)
        if key in table.metres:
            index = table.metres.index(key)
        else:
            lengths = [table.bar_ticks(index) for index in range(len(table.metres))]
            index = _nearest_index(np.array(lengths), metre.bar_ticks(TICKS_PER_QUARTER))
            changed += 1
        until = start if not bars else bars[-1][0] + table.bar_ticks(bars[-1][1])
        bars.append((until, index))
        now = until + table.bar_ticks(index)
    while now < max(grid.end_ticks, 1) and grid.notes and now <= grid.notes[-1].start_ticks:
        bars.append((now, bars[-1][1]))
        now += table.bar_ticks(bars[-1][1])
    return bars, changed


def _tempos(table: Table, grid: Score, starts: npt.NDArray[np.int64]) -> list[Tempo]:
    """The tempo of each bar where it changes, to the nearest of the vocabulary."""
    values = table.columns[TEMPO]
    changes: dict[int, Tempo] = {}
    for tempo in grid.tempos or (Tempo(0, DEFAULT_TEMPO),):
        bar = max(0, int(np.searchsorted(starts, tempo.start_ticks, side="right")) - 1) if changes else 0
        start = int(starts[bar])
        changes[start] = Tempo(start, float(_nearest(values, whole_tempo(tempo.quarters_per_minute))))
    tempos = sorted(changes.values(), key=lambda tempo: tempo.start_ticks)
    return [
        tempo
        for index, tempo in enumerate(tempos)
        if not index or tempos[index - 1].quarters_per_minute != tempo.quarters_per_minute
    ]


def _assign(table: Table, score: Score) -> list[int | None]:
    """For each voice of the score the vocabulary's: by name, else by program, else by register from the top."""
    parts = table.parts
    assigned: list[int | None] = []
    for voice in score.voices:
        by_name = (
            i for i, part in enumerate(parts) if part.name.lower() == voice.name.lower() and part.drum == voice.drum
        )
        by_program = (
            i
            for i, part in enumerate(parts)
            if part.drum == voice.drum and (part.drum or part.program == voice.program)
        )
        assigned.append(next(by_name, None))
        if assigned[-1] is None and len({part.program for part in parts}) == len(parts):
            assigned[-1] = next(by_program, None)
    rest = [index for index, found in enumerate(assigned) if found is None and not score.voices[index].drum]
    pitches = {i: float(np.mean([n.pitch for n in score.notes if n.voice == i] or [0])) for i in rest}
    free = [i for i, part in enumerate(parts) if i not in assigned and not part.drum]
    for index in sorted(rest, key=lambda index: -pitches[index]):
        if free:
            assigned[index] = free.pop(0)
        else:
            melodic = [i for i, part in enumerate(parts) if not part.drum]
            centres = np.array([(parts[i].low + parts[i].high) / 2 for i in melodic])
            assigned[index] = melodic[_nearest_index(centres, pitches[index])] if melodic else None
    return assigned


def _one_at_a_time(table: Table, notes: list[Note]) -> tuple[list[Note], int]:
    """Let each voice sound as its part allows: later notes cut earlier ones; at one place the higher note stays.

    Also how many notes were cut.
    """
    durations = table.columns[DURATION]
    kept: list[Note] = []
    sounding: dict[tuple[int, int], int] = {}
    cut: set[int] = set()
    for note in sorted(notes, key=lambda note: (note.start_ticks, note.voice, -note.pitch, -note.duration_ticks)):
        key = (note.voice, -1 if table.parts[note.voice].monophonic else note.pitch)
        index = sounding.get(key)
        if index is not None and kept[index].end_ticks > note.start_ticks:
            before = kept[index]
            fitting = durations[durations <= note.start_ticks - before.start_ticks]
            if not len(fitting):
                continue
            kept[index] = replace(before, duration_ticks=int(fitting[-1]))
            cut.add(index)
        sounding[key] = len(kept)
        kept.append(note)
    return kept, len(cut)


def to_grid(score: Score) -> Score:
    """The same score at 12 ticks a quarter, rounded to the nearest tick."""

    def at(ticks: int) -> int:
        return round(ticks * TICKS_PER_QUARTER / score.ticks_per_quarter)

    notes = tuple(
        replace(
            note, start_ticks=at(note.start_ticks), duration_ticks=max(1, at(note.end_ticks) - at(note.start_ticks))
        )
        for note in score.notes
    )
    metres = tuple(replace(metre, start_ticks=at(metre.start_ticks)) for metre in score.time_signatures)
    tempos = tuple(replace(tempo, start_ticks=at(tempo.start_ticks)) for tempo in score.tempos)
    return Score(TICKS_PER_QUARTER, score.voices, notes, metres, tempos, title=score.title, style=score.style)


def bars_of(score: Score) -> list[tuple[int, TimeSignature]]:
    """Bar starts up to the last note's start, at least one."""
    last = max((note.start_ticks for note in score.notes), default=0)
    bars = [(start, metre) for start, metre in score.bar_starts() if start <= last]
    return bars or [(0, TimeSignature(0, 4, 4))]


def whole_tempo(quarters_per_minute: float) -> int:
    return int(np.clip(round(quarters_per_minute), 10, 400))


def _nearest_index(values: npt.NDArray[Any], wanted: float) -> int:
    return int(np.abs(values - wanted).argmin())


def _nearest(values: npt.NDArray[np.int64], wanted: int) -> int:
    return int(values[_nearest_index(values, wanted)])
