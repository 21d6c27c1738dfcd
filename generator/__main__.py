"""All commands in one: `carousel sample ...` or `python -m generator sample ...`."""

import argparse
import importlib
import importlib.util
import os
import sys

from generator import __version__
from generator.cli import command
from generator.foundation import places
from generator.foundation.errors import CarouselError

COMMANDS = """Carousel: endless music and text from a stateful LSTM.

  carousel prepare  CORPUS                          tokens of a corpus, ready for training
  carousel train    CORPUS --out FOLDER             train a checkpoint
  carousel join     CORPUS MEMBER ... --out FOLDER  checkpoints trained apart, joined into one
  carousel sample   CHECKPOINT                      stream from it, to the screen or a file
  carousel evaluate CHECKPOINT CORPUS               how well it predicts, as JSON
  carousel bench    CHECKPOINT                      how fast it streams, as JSON
  carousel serve    CHECKPOINT ...                  their streams over HTTP
  carousel app      [FOLDER]                        the app in the browser

A checkpoint is a folder, or a name such as bach: one in checkpoints/ here, one of your own in the folder of the
platform (on Linux ~/.local/share/carousel/checkpoints), or a shipped one (bach, drums, folk, piano, pop, shakespeare).
Each command shows its options and an example with --help. In a clone without the package installed, write
`python -m generator` in place of `carousel`."""
NAMES = ("prepare", "train", "join", "sample", "evaluate", "bench", "serve")
APP = """Open the app in the browser, with the checkpoints of a folder, or with all that need no path.

carousel app checkpoints"""


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    command.leave_quietly()
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in NAMES:
        return int(importlib.import_module(f"generator.{words[0]}").main(words[1:]))
    if words and words[0] == "app":
        parser = command.parser("app", APP)
        parser.add_argument(
            "folder", metavar="FOLDER", nargs="?", help="of checkpoints (default: where they always are)"
        )
        return command.run(parser, app, words[1:])
    parser = command.parser("", COMMANDS)
    parser.add_argument("--version", action="version", version=f"carousel {__version__}")
    parser.add_argument("command", metavar="COMMAND", nargs="?", choices=(*NAMES, "app"), help="one of these")
    return command.run(parser, lambda _: parser.print_help(), words)


def app(given: argparse.Namespace) -> None:
    """Become the app's server.

    Raises:
        CarouselError: Streamlit is not there.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise CarouselError("the app needs streamlit; install Carousel with its extra [app]")
    folder = [] if given.folder is None else ["--", given.folder]
    script = str(places.shipped("app.py"))
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", script, *folder])


if __name__ == "__main__":
    sys.exit(main())
