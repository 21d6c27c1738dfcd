"""Frames: music as columns of a piano roll, one a step of time, each the set of keys that sound.

A frame's pitches are written from the top down, then its end, so the log-likelihoods of its tokens sum to that of the
frame, by which Boulanger-Lewandowski and others (2012, "Modeling Temporal Dependencies in High-Dimensional
Sequences") compare models of polyphonic music. A piece says first how far it was moved from the key that it came in:
training moves it at random, and a model that is told so learns from all keys what holds in each one.
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
from generator.tokenizers.base import Tokens
from generator.tokenizers.frames_grammar import (
    END,
    FRAME,
    HIGHEST,
    KEYS,
    LOWEST,
    PITCH,
    TRANSPOSITIONS,
    UNMOVED,
    VOCABULARY,
    FramesDecoder,
    FramesGrammar,
)

FINEST = 4
"""Frames a quarter at most: sixteenths."""
MOST_FRAMES = 2**20
"""Of a piece: three days of quarters."""


PIANO_ROLL = "frames only say which keys of one instrument sound, in one tempo"


@dataclass(frozen=True, slots=True)
class FramesReport(Report):
    """What frames could not express of one score. Where only `notes`, and how many there were of other things, is not
    zero, it comes back exactly, but for notes longer than `HOLD_LIMIT`."""

    notes: int
    """Notes that a frame has."""
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
    """Notes that a frame cannot tell from the one before them, or beside them, on their key: they come back as one."""
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
    """Any score as frames: a frame has the keys that sound in its middle."""

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
        """Say how frames sound.

        Args:
            frames_per_quarter: 1 to 4; a tick of what it decodes to is a frame.
            quarters_per_minute: the tempo that every piece is given.
            program: who plays, by General MIDI.

        Raises:
            CarouselError: one of them is not what it should be.
        """
        if type(frames_per_quarter) is not int or not 1 <= frames_per_quarter <= FINEST:
            raise CarouselError(f"{frames_per_quarter!r} frames a quarter; give 1 to {FINEST}")
        if type(program) is not int or not 0 <= program <= 127:
            raise CarouselError(f"{program!r} is no General MIDI program; give 0 to 127")
        if isinstance(quarters_per_minute, bool) or not 1 <= quarters_per_minute <= 1000:
            raise CarouselError(f"a tempo of {quarters_per_minute!r} quarters a minute; give 1 to 1000")
        self.ticks_per_quarter = frames_per_quarter
        self.quarters_per_minute = float(quarters_per_minute)
        self.voices: tuple[Voice, ...] = (Voice("Keyboard", program),)
        self.grammar = FramesGrammar()

    @staticmethod
    def fit(pieces: Iterable[Score]) -> FramesTokenizer:
        """The grid of the training pieces, at most sixteenths, and the commonest tempo and program.

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
        """A score as frames from its tick 0 to the end of its last note, or to its `PieceEnd` where that is later.

        Raises:
            CarouselError: no note falls into a frame and no end is given, or the piece is too long.
        """
        roll, _ = self._roll(piece)
        frames, keys = np.nonzero(roll[:, ::-1])
        tokens = np.full(1 + roll.sum() + len(roll) + 1, FRAME, dtype=np.uint16)
        tokens[1 + np.arange(len(frames)) + frames] = PITCH + KEYS - 1 - keys
        tokens[0], tokens[-1] = UNMOVED, END
        return tokens

    def quantise(self, piece: Score) -> tuple[Score, FramesReport]:
        """What comes back when `piece` is encoded and decoded, and how far that is from the original.

        Raises:
            CarouselError: as `encode`.
        """
        return self.decode(self.encode(piece)), self._roll(piece)[1]

    def _roll(self, score: Score) -> tuple[npt.NDArray[np.bool_], FramesReport]:
        """The piano roll, shape (frames, 88)."""
        per, ticks_per_quarter = self.ticks_per_quarter, score.ticks_per_quarter

        def frame(ticks: int) -> int:
            """The first frame whose middle lies after that moment. A note that ends in a middle sounds there."""
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
                lost["replaced"] += score.voices[note.voice].program != self.voices[0].program
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

    def transposed(self, tokens: Tokens, semitones: int) -> Tokens:
        """An encoded piece moved by so many semitones, which it says; the caller sees to it that the keys are there."""
        moved = tokens.astype(np.int64)
        moved[0] += semitones
        moved[moved >= PITCH] += semitones
        return moved.astype(np.uint16)

    def augment(self, tokens: Tokens, random: np.random.Generator) -> Tokens:
        """Transposed within the piano by up to six semitones."""
        keys = tokens[tokens >= PITCH].astype(np.int64) - PITCH
        low, high = (
            max(TRANSPOSITIONS[0], -keys.min(initial=KEYS)),
            min(TRANSPOSITIONS[-1], KEYS - 1 - keys.max(initial=0)),
        )
        return self.transposed(tokens, int(random.integers(low, high + 1)))

    def cold_starts(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """The piece's start."""
        return np.zeros(1, dtype=np.int64)

    def collect(self, events: list[Any]) -> Score:
        return Score.from_events(events, ticks_per_quarter=self.ticks_per_quarter, voices=self.voices)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "frames_per_quarter": self.ticks_per_quarter,
            "quarters_per_minute": self.quarters_per_minute,
            "program": self.voices[0].program,
            "vocabulary": list(VOCABULARY),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> FramesTokenizer:
        if data["vocabulary"] != list(VOCABULARY):
            raise CarouselError("the vocabulary is not that of frames; take the tokenizer that the model came with")
        return FramesTokenizer(data["frames_per_quarter"], data["quarters_per_minute"], data["program"])
