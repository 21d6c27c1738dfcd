"""No command writes over what it reads, nor two things into one file; a primer that names no file is told from text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from generator import CarouselError, evaluate, join, prepare, sample, train
from generator.corpora.primer import read_primer
from generator.join import joined
from generator.music import midi
from generator.streaming.snapshot import Snapshot
from tests.conftest import four_voices, run, tiny


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which commands run, with two checkpoints, a song, a text, and a take under three names."""
    for kind in ("char", "score"):
        tiny(kind).save(tmp_path / "checkpoints" / kind)
    monkeypatch.chdir(tmp_path)
    midi.write(four_voices(4), "song.mid")
    Path("novel.txt").write_text("abc def")
    assert run("checkpoints/score", "--tokens", 60, "-o", "old.mid", "--save", "old.take") == 0
    Path("take.mid").write_bytes(Path("old.take").read_bytes())
    os.symlink("song.mid", "link.mid")
    os.link("song.mid", "hard.mid")
    Path("songs").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["checkpoints/score", "-o", "q.mid", "--save", "q.mid"], "q.mid: the name of a take ends in .take"),
        (["checkpoints/score", "--save", "q"], "q: the name of a take ends in .take"),
        (["checkpoints/score", "--prime", "song.mid", "-o", "song.mid"], "-o would replace what --prime names"),
        (["checkpoints/score", "--prime", "song.mid", "-o", "songs/../song.mid"], "what --prime names"),
        (["checkpoints/score", "--prime", "song.mid", "-o", "link.mid"], "what --prime names"),
        (["checkpoints/score", "--prime", "song.mid", "-o", "hard.mid"], "what --prime names"),
        (["checkpoints/score", "--melody", "song.mid", "-o", "./song.mid"], "what --melody names"),
        (["checkpoints/char", "--prime", "novel.txt", "-o", "novel.txt"], "what --prime names"),
        (["checkpoints/char", "--originality", "novel.txt", "-o", "novel.txt"], "what --originality names"),
        (["--resume", "take.mid", "-o", "take.mid"], "what --resume names"),
        (["checkpoints/score", "--prime", "old.take", "--save", "old.take"], "what --prime names"),
        (["--replay", "old.mid", "-o", "old.mid"], "what --replay names"),
        (["--replay", "old.take", "-o", "./old.take"], "what --replay names"),
        (["--replay", "old.mid", "-o", "nowhere/new.take"], "the folder nowhere does not exist"),
    ],
)
def test_nothing_is_written_over_what_is_read(
    house: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """It is refused before anything is drawn."""
    before = {path: path.read_bytes() for path in house.iterdir() if path.is_file()}
    monkeypatch.setattr("generator.streaming.stream.Stream._advance", None)
    capsys.readouterr()
    length = [] if "--replay" in arguments else ["--tokens", "9"]
    assert run(*arguments, *length) == 2
    errors = capsys.readouterr().err
    assert message in errors and errors.count("\n") == 1
    assert {path: path.read_bytes() for path in house.iterdir() if path.is_file()} == before


def test_a_saved_stream_goes_on_in_its_own_file(house: Path) -> None:
    before = Snapshot.load("old.take").position
    assert run("--resume", "old.take", "--tokens", 5, "-o", "new.mid", "--save", "./old.take") == 0
    assert Snapshot.load("old.take").position == before + 5
    assert run("checkpoints/score", "--tokens", 60, "-o", "CAPITALS.MID", "--save", "CAPITALS.TAKE") == 0


def test_the_take_is_kept_where_the_file_cannot_be_written(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("checkpoints/score", "--tokens", 1, "-o", "a.mid", "--save", "a.take") == 2
    assert "no notes to write" in capsys.readouterr().err
    assert Snapshot.load("a.take").position == 1


LONG = "a" * 300


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (prepare, [LONG]),
        (train, ["novel.txt", "--steps", "1", "--out", LONG]),
        (train, ["novel.txt", "--resume", "--out", LONG]),
        (join, ["novel.txt", "checkpoints/char", "checkpoints/score", "--out", LONG]),
        (evaluate, [LONG, "novel.txt"]),
        (sample, [LONG, "--tokens", "3"]),
        (sample, ["checkpoints/score", "--tokens", "60", "-o", f"{LONG}.mid"]),
        (sample, ["checkpoints/score", "--tokens", "3", "--save", f"{LONG}/a.take"]),
        (sample, ["--replay", f"{LONG}.mid"]),
        (sample, ["--tree", LONG]),
    ],
)
def test_a_place_where_the_system_does_not_let_one_look(
    house: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: Any, arguments: list[str]
) -> None:
    """As in a folder of somebody else: a line says so, before a corpus is read."""
    monkeypatch.setenv("CAROUSEL_CACHE", str(house / "cache"))
    capsys.readouterr()
    assert module.main(arguments) == 2
    said = capsys.readouterr().err
    assert LONG in said and "File name too long" in said and said.count("\n") == 1


def test_members_are_not_joined_into_one_of_them(house: Path) -> None:
    members = [Path("checkpoints/char"), Path("checkpoints/score")]
    with pytest.raises(CarouselError, match="--out would replace what CHECKPOINT checkpoints/char names"):
        joined(None, members, Path("checkpoints/../checkpoints/char"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("medium", "text", "message"),
    [
        ("text", "songs", "songs: a folder, or something else that is no file"),
        ("music", "songs", "songs: a folder, or something else that is no file"),
        ("text", "missing.txt", "missing.txt: no such file; to begin with these words"),
        ("text", "my songs/no such tune.MID", "no such file; to begin with these words"),
        ("music", "missing.mid", "missing.mid: no such file"),
    ],
)
def test_a_primer_that_names_no_file(house: Path, medium: str, text: str, message: str) -> None:
    with pytest.raises(CarouselError, match=message):
        read_primer(text, medium)


def test_a_primer_that_may_have_meant_a_file(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert read_primer("either/or", "text") == "either/or"
    assert capsys.readouterr().err == "either/or: no such file, so the stream begins with these words themselves\n"
    for text in ("to be, or not to be/", "abc", "A" * 5000, "wait...", "novel"):
        assert read_primer(text, "text") == text
    assert read_primer("novel.txt", "text") == "abc def"
    assert capsys.readouterr().err == ""
