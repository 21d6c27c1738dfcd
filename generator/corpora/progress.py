"""How far a long work is, on standard error: in a terminal a bar, gone when the work ends; else a line now and then."""

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
"""From one line to the next."""
PATIENCE_SECONDS = 1.0
"""Work that is done sooner needs no bar."""


@contextmanager
def bar(
    label: str,
    *columns: ProgressColumn,
    console: Console | None = None,
    visible: bool = True,
    first_seconds: float | None = None,
    **fields: Any,
) -> Iterator[Callable[..., None]]:
    """A bar behind its label and before the columns; yields what to call with `completed`, `total` or `advance`.

    Args:
        console: where other lines are printed meanwhile, above the bar.
        first_seconds: until the first line where there is no terminal, if it is to come sooner than the others.
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
        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield update
        finally:
            ended.set()
            teller.join()


@contextmanager
def when_slow() -> Iterator[Callable[..., None]]:
    """A bar, with the rate and the time left, for each of several works that follow each other and last for a while.

    Yields what is to be told, again and again: the name of the work, how much of it is done, how much there is, and in
    which unit.
    """
    with ExitStack() as shown:
        working, since, begun = "", 0.0, 0.0
        update: Callable[..., None] | None = None

        def progress(what: str, done: float, total: float, unit: str = "tokens") -> None:
            nonlocal working, since, begun, update
            if what != working:
                shown.close()
                working, since, begun, update = what, time.monotonic(), done, None
            seconds = time.monotonic() - since
            if update is None and done < total and seconds > PATIENCE_SECONDS:
                from rich.progress import TaskProgressColumn, TextColumn, TimeRemainingColumn

                rate = TextColumn("{task.fields[rate]}")
                columns = TaskProgressColumn(), rate, TimeRemainingColumn()
                update = shown.enter_context(bar(what, *columns, first_seconds=PATIENCE_SECONDS, rate=""))
            if update is not None:
                update(completed=done, total=total, rate=f"{(done - begun) / seconds:,.0f} {unit}/s")
            if done >= total:
                shown.close()
                working, update = "", None

        yield progress
