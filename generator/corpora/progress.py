"""How far a long work is: a bar on standard error, gone when the work ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn


@contextmanager
def bar(
    label: str, *columns: ProgressColumn, console: Console | None = None, visible: bool = True, **fields: Any
) -> Iterator[Callable[..., None]]:
    """A bar behind its label and before the columns; yields what to call with `completed`, `total` or `advance`.

    Args:
        console: where other lines are printed meanwhile, above the bar.
        fields: what the columns show until they are told something else.
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        *columns,
        console=console or Console(stderr=True),
        speed_estimate_period=300,
        transient=True,
        disable=not visible,
    )
    with progress:
        yield partial(progress.update, progress.add_task(label, total=None, **fields))
