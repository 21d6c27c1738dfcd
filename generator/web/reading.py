"""Uploaded files read in a process of its own, so that a reader that crashes or hangs is one line about one file.

    python -m generator.web.reading FOLDER

It prints JSON, an object a line: `reading` before each file, `piece` and `skipped` for what is in it, and at last
`dataset`, or `error` where the files together are nothing to learn from. The tokens are kept in the cache, from which
the training takes them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from generator.corpora import open_corpus, text
from generator.corpora.dataset import TokenDataset, prepare
from generator.corpora.paths import all_files
from generator.foundation.errors import CarouselError
from generator.foundation.omissions import sentences
from generator.music import files, keys
from generator.music.score import Score
from generator.web.processes import limit

MEMORY_BYTES = 6 * 2**30
CPU_SECONDS = 1800
"""What the process may take, where the system can limit it."""
REMEDY = "the tokenizer {} has them"


def main(folder: Path, output: TextIO) -> None:
    """Read the files in a folder, and say what is in them."""

    def say(**what: Any) -> None:
        print(json.dumps(what), file=output, flush=True)

    paths = all_files(folder)
    for number, path in enumerate(paths):
        say(reading=path.name, done=number, total=len(paths))
        try:
            describe(path, say)
        except CarouselError as error:
            say(skipped=path.name, reason=without(path, error))
    say(reading="", done=len(paths), total=len(paths))
    try:
        say(dataset=facts(prepare(open_corpus(folder), progress=False)))
    except CarouselError as error:
        say(error=str(error).replace(f"{folder}/", "").partition("; ")[0])


def describe(path: Path, say: Callable[..., None]) -> None:
    """Say what pieces a file has, and which of them cannot be read.

    Raises:
        CarouselError: the whole file cannot be read.
    """
    if path.suffix.lower() not in files.SUFFIXES:
        content = text.read_text(path)
        beginning = " ".join(content[:200].split())[:60]
        say(piece={"File": path.name, "Characters": len(content), "Lines": content.count("\n"), "Begins": beginning})
        return
    found = files.read_each(path)
    for score in found:
        if isinstance(score, Score):
            title = score.title if score.title != path.stem else ""
            say(piece={"File": path.name, "Title": title, **music(score)})
        else:
            say(skipped=path.name, reason=without(path, score))


def music(score: Score) -> dict[str, Any]:
    """A piece of music in words."""
    metres = list(dict.fromkeys(f"{metre.numerator}/{metre.denominator}" for _, metre in score.bar_starts()))
    voices = [voice.name or "unnamed" for voice in score.voices]
    seconds = round(score.clock().seconds(score.end_ticks))
    return {
        "Key": keys.KEYS[keys.likely(score.notes)] if score.notes else "",
        "Metre": ", ".join(metres[:3]) + (" …" if metres[3:] else ""),
        "Voices": f"{len(voices)}: {', '.join(voices)}"[:120],
        "Bars": sum(1 for _ in score.bar_starts()),
        "Length": f"{seconds // 60}:{seconds % 60:02}",
        "Notes": len(score.notes),
    }


def facts(dataset: TokenDataset) -> dict[str, Any]:
    """What a model is to learn from, and what of it the tokenizer leaves out."""
    report = dataset.tokenizer.report(**dataset.report)
    return {
        "medium": dataset.facts.medium,
        "tokenizer": dataset.tokenizer.kind,
        "reason": dataset.facts.reason,
        "pieces": {name: len(dataset.split(name)) for name in dataset.splits},
        "tokens": {name: len(dataset.split(name).tokens) for name in dataset.splits},
        "skipped": dataset.skipped,
        "sentences": sentences(report, dataset.omissions, REMEDY),
    }


def without(path: Path, error: CarouselError) -> str:
    """The message of an error, without the path that it is about."""
    return str(error).replace(str(path), "").lstrip(":, ")


if __name__ == "__main__":
    limit(MEMORY_BYTES, CPU_SECONDS)
    lines, sys.stdout = sys.stdout, sys.stderr  # what a reader prints is no line of this process
    main(Path(sys.argv[1]), lines)
