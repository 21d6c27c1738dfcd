"""Compiled code: the same bits without numba, without a cache, and for other CPUs (law 8)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator.foundation import jit
from tests.conftest import ROOT, SHIPPED, tiny

WALK = """
import hashlib, sys
from generator import tokenizers
from generator.music import midi
from generator.streaming.engine import Engine, load

def digest(folder, count, tokens, threads=1):
    engine = Engine(load(folder), "int8", threads=threads)
    streams = [engine.stream(seed=seed, temperature=0.9, top_p=0.97, parallels=True) for seed in range(count)]
    plain = tokenizers.from_json(engine.tokenizer.to_json())  # without the checkpoint's instruments
    found = hashlib.sha256()
    for events in engine.pull(streams, tokens):
        piece = plain.collect(events)
        found.update(piece.encode() if isinstance(piece, str) else midi.to_bytes(piece))
    return found.hexdigest()
"""
SAY = "print(digest(sys.argv[1], 2, 60))"
WITHOUT_NUMBA = "import sys; sys.modules['numba'] = None"
WITHOUT_CACHE = "import numba.core.caching as caching; caching.CacheImpl._locator_classes = []"


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, for numba looks at its settings once."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


DRAW = """
import sys
from generator.streaming.engine import load

print(repr("".join(load(sys.argv[1]).stream(seed=5).pull(60))))
"""


@pytest.mark.parametrize(
    "kind", ["score", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("char", "performance", "frames"))]
)
def test_without_numba_streams_run_say_so_and_are_the_same(kind: str, tmp_path: Path) -> None:
    tiny(kind).save(tmp_path / "model")
    whole = run(WALK + SAY, str(tmp_path / "model"))
    plain = run(WITHOUT_NUMBA + WALK + SAY, str(tmp_path / "model"))
    assert plain.stdout == whole.stdout
    assert plain.stderr.count("numba is missing") == 1
    assert "Warning" not in whole.stderr


def test_without_a_cache_compiled_code_runs_and_says_so() -> None:
    number = "from generator.streaming.rng import uniform; print(uniform(7, 0).hex())"
    fresh = run(f"{WITHOUT_CACHE}\n{number}")
    assert fresh.stdout == run(number).stdout
    assert fresh.stderr.count("no folder to keep compiled code in") == 1


def test_who_reads_files_needs_no_torch() -> None:
    """Processes that read a corpus start in a moment, and have room."""
    said = run("import sys, generator.corpora.folder, generator.tokenizers.score; print('torch' in sys.modules)")
    assert said.stdout == "False\n"


def test_compiled_code_is_kept_by_all_that_it_is_made_of(tmp_path: Path) -> None:
    """Constants that other files define are compiled in; what no compiled loop can reach compiles nothing anew."""
    kept = {path.relative_to(ROOT / "generator").as_posix() for path in jit.sources(ROOT / "generator")}
    assert {
        "tokenizers/score_vocabulary.py",
        "foundation/options.py",
        "music/keys.py",
        "streaming/rng.py",
        "foundation/jit.py",
    } <= kept
    assert not kept & {"app.py", "sample.py", "training/trainer.py", "web/routes.py", "music/engraving.py"}
    (tmp_path / "loop.py").write_text(
        "from generator.foundation.jit import compiled\nfrom generator.a import (\n    b,\n    LENGTH,\n)\n"
    )
    for name in ("a/__init__.py", "a/b.py", "a/c.py", "d.py", "other.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in jit.sources(tmp_path)] == [
        "a/__init__.py",
        "a/b.py",
        "loop.py",
    ]


def test_a_stream_starts_without_what_only_training_needs(tmp_path: Path) -> None:
    """torch takes longer to import than all the rest."""
    tiny("char").save(tmp_path / "model")
    code = "import sys; from generator.streaming.engine import load; list(load(sys.argv[1]).stream().take(3));"
    assert run(code + "print('torch' in sys.modules)", str(tmp_path / "model")).stdout == "False\n"


def test_a_folder_that_somebody_names_is_kept_by_source_too(tmp_path: Path) -> None:
    code = "import generator.foundation.jit, numba; print(numba.config.CACHE_DIR)"
    assert run(code, NUMBA_CACHE_DIR=str(tmp_path)).stdout.strip() == str(tmp_path / jit.folder_of(ROOT / "generator"))


@pytest.mark.slow
def test_a_constant_is_compiled_into_the_loops_that_read_it(tmp_path: Path) -> None:
    """The clock of the score's grammar counts in ticks whose length another file defines."""
    shutil.copytree(ROOT / "generator", tmp_path / "generator", ignore=shutil.ignore_patterns("__pycache__", "web"))
    tiny("score").save(tmp_path / "model")
    vocabulary = tmp_path / "generator/tokenizers/score_vocabulary.py"
    clocks = []
    for ticks in (12, 24):
        vocabulary.write_text(vocabulary.read_text().replace("TICKS_PER_QUARTER = 12", f"TICKS_PER_QUARTER = {ticks}"))
        command = [sys.executable, "-c", CLOCK, str(tmp_path / "model")]
        clocks.append(int(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout))
    assert clocks[0] == 2 * clocks[1] > 0


@pytest.mark.slow
def test_a_change_in_one_file_is_compiled_into_another(tmp_path: Path) -> None:
    """The batch draws with the random numbers of `rng.py`; numba alone would not notice that they changed."""
    shutil.copytree(ROOT / "generator", tmp_path / "generator", ignore=shutil.ignore_patterns("__pycache__", "web"))
    tiny("char").save(tmp_path / "model")
    rng = tmp_path / "generator/streaming/rng.py"
    said = []
    for golden in ("0x9E3779B97F4A7C15", "0x9E3779B97F4A7C17"):
        rng.write_text(rng.read_text().replace("0x9E3779B97F4A7C15", golden))
        command = [sys.executable, "-c", DRAW, str(tmp_path / "model")]
        said.append(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout)
    assert said[0] != said[1]


CLOCK = """
import sys
from generator.model.checkpoint import Checkpoint
from generator.tokenizers.score_memory import CLOCK

tokenizer = Checkpoint.load(sys.argv[1]).tokenizer
rows = [name.partition(" ")[0] for name in tokenizer.table.rows]
decoder = tokenizer.decoder()
for kind in ("time-signature", "tempo", "bar", "position", "voice", "pitch", "duration"):
    decoder.feed(rows.index(kind))
decoder.feed(len(rows) - 1 - rows[::-1].index("position"))
print(decoder.memory[CLOCK])
"""
"""Microseconds to the last position of a bar."""

MACHINES = {
    "this": {},
    "AVX2": {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma",
    },
    "SSE": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}
GOLDEN = {
    "bach": "5fdce262bc6f0cf26c324845570d99c244af4c99963ffa1372f74208abf27cd1",
    "drums": "d69bb4c85697053699d52524663ae4904819eabb5f0982d952940ff45437bd88",
    "folk": "32ff3a78086e7069ebec01d6c1d9d3d4fe8fbbfb05a9fbeea3b4e54e4de0f46d",
    "piano": "3281d1cab0f3fd130bb349230b23c18d8b0ecdc98b189d015989f7fe925f0eea",
    "pop": "ff8a71a7615be551315aeee62e012f7772b1d97763363f60446e4acf8fcf8489",
    "shakespeare": "bb0f49a6c7449592f3b5795f9b691c51aba9c9c4088fb0397d1216e5056c3cca",
}
"""Of the text or the MIDI files of four streams, 300 tokens each. A take made today plays tomorrow: a change here is a
change of what every take says."""
EACH = """
for threads in (1, 2):
    for name in sys.argv[1:]:
        print(name, digest("checkpoints/" + name, 4, 300, threads))
"""


@pytest.mark.parametrize("machine", ["this", *(pytest.param(name, marks=pytest.mark.slow) for name in ("AVX2", "SSE"))])
def test_law_8_a_take_is_the_same_on_every_machine(machine: str) -> None:
    said = run(WALK + EACH, *SHIPPED, **MACHINES[machine]).stdout.splitlines()
    assert said == [f"{name} {GOLDEN[name]}" for name in SHIPPED] * 2


TOGETHER = """
import numpy as np
from generator.foundation.jit import compiled

def halve(x):
    return x[0] / 2

loops = [compiled(halve) for _ in range(3)]
files = [loop._cache._cache_file for loop in loops]
for file in files[:2]:  # both have looked before either wrote
    file._load_index = dict
save = files[0]._save_data

def save_after_the_other(name, data):
    loops[1](np.ones(1))
    save(name, data)

files[0]._save_data = save_after_the_other
loops[0](np.ones(1, np.int64))
print(loops[2](np.ones(1)))
"""


def test_processes_that_compile_a_loop_for_other_types_at_the_same_time_do_not_mix_them_up(tmp_path: Path) -> None:
    (tmp_path / "together.py").write_text(TOGETHER)
    done = run(
        "import runpy, sys; runpy.run_path(sys.argv[1])",
        str(tmp_path / "together.py"),
        NUMBA_CACHE_DIR=str(tmp_path / "kept"),
    )
    assert done.stdout == "0.5\n"


def test_a_first_run_says_that_it_compiles_and_a_second_does_not(tmp_path: Path) -> None:
    """It has all that other tests have compiled, but for the loop that calls the rest."""
    tiny("char").save(tmp_path / "model")
    folder = jit.folder_of(ROOT / "generator")
    if (compiled := ROOT / "generator" / "__pycache__" / folder).exists():
        shutil.copytree(compiled, tmp_path / "kept" / folder, ignore=shutil.ignore_patterns("batch._advance*"))
    command = [sys.executable, "-m", "generator.sample", str(tmp_path / "model"), "--tokens", "3"]
    said = [
        subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kept")},
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for _ in range(2)
    ]
    assert [text.count("compiling for this CPU, once") for text in said] == [1, 0]
