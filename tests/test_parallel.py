"""Work in a few processes: in order, and without a second run of the script that asks for it."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from functools import partial
from pathlib import Path

from generator.corpora import parallel
from tests.conftest import ROOT


def test_many_files_are_read_by_two_processes_in_order() -> None:
    assert list(parallel.in_order(abs, [-2, 1])) == [2, 1]
    powers = parallel.in_order(partial(pow, 2), range(parallel.FEW + 5))
    assert [next(powers) for _ in range(5)] == [1, 2, 4, 8, 16]
    powers.close()  # no process outlives its reader
    assert not multiprocessing.active_children()


def test_a_script_without_a_guard_may_read_many_files(tmp_path: Path) -> None:
    """Its processes do not run it again, which would start processes in them or wait for the dataset it is making."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom generator.corpora.parallel import in_order\n"
        "print(sum(in_order(abs, range(-99, 0))))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "4950\n", "the script ran once"
