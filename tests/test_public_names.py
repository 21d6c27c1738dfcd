"""The public names: all there, and nothing heavy is imported before one of them is asked for."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import generator
from tests.conftest import ROOT

NAMES = [
    "Band",
    "Bar",
    "CarouselError",
    "Engine",
    "Model",
    "Note",
    "Pedal",
    "PieceEnd",
    "SamplingOptions",
    "Score",
    "Snapshot",
    "Stream",
    "Tempo",
    "TimeSignature",
    "Trace",
    "Voice",
    "lead_sheet",
    "load",
    "read",
    "write",
]


def test_importing_the_package_is_light() -> None:
    code = "import sys, generator; print(sorted({'torch', 'numba', 'numpy', 'music21', 'symusic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_name_is_what_its_module_calls_so() -> None:
    """The checkers read one list of imports, the interpreter another; they agree."""
    imports = {
        alias.name: node.module
        for node in ast.walk(ast.parse(Path(generator.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(imports) == generator.__all__ == NAMES
    for name, module in imports.items():
        assert getattr(generator, name) is getattr(importlib.import_module(str(module)), name)
    assert set(generator.__all__) <= set(dir(generator))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        generator.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_old_names_work_and_say_the_new_ones() -> None:
    stream = generator.load(ROOT / "checkpoints" / "shakespeare").stream(characters="\n")
    stream.pull(8)
    with pytest.warns(DeprecationWarning, match=r"use Stream\.relaxed"):
        assert stream.yielded == stream.relaxed
