"""Progress on standard error: in a terminal a bar that is removed at the end, elsewhere a line from time to time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from generator.foundation.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

LINE_SECONDS = 10.0
"""The time from one line to the next."""
PATIENCE_SECONDS = 1.0
"""No progress is shown before this time has passed."""


@contextmanager
def bar(
    label: str,
    *columns: ProgressColumn,
    console: Console | None = None,
    visible: bool = True,
    first_seconds: float | None = None,
    **fields: Any,
) -> Iterator[Callable[..., None]]:
    """Show a label, a bar and columns. Yields a function to call with `completed`, `total`, `advance` or new `fields`.

    Args:
        console: lines printed to it meanwhile appear above the bar.
        first_seconds: the time until the first line if there is no terminal, by default `LINE_SECONDS`.
        fields: the first values of the fields that the columns show.
    """
    from rich.console import Console  # slow to import, and most streams need no bar
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

    def print_lines() -> None:
        wait = first_seconds or LINE_SECONDS
        while not ended.wait(wait):
            wait = LINE_SECONDS
            [task] = progress.tasks
            console.print(*(column(task) for column in (title, *columns)), soft_wrap=True, highlight=False)

    with progress:
        update = partial(progress.update, progress.add_task(printable(label), total=None, **fields))
        if not visible or console.is_interactive:
            yield update
            return
        thread = threading.Thread(target=print_lines, daemon=True)
        thread.start()
        try:
            yield update
        finally:
            ended.set()
            thread.join()


@contextmanager
def when_slow() -> Iterator[Callable[..., None]]:
    """Show a bar, with the rate and the time left, for each of several tasks that follow one another, if it is slow.

    Yields a function that is to be called again and again with the name of the task, how much of it is done, how much
    there is, and the unit.
    """
    with ExitStack() as shown:
        task, since, done_before = "", 0.0, 0.0
        update: Callable[..., None] | None = None

        def progress(name: str, done: float, total: float, unit: str = "tokens") -> None:
            nonlocal task, since, done_before, update
            if name != task:
                shown.close()
                task, since, done_before, update = name, time.monotonic(), done, None
            seconds = time.monotonic() - since
            if update is None and done < total and seconds > PATIENCE_SECONDS:
                from rich.progress import TaskProgressColumn, TextColumn, TimeRemainingColumn

                rate = TextColumn("{task.fields[rate]}")
                columns = TaskProgressColumn(), rate, TimeRemainingColumn()
                update = shown.enter_context(bar(name, *columns, first_seconds=PATIENCE_SECONDS, rate=""))
            if update is not None:
                update(completed=done, total=total, rate=f"{(done - done_before) / seconds:,.0f} {unit}/s")
            if done >= total:
                shown.close()
                task, update = "", None

        yield progress
