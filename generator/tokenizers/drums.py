"""The drums tokenizer: people who play a drum kit, with bars, loudness, and timing off the grid.

Bar lines and positions are tokens, as in written music. A hit is its offset from the position, its drum, and its
velocity in classes. The tempo and the metre of a piece stand at its beginning, and hold until its end. The vocabulary
has the drums, metres and styles that occur in the training split, and all tempos from its slowest to its fastest.
Times go to the nearest tick, 96 to a quarter, and velocities to the nearest class; `quantise` reports how far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Report, cause
from generator.music.score import DEFAULT_TEMPO, Score, Tempo, TimeSignature, Voice
from generator.tokenizers import drums_labels
from generator.tokenizers.base import Tokens
from generator.tokenizers.drums_decoder import DrumsDecoder
from generator.tokenizers.drums_grammar import (
    BAR,
    DRUM,
    EARLIEST,
    END,
    OFFSET,
    OFFSETS,
    POSITION,
    STEP_TICKS,
    STYLE,
    TEMPO,
    TEMPOS,
    TICKS_PER_QUARTER,
    TIME_SIGNATURE,
    VELOCITIES,
    VELOCITY,
    DrumsGrammar,
    Table,
    steps_of,
)
from generator.tokenizers.labels import Labels
from generator.tokenizers.styles import common

TEMPO_FACTORS = (0.95, 1.05)
"""How much slower or faster `augment` makes a piece at most."""
WITHOUT_STYLE = 0.2
"""The share of the pieces whose style `augment` takes out."""
TEMPO_ROUNDING = 0.01
"""Quarters a minute. MIDI files have tempos in whole microseconds a quarter."""
CLASSES = np.abs(np.subtract.outer(np.arange(128), VELOCITIES)).argmin(axis=1)
"""The nearest class of each velocity, as an index into `VELOCITIES`."""
KIT = "this tokenizer plays one drum kit"
ONCE = "tempo and metre hold for a whole piece"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DrumsReport(Report):
    """What the vocabulary could not express of one score.

    The total is `notes`, the hits that are kept. If all other fields are 0, the score is decoded exactly, except that
    all hits are equally short.
    """

    notes: int
    max_onset_error_ms: float
    mean_onset_error_ms: float
    max_velocity_error: int
    mean_velocity_error: float
    pitched: int = cause("note", "of other instruments left out", KIT, better="score", of="notes", gone=True)
    unknown: int = cause(
        "hit", "left out", "the drum is not in the vocabulary", remedy="choose another drum", of="notes", gone=True
    )
    merged: int = cause("hit", "left out", "a louder one of the same drum is at the same tick", of="notes", gone=True)
    kits_joined: int = cause("drum kit", "joined to another one", KIT)
    pedals_dropped: int = cause("pedal change", "left out", KIT)
    tempos_changed: int = cause("tempo", "replaced by another one", ONCE, better="score")
    metres_changed: int = cause("time signature", "replaced by another one", ONCE, better="score")


@dataclass(frozen=True, slots=True)
class Grid:
    """The hits of a score on the grid, as arrays of shape (hits,), sorted by tick and then by drum."""

    ticks: Ints
    drums: Ints
    classes: Ints
    """Indices into `VELOCITIES`."""
    metre: int
    """An index into the vocabulary's metres."""
    tempo: int
    report: DrumsReport


class DrumsTokenizer:
    """Encodes the drums of a score, with bars."""

    kind: ClassVar[str] = "drums"
    medium: ClassVar[str] = "music"
    ticks_per_quarter: ClassVar[int] = TICKS_PER_QUARTER
    report: ClassVar[type[Report]] = DrumsReport

    def __init__(self, table: Table) -> None:
        self.table = table
        self.grammar = DrumsGrammar(table)
        self.voices: tuple[Voice, ...] = (Voice("Drums", 0, drum=True),)
        self.bar_lines = range(table.first[BAR], table.past[BAR])
        self.vocab_size = len(table.rows)
        self.end = self.start = table.first[END]
        self.styles = table.styles

    @staticmethod
    def fit(pieces: Iterable[Score]) -> DrumsTokenizer:
        """The tokenizer with the drums, metres, tempos and styles of the training pieces.

        Raises:
            CarouselError: no piece has drums.
        """
        drums: set[int] = set()
        metres: Counter[tuple[int, int]] = Counter()
        tempos: list[int] = []
        styles: list[str] = []
        for piece in pieces:
            found = {note.pitch for note in piece.notes if piece.voices[note.voice].drum}
            if found:
                drums |= found
                metre, tempo = _in_force(piece)
                metres[metre.numerator, metre.denominator] += steps_of((metre.numerator, metre.denominator)) > 0
                tempos.append(min(TEMPOS[-1], max(TEMPOS[0], round(tempo.quarters_per_minute))))
                styles.append(piece.style)
        if not drums:
            raise CarouselError("no drums to learn a vocabulary from; give MIDI files with notes on channel 10")
        known = [metre for metre, count in metres.most_common() if count] or [(4, 4)]
        named = common(styles)
        rows = ["end", "bar", *(f"bar {style}" for style in named)]
        rows += [f"time-signature {above}/{below}" for above, below in known]
        rows += [f"tempo {tempo}" for tempo in range(min(tempos), max(tempos) + 1)]
        rows += [f"position {step}" for step in range(max(map(steps_of, known)))]
        rows += [f"offset {ticks}" for ticks in OFFSETS]
        rows += [f"drum {drum}" for drum in sorted(drums)]
        rows += [f"velocity {velocity}" for velocity in VELOCITIES]
        rows += [f"style {style}" for style in named]
        return DrumsTokenizer(Table(rows))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "vocabulary": list(self.table.rows)}

    @staticmethod
    def from_json(data: dict[str, Any]) -> DrumsTokenizer:
        return DrumsTokenizer(Table(data["vocabulary"]))

    # Encoding

    def encode(self, piece: Score) -> Tokens:
        """A score as tokens, shape (tokens,): its style if the vocabulary has that, its metre and tempo, its bars from
        tick 0 to that of its last hit, and the end token.

        Raises:
            CarouselError: it has no drum that is in the vocabulary.
        """
        return self.encoded(piece)[0]

    def encoded(self, piece: Score) -> tuple[Tokens, DrumsReport]:
        """As `Tokenizer.encoded`."""
        grid, table = self._grid(piece), self.table
        steps = (grid.ticks - EARLIEST) // STEP_TICKS
        offsets = grid.ticks - steps * STEP_TICKS
        bars, positions = np.divmod(steps, table.steps[grid.metre])
        style = 0
        tokens = [table.ids[TIME_SIGNATURE, grid.metre], table.ids[TEMPO, grid.tempo]]
        if piece.style in self.styles:
            style = 1 + self.styles.index(piece.style)
            tokens.insert(0, table.ids[STYLE, style - 1])
        bar = position = -1
        columns = (bars, positions, offsets, grid.drums, grid.classes)
        for at, place, offset, drum, loudness in zip(*(column.tolist() for column in columns), strict=True):
            if at > bar:
                tokens += [table.ids[BAR, style]] * (at - bar)
                bar, position = at, -1
            if place > position:
                tokens.append(table.ids[POSITION, place])
                position = place
            tokens += [table.ids[OFFSET, offset], table.ids[DRUM, drum], table.first[VELOCITY] + loudness]
        return np.array([*tokens, self.end], dtype=np.uint16), grid.report

    def quantise(self, piece: Score) -> tuple[Score, DrumsReport]:
        """The score that encoding and decoding give, and a report of how it differs from the original.

        Raises:
            CarouselError: as `encode`.
        """
        tokens, report = self.encoded(piece)
        return self.decode(tokens), report

    def _grid(self, score: Score) -> Grid:
        """The hits of a score at the nearest places on the grid. Of hits on one drum at a tick the loudest is kept."""
        table = self.table
        kits = {index for index, voice in enumerate(score.voices) if voice.drum}
        hits = [note for note in score.notes if note.voice in kits]
        known = [note for note in hits if (DRUM, note.pitch) in table.ids]
        if not known:
            raise CarouselError(
                f"{score.title or 'the piece'} has no drum of this vocabulary; give a piece with drums on channel 10"
            )
        metre, tempo = _in_force(score)
        slowest, fastest = table.tempos[0], table.tempos[-1]
        quarters_per_minute = min(fastest, max(slowest, round(tempo.quarters_per_minute)))
        exact = np.array([note.start_ticks for note in known]) * (TICKS_PER_QUARTER / score.ticks_per_quarter)
        ticks = np.rint(exact).astype(np.int64)
        drums, velocities = (np.array([getattr(note, name) for note in known]) for name in ("pitch", "velocity"))
        errors = np.abs(ticks - exact) * (60_000 / TICKS_PER_QUARTER / tempo.quarters_per_minute)
        velocity_errors = np.abs(np.take(VELOCITIES, CLASSES[velocities]) - velocities)
        order = np.lexsort((velocities, drums, ticks))
        ticks, drums, velocities = ticks[order], drums[order], velocities[order]
        kept = np.append((np.diff(ticks) > 0) | (np.diff(drums) > 0), True)
        metres = {(change.numerator, change.denominator) for change in score.time_signatures} or {(4, 4)}
        written = (metre.numerator, metre.denominator)
        as_long = [at for at, steps in enumerate(table.steps) if steps == steps_of(written)]
        at = table.metres.index(written) if written in table.metres else (as_long or [0])[0]
        report = DrumsReport(
            notes=int(kept.sum()),
            max_onset_error_ms=float(errors.max()),
            mean_onset_error_ms=float(errors.mean()),
            max_velocity_error=int(velocity_errors.max()),
            mean_velocity_error=float(velocity_errors.mean()),
            pitched=len(score.notes) - len(hits),
            unknown=len(hits) - len(known),
            merged=int((~kept).sum()),
            kits_joined=len({note.voice for note in known}) - 1,
            pedals_dropped=len(score.pedals),
            tempos_changed=sum(
                abs(change.quarters_per_minute - quarters_per_minute) > TEMPO_ROUNDING for change in score.tempos
            ),
            metres_changed=len(metres - {table.metres[at]}),
        )
        return Grid(ticks[kept], drums[kept], CLASSES[velocities[kept]], at, quarters_per_minute, report)

    def metre_for(self, metre: tuple[int, int]) -> tuple[int, int]:
        """The metre of the vocabulary in which drums accompany a metre: the same one, or one whose bar is as long, or
        fills the other bar several times, or has the same unit; the commonest of several."""
        length = Fraction(*metre)

        def unlikeness(known: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
            bars = length / Fraction(*known)
            return known != metre, bars != 1, bars.denominator != 1, known[1] != metre[1]

        return min(self.table.metres, key=unlikeness)

    def decode(self, tokens: Tokens) -> Score:
        decoder = self.decoder()
        return self.collect(decoder.feed_all(tokens.tolist()))

    def decoder(self, state: dict[str, Any] | None = None) -> DrumsDecoder:
        return DrumsDecoder(self.grammar, state)

    def collect(self, events: list[Any]) -> Score:
        return Score.from_events(events, ticks_per_quarter=TICKS_PER_QUARTER, voices=self.voices)

    def labels(self, tokens: Tokens) -> Labels:
        return drums_labels.labels(self.grammar, tokens)

    # Training

    def augment(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        """Change the tempo by a random factor, within the tempos of the vocabulary, and take the style out of the bar
        lines of some pieces, as they are in pieces of unknown style."""
        first, past = self.table.first[TEMPO], self.table.past[TEMPO]
        at = int(np.flatnonzero((tokens >= first) & (tokens < past))[0])
        tempo = round(self.table.values[tokens[at]] * random.uniform(*TEMPO_FACTORS))
        changed = tokens.copy()
        changed[at] = min(past - 1, max(first, first + tempo - self.table.values[first]))
        if random.random() < WITHOUT_STYLE:
            changed[(changed >= self.bar_lines.start) & (changed < self.bar_lines.stop)] = self.bar_lines.start
            changed = changed[at - 1 :]
        return changed

    def cold_starts(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """The start of the piece alone."""
        return np.zeros(1, dtype=np.int64)


def _in_force(score: Score) -> tuple[TimeSignature, Tempo]:
    """The metre and the tempo at the first note: 4/4 and 120 quarters a minute if nothing is written."""
    first = min(note.start_ticks for note in score.notes)
    metres = [metre for metre in score.time_signatures if metre.start_ticks <= first]
    tempos = [tempo for tempo in score.tempos if tempo.start_ticks <= first]
    return [TimeSignature(0, 4, 4), *metres][-1], [Tempo(0, DEFAULT_TEMPO), *tempos][-1]
