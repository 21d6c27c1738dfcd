"""What the README and the other pages say is run: the commands one after another, then the Python in one go, in a copy
of the checkout.

A fenced block that must not run here stands under a comment that says why: `<!-- not run: takes an hour -->`. Of
`console` and `bash` blocks the lines that start with `python -m generator` are run, with or without a `$ ` before.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from generator.music import midi
from generator.music.score import Note, Score, Voice
from tests.process import python

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/developers.md", "docs/teachers.md")
SLOW = ("docs/musicians.md", "docs/takes-by-example.md")
DOCUMENTS = (*PAGES, *SLOW)
FENCE = re.compile(r"^(?:<!-- not run: (?P<reason>.+?) -->\n+)?```(?P<language>\w+)\n(?P<text>.*?)^```", re.M | re.S)
LANGUAGES = {"python", "console", "bash", "tree", "text", "json"}
"""What a block may be; another tag, which would slip through unrun, is refused."""


@dataclass(frozen=True)
class Block:
    line: int
    """Of its first line of text, from 1."""
    language: str
    text: str
    reason: str | None


def blocks(document: str) -> list[Block]:
    source = (ROOT / document).read_text(encoding="utf-8")
    return [
        Block(source.count("\n", 0, m.start("text")) + 1, m["language"], m["text"], m["reason"])
        for m in FENCE.finditer(source)
    ]


def python_source(document: str) -> str:
    """All Python blocks as one module; every line keeps its number, so that a traceback points into the document."""
    lines: list[str] = []
    for block in blocks(document):
        if block.language == "python" and block.reason is None:
            lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines)


def commands(document: str) -> list[tuple[int, str]]:
    """(line, command) of every command of ours, lines that end in a backslash joined."""
    found = []
    for block in blocks(document):
        if block.language in ("console", "bash") and block.reason is None:
            for match in re.finditer(r"^(?:\$ )?(python -m generator(?:[^\n\\]|\\\n?)*)", block.text, re.M):
                line = block.line + block.text.count("\n", 0, match.start())
                found.append((line, match[1].replace("\\\n", " ")))
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a checkout, that writes nothing into the real one, with a novel and songs to learn from.

    The code itself is found by its real path, under which it is compiled already."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("app.py", "data"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "checkpoints").mkdir()
    for checkpoint in (ROOT / "checkpoints").iterdir():
        (folder / "checkpoints" / checkpoint.name).symlink_to(checkpoint)
    sentences = (f"On day {day} the ship made {day * 37 % 90} miles under a grey sky.\n" for day in range(800))
    (folder / "novel.txt").write_text("".join(sentences), encoding="utf-8")
    (folder / "songs").mkdir()
    for song in range(8):
        notes = tuple(Note(240 * step, 240, 60 + (step * (song + 2)) % 12) for step in range(64))
        midi.write(Score(480, (Voice("Piano"),), notes), folder / "songs" / f"{song}.mid")
    tracks = (Voice("Lead", 80), Voice("Bass", 33), Voice("Kit", drum=True))
    notes = tuple(
        Note(480 * step, 480, pitch + step % 4, voice=at) for step in range(16) for at, pitch in enumerate((67, 43, 36))
    )
    midi.write(Score(480, tracks, notes), folder / "song.mid")
    return folder


def environment(checkout: Path) -> dict[str, str]:
    mirror = os.environ.get("CAROUSEL_MIRROR")
    more = {"CAROUSEL_MIRROR": str((ROOT / mirror).resolve())} if mirror else {}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(ROOT), "CAROUSEL_CACHE": str(checkout / "cache"), "PATH": path, **more}


def run(checkout: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command of ours, by the shell if it needs one."""
    if set("|<>$&;*") & set(command):
        line = ["bash", "-c", command]
        return subprocess.run(line, cwd=checkout, env=environment(checkout), capture_output=True, text=True)
    return python(*shlex.split(command)[1:], cwd=checkout, env=environment(checkout))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_of_a_known_language(document: str) -> None:
    source = (ROOT / document).read_text(encoding="utf-8")
    found = blocks(document)
    assert len(re.findall(r"^```", source, re.M)) == 2 * len(found), "a fence without a language, or not closed"
    assert {block.language for block in found} <= LANGUAGES


@pytest.mark.parametrize("document", DOCUMENTS)
def test_there_is_something_to_run(document: str) -> None:
    assert python_source(document) or commands(document)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", [*PAGES, *(pytest.param(page, marks=pytest.mark.slow) for page in SLOW)])
def test_what_it_says_runs(checkout: Path, document: str) -> None:
    for line, command in commands(document):
        done = run(checkout, command)
        assert done.returncode == 0, f"{document}, line {line}: {command}\n{done.stdout}{done.stderr}"
    script = checkout / f"{Path(document).stem}.py"
    script.write_text(python_source(document), encoding="utf-8")
    done = python(script, cwd=checkout, env=environment(checkout))
    assert done.returncode == 0, done.stderr
