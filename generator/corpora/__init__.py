"""Floor 2: corpora. A `Corpus` has pieces in splits; it is opened by a name from `data/corpora.toml`, or by a path."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from generator.corpora.archives import FramesCorpus, MaestroCorpus
from generator.corpora.base import Corpus, Facts, Piece
from generator.corpora.download import MIRROR, fetch, mirror_folder
from generator.corpora.folder import FolderCorpus
from generator.corpora.groove import GrooveCorpus
from generator.corpora.paths import all_files, named, open_path
from generator.corpora.pop909 import Pop909Corpus
from generator.corpora.text import TextCorpus
from generator.foundation.errors import CarouselError
from generator.foundation.places import shipped
from generator.music.score import Voice

__all__ = ["Corpus", "Facts", "Piece", "entries", "open_corpus"]

TABLE = shipped("data") / "corpora.toml"


def entries() -> dict[str, dict[str, Any]]:
    """The table of named corpora: for each name the fields of its entry.

    Raises:
        CarouselError: the table is missing or is not TOML.
    """
    try:
        return tomllib.loads(TABLE.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CarouselError(f"{TABLE}: cannot be read ({error}); restore it") from error


def open_corpus(name_or_path: str | Path) -> Corpus:
    """The corpus of this name in `data/corpora.toml`, else the one at this path.

    Raises:
        CarouselError: there is no such name or path, the path has neither music nor text, or a download failed.
    """
    name = str(name_or_path)
    table = entries()
    if name in table:
        return _named(name, table[name])
    path = Path(name).expanduser()
    if not path.exists():
        close = get_close_matches(name, table, 1)
        meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(table)}"
        raise CarouselError(f"{name}: neither a corpus nor a path; {meant}")
    return open_path(path)


def _named(name: str, entry: dict[str, Any]) -> Corpus:
    medium = "text" if entry["tokenizer"] == "char" else "music"
    facts = Facts(name, entry["title"], entry["licence"], entry["source"], medium, entry["tokenizer"])
    match entry["loader"]:
        case "music21":
            from generator.corpora.music21_package import Music21Corpus, Reading  # music21 is slow to import

            return Music21Corpus(facts, Reading.from_entry(entry))
        case "text":
            return TextCorpus(facts, [(name, fetch(entry["source"], entry["sha256"]))])
        case "maestro":
            return MaestroCorpus(facts, fetch(entry["source"], entry["sha256"]))
        case "frames":
            voices = tuple(Voice(**voice) for voice in entry["voices"])
            return FramesCorpus(facts, fetch(entry["source"], entry["sha256"]), voices, entry["tempo"])
        case "folder":
            return FolderCorpus(facts, _mirrored_files(name, entry), by_composition=True)
        case "groove":
            keys = {int(key): instead for key, instead in entry["keys"].items()}
            return GrooveCorpus(facts, _mirrored_folder(name, entry), keys)
        case "pop909":
            return Pop909Corpus(facts, _mirrored_folder(name, entry))
        case loader:
            raise CarouselError(f"{TABLE}: {name} has an unknown loader {loader!r}; correct the table")


def _mirrored_files(name: str, entry: dict[str, Any]) -> list[tuple[str, Path]]:
    """The files of a corpus that is a folder, as its entry chooses them."""
    root = _mirrored_folder(name, entry)
    chosen = [
        path
        for path in all_files(root)
        if fnmatch(path.name, entry["include"]) and not fnmatch(path.name, entry["exclude"])
    ]
    if not chosen:
        raise _absent(name, entry)
    return named(chosen, root)


def _mirrored_folder(name: str, entry: dict[str, Any]) -> Path:
    """The folder of a corpus that is one. It cannot be downloaded as one file, so it has to be in the mirror."""
    mirror = mirror_folder()
    root = (mirror or Path()) / str(entry["folder"])
    if mirror is None or not root.is_dir():
        raise _absent(name, entry)
    return root


def _absent(name: str, entry: dict[str, Any]) -> CarouselError:
    return CarouselError(
        f"{name}: fetch {entry['source']} into a folder called {entry['folder']}, and let {MIRROR} name "
        f"the folder that holds it (now {mirror_folder() or 'unset'})"
    )
