"""The scores inside the music21 package: a voice for each singer, or one melody, on regular bars, nothing twice."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import music21

from generator.corpora.base import Corpus, Facts, Piece, Progress, fingerprint
from generator.corpora.parallel import in_order
from generator.corpora.splits import split_of
from generator.foundation.errors import CarouselError
from generator.foundation.omissions import omissions_of
from generator.music import notation
from generator.music.score import Score, Tempo, Voice
from generator.music.voices import one_at_a_time

TUNE_WORDS = {"a", "air", "an", "hornpipe", "jig", "march", "polka", "quickstep", "reel", "strathspey", "the", "waltz"}


@dataclass(frozen=True)
class Reading:
    """How a collection is read."""

    collections: tuple[str, ...]
    voices: tuple[Voice, ...]
    group: str
    """Pieces that stay in one split: `catalogue` (the file's name before its first dot) or `title`."""
    tempo: float
    """Quarters a minute, where the source gives none."""
    expand_repeats: bool
    styles: tuple[str, ...]
    """The kinds of pieces that are told apart: of these names, in order, the first one in what the source says of a
    piece's rhythm, or else in its title."""

    @staticmethod
    def from_entry(entry: dict[str, Any]) -> Reading:
        voices = tuple(Voice(voice["name"], voice["program"]) for voice in entry["voices"])
        return Reading(
            tuple(entry["collections"]),
            voices,
            entry["group"],
            float(entry["tempo"]),
            bool(entry["expand_repeats"]),
            tuple(entry.get("styles", ())),
        )


class Music21Corpus(Corpus):
    """Collections of the music21 package."""

    splits = ("train", "validation", "test")

    def __init__(self, facts: Facts, reading: Reading) -> None:
        super().__init__(facts)
        self.reading = reading

    def files(self) -> list[Path]:
        """The files of written music, collection by collection, sorted by name."""
        root = Path(music21.__file__).parent / "corpus"
        return [
            path
            for collection in self.reading.collections
            for path in sorted((root / collection).iterdir())
            if path.suffix in notation.FORMATS
        ]

    def fingerprint(self) -> str:
        how = (music21.__version__, repr(self.reading))
        return fingerprint(((f"{path.parent.name}/{path.name}", path) for path in self.files()), *how)

    def read(self, progress: Progress | None = None) -> Iterator[tuple[str, Piece]]:
        self.skipped = []
        seen: dict[tuple[tuple[int, ...], ...], str] = {}
        files = self.files()
        done, total = 0, sum(path.stat().st_size for path in files)
        for path, found in zip(files, in_order(partial(_read, reading=self.reading), files), strict=True):
            for number, score in enumerate(found, 1):
                name = f"{path.parent.name}/{path.stem}"
                if isinstance(score, CarouselError):
                    where, _, reason = str(score).removeprefix(f"{path.parent.parent}{os.sep}").partition(": ")
                    self.skipped.append((where, reason))
                    continue
                if len(found) > 1:
                    name = f"{name} {number} {score.title}"
                shape = _shape(score)
                if shape in seen:
                    self.skipped.append((name, f"the same as {seen[shape]}"))
                    continue
                seen[shape] = name
                group = (
                    path.stem.split(".")[0] if self.reading.group == "catalogue" else _title_key(score.title or name)
                )
                yield split_of(group), Piece(name, score)
            done += path.stat().st_size
            if progress:
                progress(done, total)


def _read(path: Path, reading: Reading) -> list[Score | CarouselError]:
    """The pieces of one file, or why each was left out. Runs in a process of its own."""
    pieces: list[Score | CarouselError] = []
    try:
        for score in notation.read_each(path, regular=True, expand_repeats=reading.expand_repeats):
            try:
                pieces.append(score if isinstance(score, CarouselError) else _arranged(score, reading))
            except CarouselError as error:
                pieces.append(CarouselError(f"{path}: {error}"))
    except CarouselError as error:
        pieces.append(error)
    return pieces


def _arranged(score: Score, reading: Reading) -> Score:
    """The wanted voices alone, one note at a time each."""
    if len(reading.voices) == 1:
        chosen = [0]
    else:
        singers = [_singer(voice.name) for voice in score.voices]
        names = [voice.name for voice in reading.voices]
        chosen = [singers.index(name) if singers.count(name) == 1 else -1 for name in names]
        if -1 in chosen:
            raise CarouselError(f"it has not one part each for {', '.join(names)}")
    notes = [
        replace(note, voice=voice)
        for voice, source in enumerate(chosen)
        for note in one_at_a_time(
            (note for note in score.notes if note.voice == source),
            "lowest" if voice and voice == len(chosen) - 1 else "highest",
        )
    ]
    tempos = score.tempos
    if not tempos or tempos[0].start_ticks > 0:
        tempos = (Tempo(0, reading.tempo), *tempos)
    arranged = Score.from_events(
        [*notes, *score.time_signatures, *tempos],
        ticks_per_quarter=score.ticks_per_quarter,
        voices=reading.voices,
        title=score.title,
    )
    left_out = {("note", "left out of voices and chords that this corpus has not"): len(score.notes) - len(notes)}
    return replace(
        arranged,
        style=style_in(score.style or score.title.lower(), reading.styles),
        omissions=(*score.omissions, *omissions_of(left_out)),
    )


def style_in(text: str, styles: tuple[str, ...]) -> str:
    """The first of these styles that stands in a text as words, which may be plural or written as one; "" if none."""
    return next((style for style in styles if re.search(rf"\b{style.replace(' ', ' ?')}s?\b", text)), "")


def _singer(part: str) -> str:
    """Who sings a part that names its instruments too; two sopranos stay two."""
    return re.sub(r"(?<=\w)\s+(?!\d+$).*", "", part)


def _shape(score: Score) -> tuple[tuple[int, ...], ...]:
    """What stays the same when a piece is copied into another key."""
    base = score.notes[0].pitch
    return tuple((note.start_ticks, note.duration_ticks, note.pitch - base, note.voice) for note in score.notes)


def _title_key(title: str) -> str:
    """A tune's title without what collections write differently."""
    words = re.sub(r"[^\w\s]", "", title.lower()).split()
    return " ".join(word for word in words if word not in TUNE_WORDS) or title
