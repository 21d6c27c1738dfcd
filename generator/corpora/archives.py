"""Corpora that are one file with splits of its own: the zip file of MAESTRO, and frames of pitches as JSON."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from generator.corpora.base import Corpus, Facts, Piece, Progress, fingerprint
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.score import Note, PieceEnd, Score, Tempo, Voice, style_name

SPLITS = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}
Frames = list[list[int]]
"""A piece: for each frame, which is a step of time, the MIDI pitches that sound in it."""


class MaestroCorpus(Corpus):
    """MAESTRO: a zip file of recorded piano performances as MIDI, with a CSV table of their splits and composers."""

    splits = ("train", "validation", "test")

    def __init__(self, facts: Facts, path: Path) -> None:
        super().__init__(facts)
        self.path = path

    def fingerprint(self) -> str:
        return fingerprint([(self.path.name, self.path)])

    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        self.skipped = []
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield from self._members(archive, progress)
        except (zipfile.BadZipFile, StopIteration, KeyError, OSError) as error:
            raise CarouselError(f"{self.path}: not the archive of MAESTRO ({error!r}); fetch it again") from error

    def _members(self, archive: zipfile.ZipFile, progress: Progress | None) -> Iterator[tuple[str, Piece]]:
        table = next(member for member in archive.namelist() if member.endswith(".csv"))
        root = table.rpartition("/")[0]
        rows = list(csv.DictReader(io.StringIO(archive.read(table).decode("utf-8"))))
        for number, row in enumerate(sorted(rows, key=lambda row: row["midi_filename"]), 1):
            name = row["midi_filename"]
            try:
                score = midi.read(archive.read(f"{root}/{name}"), name)
                composer = row.get("canonical_composer", "").partition("/")[0].split()[-1:]
                yield SPLITS[row["split"]], Piece(name, replace(score, style=style_name(" ".join(composer))))
            except CarouselError as error:
                self.skipped.append((name, str(error).removeprefix(f"{name}: ")))
            if progress:
                progress(number, len(rows))


class FramesCorpus(Corpus):
    """Pieces as frames. Each pitch of each frame becomes a note of its own, one tick long.

    If there is one voice it plays all pitches. If there are several, no frame has more pitches than voices.
    """

    splits = ("train", "validation", "test")

    def __init__(self, facts: Facts, path: Path, voices: tuple[Voice, ...], tempo: float) -> None:
        super().__init__(facts)
        self.path, self.voices, self.tempo = path, voices, tempo

    def fingerprint(self) -> str:
        return fingerprint([(self.path.name, self.path)], repr(self.voices), str(self.tempo))

    def frames(self) -> dict[str, list[Frames]]:
        """The pieces of each split.

        Raises:
            CarouselError: the file is not `{"train": [[[60, 64], …], …], "valid": …, "test": …}`.
        """
        try:
            groups: dict[str, list[Frames]] = json.loads(self.path.read_text(encoding="utf-8"))
            found = {split: groups[group] for group, split in SPLITS.items() if group in groups}
            pitches = {pitch for pieces in found.values() for piece in pieces for frame in piece for pitch in frame}
        except (ValueError, OSError, LookupError, TypeError, RecursionError) as error:
            raise CarouselError(f"{self.path}: not frames as JSON ({error!r}); fetch it again") from error
        for pitch in pitches:
            if isinstance(pitch, bool) or not isinstance(pitch, int | float) or pitch not in range(128):
                raise CarouselError(f"{self.path}: {pitch!r} is not a MIDI pitch; give whole numbers from 0 to 127")
        return found

    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        self.skipped = []
        for split, pieces in self.frames().items():
            for number, frames in enumerate(pieces):
                if frames:
                    yield split, Piece(f"{split} {number}", self._score(frames))
                else:
                    self.skipped.append((f"{split} {number}", "it has no frames"))

    def _score(self, frames: Frames) -> Score:
        notes: list[Note] = []
        # If fewer than four pitches sound, they go to the voices that move the least.
        latest = [72, 67, 60, 48]
        for start, frame in enumerate(frames):
            pitches = sorted({int(pitch) for pitch in frame}, reverse=True)
            voices: tuple[int, ...] = (0,) * len(pitches)
            if len(self.voices) > 1:
                voices = min(
                    combinations(range(len(self.voices)), len(pitches)),
                    key=lambda voices: sum(abs(latest[v] - p) for v, p in zip(voices, pitches, strict=True)),
                )
            for voice, pitch in zip(voices, pitches, strict=True):
                latest[voice] = pitch
                notes.append(Note(start, 1, pitch, voice=voice))
        return Score.from_events(
            [Tempo(0, self.tempo), *notes, PieceEnd(len(frames))], ticks_per_quarter=1, voices=self.voices
        )
