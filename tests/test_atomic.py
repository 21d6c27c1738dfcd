"""Files appear whole or not at all, with the rights that any new file has, and only where a file may be."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from generator.atomic import atomic_write
from generator.errors import CarouselError
from tests.conftest import ROOT


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(("raised", "seen"), [(KeyError, KeyError), (OSError, CarouselError)])
def test_a_block_that_raises_leaves_no_trace(tmp_path: Path, raised: type[Exception], seen: type[Exception]) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(seen), atomic_write(path) as file:
        file.write(b"new")
        raise raised
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_rights_of_any_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    path = tmp_path / "a.txt"
    code = "import sys; from generator.atomic import atomic_write\nwith atomic_write(sys.argv[1]) as file: pass"
    # In a process of its own: the mask is the whole process's.
    subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, umask=mask, check=True)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_only_a_file_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", Path(".")):
        with pytest.raises(CarouselError, match="not a file"), atomic_write(path):
            pass
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(CarouselError, match="does not exist; make it first"), atomic_write(tmp_path / "none" / "a"):
        pass
