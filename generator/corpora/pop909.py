"""POP909: popular songs arranged for the piano in three voices, each a folder with a MIDI file and its beats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from generator.corpora.base import Corpus, Facts, Piece, Progress, fingerprint
from generator.corpora.splits import split_of
from generator.foundation.errors import CarouselError
from generator.foundation.omissions import omissions_of
from generator.music import midi
from generator.music.notes import PITCHES, Notes
from generator.music.played import Beats, in_bars
from generator.music.score import Score
from generator.music.voices import cut_overlaps

BEATS = "beat_midi.txt"
MELODY = "MELODY"
"""The voice that is sung. It has one note at a time; the ends of its notes were played a little late."""
MAX_BYTES = 2**20
"""The largest file of beats that is read; a song's has some 20 kB."""


class Pop909Corpus(Corpus):
    """The songs of a folder. They were played, so their bars are those of the beats that the dataset gives."""

    splits = ("train", "validation", "test")

    def __init__(self, facts: Facts, folder: Path) -> None:
        super().__init__(facts)
        self.folder = folder

    def songs(self) -> list[str]:
        """The names of the songs, which are numbers of three digits."""
        names = sorted(path.name for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir())
        if not names:
            raise CarouselError(f"{self.folder}: no folders of songs in it; fetch {self.facts.source} again")
        return names

    def fingerprint(self) -> str:
        files = [f"{name}/{file}" for name in self.songs() for file in (f"{name}.mid", BEATS)]
        return fingerprint([(file, self.folder / file) for file in files], version("symusic"))

    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        self.skipped = []
        names = self.songs()
        for number, name in enumerate(names, 1):
            try:
                yield split_of(name), Piece(name, read_song(self.folder / name))
            except CarouselError as error:
                self.skipped.append((name, str(error).removeprefix(f"{self.folder / name}/")))
            if progress:
                progress(number, len(names))


def read_song(folder: Path) -> Score:
    """The song in a folder, with the bars, metres and tempos of its file of beats.

    Raises:
        CarouselError: a file cannot be read, or the beats are none for these notes.
    """
    score = midi.read(folder / f"{folder.name}.mid")
    try:
        score = in_bars(score, read_beats(folder / BEATS))
    except CarouselError as error:
        raise CarouselError(f"{folder / BEATS}: {str(error).removeprefix(f'{folder / BEATS}: ')}") from error
    _, _, pitch, _, voice = score.columns
    sung = np.array([one.name == MELODY for one in score.voices])
    columns, cut = cut_overlaps(score.columns, voice * PITCHES + np.where(sung[voice], 0, pitch))
    counts = {
        ("melody note", "cut short by the next one"): cut,
        ("melody note", "left out: it begins with another one"): len(score.notes) - columns.shape[1],
    }
    return replace(score, notes=Notes(columns), title=folder.name, omissions=(*score.omissions, *omissions_of(counts)))


def read_beats(path: Path) -> Beats:
    """The beats in a file of the dataset. Each line has a beat's time in seconds and two marks: whether it is a strong
    beat, and whether it is a downbeat. If strong beats are three beats apart, a beat is an eighth.

    Raises:
        CarouselError: the file is missing, or is not of this kind.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CarouselError(f"{path}: too large for the beats of a song; fetch it again")
        table = np.array(path.read_text(encoding="ascii").split(), dtype=np.float64).reshape(-1, 3)
    except OSError as error:
        raise CarouselError(f"{path}: cannot be read ({error.strerror}); fetch it again") from error
    except ValueError as error:
        raise CarouselError(f"{path}: not three numbers a line; fetch it again") from error
    strong = np.diff(np.flatnonzero(table[:, 1])).tolist()
    in_threes = bool(strong) and Counter(strong).most_common(1)[0][0] == 3
    return Beats(table[:, 0], table[:, 2] > 0, 8 if in_threes else 4)
