"""Corpora that come as one file and bring their own splits: MAESTRO's zip of MIDI, the chorales' JSON of frames."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from generator.corpora.base import Corpus, Facts, Piece, Progress, fingerprint
from generator.errors import CarouselError
from generator.music import midi
from generator.music.score import Note, Score, Tempo, Voice

SPLITS = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}


class MaestroCorpus(Corpus):
    """MAESTRO: recorded piano performances as MIDI in a zip, beside a table that says which split each is in."""

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
                yield SPLITS[row["split"]], Piece(name, midi.read(archive.read(f"{root}/{name}"), name))
            except CarouselError as error:
                self.skipped.append((name, str(error).removeprefix(f"{name}: ")))
            if progress:
                progress(number, len(rows))


class FramesCorpus(Corpus):
    """Chorales as frames: for each quarter the sounding pitches, none to four. Each frame is struck anew."""

    splits = ("train", "validation", "test")

    def __init__(self, facts: Facts, path: Path, voices: tuple[Voice, ...], tempo: float) -> None:
        super().__init__(facts)
        self.path, self.voices, self.tempo = path, voices, tempo

    def fingerprint(self) -> str:
        return fingerprint([(self.path.name, self.path)], repr(self.voices), str(self.tempo))

    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        self.skipped = []
        try:
            groups: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise CarouselError(f"{self.path}: not the chorales' JSON ({error}); fetch it again") from error
        for group, split in SPLITS.items():
            for number, frames in enumerate(groups.get(group, ())):
                yield split, Piece(f"{split} {number}", self._score(frames))

    def _score(self, frames: list[list[int]]) -> Score:
        notes: list[Note] = []
        # Where fewer than four sound, they are taken for the voices that have the least way to go.
        latest = [72, 67, 60, 48]
        for start, frame in enumerate(frames):
            pitches = sorted(frame, reverse=True)
            voices = min(
                combinations(range(len(self.voices)), len(pitches)),
                key=lambda voices: sum(abs(latest[v] - p) for v, p in zip(voices, pitches, strict=True)),
            )
            for voice, pitch in zip(voices, pitches, strict=True):
                latest[voice] = pitch
                notes.append(Note(start, 1, pitch, voice=voice))
        return Score.from_events([Tempo(0, self.tempo), *notes], ticks_per_quarter=1, voices=self.voices)
