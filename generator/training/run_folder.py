"""The folder that a checkpoint is made in: one process at a time writes there, and replaces nothing unless asked to.

Beside the checkpoint a training run writes `metrics.jsonl`, with a row for each validation, and
`training.safetensors`, the state to resume from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from safetensors import SafetensorError, safe_open

from generator.foundation.atomic import make_folder, newest, tidy
from generator.foundation.errors import CarouselError
from generator.foundation.locks import alone
from generator.foundation.places import CONFIG
from generator.model.checkpoint import CARD, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor

STATE = "training.safetensors"
METRICS = "metrics.jsonl"
LOCK = ".lock"


def refuse_to_replace(folder: Path) -> None:
    """Check that the folder holds neither a checkpoint nor an unfinished run.

    Raises:
        CarouselError: it holds one of them.
    """
    for what, names in (
        ("a checkpoint", (WEIGHTS, CONFIG, TOKENIZER, CARD)),
        ("an unfinished run", (STATE, METRICS)),
    ):
        if any(newest(folder / name).exists() for name in names):
            raise CarouselError(
                f"{folder}: holds {what}; go on with it (train --resume), replace it (--overwrite) or choose another "
                "--out"
            )


@contextmanager
def claimed(folder: Path, replacing: bool) -> Iterator[None]:
    """Lock a folder against other processes while the block runs.

    It is made if it is missing, and removed again if the block raises before it has written anything there.

    Args:
        replacing: whether the files that are there may be replaced.

    Raises:
        CarouselError: there is something that may not be replaced, another process has locked the folder, or it cannot
            be made.
    """

    def busy() -> NoReturn:
        raise CarouselError(f"{folder}: another process is training there; wait for it or choose another --out")

    made = not folder.exists()
    make_folder(folder)
    try:
        with alone(folder / LOCK, busy, "choose another --out"):
            if not replacing:
                refuse_to_replace(folder)
            tidy(folder)
            yield
    except BaseException:
        if made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
        raise


def read_state(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The metadata and the tensors of the state file in a folder, as `run_state.to_bytes` writes them.

    Raises:
        CarouselError: there is no state file, or it is damaged.
    """
    path = folder / STATE
    present = newest(path)
    if not present.is_file():
        raise CarouselError(f"{path}: nothing to resume here; leave --resume out to start")
    try:
        with safe_open(present, "pt") as file:
            metadata = dict(json.loads(file.metadata()["carousel"]))
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CarouselError(
            f"{path}: cut off or not a training state; restore it, or choose another --out to start anew"
        ) from error
