"""Make the pictures of the app anew, with the shipped checkpoints: all pages in both themes, on a wide screen and on a
telephone's, as docs/music-dark-1280.png to docs/train-light-390.png.

make shots
"""

from __future__ import annotations

from playwright.sync_api import Browser

from tests.browser import ROOT, Visit, shipped_app

SIZES = ((1280, 800), (390, 800))
MEMORY_HEIGHTS = {1280: 1240, 390: 1660}
UNTIL = {"music": 14, "text": 500}
"""When the picture is taken, in seconds or characters."""
LEARNED = sorted((ROOT / "docs").glob("*.md"))
"""The files that the Train page is given."""


def take(browser: Browser, url: str, medium: str, scheme: str, width: int, height: int) -> None:
    """Listen or read for a while, and take a picture."""
    visit = Visit(browser, url, width, height, color_scheme=scheme)
    if medium != "music":
        visit.page.goto(f"{url}/{medium}")
        visit.page.locator(".play[aria-disabled=false]").wait_for()
    visit.start()
    visit.until(f"c.position > {UNTIL[medium]}")
    visit.page.mouse.move(0, 0)
    visit.page.screenshot(path=ROOT / "docs" / f"{medium}-{scheme}-{width}.png")
    visit.close()


def take_memory_page(browser: Browser, url: str, scheme: str, width: int) -> None:
    """Listen, shut a layer's forget gates, listen on, and take a picture of all but the lesson."""
    visit = Visit(browser, f"{url}/memory", width, MEMORY_HEIGHTS[width], color_scheme=scheme)
    visit.start()
    visit.until("c.position > 7 && c.cells.columns > 20")
    visit.page.locator(".presets").get_by_role("button", name="Shut").click()
    visit.until("c.position > 11.5 && c.options.clamp")
    visit.page.mouse.move(0, 0)
    visit.page.screenshot(path=ROOT / "docs" / f"memory-{scheme}-{width}.png")
    visit.close()


def take_train_page(browser: Browser, url: str, scheme: str, width: int, height: int) -> None:
    """Upload files, and take a picture of what was understood."""
    visit = Visit(browser, url, width, height, color_scheme=scheme)
    visit.page.goto(f"{url}/train")
    visit.page.locator("input[type=file]").set_input_files(LEARNED)
    visit.page.get_by_role("button", name="Train", exact=True).and_(visit.page.locator(":enabled")).wait_for()
    visit.page.screenshot(path=ROOT / "docs" / f"train-{scheme}-{width}.png")
    visit.close()


def main() -> None:
    """Start the app, and take all pictures."""
    with shipped_app() as (browser, url):
        for scheme in ("dark", "light"):
            for width, height in SIZES:
                for medium in UNTIL:
                    take(browser, url, medium, scheme, width, height)
                take_memory_page(browser, url, scheme, width)
                take_train_page(browser, url, scheme, width, height)


if __name__ == "__main__":
    main()
