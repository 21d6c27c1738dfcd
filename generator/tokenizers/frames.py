"""The frames tokenizer: music as a piano roll. A frame is one time step, the set of keys that sound in it.

A frame is encoded as its pitches from the highest down, then a token that ends the frame. So the log-likelihoods of its
tokens add up to that of the frame, by which Boulanger-Lewandowski and others (2012, "Modeling Temporal Dependencies in
High-Dimensional Sequences") compare models of polyphonic music. The first token of a piece is its transposition:
training transposes pieces at random, and this token tells the model by how many semitones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Report, cause
from generator.music.score import DEFAULT_TEMPO, Score, Voice
from generator.tokenizers import frames_labels
from generator.tokenizers.base import Tokens
from generator.tokenizers.frames_grammar import (
    END,
    FRAME,
    HIGHEST,
    KEYS,
    LOWEST,
    NOT_TRANSPOSED,
    PITCH,
    TRANSPOSITIONS,
    VOCABULARY,
    FramesDecoder,
    FramesGrammar,
)
from generator.tokenizers.labels import Labels

FINEST = 4
"""The most frames a quarter, which are sixteenths then."""
MOST_FRAMES = 2**20
"""The longest piece."""


PIANO_ROLL = "frames only encode which keys of one instrument sound, in one tempo"


@dataclass(frozen=True, slots=True)
class FramesReport(Report):
    """What frames could not express of one score.

    The totals are `notes`, `pedals` and `tempos`. If all other fields are 0, the score is decoded exactly, except that
    notes longer than `HOLD_LIMIT` are split.
    """

    notes: int
    """Notes that are in at least one frame."""
    max_onset_error_quarters: float
    pedals: int = 0
    tempos: int = 0
    drums: int = cause("drum note", "left out", PIANO_ROLL, better="score", of="notes", gone=True)
    out_of_range: int = cause(
        "note", "left out", "a piano has no such pitch", remedy="transpose the piece", of="notes", gone=True
    )
    too_short: int = cause(
        "note", "left out", "too short for the middle of any frame", better="performance", of="notes", gone=True
    )
    joined: int = cause(
        "note",
        "joined to another one on the same key",
        "a frame cannot tell them apart",
        better="performance",
        of="notes",
    )
    """Notes that continue or double another note of the same pitch; they are decoded as one note with it."""
    moved: int = cause(
        "note",
        "moved, by up to {max_onset_error_quarters:.2g} quarters",
        "frames are coarser",
        better="performance",
        of="notes",
    )
    replaced: int = cause("note", "given to another instrument", PIANO_ROLL, better="score", of="notes")
    levelled: int = cause("note", "made as loud as the others", PIANO_ROLL, better="performance", of="notes")
    pedals_dropped: int = cause("pedal change", "left out", PIANO_ROLL, better="performance", of="pedals")
    tempos_changed: int = cause("tempo", "replaced by another one", PIANO_ROLL, better="score", of="tempos")
    voices_joined: int = cause("voice", "joined to another one", PIANO_ROLL, better="score")
    metres_dropped: int = cause("time signature", "left out", PIANO_ROLL, better="score")


class FramesTokenizer:
    """Encodes any score as frames. A frame contains the keys that sound at its middle."""

    kind: ClassVar[str] = "frames"
    medium: ClassVar[str] = "music"
    styles: ClassVar[tuple[str, ...]] = ()
    end: int = END
    start: int = END
    vocab_size: int = len(VOCABULARY)
    bar_lines: ClassVar[range] = range(0)
    report: ClassVar[type[Report]] = FramesReport

    def __init__(
        self, frames_per_quarter: int = 1, quarters_per_minute: float = DEFAULT_TEMPO, program: int = 0
    ) -> None:
        """Set the length of a frame, and the tempo and instrument of decoded scores.

        Args:
            frames_per_quarter: 1 to 4. A frame is one tick of a decoded score.
            quarters_per_minute: the tempo of every decoded piece, 1 to 1000.
            program: the General MIDI program of every decoded piece, 0 to 127.

        Raises:
            CarouselError: a value is out of its range.
        """
        if type(frames_per_quarter) is not int or not 1 <= frames_per_quarter <= FINEST:
            raise CarouselError(f"{frames_per_quarter!r} frames a quarter; give 1 to {FINEST}")
        if type(program) is not int or not 0 <= program <= 127:
            raise CarouselError(f"{program!r} is no General MIDI program; give 0 to 127")
        if isinstance(quarters_per_minute, bool) or not 1 <= quarters_per_minute <= 1000:
            raise CarouselError(f"a tempo of {quarters_per_minute!r} quarters a minute; give 1 to 1000")
        self.ticks_per_quarter = frames_per_quarter
        self.quarters_per_minute = float(quarters_per_minute)
        self.program = program
        self.voices: tuple[Voice, ...] = (Voice("Keyboard", program),)
        self.grammar = FramesGrammar()

    @staticmethod
    def fit(pieces: Iterable[Score]) -> FramesTokenizer:
        """The tokenizer with the finest resolution of the training pieces, at most sixteenths, and with their commonest
        tempo and program.

        Raises:
            CarouselError: there is no piece.
        """
        grids, tempos, programs = [], Counter[float](), Counter[int]()
        for piece in pieces:
            grids.append(piece.ticks_per_quarter)
            tempos[piece.tempos[0].quarters_per_minute if piece.tempos else DEFAULT_TEMPO] += 1
            programs.update(voice.program for voice in piece.voices if not voice.drum)
        if not grids:
            raise CarouselError("no pieces to learn a grid from; give scores with notes")
        tempo = min(1000.0, max(1.0, tempos.most_common(1)[0][0]))
        program = programs.most_common(1)[0][0] if programs else 0
        return FramesTokenizer(min(FINEST, max(grids)), tempo, program)

    def encode(self, piece: Score) -> Tokens:
        """A score as tokens, shape (tokens,): its frames from tick 0 to the end of its last note, or to a later
        `PieceEnd`.

        Raises:
            CarouselError: no note falls into a frame and there is no `PieceEnd`, or the piece is too long.
        """
        return self.encoded(piece)[0]

    def encoded(self, piece: Score) -> tuple[Tokens, FramesReport]:
        """As `Tokenizer.encoded`."""
        roll, report = self._roll(piece)
        frames, keys = np.nonzero(roll[:, ::-1])
        tokens = np.full(1 + roll.sum() + len(roll) + 1, FRAME, dtype=np.uint16)
        tokens[1 + np.arange(len(frames)) + frames] = PITCH + KEYS - 1 - keys
        tokens[0], tokens[-1] = NOT_TRANSPOSED, END
        return tokens, report

    def quantise(self, piece: Score) -> tuple[Score, FramesReport]:
        """The score that encoding and decoding give, and a report of how it differs from the original.

        Raises:
            CarouselError: as `encode`.
        """
        tokens, report = self.encoded(piece)
        return self.decode(tokens), report

    def _roll(self, score: Score) -> tuple[npt.NDArray[np.bool_], FramesReport]:
        """The piano roll, shape (frames, 88), and the report on it."""
        per, ticks_per_quarter = self.ticks_per_quarter, score.ticks_per_quarter

        def frame(ticks: int) -> int:
            """The first frame whose middle is after `ticks`. So a note that ends at a middle is in that frame."""
            return (2 * ticks * per + ticks_per_quarter) // (2 * ticks_per_quarter)

        drums = {index for index, voice in enumerate(score.voices) if voice.drum}
        spans, errors, lost = [], [0.0], Counter[str]()
        for note in score.notes:
            start, end = frame(note.start_ticks), frame(note.end_ticks)
            if note.voice in drums:
                lost["drums"] += 1
            elif not LOWEST <= note.pitch <= HIGHEST:
                lost["out_of_range"] += 1
            elif start >= end:
                lost["too_short"] += 1
            else:
                spans.append((start, end, note.pitch - LOWEST))
                errors.append(abs(start / per - note.start_ticks / ticks_per_quarter))
                lost["replaced"] += score.voices[note.voice].program not in (self.program, self.voices[0].program)
        frames = max([*(end for _, end, _ in spans), *(frame(end.start_ticks) for end in score.piece_ends)], default=0)
        name = score.title or "the piece"
        if frames == 0:
            raise CarouselError(f"{name} has no note that a frame could hold; give a piece with notes")
        if frames > MOST_FRAMES:
            raise CarouselError(f"{name} has {frames:,} frames; cut it into pieces of {MOST_FRAMES:,} at most")
        roll = np.zeros((frames, KEYS), dtype=np.bool_)
        for start, end, key in spans:
            roll[start:end, key] = True
        sounding = int(roll[0].sum() + (roll[1:] & ~roll[:-1]).sum())
        return roll, FramesReport(
            notes=len(spans),
            max_onset_error_quarters=max(errors),
            pedals=len(score.pedals),
            tempos=len(score.tempos),
            joined=len(spans) - sounding,
            moved=sum(error > 0 for error in errors),
            levelled=score.louder_or_softer(),
            pedals_dropped=len(score.pedals),
            tempos_changed=sum(tempo.quarters_per_minute != self.quarters_per_minute for tempo in score.tempos),
            voices_joined=max(0, len({note.voice for note in score.notes} - drums) - 1),
            metres_dropped=len(score.time_signatures),
            **lost,
        )

    def decode(self, tokens: Tokens) -> Score:
        decoder = self.decoder()
        return self.collect(decoder.feed_all(tokens.tolist()))

    def decoder(self, state: dict[str, Any] | None = None) -> FramesDecoder:
        return FramesDecoder(self.grammar, self.quarters_per_minute, self.ticks_per_quarter, state)

    def labels(self, tokens: Tokens) -> Labels:
        return frames_labels.labels(self.grammar, tokens)

    def transposed(self, tokens: Tokens, semitones: int) -> Tokens:
        """Transpose an encoded piece, its first token included. All its pitches must stay on the piano."""
        moved = tokens.astype(np.int64)
        moved[0] += semitones
        moved[moved >= PITCH] += semitones
        return moved.astype(np.uint16)

    def augment(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        """Transpose by a random interval of up to six semitones that keeps all notes on the piano."""
        keys = tokens[tokens >= PITCH].astype(np.int64) - PITCH
        low, high = (
            max(TRANSPOSITIONS[0], -keys.min(initial=KEYS)),
            min(TRANSPOSITIONS[-1], KEYS - 1 - keys.max(initial=0)),
        )
        return self.transposed(tokens, int(random.integers(low, high + 1)))

    def cold_starts(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """The start of the piece alone."""
        return np.zeros(1, dtype=np.int64)

    def collect(self, events: list[Any]) -> Score:
        return Score.from_events(events, ticks_per_quarter=self.ticks_per_quarter, voices=self.voices)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "frames_per_quarter": self.ticks_per_quarter,
            "quarters_per_minute": self.quarters_per_minute,
            "program": self.program,
            "vocabulary": list(VOCABULARY),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> FramesTokenizer:
        if data["vocabulary"] != list(VOCABULARY):
            raise CarouselError("the vocabulary is not that of frames; take the tokenizer that the model came with")
        return FramesTokenizer(data["frames_per_quarter"], data["quarters_per_minute"], data["program"])
