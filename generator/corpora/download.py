"""Files on the network, by address and SHA-256. The mirror folder and the cache are searched before downloading."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from generator.corpora.progress import bar
from generator.foundation.errors import CarouselError

MIRROR, CACHE = "CAROUSEL_MIRROR", "CAROUSEL_CACHE"
MIRROR_DEPTH = 2
"""A mirror is searched down to folders in folders, this many levels deep."""


def cache_folder() -> Path:
    """The folder of token datasets and downloads: `CAROUSEL_CACHE`, by default in the platform's cache folder."""
    import platformdirs

    return Path(os.environ.get(CACHE) or platformdirs.user_cache_dir("carousel", appauthor=False)).expanduser()


def mirror_folder() -> Path | None:
    """The folder that `CAROUSEL_MIRROR` names; None if the variable is not set.

    Raises:
        CarouselError: it names something that is not a folder.
    """
    if not (text := os.environ.get(MIRROR)):
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise CarouselError(f"{MIRROR} is {text}, which is not a folder; correct it or unset it")
    return folder


def fetch(url: str, sha256: str) -> Path:
    """The file at an address: from the mirror, else from the cache, else downloaded into the cache.

    Raises:
        CarouselError: the download fails or has another hash, or the cache cannot be written.
    """
    name = url.rsplit("/", 1)[-1]
    mirror = mirror_folder()
    for candidate in _candidates(mirror, name) if mirror else ():
        with candidate.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return candidate
    import pooch  # slow to import, and seldom needed
    import requests
    from rich.progress import DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    pooch.get_logger().setLevel(logging.WARNING)
    folder = cache_folder() / "downloads"
    try:
        with bar(name, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as show:
            downloader = pooch.HTTPDownloader(progressbar=_Bar(show))
            path = pooch.retrieve(url, f"sha256:{sha256}", f"{sha256[:8]}-{name}", folder, downloader=downloader)
    except requests.RequestException as error:
        tip = f"put it into the folder that {MIRROR} names" if not mirror else f"no file of its SHA-256 is in {mirror}"
        raise CarouselError(f"{url}: cannot be downloaded ({type(error).__name__}); go online, or: {tip}") from error
    except ValueError as error:
        raise CarouselError(f"{url}: the download has another SHA-256 than {sha256}; try again later") from error
    except OSError as error:
        raise CarouselError(
            f"{folder}: cannot write ({error.strerror or error}); free some space or set {CACHE} to another folder"
        ) from error
    return Path(path)


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    """The files of a mirror that may be the one of this name: those with the same name, then those with its suffix."""
    suffix = Path(name).suffix
    found = [
        path
        for depth in range(MIRROR_DEPTH + 1)
        for path in sorted(folder.glob("*/" * depth + f"*{suffix}"))
        if path.is_file()
    ]
    yield from sorted(found, key=lambda path: path.name != name)


class _Bar:
    """A progress bar with the interface that pooch expects: `total`, `update`, `reset` and `close`."""

    def __init__(self, show: Callable[..., None]) -> None:
        self.total = 0
        self._show = show

    def update(self, size: int) -> None:
        self._show(advance=size, total=self.total)

    def reset(self) -> None:
        self._show(completed=0)

    def close(self) -> None:
        """Do nothing: the bar is closed by its `with` block."""
