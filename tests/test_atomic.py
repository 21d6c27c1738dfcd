"""Files appear whole or not at all, with the rights that any new file has, and only where a file may be."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from generator.foundation.atomic import atomic_folder, atomic_write
from generator.foundation.errors import CarouselError
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
    code = (
        "import sys; from generator.foundation.atomic import atomic_write\nwith atomic_write(sys.argv[1]) as file: pass"
    )
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


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    code = (
        "import sys\nfrom generator.foundation.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file: file.write(b'half'); print(file.name, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, path]
    killed, living = (
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    )
    assert killed.stdout and living.stdout
    left, written = (Path(process.stdout.readline().decode().strip()) for process in (killed, living))
    killed.kill()
    killed.communicate()
    assert left.exists()
    (tmp_path / ".a.txt.of mine").write_bytes(b"another's")
    with atomic_write(path) as file:
        file.write(b"new")
    assert {found.name for found in tmp_path.iterdir()} == {"a.txt", ".a.txt.of mine", written.name}
    living.communicate()
    assert path.read_bytes() == b"half" and not written.exists()


@pytest.mark.parametrize(("raised", "seen"), [(KeyError, KeyError), (OSError, CarouselError)])
def test_several_files_change_together_or_not_at_all(
    tmp_path: Path, raised: type[Exception], seen: type[Exception]
) -> None:
    for name in ("a", "b", "of another"):
        (tmp_path / name).write_text("old")
    with pytest.raises(seen), atomic_folder(tmp_path) as made:
        (made / "a").write_text("new")
        raise raised
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("a", "b", "of another"), "old"
    )
    (tmp_path / "b").unlink()
    (tmp_path / "b").mkdir()
    with (
        pytest.raises(CarouselError, match="b: there is something that is not a file"),
        atomic_folder(tmp_path) as made,
    ):
        for name in ("a", "b"):
            (made / name).write_text("new")
    assert (tmp_path / "a").read_text() == "old"
    (tmp_path / "b").rmdir()
    with atomic_folder(tmp_path) as made:
        for name in ("a", "b"):
            (made / name).write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {"a": "new", "b": "new", "of another": "old"}
