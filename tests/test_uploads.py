"""Uploaded files: hostile names, limits, and what is understood of them in a process of its own."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from generator.foundation.errors import CarouselError
from generator.foundation.terminal import CONTROLS
from generator.music import midi
from generator.web import reading, understood, uploads
from generator.web.markdown import plain
from generator.web.understood import Understood, understand
from generator.web.uploads import LONGEST_NAME, Skipped, harmless, store
from tests.conftest import four_voices

CULPRIT = """
import os, time
from generator.music import files
before = files.read_each
def read_each(path):
    if path.name.startswith("crash"):
        os.abort()
    if path.name.startswith("hang"):
        time.sleep(1000)
    return before(path)
files.read_each = read_each
"""
"""What stands for a reader of files with a fault in it."""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("song.MID", "song.mid"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.mid", "evil.mid"),
        ("/", "file"),
        ("", "file"),
        (".hidden.mid", "hidden.mid"),
        ("..", "file"),
        (".mid", "mid"),
        ("a\0b\n\x1b[31m.abc", "ab[31m.abc"),
        ("\u202egnp.mid", "gnp.mid"),
        ("a\ud800b.txt", "ab.txt"),
        ("<img src=x onerror=alert(1)>.mid", "_img src=x onerror=alert(1)_.mid"),
        ("--out.mid", "--out.mid"),
        ("u" * 300 + ".mid", "u" * LONGEST_NAME + ".mid"),
    ],
)
def test_a_hostile_name_becomes_a_harmless_one(name: str, found: str) -> None:
    assert harmless(name) == found


def test_equal_names_are_numbered() -> None:
    assert harmless("A.mid", ["a.mid", "a (2).mid"]) == "A (3).mid"


@given(some.text(max_size=300), some.sets(some.text(max_size=5)))
def test_every_name_is_one_file_in_its_folder(name: str, others: set[str]) -> None:
    taken = [harmless(other) for other in others]
    found = harmless(name, taken)
    assert Path(found).name == found and not found.startswith(".") and found == found.strip()
    assert not CONTROLS.search(found) and len(found.encode()) < 255
    assert found.casefold() not in {one.casefold() for one in taken}
    assert harmless(unicodedata.normalize("NFD", name)) == harmless(name)


@given(some.text(min_size=1))
def test_markdown_shows_a_text_as_it_is(text: str) -> None:
    """Every mark that Markdown could read has a backslash before it."""
    marks = [character for character in text if character.isascii() and not character.isalnum() and character > " "]
    assert plain(text).count("\\") == sum(1 + (mark == "\\") for mark in marks if mark != "\x7f")


def test_what_does_not_fit_is_left_out_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_FILES", 3)
    monkeypatch.setattr(uploads, "MAX_MEGABYTES", 1)
    names = ["a.mid", "A.MID", "a.exe", "big.mid", "words.txt", "b.mid"]
    skipped = store(((name, 2**20 if name == "big.mid" else 10, b"MThd") for name in names), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A (2).mid", "a.mid"]
    assert [one.name for one in skipped] == ["a.exe", "big.mid", "b.mid", "words.txt"]
    assert [why.split(" ")[0] for _, why in skipped] == ["neither", "more", "more", "text"]


def test_a_title_is_shown_if_the_file_has_one(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    for name, content in (("a.abc", "X:1\nT:Air\nK:C\nC4|\n"), ("b.abc", "X:1\nK:C\nC4|\n")):
        (tmp_path / name).write_text(content)
        reading.describe(tmp_path / name, lambda **what: said.append(what["piece"]))
    (tmp_path / "c.mid").write_bytes(midi.to_bytes(four_voices()))
    reading.describe(tmp_path / "c.mid", lambda **what: said.append(what["piece"]))
    assert [piece["Title"] for piece in said] == ["Air", "", ""]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CarouselError, match=r"^a\.txt: cannot be written: .*; free some space$"):
        store([("a.txt", 1, b"a")], tmp_path / "nowhere")


def thirty(folder: Path) -> None:
    """Twenty-seven pieces and three broken files."""
    folder.mkdir(parents=True)
    for number in range(27):
        (folder / f"piece {number}.mid").write_bytes(midi.to_bytes(four_voices(8 + number)))
    (folder / "cut.mid").write_bytes(midi.to_bytes(four_voices())[:60])
    (folder / "empty.mid").write_bytes(b"")
    (folder / "letter.mid").write_bytes(b"Dear all, this is no music.")


def read(folder: Path, cache: Path, skipped: list[Skipped] | None = None) -> Understood:
    steps = understand(folder, cache, skipped or [])
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Understood = end.value
            return found


def test_thirty_files_of_which_three_are_broken(tmp_path: Path) -> None:
    """What is said of them, before anything is trained."""
    thirty(tmp_path / "files")
    found = read(tmp_path / "files", tmp_path / "cache", [Skipped("x.exe", "neither music nor text")])
    assert not found.error and found.medium == "music" and found.tokenizer == "score"
    assert "onsets lie on the grid" in found.reason
    assert sum(found.pieces.values()) == len(found.rows) == 27 and found.pieces["validation"] > 0
    assert {name for name, _ in found.skipped} == {"x.exe", "cut.mid", "empty.mid", "letter.mid"}
    assert all(reason and str(tmp_path) not in reason and "\n" not in reason for _, reason in found.skipped)
    row = found.rows[0]
    assert row["File"] == "piece 0.mid" and row["Metre"] == "4/4" and row["Bars"] == 8 and row["Length"] == "0:16"
    assert row["Voices"] == "4: Soprano, Alto, Tenor, Bass" and row["Key"].endswith(("major", "minor"))
    assert any(path.name == "train.tokens" for path in (tmp_path / "cache").rglob("*"))


@pytest.mark.slow
def test_files_that_crash_or_hang_their_reader_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is ended when nobody waits for it any more, too."""
    thirty(tmp_path / "files")
    for name in ("crash.mid", "hang.mid"):
        (tmp_path / "files" / name).write_bytes(midi.to_bytes(four_voices()))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CULPRIT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setattr(understood, "FILE_SECONDS", 5.0)
    found = read(tmp_path / "files", tmp_path / "cache")
    reasons = dict(found.skipped)
    assert "crashed" in reasons["crash.mid"] and "not read within 5 seconds" in reasons["hang.mid"]
    assert len(found.rows) == 27 and len(reasons) == 5
    (tmp_path / "files" / "hang.mid").write_bytes(b"")
    steps = understand(tmp_path / "files", tmp_path / "cache", [])
    before = children()
    while not next(steps).name:
        pass
    assert len(children() - before) == 1
    steps.close()
    assert children() == before


def children() -> set[int]:
    """The processes that this one has started and not yet seen end."""
    return set(map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("one.mid", b"", "empty"),
        ("one.txt", b"a", "too few to learn from"),
        ("one.txt", b"\xff\xfea", "not UTF-8"),
        ("one.xml", b"<?xml version='1.0'?><a", "MusicXML"),
    ],
)
def test_nothing_to_learn_from_is_one_line(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / name).write_bytes(data)
    found = read(tmp_path / "files", tmp_path / "cache")
    assert words in found.error + str(found.skipped) and found.error and str(tmp_path) not in found.error
