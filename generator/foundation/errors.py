"""The one exception that a user may meet: a line that names the file and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Option(str):
    """The name of an option within a message, as Python has it."""


def listed(names: Iterable[str], between: str) -> list[str]:
    """Options that follow each other in a message, as its parts."""
    return [part for name in names for part in (between, Option(name))][1:]


class CarouselError(Exception):
    """Bad input from outside: a file, an option, a take, a checkpoint.

    The message is one line. It names what is at fault and says what to do; commands print it and exit with status 2. It
    may be given in parts, of which some are an `Option`, which commands and pages call by other names.
    """

    def __init__(self, *parts: str) -> None:
        super().__init__(*parts)

    def __str__(self) -> str:
        return "".join(self.args)

    def worded(self, name: Callable[[str], str]) -> str:
        """The message with its options called as `name` calls them."""
        return "".join(name(part) if isinstance(part, Option) else part for part in self.args)
