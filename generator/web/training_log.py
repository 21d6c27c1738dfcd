"""How far a training is: read from the log of the command `train` and the rows that it writes at each validation."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from generator.foundation.atomic import newest
from generator.foundation.terminal import printable
from generator.training.run_folder import METRICS
from generator.web.trainings import BEGUN, LOG, Job

MOST_BYTES = 2**18
"""As much of the end of the log is read."""
_UPDATE = re.compile(r"^training step (\d+)  loss ([\d.]+)(?:  best [\d.]+)?  ([\d,]+) tokens/s ([\d:-]+)", re.M)
_ROW = r"[* ] step \d+  loss \S+  validation \S+  \d+ s$"
_SAMPLE = re.compile(rf"^{_ROW}\n(.*?)(?=^training |^stopped at step |^{_ROW}|^\{{\"corpus\": |\Z)", re.M | re.S)


@dataclass
class Progress:
    """What is known of a training's progress."""

    doing: str
    """In words."""
    losses: list[tuple[int, float]] = field(default_factory=list)
    validations: list[tuple[int, float]] = field(default_factory=list)
    """(update, nats a token)."""
    tokens_per_second: int = 0
    seconds_left: float | None = None
    """None as long as it is not known."""
    sample: str = ""
    """What the model wrote after its last validation."""

    @property
    def best(self) -> float | None:
        """The best validation so far."""
        return min((nats for _, nats in self.validations), default=None)


def progress(bench: Path, job: Job) -> Progress:
    """How far the job on a bench is."""
    try:
        with (bench / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - MOST_BYTES))
            log = file.read().decode("utf-8", "replace")
            age = time.time() - os.fstat(file.fileno()).st_mtime
    except OSError:
        log, age = "", 0.0
    found = Progress(_doing(log.rpartition(BEGUN)[2]))
    with suppress(OSError, ValueError, KeyError, TypeError):
        for line in newest(Path(job.out) / METRICS).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.validations.append((int(row["step"]), float(row["validation"])))
            found.losses.append((int(row["step"]), float(row["loss"])))
    samples = _SAMPLE.findall(log)
    if samples:
        found.sample = printable(samples[-1].strip("\n"), keep="\n\t")
    updates = _UPDATE.findall(log)
    found.losses = sorted({(int(step), float(loss)) for step, loss, *_ in updates} | set(found.losses))
    if updates and found.doing != "Getting ready":
        found.tokens_per_second = int(updates[-1][2].replace(",", ""))
        told = _in_seconds(updates[-1][3])
        found.seconds_left = None if told is None else max(0.0, told - age)
    return found


def _doing(log: str) -> str:
    """What the training does now, in words."""
    if "\n  kept in " not in log:
        return "Reading the files"
    updates = _UPDATE.findall(log)
    if not updates:
        return "Getting ready"
    return "Finishing" if _in_seconds(updates[-1][3]) == 0 else "Training"


def _in_seconds(text: str) -> float | None:
    """The seconds of a text such as `0:01:30`; None if it is not known yet."""
    if "-" in text:
        return None
    hours, minutes, seconds = ([0, 0] + [int(part) for part in text.split(":") if part])[-3:]
    return 3600 * hours + 60 * minutes + seconds
