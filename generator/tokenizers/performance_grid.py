"""A score on the performance tokenizer's grid: ticks of 10 ms, the vocabulary's velocities, and one piano."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Report, cause
from generator.music.score import Score
from generator.tokenizers.performance_grammar import HOLD_LIMIT, TICKS_PER_SECOND, Table

PIANOS = range(8)
"""General MIDI's programs that are pianos."""

Ints = npt.NDArray[np.int64]

ONE_PIANO = "this tokenizer plays one piano"
IN_SECONDS = "this tokenizer counts seconds, and has no bars"


@dataclass(frozen=True, slots=True)
class PerformanceReport(Report):
    """What the grid could not express of one score.

    The totals are `notes`, those that are kept, and `pedals`, the score's pedal changes. If all other fields are 0, the
    score is decoded exactly.
    """

    notes: int
    max_onset_error_ms: float
    mean_onset_error_ms: float
    max_velocity_error: int
    mean_velocity_error: float
    pedals: int = 0
    drums: int = cause("drum note", "left out", ONE_PIANO, better="score", of="notes", gone=True)
    out_of_range: int = cause(
        "note", "left out", "a piano has no such pitch", remedy="transpose the piece", of="notes", gone=True
    )
    merged: int = cause(
        "note",
        "left out",
        "a longer one of the same pitch begins at the same moment, and " + ONE_PIANO,
        better="score",
        of="notes",
        gone=True,
    )
    cut: int = cause(
        "note",
        "cut short",
        f"struck again before the end, or longer than {HOLD_LIMIT / TICKS_PER_SECOND:g} s",
        of="notes",
    )
    replaced: int = cause("note", "of other instruments played by a piano", ONE_PIANO, better="score", of="notes")
    pedals_dropped: int = cause(
        "pedal change", "left out", "the pedal changed again within 10 ms, or before the first note", of="pedals"
    )
    voices_joined: int = cause("voice", "joined to another one", ONE_PIANO, better="score")
    tempos_dropped: int = cause("tempo", "not written down", IN_SECONDS, better="score")
    metres_dropped: int = cause("time signature", "left out", IN_SECONDS, better="score")


@dataclass(frozen=True, slots=True)
class Grid:
    """The notes of a score on the grid, as arrays of shape (notes,), sorted by start and then by pitch."""

    starts: Ints
    """In ticks from the first note."""
    ends: Ints
    pitches: Ints
    bins: Ints
    """Indices into the vocabulary's velocities."""
    pedals: list[tuple[int, int]]
    """The tick of each pedal change, and 1 for down or 0 for up. The last one is up."""
    report: PerformanceReport


def to_grid(score: Score, table: Table) -> Grid:
    """Move a score to the nearest places on the grid of a vocabulary.

    A note ends after `HOLD_LIMIT`, or where its pitch starts again; of notes of one pitch that start together the
    longest is kept.

    Raises:
        CarouselError: there is no note that a piano can play.
    """
    drums = {index for index, voice in enumerate(score.voices) if voice.drum}
    melodic = [note for note in score.notes if note.voice not in drums]
    rows = [
        (note.start_ticks, note.start_ticks + note.duration_ticks, note.pitch, note.velocity)
        for note in melodic
        if table.lowest <= note.pitch <= table.highest
    ]
    if not rows:
        raise CarouselError(f"{score.title or 'the piece'} has no note that a piano can play; give a piece with notes")
    columns = np.array(rows, dtype=np.int64)
    seconds = score.clock().seconds
    from_seconds = np.array([seconds(ticks) for ticks in columns[:, 0].tolist()])
    to_seconds = np.array([seconds(ticks) for ticks in columns[:, 1].tolist()])
    origin = float(from_seconds.min())
    exact = (from_seconds - origin) * TICKS_PER_SECOND
    starts = np.rint(exact).astype(np.int64)
    onset_errors = np.abs(starts - exact) * (1000 / TICKS_PER_SECOND)
    ends = np.maximum(np.rint((to_seconds - origin) * TICKS_PER_SECOND).astype(np.int64), starts + 1)

    # Sorted by pitch, start and end. Of notes of one pitch that start together the last one, the longest, is kept.
    order = np.lexsort((ends, starts, columns[:, 2]))
    starts, ends, pitches, velocities = starts[order], ends[order], columns[order, 2], columns[order, 3]
    again = pitches[:-1] == pitches[1:]
    kept = np.append(~(again & (starts[:-1] == starts[1:])), True)
    starts, ends, pitches, velocities = starts[kept], ends[kept], pitches[kept], velocities[kept]
    limits = starts + HOLD_LIMIT
    again = pitches[:-1] == pitches[1:]
    limits[:-1][again] = np.minimum(limits[:-1], starts[1:])[again]
    cut = int((ends > limits).sum())
    ends = np.minimum(ends, limits)

    # Sorted by start and pitch.
    order = np.lexsort((pitches, starts))
    starts, ends, pitches, velocities = starts[order], ends[order], pitches[order], velocities[order]
    bins = np.abs(np.subtract.outer(np.arange(128), table.velocities)).argmin(axis=1)[velocities]
    velocity_errors = np.abs(np.take(table.velocities, bins) - velocities)
    pedals, changes = _pedals(score, drums, origin)
    report = PerformanceReport(
        notes=len(starts),
        pedals=changes,
        drums=len(score.notes) - len(melodic),
        out_of_range=len(melodic) - len(rows),
        replaced=sum(score.voices[note.voice].program not in PIANOS for note in melodic),
        voices_joined=len({note.voice for note in melodic}) - 1,
        tempos_dropped=len(score.tempos),
        metres_dropped=len(score.time_signatures),
        merged=len(rows) - len(starts),
        cut=cut,
        pedals_dropped=changes - len(pedals),
        max_onset_error_ms=float(onset_errors.max()),
        mean_onset_error_ms=float(onset_errors.mean()),
        max_velocity_error=int(velocity_errors.max()),
        mean_velocity_error=float(velocity_errors.mean()),
    )
    if pedals and pedals[-1][1]:  # a piece ends with the pedal up
        pedals.append((max(int(ends.max()), pedals[-1][0] + 1), 0))
    return Grid(starts, ends, pitches, bins, pedals, report)


def _pedals(score: Score, drums: set[int], origin: float) -> tuple[list[tuple[int, int]], int]:
    """The pedal changes on the grid, as in `Grid`, and how many the score has. The first note starts at `origin`
    seconds; `drums` are the voices to leave out."""
    seconds = score.clock().seconds
    changes, was_down = 0, False
    at_tick: dict[int, bool] = {}
    for pedal in score.pedals:
        if pedal.voice not in drums:
            changes, was_down = changes + (pedal.down != was_down), pedal.down
            tick = round((seconds(pedal.start_ticks) - origin) * TICKS_PER_SECOND)
            at_tick[max(0, tick)] = pedal.down
    pedals: list[tuple[int, int]] = []
    for tick, down in at_tick.items():
        if down != bool(pedals and pedals[-1][1]):
            pedals.append((tick, int(down)))
    return pedals, changes
