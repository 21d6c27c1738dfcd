"""The performance tokenizer: a piano performance as note-ons, note-offs, time shifts, velocities and pedal changes.

The tokens are those of Performance RNN (Oore et al. 2018, "This Time with Feeling"): time in steps of 10 ms, and
velocities in 32 bins. Added are tokens for the sustain pedal, and for the key, relative to which pitches are written.
All voices of a score are played on one piano. Times and velocities go to the nearest values of the vocabulary, and
`quantise` reports how far. The silence before the first note is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from generator.foundation.omissions import Report
from generator.music.keys import above_plain, likely
from generator.music.score import Note, Pedal, PieceEnd, Score, Voice
from generator.tokenizers import performance_labels
from generator.tokenizers.base import Tokens
from generator.tokenizers.labels import Labels
from generator.tokenizers.performance_decoder import PerformanceDecoder
from generator.tokenizers.performance_grammar import (
    HOLD_LIMIT,
    IS_KEY,
    IS_OFF,
    IS_ON,
    IS_SHIFT,
    KEY,
    KIND,
    NOTE_OFF,
    NOTE_ON,
    PEDAL,
    STYLE,
    TICKS_PER_SECOND,
    TIME_SHIFT,
    VALUE,
    VELOCITY,
    VOCABULARY,
    PerformanceGrammar,
    Table,
)
from generator.tokenizers.performance_grid import Ints, PerformanceReport, to_grid
from generator.tokenizers.styles import common

TEMPO_FACTORS = (0.95, 1.05)
"""How much shorter or longer `augment` makes a piece at most."""


class PerformanceTokenizer:
    """Encodes any score as one piano performance, in seconds."""

    kind: ClassVar[str] = "performance"
    medium: ClassVar[str] = "music"
    ticks_per_quarter: ClassVar[int] = TICKS_PER_SECOND // 2
    """So that a tick is 10 ms at the default tempo, 120 quarters a minute."""
    bar_lines: ClassVar[range] = range(0)
    report: ClassVar[type[Report]] = PerformanceReport

    def __init__(self, vocabulary: Iterable[str] = VOCABULARY) -> None:
        """Make the tokenizer of this vocabulary, which is `VOCABULARY` with any styles after it.

        Raises:
            CarouselError: the vocabulary is not that of a performance tokenizer.
        """
        self.table = Table(vocabulary)
        self.voices: tuple[Voice, ...] = (Voice("Piano", 0),)
        self.grammar = PerformanceGrammar(self.table)
        self.vocab_size = len(self.table.entries)
        self.end = self.start = self.table.end
        self.styles = self.table.styles

    @staticmethod
    def fit(pieces: Iterable[Score]) -> PerformanceTokenizer:
        """The tokenizer with the fixed vocabulary and the common styles of the pieces."""
        styles = common(piece.style for piece in pieces)
        return PerformanceTokenizer((*VOCABULARY, *(f"{STYLE} {style}" for style in styles)))

    def encode(self, piece: Score, key: int | None = None) -> Tokens:
        """A score as tokens, shape (tokens,): its style if the vocabulary has that, its key, and the performance from
        the first note on.

        Args:
            key: an index into `KEYS`; None for the likeliest key of the notes.

        Raises:
            CarouselError: there is no note that a piano can play.
        """
        return self.encoded(piece, key)[0]

    def encoded(self, piece: Score, key: int | None = None) -> tuple[Tokens, PerformanceReport]:
        """As `Tokenizer.encoded`, in a key as `encode`."""
        grid = to_grid(piece, self.table)
        spans = self.table.spans
        # All notes count as equally long, as how often a pitch is struck is a better sign of the key than its length.
        key = likely(Note(0, 1, pitch) for pitch in grid.pitches.tolist()) if key is None else key
        written = grid.pitches - above_plain(key) - self.table.written.start
        new = np.append(True, grid.bins[1:] != grid.bins[:-1])
        pedals = np.array(grid.pedals, dtype=np.int64).reshape(-1, 2)
        ticks = np.concatenate((grid.ends, pedals[:, 0], grid.starts[new], grid.starts))
        # Ranks within a tick: note-offs, then the pedal, then note-ons, each after its velocity if that is new.
        rank = np.concatenate(
            (grid.pitches, np.full(len(pedals), 128), 256 + 2 * grid.pitches[new], 257 + 2 * grid.pitches)
        )
        ids = np.concatenate(
            (
                spans[NOTE_OFF].start + written,
                spans[PEDAL].start + pedals[:, 1],
                spans[VELOCITY].start + grid.bins[new],
                spans[NOTE_ON].start + written,
            )
        )
        order = np.lexsort((rank, ticks))
        opening = [spans[KEY].start + key]
        if piece.style in self.styles:
            opening.insert(0, spans[STYLE].start + self.styles.index(piece.style))
        ticks = np.concatenate((np.zeros(len(opening), dtype=np.int64), ticks[order]))
        return self._with_time_shifts(ticks, np.concatenate((opening, ids[order]))), grid.report

    def quantise(self, piece: Score) -> tuple[Score, PerformanceReport]:
        """The score that encoding and decoding give, and a report of how it differs from the original.

        Raises:
            CarouselError: there is no note that a piano can play.
        """
        grid = to_grid(piece, self.table)
        columns = (grid.starts, grid.ends - grid.starts, grid.pitches, np.take(self.table.velocities, grid.bins))
        notes = [Note(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
        pedals = [Pedal(tick, bool(down)) for tick, down in grid.pedals]
        end = max([int(grid.ends.max()), *(tick for tick, _ in grid.pedals)])
        return self.collect([*notes, *pedals, PieceEnd(end)]), grid.report

    def _with_time_shifts(self, ticks: Ints, ids: Ints) -> Tokens:
        """The tokens `ids`, the first of them at tick 0, with time shifts between them and the end token after them."""
        span = self.table.spans[TIME_SHIFT]
        whole, rest = np.divmod(np.diff(ticks, prepend=0), len(span))
        places = np.cumsum(whole + (rest > 0) + 1) - 1
        tokens = np.full(places[-1] + 2, span[-1], dtype=np.uint16)
        tokens[places] = ids
        tokens[places[rest > 0] - 1] = span.start + rest[rest > 0] - 1
        tokens[-1] = self.end
        return tokens

    def decode(self, tokens: Tokens) -> Score:
        decoder = self.decoder()
        return self.collect(decoder.feed_all(tokens.tolist()))

    def decoder(self, state: dict[str, Any] | None = None) -> PerformanceDecoder:
        return PerformanceDecoder(self.grammar, state)

    def labels(self, tokens: Tokens) -> Labels:
        return performance_labels.labels(self.grammar, tokens)

    def augment(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        """Transpose to a random key of the same mode that keeps all notes on the piano, and stretch by a random factor.

        Different ticks stay different, so no note loses its length.
        """
        ids = tokens[:-1].astype(np.int64)
        kinds, values = self.grammar.rules[[KIND, VALUE]][:, ids]
        is_shift = kinds == IS_SHIFT
        ticks = np.cumsum(np.where(is_shift, values, 0))[~is_shift]
        ids, kinds, values = ids[~is_shift], kinds[~is_shift], values[~is_shift]
        is_note = (kinds == IS_ON) | (kinds == IS_OFF)
        written, key = values[is_note], values[kinds == IS_KEY][0]
        keys = np.arange(12) + key // 12 * 12
        above = above_plain(keys)
        fits = (written.min() + above >= self.table.lowest) & (written.max() + above <= self.table.highest)
        ids[kinds == IS_KEY] += random.choice(keys[fits]) - key

        bounds = ticks[is_note][np.argsort(written, kind="stable")]  # each pitch in turn: on, off, on, off …
        longest = int((bounds[1::2] - bounds[::2]).max())
        factor = random.uniform(TEMPO_FACTORS[0], min(TEMPO_FACTORS[1], (HOLD_LIMIT - 1) / longest))
        gaps = np.maximum(np.diff(np.floor(ticks * factor + 0.5).astype(np.int64)), np.diff(ticks) > 0)
        return self._with_time_shifts(np.append(0, np.cumsum(gaps)), ids)

    def key(self, tokens: Sequence[int]) -> int:
        """The key of the last key token, as an index into `KEYS`. The tokens must contain one."""
        kinds, values = self.grammar.rules[[KIND, VALUE]][:, tokens]
        return int(values[kinds == IS_KEY][-1])

    def cold_starts(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """The start of the piece alone."""
        return np.zeros(1, dtype=np.int64)

    def collect(self, events: list[Any]) -> Score:
        return Score.from_events(events, ticks_per_quarter=self.ticks_per_quarter, voices=self.voices)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "vocabulary": list(self.table.vocabulary)}

    @staticmethod
    def from_json(data: dict[str, Any]) -> PerformanceTokenizer:
        return PerformanceTokenizer(data["vocabulary"])
