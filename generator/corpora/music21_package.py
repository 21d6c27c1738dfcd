"""The scores in the music21 package, arranged for given voices, in regular bars, without duplicates."""

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

FILLERS = {"a", "air", "an", "hornpipe", "jig", "march", "polka", "quickstep", "reel", "strathspey", "the", "waltz"}
"""Words that some collections add to the title of a tune and others leave out."""


@dataclass(frozen=True)
class Reading:
    """How collections are read: the fields of an entry in `data/corpora.toml`."""

    collections: tuple[str, ...]
    voices: tuple[Voice, ...]
    group: str
    """What pieces that have to stay in one split have in common: `catalogue` (the file's name before its first dot) or
    `title`."""
    tempo: float
    """Quarters a minute of pieces that give no tempo."""
    expand_repeats: bool
    styles: tuple[str, ...]
    """The names of styles. A piece has the first of these that occurs in the rhythm field of its source, or if that is
    empty in its title."""

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
    """Collections in the music21 package."""

    splits = ("train", "validation", "test")

    def __init__(self, facts: Facts, reading: Reading) -> None:
        super().__init__(facts)
        self.reading = reading

    def files(self) -> list[Path]:
        """The score files, collection by collection, sorted by name."""
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
                identity = _up_to_transposition(score)
                if identity in seen:
                    self.skipped.append((name, f"the same as {seen[identity]}"))
                    continue
                seen[identity] = name
                group = (
                    path.stem.split(".")[0] if self.reading.group == "catalogue" else _title_key(score.title or name)
                )
                yield split_of(group), Piece(name, score)
            done += path.stat().st_size
            if progress:
                progress(done, total)


def _read(path: Path, reading: Reading) -> list[Score | CarouselError]:
    """The pieces of one file, with an error in the place of each that cannot be used. Runs in a process of its own."""
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
    """A score reduced to the voices of the corpus, each with one note at a time.

    Raises:
        CarouselError: it has not exactly one part for each of several voices.
    """
    if len(reading.voices) == 1:
        chosen = [0]
    else:
        singers = [_singer(voice.name) for voice in score.voices]
        names = [voice.name for voice in reading.voices]
        chosen = [singers.index(name) if singers.count(name) == 1 else -1 for name in names]
        if -1 in chosen:
            raise CarouselError(f"it does not have one part each for {', '.join(names)}")
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
    left_out = {("note", "left out of voices and chords that this corpus lacks"): len(score.notes) - len(notes)}
    return replace(
        arranged,
        style=style_in(score.style or score.title.lower(), reading.styles),
        omissions=(*score.omissions, *omissions_of(left_out)),
    )


def style_in(text: str, styles: tuple[str, ...]) -> str:
    """The first of these styles whose words occur in a text, also in the plural or joined; "" if there is none."""
    return next((style for style in styles if re.search(rf"\b{style.replace(' ', ' ?')}s?\b", text)), "")


def _singer(part: str) -> str:
    """The name of a part without the instruments that follow it; a number at its end, as in `Soprano 2`, is kept."""
    return re.sub(r"(?<=\w)\s+(?!\d+$).*", "", part)


def _up_to_transposition(score: Score) -> tuple[tuple[int, ...], ...]:
    """The notes of a score with pitches relative to the first one: equal for copies in different keys."""
    base = score.notes[0].pitch
    return tuple((note.start_ticks, note.duration_ticks, note.pitch - base, note.voice) for note in score.notes)


def _title_key(title: str) -> str:
    """The title of a tune without punctuation, case and fillers, which differ between collections."""
    words = re.sub(r"[^\w\s]", "", title.lower()).split()
    return " ".join(word for word in words if word not in FILLERS) or title
