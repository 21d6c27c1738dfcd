"""How far a long work is, on standard error: in a terminal a bar, gone when the work ends; else a line now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from generator.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

LINE_SECONDS = 10.0
"""From one line to the next."""


@contextmanager
def bar(
    label: str, *columns: ProgressColumn, console: Console | None = None, visible: bool = True, **fields: Any
) -> Iterator[Callable[..., None]]:
    """A bar behind its label and before the columns; yields what to call with `completed`, `total` or `advance`.

    Args:
        console: where other lines are printed meanwhile, above the bar.
        fields: what the columns show until they are told something else.
    """
    from rich.console import Console  # slow to import, and a stream that is drawn shows no bar
    from rich.progress import BarColumn, Progress, TextColumn

    console = console or Console(stderr=True)
    title = TextColumn("{task.description}", markup=False)
    progress = Progress(
        title,
        BarColumn(bar_width=24),
        *columns,
        console=console,
        speed_estimate_period=300,
        transient=True,
        disable=not (visible and console.is_interactive),
    )
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(LINE_SECONDS):
            [task] = progress.tasks
            console.print(*(column(task) for column in (title, *columns)), soft_wrap=True, highlight=False)

    with progress:
        update = partial(progress.update, progress.add_task(printable(label), total=None, **fields))
        if not visible or console.is_interactive:
            yield update
            return
        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield update
        finally:
            ended.set()
            teller.join()
