"""The score tokenizer: bar lines, positions, voices, pitches, durations, metres and tempos, with 12 ticks a quarter.

Bar lines and positions are tokens, so the model reads the position in the bar instead of counting. Each bar line
contains the key of the piece, and pitches are written relative to its tonic, so a cadence has the same tokens in all
keys. A note begins with its duration, so no note can hang. The vocabulary contains the values that occur in the
training split, but only note values where durations were played; other values of a score go to the nearest one, and
`quantise` reports how far. If the training split is played louder and softer, the vocabulary has loudness, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Report
from generator.music.keys import KEYS, above_c, likely, transposed
from generator.music.notes import Columns, Ints, Notes, present
from generator.music.score import DEFAULT_TEMPO, Score, Tempo, TimeSignature, Voice
from generator.music.voices import distinct
from generator.tokenizers import score_labels
from generator.tokenizers.base import Tokens
from generator.tokenizers.labels import Labels
from generator.tokenizers.score_decoder import ScoreDecoder
from generator.tokenizers.score_grammar import ScoreGrammar
from generator.tokenizers.score_grid import ScoreReport, bars_of, quantise, to_grid, whole_tempo
from generator.tokenizers.score_loudness import velocities
from generator.tokenizers.score_vocabulary import (
    BAR,
    DURATION,
    END,
    LOUDNESS,
    MOST_VOICES,
    MOVES,
    PITCH,
    POSITION,
    STYLE,
    TEMPO,
    TICKS_PER_QUARTER,
    TIME_SIGNATURE,
    VOICE,
    Part,
    Table,
    is_metre,
)
from generator.tokenizers.score_voices import assigned
from generator.tokenizers.styles import common

FEATURES = 1
"""The version of `score_features`. Tokenizers of before had none."""
COUNTED_SHARE, MOST_COUNTED = 0.95, 128
"""Features count as many bars as this share of the pieces have at most, and no more than so many."""
LONGEST_TICKS = 16 * TICKS_PER_QUARTER
"""The longest bar and the longest note that a vocabulary may contain."""
TRANSPOSITIONS = range(-11, 12)
"""In semitones."""
MOST_DURATIONS = 64
"""A corpus with more different durations was played. Its vocabulary has those of `NOTE_VALUES`."""
NOTE_VALUES = (1, 2, 3, 4, 6, 8, 9, 12, 15, 18, 24, 30, 36, 42, 48, 60, 72, 96, 144, 192)
"""In ticks."""
MONOPHONIC_SHARE = 0.98
"""A voice is monophonic if at least this share of its notes ends before the next one begins."""


class ScoreTokenizer:
    """Encodes scores with bars and voices."""

    kind: ClassVar[str] = "score"
    medium: ClassVar[str] = "music"
    ticks_per_quarter: ClassVar[int] = TICKS_PER_QUARTER
    report: ClassVar[type[Report]] = ScoreReport

    def __init__(self, table: Table, counted_bars: int = 0) -> None:
        self.table = table
        self.bar_lines = range(table.first[BAR], table.past[BAR])
        self.counted_bars = counted_bars
        """The number of bars that its features count up to; 0 if it has no features."""
        self.grammar = ScoreGrammar(table, counted_bars)
        self.vocab_size = len(table.rows)
        self.end = self.start = table.first[END]
        self.voices: tuple[Voice, ...] = tuple(part.voice for part in table.parts)
        self.styles = table.styles

    # The vocabulary

    @staticmethod
    def fit(pieces: Iterable[Score]) -> ScoreTokenizer:
        """The tokenizer with the voices, ranges, metres, tempos, positions, durations and styles of the training
        pieces.

        If all pieces have the same voice names, these are the parts of the vocabulary. Otherwise each General MIDI
        program is a part, or several if a piece has several voices of that program; drums are one part.

        Raises:
            CarouselError: there is no piece with notes.
        """
        pieces = [to_grid(piece) for piece in pieces if piece.notes]
        if not pieces:
            raise CarouselError("no notes to learn a vocabulary from; give scores with notes")
        parts = _parts(pieces)
        metres: Counter[tuple[int, int]] = Counter()
        tempos: Counter[int] = Counter()
        positions: set[int] = {0}
        durations: set[int] = {TICKS_PER_QUARTER}
        for piece in pieces:
            bars = bars_of(piece)
            metres.update((metre.numerator, metre.denominator) for _, metre in bars)
            tempos.update(
                whole_tempo(tempo.quarters_per_minute) for tempo in piece.tempos or (Tempo(0, DEFAULT_TEMPO),)
            )
            starts = np.array([start for start, _ in bars])
            onsets, lengths, *_ = piece.columns
            positions.update((onsets - starts[np.searchsorted(starts, onsets, side="right") - 1]).tolist())
            durations.update(np.minimum(lengths, LONGEST_TICKS).tolist())
        for metre in list(metres):
            if not is_metre(*metre) or not 0 < TimeSignature(0, *metre).bar_ticks(TICKS_PER_QUARTER) <= LONGEST_TICKS:
                del metres[metre]
        metres = metres or Counter([(4, 4)])
        low = min(part.low + MOVES[part.drum][0] for part in parts)
        high = max(part.high + MOVES[part.drum][1] for part in parts)
        rows = ["end", *(f"bar {key}" for key in KEYS)]
        rows += [f"time-signature {n}/{d}" for n, d in sorted(metres, key=lambda metre: (-metres[metre], metre))]
        rows += [f"tempo {tempo}" for tempo in sorted(tempos)]
        rows += [f"position {ticks}" for ticks in sorted(positions) if ticks < LONGEST_TICKS]
        rows += [f"voice {index}" for index in range(len(parts))]
        rows += [f"pitch {pitch}" for pitch in range(low, high + 1)]
        rows += [
            f"duration {ticks}" for ticks in sorted(durations if len(durations) <= MOST_DURATIONS else NOTE_VALUES)
        ]
        rows += [f"loudness {velocity}" for velocity in velocities(pieces)]
        rows += [f"style {style}" for style in common(piece.style for piece in pieces)]
        lengths = sorted(len(bars_of(piece)) for piece in pieces)
        return ScoreTokenizer(Table(rows, parts), min(lengths[int(COUNTED_SHARE * (len(lengths) - 1))], MOST_COUNTED))

    def to_json(self) -> dict[str, Any]:
        parts = [asdict(part) for part in self.table.parts]
        features = {"features": FEATURES, "counted_bars": self.counted_bars} if self.counted_bars else {}
        return {"kind": self.kind, "voices": parts, "vocabulary": list(self.table.rows), **features}

    @staticmethod
    def from_json(data: dict[str, Any]) -> ScoreTokenizer:
        table = Table(data["vocabulary"], [Part(**part) for part in data["voices"]])
        if "features" not in data:
            return ScoreTokenizer(table)
        if data["features"] != FEATURES:
            raise CarouselError(f"its features are {data['features']!r}; this Carousel knows {FEATURES}")
        bars = data["counted_bars"]
        if type(bars) is not int or not 1 <= bars <= MOST_COUNTED:
            raise CarouselError(f"counted_bars is {bars!r}; it must be a whole number from 1 to {MOST_COUNTED}")
        return ScoreTokenizer(table, bars)

    # Encoding

    def quantise(self, score: Score) -> tuple[Score, ScoreReport]:
        """The score as this vocabulary can express it, and a report of how it differs from the original."""
        return quantise(score, self.table, self.voices)

    def encode(self, score: Score) -> Tokens:
        """A score as tokens, shape (tokens,): its style if the vocabulary has that, then its bars, then the end token.

        Raises:
            CarouselError: the vocabulary can express none of its notes.
        """
        return self.encoded(score)[0]

    def encoded(self, score: Score) -> tuple[Tokens, ScoreReport]:
        """As `Tokenizer.encoded`."""
        grid, report = self.quantise(score)
        if not grid.notes:
            raise CarouselError("no note of this score fits the vocabulary; give music for the same voices")
        table = self.table
        metres = {
            event.start_ticks: table.metres.index((event.numerator, event.denominator))
            for event in grid.time_signatures
        }
        tempos = {event.start_ticks: int(event.quarters_per_minute) for event in grid.tempos}
        start, duration, pitch, velocity, voice = grid.columns
        drum = np.array([part.drum for part in table.parts])[voice]
        key = likely(Notes(grid.columns[:, ~drum]))
        bars = np.array([at for at, _ in grid.bar_starts()])
        bar = np.searchsorted(bars, start, side="right") - 1
        # A row for each bar and each note, in their order, with the tokens that one may have; -1 for none.
        rows = np.full((len(bars) + len(start), 5), -1)
        at_bars = np.arange(len(bars)) + np.searchsorted(start, bars)
        rows[at_bars, 0] = [table.first[TIME_SIGNATURE] + metres[at] if at in metres else -1 for at in bars]
        rows[at_bars, 1] = [table.ids[TEMPO, tempos[at]] if at in tempos else -1 for at in bars]
        rows[at_bars, 2] = table.ids[BAR, key]
        notes = np.full((len(start), 5), -1)
        moves = np.diff(start, prepend=-1) > 0
        notes[moves, 0] = table.tokens(POSITION, (start - bars[bar])[moves])
        notes[:, 1] = table.tokens(VOICE, voice)
        if table.velocities.size:
            for one in present(voice):
                own = np.flatnonzero(voice == one)
                louder = own[np.diff(velocity[own], prepend=-1) != 0]
                notes[louder, 2] = table.tokens(LOUDNESS, velocity[louder])
        notes[:, 3] = table.tokens(PITCH, pitch - np.where(drum, 0, above_c(key)))
        notes[:, 4] = table.tokens(DURATION, duration)
        rows[np.arange(len(start)) + bar + 1] = notes
        style = [table.first[STYLE] + table.styles.index(score.style)] if score.style in table.styles else []
        return np.concatenate((style, rows[rows >= 0], [self.end])).astype(np.uint16), report

    def decode(self, tokens: Tokens) -> Score:
        decoder = self.decoder()
        return self.collect(decoder.feed_all(tokens.tolist()))

    def decoder(self, state: dict[str, Any] | None = None) -> ScoreDecoder:
        return ScoreDecoder(self.grammar, state)

    def collect(self, events: list[Any]) -> Score:
        return Score.from_events(events, ticks_per_quarter=TICKS_PER_QUARTER, voices=self.voices)

    def labels(self, tokens: Tokens) -> Labels:
        return score_labels.labels(self.grammar, tokens)

    # Training

    def augment(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        """Transpose all voices but drums by a random interval that keeps each of them in its range."""
        table = self.table
        at = np.flatnonzero((tokens >= table.first[PITCH]) & (tokens < table.past[PITCH]))
        voice = table.voices_at(tokens, at)
        bars = (tokens >= table.first[BAR]) & (tokens < table.past[BAR])
        keys = tokens[bars].astype(np.int64) - table.first[BAR]
        pitch = tokens[at].astype(np.int64) - table.first[PITCH] + table.lowest_pitch + above_c(keys[0])
        drums = np.array([part.drum for part in table.parts])[voice]
        low = np.array([part.low for part in table.parts])[voice] - pitch
        high = np.array([part.high for part in table.parts])[voice] - pitch
        if drums.all():
            return tokens
        least, most = int(low[~drums].max()), int(high[~drums].min())
        choices = [interval for interval in TRANSPOSITIONS if least <= interval <= most]
        if not choices:
            return tokens
        interval = int(random.choice(choices))
        moved = tokens.astype(np.int64)
        moved[bars] = table.first[BAR] + transposed(keys, interval)
        moved[at[~drums]] += interval + above_c(keys[0]) - above_c(transposed(keys, interval)[0])
        return moved.astype(np.uint16)

    def cold_starts(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """The start of the piece alone."""
        return np.zeros(1, dtype=np.int64)


def _parts(pieces: Sequence[Score]) -> list[Part]:
    """The parts of a vocabulary for these pieces: the `MOST_VOICES` with the most notes."""
    named = len({tuple(voice.name for voice in piece.voices) for piece in pieces}) == 1
    voices: dict[tuple[int, ...], Voice] = {}
    played: dict[tuple[int, ...], list[Columns]] = {}
    for piece in pieces:
        names = distinct(voice.name for voice in piece.voices)
        alike: Counter[tuple[int, ...]] = Counter()
        for index, notes in _by_voice(piece.columns, piece.columns[4]).items():
            voice = piece.voices[index]
            kind = (voice.drum, 0 if voice.drum else voice.program)
            key = (index,) if named else (*kind, 0 if voice.drum else alike[kind])
            alike[kind] += 1
            voices.setdefault(key, replace(voice, name=names[index]))
            played.setdefault(key, []).append(notes)
    count = {key: sum(notes.shape[1] for notes in played[key]) for key in played}
    kept = sorted(sorted(count, key=lambda key: -count[key])[:MOST_VOICES])
    apart = distinct(voices[key].name for key in kept)
    parts = [_part(replace(voices[key], name=name), played[key]) for key, name in zip(kept, apart, strict=True)]
    # Their range, and whether they are monophonic, depend on the voices that encoding assigns to them.
    given: list[list[Columns]] = [[] for _ in parts]
    for piece in pieces:
        playing = np.array([-1 if part is None else part for part in assigned(parts, piece)])
        for part, line in _by_voice(piece.columns, playing[piece.columns[4]]).items():
            given[part].append(line)
    return [_part(part.voice, lines) if lines else part for part, lines in zip(parts, given, strict=True)]


def _by_voice(columns: Columns, voices: Ints) -> dict[int, Columns]:
    """The notes of each voice that has notes, by its index, in the order of voices; those of voice -1 are left out."""
    return {voice: columns[:, np.flatnonzero(voices == voice)] for voice in present(voices[voices >= 0])}


def _part(voice: Voice, pieces: list[Columns]) -> Part:
    """A part that can play these notes of several pieces."""
    apart = sum(int((notes[0, :-1] + notes[1, :-1] <= notes[0, 1:]).sum()) for notes in pieces)
    pairs = sum(notes.shape[1] - 1 for notes in pieces)
    monophonic = not voice.drum and apart >= MONOPHONIC_SHARE * pairs
    pitches = np.concatenate([notes[2] for notes in pieces])
    return Part(voice.name, voice.program, voice.drum, monophonic, int(pitches.min()), int(pitches.max()))
