"""Make docs/app.png anew: the app, playing the shipped chorales.

python -m docs.picture
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.browser import ROOT, Visit, chromium, server

SECONDS = 14


def main() -> None:
    """Start the app, listen for a while, and take a picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        server(ROOT / "checkpoints", Path(folder) / "log.txt") as url,
        chromium() as browser,
    ):
        visit = Visit(browser, url)
        visit.start()
        visit.until(f"c.position > {SECONDS}")
        visit.page.mouse.move(0, 0)
        visit.page.screenshot(path=ROOT / "docs" / "app.png")


if __name__ == "__main__":
    main()
