"""What drawing does without: a process that streams imports no library that only training or files of music need."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

HEAVY = ("torch",)


def imported(code: str, *arguments: str) -> set[str]:
    """The libraries of `HEAVY` that a new process has imported once it has run this code."""
    code = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {*HEAVY} & {*done.stdout.splitlines()[-1].split()}


def test_a_checkpoint_is_loaded_without_torch() -> None:
    code = "from generator.model.checkpoint import Checkpoint; assert Checkpoint.load('checkpoints/bach').fingerprint"
    assert not imported(code)
