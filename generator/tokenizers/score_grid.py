"""A score on the score tokenizer's grid: the nearest position, duration, voice, metre and tempo of a vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.foundation.omissions import Report, cause
from generator.music.score import DEFAULT_TEMPO, DEFAULT_VELOCITY, MusicEvent, Note, Score, Tempo, TimeSignature, Voice
from generator.music.voices import cut_overlaps, from_the_top
from generator.tokenizers.score_vocabulary import DURATION, POSITION, TEMPO, TICKS_PER_QUARTER, Table
from generator.tokenizers.score_voices import assigned

PLAYED = "performance, if it is for the piano"
"""The kind of tokenizer to advise when exact times or velocities are lost."""
ONE_AT_A_TIME = "a voice plays each pitch once at a time, and a monophonic voice one pitch"
NO_VELOCITIES = "this vocabulary has no velocities"
NO_PEDAL = "this vocabulary has no pedal"


@dataclass(frozen=True, slots=True)
class ScoreReport(Report):
    """What the grid could not express of a score.

    The totals are `notes`, those that are kept, `pedals`, `tempos` and `bars`. If all other fields are 0, the score is
    decoded exactly, except for bars that are shorter than their metre.
    """

    notes: int
    max_onset_error_quarters: float
    mean_onset_error_quarters: float
    max_duration_error_quarters: float
    """Before notes are cut short."""
    pedals: int = 0
    tempos: int = 0
    bars: int = 0
    max_tempo_change_percent: float = 0.0
    max_velocity_error: int = 0
    mean_velocity_error: float = 0.0
    drums: int = cause("drum note", "left out", "no voice of this vocabulary is for drums", of="notes", gone=True)
    unplayed: int = cause("note", "left out", "this vocabulary has nothing but drums", of="notes", gone=True)
    out_of_range: int = cause(
        "note", "left out", "this vocabulary has no such pitch", remedy="transpose the piece", of="notes", gone=True
    )
    merged: int = cause(
        "note",
        "left out at the place of another one",
        ONE_AT_A_TIME,
        better=PLAYED,
        of="notes",
        gone=True,
    )
    cut: int = cause(
        "note",
        "cut short by the next one",
        ONE_AT_A_TIME,
        better=PLAYED,
        of="notes",
    )
    shared: int = cause("note", "played in another voice's part", "this vocabulary has no more voices", of="notes")
    replaced: int = cause(
        "note", "given to another instrument", "this vocabulary has only the instruments of its corpus", of="notes"
    )
    moved: int = cause(
        "note",
        "moved, by up to {max_onset_error_quarters:.2g} quarters",
        "this vocabulary has no nearer place in the bar",
        better=PLAYED,
        of="notes",
    )
    levelled: int = cause("note", "made as loud as the others", NO_VELOCITIES, better=PLAYED, of="notes")
    velocities_changed: int = cause(
        "note",
        "made louder or softer, by up to {max_velocity_error} of 127",
        "this vocabulary has no nearer velocity",
        better=PLAYED,
    )
    pedals_dropped: int = cause("pedal change", "left out", NO_PEDAL, better=PLAYED, of="pedals")
    tempos_changed: int = cause(
        "tempo",
        "changed, by up to {max_tempo_change_percent:.0f} %",
        "this vocabulary has none nearer",
        better=PLAYED,
        of="tempos",
    )
    tempos_dropped: int = cause("tempo", "left out", "a bar has one tempo", better=PLAYED, of="tempos")
    metres_changed: int = cause("bar", "given another metre", "the metre is not in this vocabulary", of="bars")


def quantise(score: Score, table: Table, sounding: Sequence[Voice]) -> tuple[list[MusicEvent], ScoreReport]:
    """The events of the score as this vocabulary can express it, and a report of how they differ from the original.

    Args:
        sounding: the voices of decoded scores, which may have other instruments than the vocabulary.
    """
    grid = to_grid(score)
    parts = assigned(table.parts, grid)
    bars, changed = _metred_bars(table, grid)
    starts = np.array([start for start, _ in bars])
    positions, durations = table.columns[POSITION], table.columns[DURATION]
    owners: dict[int | None, int] = {}
    for index in sorted({note.voice for note in grid.notes}):
        owners.setdefault(parts[index], index)
    lost: Counter[str] = Counter()
    placed: list[Note] = []
    onset_errors: list[float] = []
    duration_errors = [0.0]
    velocity_errors: list[int] = []
    for before, note in zip(score.notes, grid.notes, strict=True):
        voice, own = parts[note.voice], score.voices[note.voice]
        if voice is None:
            lost["drums" if own.drum else "unplayed"] += 1
            continue
        if not table.can_write(note.pitch, table.parts[voice]):
            lost["out_of_range"] += 1
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
        velocity = DEFAULT_VELOCITY
        if table.velocities.size:
            velocity = _nearest(table.velocities, note.velocity)
            velocity_errors.append(abs(velocity - note.velocity))
        lost["shared"] += owners[voice] != note.voice
        lost["replaced"] += not own.drum and own.program not in (table.parts[voice].program, sounding[voice].program)
        placed.append(replace(note, start_ticks=start, duration_ticks=duration, voice=voice, velocity=velocity))
    notes, lost["cut"] = cut_overlaps(
        from_the_top(placed),
        lambda note: (note.voice, -1 if table.parts[note.voice].monophonic else note.pitch),
        lambda gap: int(durations[durations <= gap].max(initial=0)),
    )
    tempos, dropped, changes = _tempos(table, grid, starts)
    report = ScoreReport(
        notes=len(notes),
        max_onset_error_quarters=max(onset_errors, default=0.0),
        mean_onset_error_quarters=float(np.mean(onset_errors)) if onset_errors else 0.0,
        max_duration_error_quarters=max(duration_errors),
        pedals=len(score.pedals),
        tempos=len(score.tempos),
        bars=len(bars),
        max_tempo_change_percent=max(changes, default=0.0),
        max_velocity_error=max(velocity_errors, default=0),
        mean_velocity_error=float(np.mean(velocity_errors)) if velocity_errors else 0.0,
        merged=len(placed) - len(notes),
        moved=sum(error > 0 for error in onset_errors),
        levelled=0 if table.velocities.size else score.louder_or_softer(),
        velocities_changed=sum(error > 0 for error in velocity_errors),
        pedals_dropped=len(score.pedals),
        tempos_changed=len(changes),
        tempos_dropped=dropped,
        metres_changed=changed,
        **lost,
    )
    events: list[MusicEvent] = [*notes, *tempos]
    for index, (start, metre) in enumerate(bars):
        if not index or bars[index - 1][1] != metre:
            events.append(TimeSignature(start, *table.metres[metre]))
    return events, report


def _metred_bars(table: Table, grid: Score) -> tuple[list[tuple[int, int]], int]:
    """The start of each bar with its metre, an index into `table.metres`, and how many bars got another metre."""
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
            length = max(1, metre.bar_ticks(TICKS_PER_QUARTER))
            lengths = np.array([table.bar_ticks(index) for index in range(len(table.metres))])
            whole = np.where(lengths % length == 0, lengths, lengths.max() + 1)  # several bars as one keep the beat
            index = int(whole.argmin()) if (lengths % length == 0).any() else _nearest_index(lengths, length)
            changed += 1
        until = start if not bars else bars[-1][0] + table.bar_ticks(bars[-1][1])
        bars.append((until, index))
        now = until + table.bar_ticks(index)
    while now < max(grid.end_ticks, 1) and grid.notes and now <= grid.notes[-1].start_ticks:
        bars.append((now, bars[-1][1]))
        now += table.bar_ticks(bars[-1][1])
    return bars, changed


def _tempos(table: Table, grid: Score, starts: npt.NDArray[np.int64]) -> tuple[list[Tempo], int, list[float]]:
    """The tempo changes at bar lines, each to the nearest tempo of the vocabulary.

    Also how many tempos were dropped because their bar has a later one, and for each tempo that was changed by how many
    per cent.
    """
    values = table.columns[TEMPO]
    wanted: dict[int, float] = {}
    for tempo in grid.tempos or (Tempo(0, DEFAULT_TEMPO),):
        bar = max(0, int(np.searchsorted(starts, tempo.start_ticks, side="right")) - 1) if wanted else 0
        wanted[int(starts[bar])] = tempo.quarters_per_minute
    changes: list[float] = []
    tempos: list[Tempo] = []
    for start, quarters_per_minute in sorted(wanted.items()):
        nearest = _nearest(values, whole_tempo(quarters_per_minute))
        if grid.tempos and nearest != whole_tempo(quarters_per_minute):
            changes.append(100 * abs(nearest / quarters_per_minute - 1))
        if not tempos or tempos[-1].quarters_per_minute != nearest:
            tempos.append(Tempo(start, float(nearest)))
    return tempos, max(0, len(grid.tempos) - len(wanted)), changes


def to_grid(score: Score) -> Score:
    """The same score at 12 ticks a quarter, with times rounded to the nearest tick."""

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
    """The start and metre of each bar up to the start of the last note; at least one bar."""
    last = max((note.start_ticks for note in score.notes), default=0)
    bars = [(start, metre) for start, metre in score.bar_starts() if start <= last]
    return bars or [(0, TimeSignature(0, 4, 4))]


def whole_tempo(quarters_per_minute: float) -> int:
    """A tempo rounded to an integer from 10 to 400."""
    return int(np.clip(round(quarters_per_minute), 10, 400))


def _nearest_index(values: npt.NDArray[Any], wanted: float) -> int:
    return int(np.abs(values - wanted).argmin())


def _nearest(values: npt.NDArray[np.int64], wanted: int) -> int:
    return int(values[_nearest_index(values, wanted)])
