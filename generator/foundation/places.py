"""Where checkpoints and shipped files are: beside the package in a checkout, in its folder `shipped` once installed."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
CHECKPOINTS = "checkpoints"
CONFIG = "config.json"
"""Every checkpoint has this file."""


def shipped(name: str) -> Path:
    """The path of a file or folder that comes with Carousel: `app.py`, `checkpoints` or `data`."""
    inside = PACKAGE / "shipped" / name
    return inside if inside.exists() else PACKAGE.parent / name


def folders() -> list[Path]:
    """Folders whose checkpoints need no path: `checkpoints/` here, then the user's own in the platform's folder (on
    Linux `~/.local/share/carousel/checkpoints`), then the shipped ones."""
    import platformdirs  # few commands look there

    own = platformdirs.user_data_path("carousel", appauthor=False) / CHECKPOINTS
    return list(dict.fromkeys([Path(CHECKPOINTS).absolute(), own, shipped(CHECKPOINTS)]))


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
