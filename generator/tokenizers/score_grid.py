"""A score on the score tokenizer's grid: the nearest position, duration, voice, metre and tempo of a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from generator.foundation.omissions import Report, cause
from generator.music.notes import DEFAULT_VELOCITY, PITCHES, Ints, Notes, present
from generator.music.score import DEFAULT_TEMPO, Score, Tempo, TimeSignature, Voice
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


def quantise(score: Score, table: Table, sounding: Sequence[Voice]) -> tuple[Score, ScoreReport]:
    """The score as this vocabulary can express it, and a report of how it differs from the original.

    Args:
        sounding: the voices of decoded scores, which may have other instruments than the vocabulary.
    """
    grid = to_grid(score)
    parts = assigned(table.parts, grid)
    bars, changed = _metred_bars(table, grid)
    starts = np.array([start for start, _ in bars])
    positions, durations = table.columns[POSITION], table.columns[DURATION]
    owners: dict[int | None, int] = {}
    start, duration, pitch, velocity, voice = grid.columns
    for index in present(voice):
        owners.setdefault(parts[index], index)
    exact = score.columns[:2] * TICKS_PER_QUARTER / score.ticks_per_quarter
    part = np.array([-1 if at is None else at for at in parts], dtype=np.int64)[voice]
    drum = np.array([own.drum for own in score.voices], dtype=np.bool_)[voice]
    low, high = np.array([(0, 0) if at is None else table.reach(table.parts[at]) for at in parts]).reshape(-1, 2).T
    played = part >= 0
    kept = played & (low[voice] <= pitch) & (pitch <= high[voice])
    lost = {
        "drums": int((~played & drum).sum()),
        "unplayed": int((~played & ~drum).sum()),
        "out_of_range": int((played & ~kept).sum()),
    }
    start, duration, pitch, velocity, voice, part = (
        column[kept] for column in (start, duration, pitch, velocity, voice, part)
    )
    bar = np.searchsorted(starts, start, side="right") - 1
    metres, offsets = np.array([metre for _, metre in bars])[bar], start - starts[bar]
    for metre in present(metres):
        here = metres == metre
        offsets[here] = nearest(positions[positions < table.bar_ticks(metre)], offsets[here])
    placed_at, lengths = starts[bar] + offsets, nearest(durations, duration)
    onset_errors = np.abs(exact[0, kept] - placed_at) / TICKS_PER_QUARTER
    duration_errors = np.abs(exact[1, kept] - lengths) / TICKS_PER_QUARTER
    loud = nearest(table.velocities, velocity) if table.velocities.size else np.full(len(velocity), DEFAULT_VELOCITY)
    velocity_errors = np.abs(loud - velocity) * bool(table.velocities.size)
    lost["shared"] = int((np.array([owners.get(at, -1) for at in parts], dtype=np.int64)[voice] != voice).sum())
    replaced = [
        at is not None and not own.drum and own.program not in (table.parts[at].program, sounding[at].program)
        for own, at in zip(score.voices, parts, strict=True)
    ]
    lost["replaced"] = int(np.array(replaced, dtype=np.bool_)[voice].sum())
    placed = from_the_top(np.array((placed_at, lengths, pitch, loud, part)))
    monophonic = np.array([own.monophonic for own in table.parts])[placed[4]]
    notes, lost["cut"] = cut_overlaps(placed, placed[4] * PITCHES + np.where(monophonic, 0, placed[2]), durations)
    tempos, dropped, changes = _tempos(table, grid, starts)
    report = ScoreReport(
        notes=notes.shape[1],
        max_onset_error_quarters=float(onset_errors.max(initial=0.0)),
        mean_onset_error_quarters=float(onset_errors.mean()) if kept.any() else 0.0,
        max_duration_error_quarters=float(duration_errors.max(initial=0.0)),
        pedals=len(score.pedals),
        tempos=len(score.tempos),
        bars=len(bars),
        max_tempo_change_percent=max(changes, default=0.0),
        max_velocity_error=int(velocity_errors.max(initial=0)),
        mean_velocity_error=float(velocity_errors.mean()) if kept.any() else 0.0,
        merged=placed.shape[1] - notes.shape[1],
        moved=int((onset_errors > 0).sum()),
        levelled=0 if table.velocities.size else score.louder_or_softer(),
        velocities_changed=int((velocity_errors > 0).sum()),
        pedals_dropped=len(score.pedals),
        tempos_changed=len(changes),
        tempos_dropped=dropped,
        metres_changed=changed,
        **lost,
    )
    changed_metres = [
        TimeSignature(start, *table.metres[metre])
        for index, (start, metre) in enumerate(bars)
        if not index or bars[index - 1][1] != metre
    ]
    voices = tuple(sounding)
    return Score(TICKS_PER_QUARTER, voices, Notes(notes), tuple(changed_metres), tuple(tempos)), report


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
            index = int((whole if (lengths % length == 0).any() else np.abs(lengths - length)).argmin())
            changed += 1
        until = start if not bars else bars[-1][0] + table.bar_ticks(bars[-1][1])
        bars.append((until, index))
        now = until + table.bar_ticks(index)
    while now < max(grid.end_ticks, 1) and grid.notes and now <= grid.columns[0, -1]:
        bars.append((now, bars[-1][1]))
        now += table.bar_ticks(bars[-1][1])
    return bars, changed


def _tempos(table: Table, grid: Score, starts: Ints) -> tuple[list[Tempo], int, list[float]]:
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
        known = int(nearest(values, np.array(whole_tempo(quarters_per_minute))))
        if grid.tempos and known != whole_tempo(quarters_per_minute):
            changes.append(100 * abs(known / quarters_per_minute - 1))
        if not tempos or tempos[-1].quarters_per_minute != known:
            tempos.append(Tempo(start, float(known)))
    return tempos, max(0, len(grid.tempos) - len(wanted)), changes


def to_grid(score: Score) -> Score:
    """The same score at 12 ticks a quarter, with times rounded to the nearest tick."""

    def at(ticks: int) -> int:
        return round(ticks * TICKS_PER_QUARTER / score.ticks_per_quarter)

    start, duration, *rest = score.columns
    starts, ends = (np.rint(ticks * TICKS_PER_QUARTER / score.ticks_per_quarter) for ticks in (start, start + duration))
    notes = Notes(np.array((starts, np.maximum(ends - starts, 1), *rest)).astype(np.int64))
    metres = tuple(replace(metre, start_ticks=at(metre.start_ticks)) for metre in score.time_signatures)
    tempos = tuple(replace(tempo, start_ticks=at(tempo.start_ticks)) for tempo in score.tempos)
    return Score(TICKS_PER_QUARTER, score.voices, notes, metres, tempos, title=score.title, style=score.style)


def bars_of(score: Score) -> list[tuple[int, TimeSignature]]:
    """The start and metre of each bar up to the start of the last note; at least one bar."""
    last = int(score.columns[0].max(initial=0))
    bars = [(start, metre) for start, metre in score.bar_starts() if start <= last]
    return bars or [(0, TimeSignature(0, 4, 4))]


def whole_tempo(quarters_per_minute: float) -> int:
    """A tempo rounded to an integer from 10 to 400."""
    return min(400, max(10, round(quarters_per_minute)))


def nearest(values: Ints, wanted: Ints) -> Ints:
    """The nearest of rising values to each of the wanted ones; the lower one of two."""
    at = np.searchsorted(values, wanted)
    below, above = values[np.maximum(at - 1, 0)], values[np.minimum(at, len(values) - 1)]
    return np.where(wanted - below <= above - wanted, below, above)
