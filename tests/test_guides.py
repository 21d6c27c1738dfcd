"""What a guide in `docs/` says is run: its Python, then its commands one after another, in this process."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from generator import sample
from generator.corpora.download import CACHE
from generator.foundation.options import flag
from generator.streaming.constraints import NAMES
from tests.conftest import ROOT
from tests.test_readme import FENCE

GUIDE = (ROOT / "docs" / "constraints.md").read_text(encoding="utf-8")
ORIGINALITY = (ROOT / "docs" / "originality.md").read_text(encoding="utf-8")
COMMAND = "python -m generator.sample "


def blocks(language: str, guide: str = GUIDE) -> list[str]:
    return [match["text"] for match in FENCE.finditer(guide) if match["language"] == language]


def test_every_constraint_has_its_row_and_its_example() -> None:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    for name in NAMES:
        assert f"| `{name}` | `{flag(name)}" in GUIDE
        assert any(f" {flag(name)} " in line for line in lines), name


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [pytest.param("constraints", marks=pytest.mark.slow), "harmony", "governor"])
def test_a_guide_runs_from_top_to_bottom(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing yields."""
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    names: dict[str, Any] = {}
    for block in FENCE.finditer((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")):
        if block["language"] == "python":
            exec(compile(block["text"], f"{name}.md", "exec"), names)
        for line in block["text"].splitlines() if block["language"] == "console" else ():
            assert line.startswith(COMMAND)
            assert sample.main(shlex.split(line.removeprefix(COMMAND))) == 0, capsys.readouterr().err
            assert "relaxed" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_guide_to_originality_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what it says is printed, is."""
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    said = ""
    for block in blocks("console", ORIGINALITY):
        for line in block.splitlines():
            assert sample.main(shlex.split(line.removeprefix(COMMAND))) == 0, capsys.readouterr().err
            said += capsys.readouterr().err
    for text in blocks("text", ORIGINALITY):
        assert text in said
    exec(compile("\n".join(blocks("python", ORIGINALITY)), "originality.md", "exec"), {})
    assert " 20 speech.txt, line " in capsys.readouterr().out
