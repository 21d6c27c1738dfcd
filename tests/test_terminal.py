"""What reaches a terminal: nothing from outside that could act on it, and in a pipe a word now and then."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator import CarouselError, evaluate, prepare, sample
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare as make
from generator.foundation.terminal import printable
from generator.music import midi
from generator.music.score import Voice
from generator.streaming.engine import Model
from generator.tokenizers.char import CharTokenizer
from generator.tokenizers.score import ScoreTokenizer
from tests.conftest import ROOT, four_voices, random_checkpoint, tiny
from tests.process import python

ESCAPE = "\x1b[31m\x9b2J\u202e\x07\r\nfake [/] [red]"
SHOWN = r"\u001b[31m\u009b2J\u202e\u0007\r\nfake [/] [red]"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (ESCAPE, SHOWN),
        ("é ♯ 世 שלום \u00a0\u200d [/]", "é ♯ 世 שלום \u00a0\u200d [/]"),
        ("\t\x7f\x85\u2028", r"\t\u007f\u0085\u2028"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("caf\udce9.mid", r"caf\udce9.mid"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_json_stays_json() -> None:
    value = {"name": ESCAPE + "\udce9\x7f \\u001b ♯"}
    assert json.loads(printable(json.dumps(value, ensure_ascii=False, indent=2), keep="\n")) == value


def evil_folder(root: Path, pieces: int = 4, broken: int = 12) -> Path:
    """Music, and files that cannot be read, in a folder whose name and whose files' names act on a terminal."""
    folder = root / f"mine{ESCAPE.replace('/', '')}"
    folder.mkdir()
    for number in range(pieces):
        midi.write(four_voices(4 + number), folder / f"{number}.mid")
    for number in range(broken):
        (folder / f"bad{number:02}{ESCAPE.replace('/', '')}.mid").write_bytes(b"MThd")
    return folder


def test_names_of_files_do_nothing_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the summary, in what is wrong with a single file, and in the list of all that was skipped."""
    folder = evil_folder(tmp_path)
    assert prepare.main([str(folder)]) == 0
    out = capsys.readouterr().out
    shown = SHOWN.replace("/", "")
    assert out == printable(out, keep="\n")
    assert f"mine{shown}: 16 .mid from mine{shown}\n" in out
    assert f"    bad09{shown}.mid: a damaged MIDI file" in out and "bad10" not in out
    assert prepare.main([str(folder / "no\x1b such")]) == 2
    assert r"no\u001b such: neither a corpus nor a path" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        prepare.main([str(folder), "more\x1b[2J"])
    assert r"more\u001b[2J; --help" in capsys.readouterr().err


def test_all_that_was_skipped_is_listed_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = evil_folder(tmp_path)
    dataset = make(open_corpus(folder), progress=False)
    lines = dataset.skipped_list.read_text(encoding="utf-8").split("\n")
    shown = SHOWN.replace("/", "")
    assert [line.partition(": ")[0] for line in lines] == [*(f"bad{number:02}{shown}.mid" for number in range(12)), ""]
    assert all("a damaged MIDI file" in line for line in lines[:-1])
    assert f"  skipped     12, listed in {printable(str(dataset.skipped_list))}\n" in prepare.summary(dataset)
    for number in range(4):
        (folder / f"{number}.mid").write_bytes(b"MThd")
    assert prepare.main([str(folder)]) == 2, "nothing is left"
    errors = capsys.readouterr().err
    assert "16 were skipped" in errors and errors.count("\n") == 1
    [new] = [path for path in dataset.skipped_list.parent.iterdir() if path != dataset.skipped_list]
    assert f"{printable(str(new))} has all" in errors and new.read_text(encoding="utf-8").count("\n") == 16
    for path in folder.iterdir():
        path.unlink()
    midi.write(four_voices(4), folder / "0.mid")
    assert not make(open_corpus(folder), progress=False).skipped_list.exists()


def test_names_in_takes_trees_and_rankings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(tiny("score"))
    stream = model.stream()
    stream.pull(60)
    folder = tmp_path / f"takes{ESCAPE.replace('/', '')}"
    folder.mkdir()
    stream.snapshot().save(folder / "\x1b[2Ja.take")
    (folder / "bad\x1b.take").write_bytes(b"bad")
    assert sample.main(["--tree", str(folder)]) == 0
    printed = capsys.readouterr()
    assert printed.out == printable(printed.out, keep="\n") and printed.err == printable(printed.err, keep="\n")
    assert r"\u001b[2Ja.take" in printed.out.replace("\n", "") and r"bad\u001b.take: cut off" in printed.err
    tiny("score").save(tmp_path / "score")
    midi.write(four_voices(), tmp_path / "♭\x9b\udce9.mid")
    assert evaluate.main(["--rank", str(tmp_path / "♭\x9b\udce9.mid"), str(tmp_path / "score")]) == 0
    out = capsys.readouterr().out
    assert out == printable(out, keep="\n") and "♭" in out
    assert json.loads(out)["file"] == str(tmp_path / "♭\x9b\udce9.mid")


def test_names_of_voices_and_characters_of_primers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voiced = replace(four_voices(), voices=tuple(Voice(f"{name}\x1b[2J\n") for name in "SATB"))
    random_checkpoint(ScoreTokenizer.fit([voiced])).save(tmp_path / "score")
    assert sample.main([str(tmp_path / "score"), "--tokens", "200"]) == 0
    out = capsys.readouterr().out
    assert r"S\u001b[2J\n  " in out and out == printable(out, keep="\n")
    tiny("char").save(tmp_path / "char")
    assert sample.main([str(tmp_path / "char"), "--prime", "a\x1b\u202eb", "--tokens", "5"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "unknown to this checkpoint: \\u001b \\u202e" and "2 characters read as unknown" in told[1]


@pytest.fixture
def speaks_controls(tmp_path: Path) -> Path:
    """A checkpoint of a text with escape codes in it."""
    random_checkpoint(CharTokenizer("\x07\t\x1b\x9b\u202e[2Jab\u00a0")).save(tmp_path / "controls")
    return tmp_path / "controls"


def in_a_terminal(arguments: list[str]) -> str:
    """What a command writes to a terminal that is its standard output and error."""
    parent, child = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, stdout=child, stderr=child) as process:
        os.close(child)
        written = b""
        while True:
            try:
                data = os.read(parent, 4096)
            except OSError:  # as Linux tells that nobody writes to it any more
                data = b""
            if not data:
                break
            written += data
    os.close(parent)
    assert process.returncode == 0, written
    return written.decode().replace("\r\n", "\n")


def test_generated_text_is_made_visible_on_a_terminal_alone(speaks_controls: Path, tmp_path: Path) -> None:
    arguments = ["generator.sample", str(speaks_controls), "--seed", "3", "--prime", "a\x1b[2Jb", "--tokens", "200"]
    piped = python("-m", *arguments)
    exact = piped.stdout
    assert exact.startswith("a\x1b[2Jb") and len(exact) == 206 and {"\x07", "\x9b", "\u202e", "\t", "\n"} < set(exact)
    assert in_a_terminal(arguments) == printable(exact, keep="\n\t") + "\n"
    out = tmp_path / "out.txt"
    in_a_terminal([*arguments, "-o", str(out)])
    assert out.read_bytes() == piped.stdout.encode()


def test_a_bar_takes_its_label_as_it_is(tmp_path: Path) -> None:
    """`[/]` is no markup, and escape codes do not act."""
    folder = evil_folder(tmp_path)
    written = in_a_terminal(["generator.prepare", str(folder)])
    assert f"mine{SHOWN.replace('/', '')}: reading" in written
    assert "\x1b[31m" not in written.replace(SHOWN, "") and "\x9b" not in written and "\u202e" not in written


def test_what_an_encoding_lacks_is_written_out(tmp_path: Path) -> None:
    (tmp_path / "世.txt").write_text("to be or not to be")
    done = subprocess.run(
        [sys.executable, "-m", "generator.prepare", str(tmp_path / "世.txt")],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u4e16.txt: 1 .txt from" in done.stdout


LINES = """
import sys, time
from generator.corpora import progress
from rich.progress import TaskProgressColumn, TextColumn, TimeElapsedColumn
progress.LINE_SECONDS = 0.05
with progress.bar("[/]\\x1bread", TaskProgressColumn(), TextColumn("{task.fields[figures]}"), figures="none") as show:
    time.sleep(0.5)
    show(completed=3, total=4, figures="loss 1.5")
    time.sleep(0.5)
with progress.bar("unseen", visible=False) as show:
    time.sleep(0.2)
"""


def test_in_a_pipe_progress_is_a_line_now_and_then() -> None:
    done = subprocess.run([sys.executable, "-c", LINES], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = list(dict.fromkeys(done.stderr.splitlines()))
    assert lines == [r"[/]\u001bread  none", r"[/]\u001bread  75% loss 1.5"]
    assert done.stdout == ""


def test_a_quick_work_says_nothing_of_its_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("to be or not to be")
    assert prepare.main([str(tmp_path / "a.txt")]) == 0
    assert capsys.readouterr().err == ""


def test_errors_of_all_commands_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: Any) -> None:
        raise CarouselError(f"{ESCAPE}: what a library said")

    assert command.run(command.parser("prepare", ""), work, []) == 2
    assert capsys.readouterr().err == f"python -m generator.prepare: {SHOWN}: what a library said\n"


def test_what_is_said_beside_the_output_is_said_in_one_place() -> None:
    """`train` prints a summary of many lines, each already made printable."""
    found = {path.name for path in (ROOT / "generator").rglob("*.py") if "file=sys.stderr" in path.read_text()}
    assert found == {"terminal.py", "train.py"}
