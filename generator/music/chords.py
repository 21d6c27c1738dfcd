"""The chords that the notes of a score imply, one for each stretch of beats.

A chord is likely where its tones sound long and others do not, and where its root is in the bass. Beats that change the
chord cost, least at a bar line, so tones that pass do not count for much. The likeliest row of chords is found by
Viterbi's algorithm (1967, IEEE Transactions on Information Theory 13), as is usual for chords (A. Sheh and D. P. W.
Ellis 2003, ISMIR).
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from generator.music.layout import lay_out
from generator.music.score import Score
from generator.music.symbols import ChordSymbol

KINDS = {
    "major": (0, 4, 7),
    "minor": (0, 3, 7),
    "dominant": (0, 4, 7, 10),
    "minor-seventh": (0, 3, 7, 10),
    "major-seventh": (0, 4, 7, 11),
    "suspended-fourth": (0, 5, 7),
    "suspended-second": (0, 2, 7),
    "diminished": (0, 3, 6),
    "half-diminished": (0, 3, 6, 10),
    "diminished-seventh": (0, 3, 6, 9),
    "augmented": (0, 4, 8),
}
"""The kinds of chords by their names in MusicXML, with their tones in semitones above the root."""
PRIOR = (0.0, 0.0, -0.7, -0.7, -0.9, -1.2, -1.2, -1.2, -1.2, -1.2, -2.0)
"""The logarithm of how common each kind is."""
OTHER = 0.025
"""The probability of each pitch class that is not in the chord."""
BASS_ROOT, BASS_TONE, BASS_OTHER = 0.6, 0.12, 0.02
"""The probability of the root, of another chord tone, and of any other pitch class in the bass."""
BASS_WEIGHT = 0.7
CHANGE, CHANGE_IN_BAR = -1.2, -2.2
"""The logarithm of the probability that a chord changes to a certain other one, at a bar line and elsewhere."""

Array = npt.NDArray[np.float64]


def chords(score: Score) -> tuple[ChordSymbol, ...]:
    """The chords of a score with notes, each where another one began before. Drums do not count."""
    ticks, downbeats = _beats(score)
    sounding, bass = _sounding(score, ticks)
    starts = [note.start_ticks for note in score.notes if not score.voices[note.voice].drum]
    if len(set(starts)) == len(starts):
        bass[:] = 0  # in a single line no note is a bass
    found = _likeliest(_likelihood(sounding, bass), downbeats)
    symbols: list[ChordSymbol] = []
    first = 0
    for beat in range(1, len(found) + 1):
        if beat < len(found) and found[beat] == found[first]:
            continue
        kind, root = divmod(int(found[first]), 12)
        lowest = bass[first:beat].sum(axis=0)
        low = int(lowest.argmax())
        inverted = lowest[low] > lowest.sum() / 2 and (low - root) % 12 in list(KINDS.values())[kind][1:]
        symbol = ChordSymbol(int(ticks[first]), root, list(KINDS)[kind], low if inverted else root)
        if sounding[first:beat].any():
            symbols.append(symbol)
        first = beat
    return tuple(symbols)


def _beats(score: Score) -> tuple[list[int], list[bool]]:
    """The tick at which each beat starts, and whether it starts a bar."""
    ticks, downbeats = [], []
    for bar in lay_out(score).bars:
        place = bar.start
        while place < bar.end:
            ticks.append(int(place * score.ticks_per_quarter))
            downbeats.append(place == bar.start)
            done = (place - bar.origin) // bar.metre.beat + 1
            place = bar.origin + done * bar.metre.beat
    return ticks, downbeats


def _sounding(score: Score, ticks: list[int]) -> tuple[Array, Array]:
    """For how many quarters each pitch class sounds in each beat, and for how many it is the lowest one there; each of
    shape (beats, 12)."""
    sounding, bass = np.zeros((len(ticks), 12)), np.zeros((len(ticks), 12))
    lowest: list[list[tuple[int, int]]] = [[] for _ in ticks]
    edges = [*ticks, score.end_ticks]
    for note in score.notes:
        if score.voices[note.voice].drum:
            continue
        beat = max(0, bisect_right(ticks, note.start_ticks) - 1)
        while beat < len(ticks) and edges[beat] < note.end_ticks:
            length = min(note.end_ticks, edges[beat + 1]) - max(note.start_ticks, edges[beat])
            if length > 0:
                sounding[beat, note.pitch % 12] += length / score.ticks_per_quarter
                lowest[beat].append((note.pitch, length))
            beat += 1
    for beat, found in enumerate(lowest):
        if found:
            low = min(pitch for pitch, _ in found)
            bass[beat, low % 12] = max(length for pitch, length in found if pitch == low) / score.ticks_per_quarter
    return sounding, bass


def _likelihood(sounding: Array, bass: Array) -> Array:
    """The log likelihood of each chord in each beat, shape (beats, 12 × kinds), kind after kind."""
    tones = np.full((len(KINDS), 12), OTHER)
    lows = np.full((len(KINDS), 12), BASS_OTHER)
    for kind, steps in enumerate(KINDS.values()):
        tones[kind, list(steps)] = (1 - OTHER * (12 - len(steps))) / len(steps)
        lows[kind, list(steps)] = BASS_TONE
        lows[kind, 0] = BASS_ROOT
    rows = np.concatenate([np.roll(tones[kind], root)[None] for kind in range(len(KINDS)) for root in range(12)])
    low_rows = np.concatenate([np.roll(lows[kind], root)[None] for kind in range(len(KINDS)) for root in range(12)])
    log_prior = np.repeat(PRIOR, 12) * sounding.any(axis=1, keepdims=True)
    likelihood: Array = sounding @ np.log(rows).T + BASS_WEIGHT * (bass > 0) @ np.log(low_rows).T + log_prior
    return likelihood


def _likeliest(likelihood: Array, downbeats: list[bool]) -> npt.NDArray[np.int64]:
    """The row of chords that is the most probable, shape (beats,)."""
    states = likelihood.shape[1]
    best = likelihood[0]
    back = np.zeros(likelihood.shape, dtype=np.int64)
    for beat in range(1, len(likelihood)):
        other = int(best.argmax())
        changed = best[other] + (CHANGE if downbeats[beat] else CHANGE_IN_BAR)
        back[beat] = np.where(best >= changed, np.arange(states), other)
        best = np.maximum(best, changed) + likelihood[beat]
    path = np.empty(len(likelihood), dtype=np.int64)
    path[-1] = best.argmax()
    for beat in range(len(likelihood) - 1, 0, -1):
        path[beat - 1] = back[beat, path[beat]]
    return path
