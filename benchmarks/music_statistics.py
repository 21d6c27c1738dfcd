"""What is measured of a stretch of music: MusPy's figures (Dong and others 2020), and a few of our own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.measuring import optional
from generator.music.score import Score
from generator.tokenizers.base import Tokenizer

HISTOGRAMS = ("interval", "duration", "velocity")
"""The features that are distributions over notes; of all others a stretch has one number."""
PERFORMED = ("velocity", "pedal_share")
"""The features that only performances have."""
WIDEST_INTERVAL = 24
DURATION_BINS, VELOCITY_BINS = 48, 32


def features(score: Score, seconds: float) -> dict[str, Any]:
    """Of a stretch that lasts so many seconds: numbers, NaN where it has too few notes to say, and counts of notes.

    Numbers: pitch_class_entropy (bits), scale_consistency (largest share of notes in one scale), groove_consistency
    (how alike the onsets of neighbouring bars are; each stretch of one metre by itself, weighted by its bars),
    polyphony (mean number of pitches that sound, while any does), empty_beat_rate (share of quarters in which none
    does; a quarter of a performance is half a second, its bar two seconds), notes_per_second, pedal_share.

    Counts: interval (semitones from each note to the next of its voice, what is beyond ±24 in the outermost place),
    duration (ticks, four places an octave), velocity (32 places).
    """
    muspy = optional("muspy")
    starts = np.array([note.start_ticks for note in score.notes], np.int64)
    lengths = np.array([note.duration_ticks for note in score.notes], np.int64)
    pitches = np.array([note.pitch for note in score.notes], np.int64)
    velocities = np.array([note.velocity for note in score.notes], np.int64)
    voices = np.array([note.voice for note in score.notes], np.int64)
    found: dict[str, Any] = {"notes_per_second": len(starts) / seconds}
    music = _music(muspy, score)
    for name in ("pitch_class_entropy", "scale_consistency", "polyphony", "empty_beat_rate"):
        found[name] = float(getattr(muspy, name)(music)) if len(starts) else np.nan
    if not len(starts):
        found["empty_beat_rate"] = 1.0
    found["groove_consistency"] = _groove(muspy, score)
    found["pedal_share"] = _pedal_seconds(score, seconds) / seconds
    order = np.lexsort((-pitches, starts, voices))
    steps = np.diff(pitches[order])[np.diff(voices[order]) == 0].clip(-WIDEST_INTERVAL, WIDEST_INTERVAL)
    found["interval"] = np.bincount(steps + WIDEST_INTERVAL, minlength=2 * WIDEST_INTERVAL + 1)
    octaves = np.rint(4 * np.log2(np.maximum(lengths, 1))).astype(np.int64)
    found["duration"] = np.bincount(octaves.clip(0, DURATION_BINS - 1), minlength=DURATION_BINS)
    found["velocity"] = np.bincount(velocities // (128 // VELOCITY_BINS), minlength=VELOCITY_BINS)
    return found


def names(tokenizer: Tokenizer) -> list[str]:
    """The features of this tokenizer's music."""
    found = features(Score(tokenizer.ticks_per_quarter, tokenizer.voices, ()), 1.0)
    return [name for name in found if tokenizer.kind == "performance" or name not in PERFORMED]


def _music(muspy: Any, score: Score) -> Any:
    """The same notes as MusPy's object, one track a voice."""
    tracks = [muspy.Track(program=voice.program, is_drum=voice.drum) for voice in score.voices]
    for note in score.notes:
        tracks[note.voice].notes.append(muspy.Note(note.start_ticks, note.pitch, note.duration_ticks, note.velocity))
    return muspy.Music(resolution=score.ticks_per_quarter, tracks=tracks)


def _groove(muspy: Any, score: Score) -> float:
    per = score.ticks_per_quarter
    changes = [(at.start_ticks, at.bar_ticks(per)) for at in score.time_signatures] or [(0, 4 * per)]
    weights, values = [], []
    for (start, bar), (end, _) in zip(changes, [*changes[1:], (score.end_ticks, 0)], strict=True):
        stretch = score.between(start, end) if len(changes) > 1 else score
        if end - start >= 2 * bar and stretch.notes:
            value = float(muspy.groove_consistency(_music(muspy, stretch), bar))
            if value == value:
                weights.append((end - start) / bar)
                values.append(value)
    return float(np.average(values, weights=weights)) if values else np.nan


def _pedal_seconds(score: Score, seconds: float) -> float:
    at = score.clock().seconds
    down = since = 0.0
    pressed = False
    for pedal in score.pedals:
        now = at(pedal.start_ticks)
        down += (now - since) * pressed
        pressed, since = pedal.down, now
    return down + max(0.0, seconds - since) * pressed


def cuts(score: Score, seconds: float) -> Iterator[tuple[Score, float]]:
    """Stretches of so many seconds, one after another, each with its length; what is left over is none.

    Where there are bars, a stretch ends with the bar in which it is due to.
    """
    at = score.clock().seconds
    places = [bar.start_ticks for bar in score.bars] or range(score.end_ticks + 1)
    start, end = 0, at(score.end_ticks)
    while (due := at(start) + seconds) <= end:
        place = bisect_left(places, due, key=at)
        until = places[place] if place < len(places) else score.end_ticks
        yield score.between(start, until), at(until) - at(start)
        start = until
