"""Floor 2: corpora. A name from `data/corpora.toml` or a path gives a `Corpus`: pieces in splits, with their licence."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from generator.corpora.base import Corpus, Facts, Piece
from generator.corpora.download import fetch
from generator.corpora.music21_package import Music21Corpus, Reading
from generator.corpora.text import TextCorpus
from generator.errors import CarouselError

__all__ = ["Corpus", "Facts", "Piece", "entries", "open_corpus"]

TABLE = Path(__file__).parents[2] / "data" / "corpora.toml"


def entries() -> dict[str, dict[str, Any]]:
    """The table of named corpora."""
    with TABLE.open("rb") as file:
        return tomllib.load(file)


def open_corpus(name_or_path: str | Path) -> Corpus:
    """A corpus by its name in `data/corpora.toml`, or the one at a path.

    Raises:
        CarouselError: there is no such name or path, or nothing to learn from is there.
    """
    name = str(name_or_path)
    table = entries()
    if name not in table:
        raise CarouselError(f"{name}: neither a corpus ({', '.join(table)}) nor a path; check the spelling")
    entry = table[name]
    medium = "text" if entry["tokenizer"] == "char" else "music"
    facts = Facts(name, entry["title"], entry["licence"], entry["source"], medium, entry["tokenizer"])
    match entry["loader"]:
        case "music21":
            return Music21Corpus(facts, Reading.from_entry(entry))
        case "text":
            return TextCorpus(facts, [(name, fetch(entry["source"], entry["sha256"]))])
        case loader:
            raise CarouselError(f"{TABLE}: {name} has an unknown loader {loader!r}; correct the table")
