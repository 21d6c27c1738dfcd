"""The Groove MIDI Dataset: people who play a drum kit, as MIDI files beside a CSV table of their splits and styles."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from generator.corpora.archives import SPLITS
from generator.corpora.base import Corpus, Facts, Piece, Progress, fingerprint
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.score import Score, style_name

TABLE = "info.csv"


class GrooveCorpus(Corpus):
    """The performances that the table lists. The style of a beat is that of the table without what follows a slash,
    such as `funk`; that of a fill has the word behind it: `funk fill`."""

    splits = ("train", "validation", "test")

    def __init__(self, facts: Facts, folder: Path, keys: Mapping[int, int]) -> None:
        """`keys` are drums of the recorded kit that General MIDI lacks, each with the one that plays it instead."""
        super().__init__(facts)
        self.folder, self.keys = folder, keys

    def _rows(self) -> list[tuple[str, str, str]]:
        """The file, split and style of each performance, sorted by file."""
        path = self.folder / TABLE
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return sorted(
                    (
                        row["midi_filename"],
                        SPLITS[row["split"]],
                        style_name(row["style"].partition("/")[0] + (" fill" if row["beat_type"] == "fill" else "")),
                    )
                    for row in csv.DictReader(file)
                )
        except (OSError, ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
            raise CarouselError(
                f"{path}: not the table of the Groove MIDI Dataset ({error!r}); fetch it again"
            ) from error

    def fingerprint(self) -> str:
        files = [(name, self.folder / name) for name in (TABLE, *(name for name, _, _ in self._rows()))]
        return fingerprint(files, version("symusic"), str(sorted(self.keys.items())))

    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        self.skipped = []
        rows = self._rows()
        for number, (name, split, style) in enumerate(rows, 1):
            try:
                score = midi.read(self.folder / name)
                yield split, Piece(name, replace(self._in_general_midi(score), style=style))
            except CarouselError as error:
                self.skipped.append((name, str(error).removeprefix(f"{self.folder / name}: ")))
            if progress:
                progress(number, len(rows))

    def _in_general_midi(self, score: Score) -> Score:
        notes = (replace(note, pitch=self.keys.get(note.pitch, note.pitch)) for note in score.notes)
        return replace(score, notes=tuple(sorted(notes, key=lambda note: (note.start_ticks, note.voice, -note.pitch))))
