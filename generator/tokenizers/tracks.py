"""Which voices of a vocabulary play the tracks of a song, and which pitches they have."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence

from generator.music.score import Score
from generator.tokenizers.base import Tokenizer
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.drums_grammar import DRUM
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_grid import to_grid
from generator.tokenizers.score_voices import assigned


def players(tokenizer: Tokenizer, score: Score) -> list[int | None]:
    """For each voice of a score the voice of the vocabulary that plays it, or None where nothing does."""
    if isinstance(tokenizer, ScoreTokenizer):
        return assigned(tokenizer.table.parts, to_grid(score))
    drums = isinstance(tokenizer, DrumsTokenizer)
    return [0 if voice.drum == drums else None for voice in score.voices]


def can_write(tokenizer: Tokenizer, voice: int, pitch: int) -> bool:
    """Whether a voice of the vocabulary can be given this pitch."""
    if isinstance(tokenizer, ScoreTokenizer):
        return tokenizer.table.can_write(pitch, tokenizer.table.parts[voice])
    return not isinstance(tokenizer, DrumsTokenizer) or (DRUM, pitch) in tokenizer.table.ids


def range_of(tokenizer: ScoreTokenizer, voice: int) -> tuple[int, int]:
    """The lowest and the highest pitch that a voice has in the training pieces."""
    part = tokenizer.table.parts[voice]
    return part.low, part.high


def counted(score: Score, found: Score, plays: Sequence[int | None]) -> Counter[int]:
    """How many notes of each voice of a score are in what a vocabulary makes of it. A note of tracks that share a voice
    counts for the track that has its pitch nearest in time.

    Args:
        found: the score from `Tokenizer.quantise`.
        plays: the result of `players`.
    """
    ratio = found.ticks_per_quarter / score.ticks_per_quarter
    sharing = Counter(plays[index] for index in {note.voice for note in score.notes})
    own: dict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)
    for note in score.notes:
        part = plays[note.voice]
        if part is not None and (sharing[part] > 1 or not own[part, note.pitch]):
            own[part, note.pitch].append((note.start_ticks * ratio, note.voice))
    kept: Counter[int] = Counter()
    for note in found.notes:
        near = own[note.voice, note.pitch]
        if sharing[note.voice] == 1:
            kept[near[0][1]] += 1
        elif near:
            later = bisect_left(near, (note.start_ticks, -1))  # notes rise in time
            around = range(max(0, later - 1), min(later + 1, len(near)))
            closest = min(around, key=lambda place: abs(near[place][0] - note.start_ticks))
            kept[near.pop(closest)[1]] += 1
    return kept
