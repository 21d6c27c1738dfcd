"""All commands in one: `carousel sample …` or `python -m generator sample …`."""

import importlib
import importlib.util
import os
import sys

from generator import __version__, command, places
from generator.terminal import tell

COMMANDS = """Carousel: endless music and text from a stateful LSTM.

  carousel prepare  CORPUS                      tokens of a corpus, ready for training
  carousel train    CORPUS --out FOLDER         train a checkpoint
  carousel join     CORPUS MEMBER… --out FOLDER checkpoints trained apart, joined into one
  carousel sample   CHECKPOINT                  stream from it, to the screen or a file
  carousel evaluate CHECKPOINT CORPUS           how well it predicts, as JSON
  carousel bench    CHECKPOINT                  how fast it streams, as JSON
  carousel app      [FOLDER]                    the app in the browser, with the checkpoints of a folder

A checkpoint is a folder, or the name of one in checkpoints/ or of a shipped one: bach, folk, piano, shakespeare.
Each command shows its options and an example with --help. Where `carousel` is not installed, each is a module too:
python -m generator.sample checkpoints/bach"""
NAMES = ("prepare", "train", "join", "sample", "evaluate", "bench")


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    command.leave_quietly()
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(COMMANDS)
    elif name == "--version":
        print(f"carousel {__version__}")
    elif name == "app":
        return app(rest)
    elif name in NAMES:
        return int(importlib.import_module(f"generator.{name}").main(rest))
    else:
        tell(f"carousel: no command {name!r}; there are {', '.join(NAMES)} and app")
        return 2
    return 0


def app(folder: list[str]) -> int:
    """Become the app's server. Returns only if it cannot start."""
    if importlib.util.find_spec("streamlit") is None:
        tell("carousel app: it needs streamlit; install it with: pip install 'carousel[app]'")
        return 2
    script = str(places.shipped("app.py"))
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", script, *(["--", *folder] if folder else [])])


if __name__ == "__main__":
    sys.exit(main())
