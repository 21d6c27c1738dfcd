"""What depends on how Carousel got here: where checkpoints and shipped files are, and how a command is typed.

Shipped files lie beside the package in a checkout, and in its folder `shipped` once it is installed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
CHECKPOINTS = "checkpoints"
CONFIG = "config.json"
"""Every checkpoint has this file."""


def command(name: str = "") -> str:
    """How a command is typed: `carousel train` where the package is installed, else `python -m generator.train`.

    Without a name it is the program that has all commands.
    """
    if (PACKAGE / "shipped").exists() or Path(sys.argv[0]).stem == "carousel":
        return f"carousel {name}".rstrip()
    return f"python -m generator.{name}".rstrip(".")


def shipped(name: str) -> Path:
    """The path of a file or folder that comes with Carousel: `app.py`, `checkpoints` or `data`."""
    inside = PACKAGE / "shipped" / name
    return inside if inside.exists() else PACKAGE.parent / name


def own(name: str) -> Path:
    """The path of a folder of the user's own, in the platform's folder: on Linux `~/.local/share/carousel`."""
    import platformdirs  # few commands look there

    return platformdirs.user_data_path("carousel", appauthor=False) / name


def folders() -> list[Path]:
    """Folders whose checkpoints need no path: `checkpoints/` here, then the user's own, then the shipped ones."""
    return list(dict.fromkeys([Path(CHECKPOINTS).absolute(), own(CHECKPOINTS), shipped(CHECKPOINTS)]))


def checkpoints_in(folder: Path) -> dict[str, Path]:
    """The checkpoints in a folder, by name; none where it cannot be read."""
    try:
        return {path.name: path for path in sorted(folder.iterdir()) if os.access(path / CONFIG, os.R_OK)}
    except OSError:
        return {}


def checkpoints() -> dict[str, Path]:
    """The checkpoints that need no path, by name; of two with one name the one in the first of the `folders`."""
    found: dict[str, Path] = {}
    for folder in folders():
        found = checkpoints_in(folder) | found
    return dict(sorted(found.items()))


def checkpoint(named: str | Path) -> Path:
    """The folder of a checkpoint that is given by its path, or by its name alone if no checkpoint has that path."""
    path = Path(named)
    if path.name != str(path) or os.access(path / CONFIG, os.R_OK):
        return path
    return checkpoints().get(path.name, path)
