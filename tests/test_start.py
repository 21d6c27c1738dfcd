"""What drawing does without: a process that streams imports no library that only training or files of music need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

HEAVY = ("torch", "music21", "symusic", "mido", "rich", "filelock", "platformdirs", "requests")


def imported(code: str, *arguments: str) -> set[str]:
    """The libraries of `HEAVY` that a new process has imported once it has run this code."""
    code = f"import sys\n{code}\nprint()\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {*HEAVY} & {*done.stdout.splitlines()[-1].split()}


def test_a_checkpoint_is_loaded_without_torch() -> None:
    code = "from generator.model.checkpoint import Checkpoint; assert Checkpoint.load('checkpoints/bach').fingerprint"
    assert not imported(code)


def test_music_is_understood_without_what_reads_and_engraves_it() -> None:
    """A piece as tokens says its key."""
    code = (
        "from generator.model.checkpoint import Checkpoint; from generator.music.score import Note, Score, Voice\n"
        "notes = tuple(Note(480 * beat, 480, pitch) for beat, pitch in enumerate((62, 65, 69, 61, 62)))\n"
        "piece = Score(480, (Voice('Soprano'),), notes)\n"
        "for name in ('bach', 'piano'):\n"
        "    assert len(Checkpoint.load(f'checkpoints/{name}').tokenizer.encode(piece)) > 5"
    )
    assert not imported(code)


def test_a_text_is_drawn_without_what_it_does_not_need() -> None:
    code = "from generator import sample; assert sample.main(['checkpoints/shakespeare', '--tokens', '1']) == 0"
    assert not imported(code)


@pytest.mark.parametrize("command", ["prepare", "train", "join", "sample", "evaluate", "bench"])
def test_help_is_there_at_once_with_an_example(command: str) -> None:
    code = f"""
import contextlib, io, runpy
sys.argv[1:] = ["--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:
    runpy.run_module("generator.{command}", run_name="__main__", alter_sys=True)
assert "python -m generator.{command} " in said.getvalue().split("options:")[0].split("\\n", 1)[1]
"""
    assert "torch" not in imported(code)
