"""What every test may ask for: the repository's root, and the real corpora where this machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

settings.register_profile("carousel", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("carousel")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of downloaded corpora; a test that needs it skips where there is none."""
    folder = os.environ.get("CAROUSEL_MIRROR")
    if not folder:
        pytest.skip("CAROUSEL_MIRROR names no folder of downloaded corpora")
    path = (ROOT / folder).resolve()
    assert path.is_dir(), f"CAROUSEL_MIRROR is {folder}, which is not a folder"
    return path


@pytest.fixture(scope="session")
def asap(mirror: Path) -> list[Path]:
    """The recordings of the ASAP dataset."""
    files = sorted((mirror / "asap").rglob("*.mid"))
    assert files, f"{mirror} has no asap folder"
    return files
