"""Music in files: one MIDI, MusicXML, ABC or Humdrum file, or all such files in a folder and its subfolders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from generator.corpora.base import Corpus, Facts, Piece, Progress, fingerprint
from generator.corpora.parallel import in_order
from generator.corpora.splits import split_of, train_and_validation
from generator.foundation.errors import CarouselError
from generator.music.files import MIDI, read_each
from generator.music.score import Score, style_name

GRID = 12
"""The positions in a quarter that the score tokenizer can write."""
SAMPLE = 20
"""The most MIDI files of a folder that are read to choose the tokenizer."""


class FolderCorpus(Corpus):
    """Music files, given as (name, path). A file may hold several pieces; of equal files the first one is read, so that
    none of them is learnt and held out as well."""

    def __init__(self, facts: Facts, files: Sequence[tuple[str, Path]], *, by_composition: bool = False) -> None:
        """Open the files.

        Args:
            by_composition: each folder holds the performances of one composition, which stay together in one of train,
                validation and test. By default each piece is put into train or validation by itself.
        """
        super().__init__(facts)
        self.files = files
        self.by_composition = by_composition

    @property
    def splits(self) -> tuple[str, ...]:
        return ("train", "validation", "test") if self.by_composition else ("train", "validation")

    def fingerprint(self) -> str:
        return fingerprint(self.files, version("music21"), version("symusic"), str(self.by_composition))

    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        self.skipped = []
        pieces = self._pieces(progress)
        if self.by_composition:
            return ((split_of(composition(piece.name)), piece) for piece in pieces)
        return train_and_validation(pieces)

    def _pieces(self, progress: Progress | None) -> Iterator[Piece]:
        sizes = [path.stat().st_size for _, path in self.files]
        scores = in_order(read_each, [path for _, path in self.files if path.suffix.lower() not in MIDI])
        done = 0
        known: dict[str, str] = {}
        for (name, path), size in zip(self.files, sizes, strict=True):
            found = read_each(path) if path.suffix.lower() in MIDI else next(scores)
            same = known.setdefault(fingerprint([("", path)]), name)
            if same != name and any(isinstance(score, Score) for score in found):
                self.skipped.append((name, f"the same file as {same}; take one of them out"))
                found = []
            for number, score in enumerate(found, 1):
                if isinstance(score, CarouselError):
                    if len(self.files) == len(found) == 1:
                        raise score
                    self.skipped.append((name, str(score).removeprefix(f"{path}").lstrip(":, ")))
                else:
                    named = name if len(found) == 1 else f"{name} {number} {score.title}".rstrip()
                    yield Piece(named, replace(score, style=style_of(name) or score.style))
            done += size
            if progress:
                progress(done, sum(sizes))


def style_of(name: str) -> str:
    """The style of a file, which is the name of its first subfolder; empty for a file directly in the corpus's folder.

    Args:
        name: the path relative to the folder of the corpus.
    """
    first, below, _ = name.partition("/")
    return style_name(first) if below else ""


def composition(name: str) -> str:
    """The composition that a performance belongs to: the name of its folder, without the suffix for repeats."""
    return re.sub(r"(_no)?(_\d)?_repeat$", "", PurePosixPath(name).parent.as_posix().lower())


def suited_tokenizer(files: Sequence[Path]) -> tuple[str, str]:
    """The kind of tokenizer that suits music files, and the reason."""
    recorded = [path for path in files if path.suffix.lower() in MIDI]
    if not recorded:
        return "score", "the files are written music"
    on_grid = onsets = drums = 0
    for path in recorded[:: -(-len(recorded) // SAMPLE)]:
        for score in read_each(path):
            if isinstance(score, Score):
                onsets += len(score.notes)
                drums += sum(score.voices[note.voice].drum for note in score.notes)
                on_grid += sum(note.start_ticks * GRID % score.ticks_per_quarter == 0 for note in score.notes)
    if drums == onsets > 0:
        return "drums", "all notes are for drums"
    if on_grid >= 0.9 * onsets:
        return "score", f"{on_grid} of {onsets} onsets lie on the grid of {GRID} a quarter"
    return "performance", f"only {on_grid} of {onsets} onsets lie on the grid of {GRID} a quarter"
