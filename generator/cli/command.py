"""What all commands share: help with an example, one-line errors with status 2, a quiet Ctrl-C and broken pipe."""

from __future__ import annotations

import argparse
import io
import math
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import chain, combinations, product
from pathlib import Path
from types import FrameType
from typing import NoReturn

from generator.foundation import places
from generator.foundation.errors import CarouselError
from generator.foundation.terminal import tell

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells count it."""


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


def leave_quietly() -> None:
    """Let a Ctrl-C end the program at once, until `run` begins: imports take a second, and there is nothing to save
    yet. Where Ctrl-C is ignored it stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


# A command that is the program, as in `python -m generator.sample`, imports this module first.
_program = getattr(sys.modules["__main__"], "__spec__", None)
if _program is not None and _program.name.rpartition(".")[0] == "generator":
    leave_quietly()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the usage first."""
        tell(f"{self.prog}: {message}; --help lists what there is")
        self.exit(2)


def parser(name: str, docstring: str | None) -> argparse.ArgumentParser:
    """A parser whose description and example are a module's docstring; no name for all commands together."""
    return _Parser(
        prog=places.command(name),
        description=re.sub(r"python -m generator\.(\w+)", lambda found: places.command(found[1]), docstring or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def recipe(module: str, arguments: list[str] | None) -> str:
    """The command line that makes a checkpoint anew, for its card; what may be replaced is no part of it."""
    words = sys.argv[1:] if arguments is None else arguments
    return shlex.join(["python", "-m", module, *(word for word in words if word != "--overwrite")])


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    number = int(text) if text.isascii() and text.lstrip("-").isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return number


def positive_seconds(text: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def keep_apart(written: Mapping[str, Path], read: Mapping[str, Path]) -> None:
    """Find out whether a command would write one file twice, or one that it reads; each path stands by its flag.

    Raises:
        CarouselError: two of them lead to the same file, however they are spelt.
    """
    pairs = chain(combinations(written.items(), 2), product(written.items(), read.items()))
    for (flag, path), (other, taken) in pairs:
        if _same(path, taken):
            raise CarouselError(f"{path}: {flag} would replace what {other} names; choose another place")


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them is not there yet
        return os.path.realpath(path) == os.path.realpath(other)


def _tell_before_compiling() -> None:
    from generator.foundation import jit  # what commands import takes a second, and a Ctrl-C meanwhile is to be quiet

    jit.tell_before_compiling(lambda: tell("compiling for this CPU, once; it takes up to half a minute"))


def run(
    arguments_parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], None],
    arguments: list[str] | None,
) -> int:
    """Parse, work, and return the exit status."""
    given = arguments_parser.parse_intermixed_args(arguments)
    is_program = signal.getsignal(signal.SIGINT) is _leave
    try:
        if is_program:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _tell_before_compiling()
        if isinstance(sys.stdout, io.TextIOWrapper):  # what its encoding lacks is written out, as on standard error
            sys.stdout.reconfigure(errors="backslashreplace")
        work(given)
    except CarouselError as error:
        from generator.foundation.options import flag  # as `_tell_before_compiling`

        tell(f"{arguments_parser.prog}: {error.worded(flag)}")
        return 2
    except KeyboardInterrupt:
        if is_program:  # at once: what libraries still do at their end would have to be waited for
            with suppress(OSError):
                sys.stdout.flush()
            os._exit(INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, which is how `… | head` ends. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        # Already the question whether a file exists is refused in a folder where one may not look.
        if error.filename is None:
            raise
        tell(f"{arguments_parser.prog}: {error.filename}: {error.strerror}; choose another place")
        return 2
    return 0
