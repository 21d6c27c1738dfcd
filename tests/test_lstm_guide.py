"""The guide to the LSTM runs from top to bottom: its Python and its commands, in their order."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from generator.corpora.download import CACHE
from tests.conftest import ROOT
from tests.test_readme import FENCE

GUIDE = (ROOT / "docs" / "lstm.md").read_text(encoding="utf-8")


def test_the_lines_beside_the_equations_are_in_the_code() -> None:
    code = (ROOT / "generator" / "model" / "equations.py").read_text(encoding="utf-8")
    lines = re.findall(r"^\| .* \| `(.+ = .+)` \|$", GUIDE, re.M)
    assert len(lines) == 5 and all(line in code for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_guide_to_the_lstm_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own assertions hold: among others, every planted fault of the heartbeat is found, and nothing else."""
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    names: dict[str, Any] = {}
    for block in FENCE.finditer(GUIDE):
        if block["language"] == "python":
            exec(compile(block["text"], "lstm.md", "exec"), names)
        for line in block["text"].splitlines() if block["language"] == "console" else ():
            _, _, module, *arguments = shlex.split(line)
            status = importlib.import_module(module).main(arguments)
            printed = capsys.readouterr()
            assert status == 0, printed.err
            if "--rank" in arguments:
                assert '"best": "checkpoints/folk"' in printed.out
