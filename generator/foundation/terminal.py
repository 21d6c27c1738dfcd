"""What people read in a terminal: what came from outside is shown with its control characters written out."""

from __future__ import annotations

import json
import re
import sys

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0, DEL and C1; line separators; what turns the direction of writing; halves of surrogate pairs, which stand for the
bytes of a file's name that are no UTF-8."""


def printable(text: str, keep: str = "") -> str:
    """A text with its control characters, but for those in `keep`, written as JSON does: JSON stays JSON."""
    return CONTROLS.sub(lambda found: found[0] if found[0] in keep else json.dumps(found[0])[1:-1], text)


def tell(what: object) -> None:
    """Say something in a line on standard error."""
    print(printable(str(what)), file=sys.stderr)


def say(text: str) -> None:
    """Write generated text to standard output at once: as it is into a file or a pipe, made printable on a terminal."""
    print(printable(text, keep="\n\t") if sys.stdout.isatty() else text, end="", flush=True)
