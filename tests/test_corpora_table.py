"""The table of named corpora: each entry says what it must, and nothing that no code reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generator import corpora
from generator.corpora import download, entries, open_corpus
from generator.foundation.errors import CarouselError
from generator.tokenizers import KINDS


def test_every_entry_says_what_it_must() -> None:
    table = entries()
    assert {
        "bach-chorales",
        "folk-tunes",
        "tinyshakespeare",
        "asap-piano",
        "maestro-v3",
        "jsb-chorales",
        "groove-drums",
        "pop909",
    } <= set(table)
    for name, entry in table.items():
        for field in ("title", "licence", "source", "loader"):
            assert isinstance(entry[field], str) and entry[field], f"{name} lacks {field}"
        assert entry["tokenizer"] in KINDS
        assert ("sha256" in entry) == (entry["loader"] in ("text", "frames", "maestro")), "all that is downloaded"


class Watched(dict[str, Any]):
    """An entry that remembers which of its fields were looked at."""

    def __init__(self, entry: dict[str, Any]) -> None:
        super().__init__(entry)
        self.read: set[str] = set()

    def __getitem__(self, field: str) -> Any:
        self.read.add(field)
        return super().__getitem__(field)

    def get(self, field: str, default: Any = None) -> Any:
        self.read.add(field)
        return super().get(field, default)


@pytest.mark.parametrize("name", entries())
def test_every_field_of_an_entry_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Watched(entries()[name])
    folder = tmp_path / dict(entry).get("folder", "none")
    folder.mkdir()
    (folder / "a.mid").write_bytes(b"")
    monkeypatch.setenv(download.MIRROR, str(tmp_path))
    monkeypatch.setattr(corpora, "entries", lambda: {name: entry})
    monkeypatch.setattr(corpora, "fetch", lambda source, sha256: tmp_path / "file")
    assert open_corpus(name).name == name
    assert set(entry) <= entry.read


def test_an_unknown_name_is_told_the_next_one() -> None:
    with pytest.raises(CarouselError, match="did you mean bach-chorales"):
        open_corpus("bach-choral")
    with pytest.raises(CarouselError, match="there are bach-chorales, folk-tunes"):
        open_corpus("/no/such/place")
