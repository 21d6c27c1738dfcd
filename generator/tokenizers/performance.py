"""Piano performances: note-on, note-off, time in 10 ms steps, velocity in 32 bins, sustain pedal.

The events are those of Performance RNN (Oore et al. 2018, "This Time with Feeling"), with the pedal as an event of its
own, and the key, from which pitches count. Any score is played on one piano: what the grid of ticks and velocities can
express comes back exactly, from its first note on; what it cannot is moved to the nearest place, and `quantise` reports
how far.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Report, cause
from generator.music.keys import above_plain, likely
from generator.music.score import Note, Pedal, PieceEnd, Score, Voice
from generator.tokenizers.base import Tokens
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
from generator.tokenizers.styles import common

PIANOS = range(8)
"""The pianos among General MIDI's programs."""
TEMPO_FACTORS = (0.95, 1.05)

Ints = npt.NDArray[np.int64]


ONE_PIANO = "this tokenizer plays one piano"
IN_SECONDS = "this tokenizer counts seconds, and knows no bars"


@dataclass(frozen=True, slots=True)
class PerformanceReport(Report):
    """What the grid could not express of one score. With no count but `notes` and `pedals`, it comes back exactly."""

    notes: int
    """Notes kept."""
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
class _Grid:
    """A score on the grid, as arrays of shape (notes,), sorted by start and pitch; pedals as (tick, 0 or 1)."""

    starts: Ints
    ends: Ints
    pitches: Ints
    bins: Ints
    pedals: list[tuple[int, int]]
    report: PerformanceReport


class PerformanceTokenizer:
    """Any score as one piano, in seconds; the vocabulary is a table that encode and decode both read."""

    kind: ClassVar[str] = "performance"
    medium: ClassVar[str] = "music"
    voices: ClassVar[tuple[Voice, ...]] = (Voice("Piano", 0),)
    ticks_per_quarter: ClassVar[int] = TICKS_PER_SECOND // 2
    """At the default tempo, 120 quarters a minute, a tick is 10 ms."""
    bar_lines: ClassVar[range] = range(0)
    report: ClassVar[type[Report]] = PerformanceReport

    def __init__(self, vocabulary: Iterable[str] = VOCABULARY) -> None:
        """Read the table of tokens.

        Raises:
            CarouselError: the table is not that of a performance.
        """
        self.table = Table(vocabulary)
        self.grammar = PerformanceGrammar(self.table)
        self.vocab_size = len(self.table.entries)
        self.end = self.start = self.table.end
        self.styles = self.table.styles

    @staticmethod
    def fit(pieces: Iterable[Score]) -> PerformanceTokenizer:
        """The vocabulary is the piano's, and the styles of the pieces."""
        styles = common(piece.style for piece in pieces)
        return PerformanceTokenizer((*VOCABULARY, *(f"{STYLE} {style}" for style in styles)))

    def encode(self, piece: Score, key: int | None = None) -> Tokens:
        """A score of any voices as one piano performance, from its first note on, after its style if the vocabulary
        knows that; `quantise` tells what is lost. Without a key, an index into `KEYS`, it is written in its likeliest.

        Raises:
            CarouselError: there is no note that a piano can play.
        """
        grid = self._grid(piece)
        spans = self.table.spans
        # Which notes are struck, and how often, tells more of the key than how long a hand or a pedal holds them.
        key = likely(Note(0, 1, pitch) for pitch in grid.pitches.tolist()) if key is None else key
        written = grid.pitches - above_plain(key) - self.table.written.start
        new = np.append(True, grid.bins[1:] != grid.bins[:-1])
        pedals = np.array(grid.pedals, dtype=np.int64).reshape(-1, 2)
        ticks = np.concatenate((grid.ends, pedals[:, 0], grid.starts[new], grid.starts))
        # The order within a tick: note-offs below 128, the pedal, then each note-on with its velocity before it.
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
        return self._spell(ticks, np.concatenate((opening, ids[order])))

    def quantise(self, piece: Score) -> tuple[Score, PerformanceReport]:
        """What comes back when `piece` is encoded and decoded, and how far that is from the original.

        Raises:
            CarouselError: there is no note that a piano can play.
        """
        grid = self._grid(piece)
        columns = (grid.starts, grid.ends - grid.starts, grid.pitches, np.take(self.table.velocities, grid.bins))
        notes = [Note(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
        pedals = [Pedal(tick, bool(down)) for tick, down in grid.pedals]
        end = max([int(grid.ends.max()), *(tick for tick, _ in grid.pedals)])
        return self.collect([*notes, *pedals, PieceEnd(end)]), grid.report

    def _grid(self, score: Score) -> _Grid:
        drums = {index for index, voice in enumerate(score.voices) if voice.drum}
        melodic = [note for note in score.notes if note.voice not in drums]
        rows = [
            (note.start_ticks, note.start_ticks + note.duration_ticks, note.pitch, note.velocity)
            for note in melodic
            if self.table.lowest <= note.pitch <= self.table.highest
        ]
        if not rows:
            raise CarouselError(
                f"{score.title or 'the piece'} has no note that a piano can play; give a piece with notes"
            )
        columns = np.array(rows, dtype=np.int64)
        seconds = score.clock().seconds
        from_seconds = np.array([seconds(ticks) for ticks in columns[:, 0].tolist()])
        to_seconds = np.array([seconds(ticks) for ticks in columns[:, 1].tolist()])
        origin = from_seconds.min()
        exact = (from_seconds - origin) * TICKS_PER_SECOND
        starts = np.rint(exact).astype(np.int64)
        onset_errors = np.abs(starts - exact) * (1000 / TICKS_PER_SECOND)
        ends = np.maximum(np.rint((to_seconds - origin) * TICKS_PER_SECOND).astype(np.int64), starts + 1)

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

        order = np.lexsort((pitches, starts))
        starts, ends, pitches, velocities = starts[order], ends[order], pitches[order], velocities[order]
        bins = np.abs(np.subtract.outer(np.arange(128), self.table.velocities)).argmin(axis=1)[velocities]
        velocity_errors = np.abs(np.take(self.table.velocities, bins) - velocities)
        changes, last = 0, False
        at_tick: dict[int, bool] = {}
        for pedal in score.pedals:
            if pedal.voice not in drums:
                changes, last = changes + (pedal.down != last), pedal.down
                tick = round((seconds(pedal.start_ticks) - origin) * TICKS_PER_SECOND)
                at_tick[max(0, tick)] = pedal.down
        pedals: list[tuple[int, int]] = []
        for tick, down in at_tick.items():
            if down != bool(pedals and pedals[-1][1]):
                pedals.append((tick, int(down)))
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
        return _Grid(starts, ends, pitches, bins, pedals, report)

    def _spell(self, ticks: Ints, ids: Ints) -> Tokens:
        """Events in order, the first at tick 0, with the time shifts between them and the end after them."""
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

    def augment(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        """In a key by chance, of its mode, that leaves all notes on the piano, and stretched in time; ticks that differ
        still differ, so notes keep a length."""
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

        bounds = ticks[is_note][np.argsort(written, kind="stable")]  # on, off, on, off … of each pitch
        longest = int((bounds[1::2] - bounds[::2]).max())
        factor = random.uniform(TEMPO_FACTORS[0], min(TEMPO_FACTORS[1], (HOLD_LIMIT - 1) / longest))
        gaps = np.maximum(np.diff(np.floor(ticks * factor + 0.5).astype(np.int64)), np.diff(ticks) > 0)
        return self._spell(np.append(0, np.cumsum(gaps)), ids)

    def key(self, tokens: Sequence[int]) -> int:
        """The last key that is said, an index into `KEYS`, in tokens that say one."""
        kinds, values = self.grammar.rules[[KIND, VALUE]][:, tokens]
        return int(values[kinds == IS_KEY][-1])

    def cold_starts(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """A performance has one cold start: its beginning."""
        return np.zeros(1, dtype=np.int64)

    def collect(self, events: list[Any]) -> Score:
        return Score.from_events(events, ticks_per_quarter=self.ticks_per_quarter, voices=self.voices)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "vocabulary": list(self.table.vocabulary)}

    @staticmethod
    def from_json(data: dict[str, Any]) -> PerformanceTokenizer:
        return PerformanceTokenizer(data["vocabulary"])
