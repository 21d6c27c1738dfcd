"""From the start of a process to its first token, beside the time that `import torch` takes alone. JSON, one object.

    python -m benchmarks.start

Each command runs in processes of its own, in turn, once beforehand so that files and compiled code are where they will
be found. `first` is the time until the first byte on standard output, or until the end where a token completes no event
to print; `end` that until the process has gone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import add_rounds, parser, ratio, report, rounded, watched
from generator.cli import command
from generator.foundation.errors import CarouselError

ROOT = Path(__file__).parents[1]
TORCH = "import torch"


def run(arguments: list[str]) -> tuple[float, float]:
    """Seconds until the first byte of output, and until the end.

    Raises:
        CarouselError: the command failed.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(1)
        first = time.perf_counter() - start
        errors = process.communicate()[1].decode(errors="replace")
    if process.returncode:
        raise CarouselError(f"python {' '.join(arguments)} failed: {errors.strip().splitlines()[-1:]}")
    return first, time.perf_counter() - start


def start(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    commands = {TORCH: ["-c", "import torch; print(flush=True)"]}
    for checkpoint in given.checkpoints:
        commands[checkpoint.name] = ["-m", "generator.sample", str(checkpoint.resolve()), "--tokens", "1"]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in watched(range(given.rounds + 1), "starts"):
        for name in list(commands)[:: -1 if number % 2 else 1]:
            seconds = run(commands[name])
            if number:
                found[name].append(seconds)
    rows: list[dict[str, Any]] = []
    for name, pairs in found.items():
        first, end = zip(*pairs, strict=True)
        rows.append({"who": name, "first_seconds": rounded(median(first)), "end_seconds": rounded(median(end))})
        if name != TORCH:
            alone = [seconds for seconds, _ in found[TORCH]]
            rows[-1]["first_against_torch"] = ratio(list(first), alone)
            beyond = [one - other for one, other in zip(first, alone, strict=True)]
            rows[-1]["first_seconds_beyond_torch"] = rounded(median(beyond))
    report("start", given, rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("start", __doc__)
    add_rounds(made, 7)
    shipped = [ROOT / "checkpoints" / name for name in ("shakespeare", "bach")]
    made.add_argument("checkpoints", type=Path, nargs="*", default=shipped, metavar="CHECKPOINT", help="folders")
    return command.run(made, start, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
