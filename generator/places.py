"""Where checkpoints and shipped files are: in a checkout beside the package, in an installed package inside it."""

from __future__ import annotations

from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).parent
CHECKPOINTS = "checkpoints"
CONFIG = "config.json"
"""Every checkpoint has this file."""


def shipped(name: str) -> Path:
    """The path of a file or folder that comes with Carousel: `app.py`, `checkpoints` or `data`."""
    inside = PACKAGE / name
    return inside if inside.exists() else PACKAGE.parent / name


def checkpoint_folders() -> list[Path]:
    """Folders whose checkpoints need no path: the one here, then the user's own, then the shipped one."""
    own = platformdirs.user_data_path("carousel", appauthor=False) / CHECKPOINTS
    return list(dict.fromkeys([Path(CHECKPOINTS).absolute(), own, shipped(CHECKPOINTS)]))


def checkpoint(named: str | Path) -> Path:
    """The folder of a checkpoint that is given by its path or by its name alone. What is not found stays as it is."""
    path = Path(named)
    if path.name != str(path) or (path / CONFIG).exists():
        return path
    return next((folder / path for folder in checkpoint_folders() if (folder / path / CONFIG).exists()), path)
