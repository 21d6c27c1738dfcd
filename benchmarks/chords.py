"""How often the chords that a lead sheet gets agree with those that come with the songs of POP909. JSON.

    python -m benchmarks.chords pop909/

The songs are those of POP909 (Z. Wang and others 2020, ISMIR): a folder for each, with `*.mid`, the beats in
`beat_midi.txt` and the chords in `chord_midi.txt`, in seconds. Its authors found these chords in the notes, by a
program; so this compares two programs. Each figure is a share of the time for which a chord is given, over all songs
("weighted chord symbol recall", C. Harte 2010, Queen Mary University of London):

- root: the roots are equal.
- major_minor: root and third are equal, of the time that the annotated chord has a third and a perfect fifth.
- kind: root, third, fifth and seventh are equal, of the time that the annotated kind is one of those that are sought.
- bass: of the time that the roots are equal, the basses are.
- always_tonic: what `major_minor` would be for the tonic's chord all the time, in the likeliest key.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.measuring import parser, report
from generator.cli import command
from generator.corpora.progress import when_slow
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.chords import KINDS, Array, chords
from generator.music.keys import likely
from generator.music.score import Bar, Score
from generator.music.symbols import ChordSymbol
from generator.sinks import Progress

TICKS = 480
"""In a beat."""
ROOTS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
NAMES = {
    **{"maj": "major", "min": "minor", "7": "dominant", "min7": "minor-seventh", "maj7": "major-seventh"},
    **{"sus4": "suspended-fourth", "sus2": "suspended-second", "dim": "diminished", "hdim7": "half-diminished"},
    **{"dim7": "diminished-seventh", "aug": "augmented"},
}
"""Our names for kinds that have one in the annotations."""
DEGREES = {"1": 0, "2": 2, "3": 4, "4": 5, "5": 7, "6": 9, "7": 11}


@dataclass(frozen=True)
class Written:
    """An annotated chord, times in seconds."""

    start: float
    end: float
    root: int
    kind: str
    bass: int
    minor: bool
    triad: bool
    """Whether it has a third, major or minor, and a perfect fifth."""


def read(line: str) -> Written | None:
    """A line of `chord_midi.txt`; None for one without a chord."""
    start, end, name = line.split()
    found = re.fullmatch(r"([A-G])([#b]*):?([^/]*)(?:/([#b]*)(\d))?", name)
    if name == "N" or found is None:
        return None
    letter, sign, kind, shift, degree = found.groups()
    root = (ROOTS[letter] + sign.count("#") - sign.count("b")) % 12
    bass = (root + DEGREES[degree or "1"] + (shift or "").count("#") - (shift or "").count("b")) % 12
    minor = kind.startswith("min")
    triad = minor or kind.startswith("maj") or kind == "7"
    return Written(float(start), float(end), root, NAMES.get(kind, "other"), bass, minor, triad)


def song(folder: Path) -> tuple[Score, Array]:
    """A song with a quarter for each of its beats, and when these are, in seconds."""
    [path] = folder.glob("*.mid")
    played = midi.read(path)
    table = np.loadtxt(folder / "beat_midi.txt", ndmin=2)
    beats, downbeats = table[:, 0], table[:, 2] > 0
    clock = played.clock()

    def at(ticks: int) -> int:
        return round(TICKS * float(np.interp(clock.seconds(ticks), beats, np.arange(len(beats)))))

    notes = []
    for note in played.notes:
        start, end = at(note.start_ticks), at(note.end_ticks)
        notes.append(replace(note, start_ticks=start, duration_ticks=max(1, end - start)))
    bars = [Bar(TICKS * int(beat)) for beat in np.flatnonzero(downbeats)]
    return Score.from_events([*notes, *bars], ticks_per_quarter=TICKS, voices=played.voices), beats


def compare(found: tuple[ChordSymbol, ...], beats: Array, written: list[Written], key: int) -> Counter[str]:
    """Seconds that agree, and that count, by figure."""
    starts = np.interp([symbol.start_ticks / TICKS for symbol in found], np.arange(len(beats)), beats)
    ends = [*starts[1:], max([chord.end for chord in written], default=0.0)]
    seconds: Counter[str] = Counter()
    for chord in written:
        length = chord.end - chord.start
        seconds["of root"] += length
        seconds["of major_minor"] += length * chord.triad
        seconds["of kind"] += length * (chord.kind != "other")
        seconds["always_tonic"] += length * (chord.triad and chord.root == key % 12 and chord.minor == key // 12)
        for symbol, start, end in zip(found, starts, ends, strict=True):
            shared = min(end, chord.end) - max(start, chord.start)
            if shared > 0 and symbol.root == chord.root:
                third = {3: True, 4: False}.get(KINDS[symbol.kind][1])
                seconds["root"] += shared
                seconds["bass"] += shared * (symbol.bass == chord.bass)
                seconds["major_minor"] += shared * (chord.triad and third == chord.minor)
                seconds["kind"] += shared * (symbol.kind == chord.kind)
    return seconds


def measure(folders: list[Path], progress: Progress) -> dict[str, float]:
    """The figures over all songs."""
    seconds: Counter[str] = Counter()
    for done, folder in enumerate(folders):
        progress("comparing", done, len(folders), "songs")
        lines = (folder / "chord_midi.txt").read_text(encoding="utf-8").splitlines()
        written = [chord for line in lines if line.strip() and (chord := read(line))]
        score, beats = song(folder)
        seconds += compare(chords(score), beats, written, likely(score.notes))
    of = {name: f"of {name}" for name in ("root", "major_minor", "kind")}
    of |= {"bass": "root", "always_tonic": "of major_minor"}
    shares = {name: float(seconds[name] / seconds[whole]) for name, whole in of.items()}
    return {"songs": len(folders), "hours": float(seconds["of root"] / 3600), **shares}


def agreement(given: argparse.Namespace) -> None:
    """Measure and print."""
    folders = sorted(path.parent for path in given.folder.glob("*/chord_midi.txt"))[:: given.every]
    if not folders:
        raise CarouselError(f"{given.folder}: no folder in it has a chord_midi.txt; give the folder of POP909")
    with when_slow() as progress:
        found = measure(folders, progress)
    report("chords", given, **found)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("chords", __doc__)
    made.add_argument("folder", type=Path, metavar="FOLDER", help="the songs of POP909")
    made.add_argument("--every", type=command.positive, default=1, metavar="N", help="one song of N (default: 1)")
    return command.run(made, agreement, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
