"""How fast are songs read? POP909's MIDI files through symusic, our reader and pretty_midi, in turns. JSON, one object.

    python -m benchmarks.reading pop909

Each file is read by every reader in turn, in one process on one core. `symusic` parses the file into its own arrays;
`notes` is `generator.music.midi.read`, which makes notes of them; `song` puts them into bars as well, along the beats
of the dataset; `tokens` encodes the song besides, with a vocabulary of these songs; `pretty_midi` makes notes in
seconds. Figures are milliseconds of processor time a file, the median over the files, and `faster` how many times as
fast as pretty_midi, the median of each file's ratio.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pretty_midi
import symusic

from benchmarks.measuring import parser, report
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.pop909 import Pop909Corpus, read_song
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.tokenizers.score import ScoreTokenizer


def seconds(read: Callable[[Path], object], folder: Path) -> float:
    start = time.process_time()
    read(folder)
    return time.process_time() - start


def compare(folders: list[Path]) -> dict[str, dict[str, float]]:
    """The figures of each reader for the songs in these folders."""
    tokenizer = ScoreTokenizer.fit(read_song(folder) for folder in folders)
    readers: dict[str, Callable[[Path], object]] = {
        "symusic": lambda folder: symusic.Score(folder / f"{folder.name}.mid"),
        "notes": lambda folder: midi.read(folder / f"{folder.name}.mid"),
        "song": read_song,
        "tokens": lambda folder: tokenizer.encoded(read_song(folder)),
        "pretty_midi": lambda folder: pretty_midi.PrettyMIDI(str(folder / f"{folder.name}.mid")),
    }
    for read in readers.values():
        read(folders[0])  # the first one imports and compiles
    took = [{name: seconds(read, folder) for name, read in readers.items()} for folder in folders]
    return {
        name: {
            "milliseconds": round(1000 * median(one[name] for one in took), 3),
            "faster": round(median(one["pretty_midi"] / max(one[name], 1e-9) for one in took), 1),
        }
        for name in readers
    }


def reading(given: argparse.Namespace) -> None:
    """Measure and print."""
    corpus = open_corpus(given.corpus)
    if not isinstance(corpus, Pop909Corpus):
        raise CarouselError(f"{given.corpus} has no folders of songs; choose pop909")
    folders = [corpus.folder / name for name in corpus.songs()[: given.songs]]
    report("reading", given, "symusic", "pretty_midi", songs=len(folders), readers=compare(folders))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("reading", __doc__)
    made.add_argument("corpus", metavar="CORPUS", help="pop909")
    made.add_argument("--songs", type=command.positive, default=60, metavar="N", help="(default: 60)")
    return command.run(made, reading, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
