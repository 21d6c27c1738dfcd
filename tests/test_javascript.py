"""The browser's part of the app: its types hold, its style is kept, and its modules do what they say without a page."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import playwright
import pytest
from deno import find_deno_bin

NODE = Path(playwright.__file__).parent / "driver" / ("node.exe" if os.name == "nt" else "node")


@pytest.mark.parametrize("command", [("check", "generator/web/static"), ("lint",)], ids=["types", "style"])
def test_deno_finds_nothing(root: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    run([find_deno_bin(), *command], root, DENO_DIR=str(tmp_path), DENO_NO_UPDATE_CHECK="1")


def test_the_modules_do_what_they_say(root: Path) -> None:
    run([str(NODE), "--test", *map(str, sorted((root / "tests" / "javascript").glob("*.test.js")))], root)


def run(command: list[str], root: Path, **environment: str) -> None:
    quiet = os.environ | {"NO_COLOR": "1"} | environment
    answer = subprocess.run(command, cwd=root, env=quiet, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
