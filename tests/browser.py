"""The real app in a real browser: what its tests and its picture share."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from generator.foundation import places

ROOT = Path(__file__).parents[1]
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--mute-audio", "--autoplay-policy=no-user-gesture-required"),
    *("--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync"),
    *("--no-first-run", "--no-proxy-server"),
]
PORTS = """
window.sent = [];
window.input = { id: "in", name: "Keys" };
window.ports = {
  inputs: new Map([["in", input]]),
  outputs: new Map([["out", { id: "out", name: "Synth", send: (data, at) => {
    const now = performance.now();
    sent.push({ data: [...data], at: at ?? now, now });
  } }]]),
};
navigator.requestMIDIAccess = () => Promise.reject(new DOMException("no", "SecurityError"));
window.play = (...data) => input.onmidimessage({ data, timeStamp: performance.now() });
true; // else Playwright calls it
"""
"""For a page: MIDI ports that only pretend. `play` sends it what it is given, and `sent` has what came back."""
PATIENCE_MS = 120_000
"""For whatever must happen at last, on a machine that is busy with something else too."""


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def command(folder: Path, port: int, *more: str) -> list[str]:
    """How the app is started, for a folder of checkpoints."""
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    return [sys.executable, "-m", "streamlit", "run", "app.py", *options, *more, "--", str(folder)]


@contextmanager
def server(folder: Path, log: Path, port: int | None = None, base: str = "") -> Iterator[str]:
    """The address of the app while it runs, under a base path."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}{base}"
    more = ["--server.baseUrlPath", base] if base else []
    with log.open("wb") as output:
        process = subprocess.Popen(command(folder, port, *more), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + PATIENCE_MS / 1000
            while not answers(f"{url}/_stcore/health"):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str) -> bool:
    """Whether a server is there."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser, the one that this machine has, with an empty tab: for a window Chromium starts processes of
    its own, so that another tab in the same one costs a second less.

    Without one the test is skipped; where `CI` is set it fails.
    """
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        browser.new_context().new_page()
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def shipped_app() -> Iterator[tuple[Browser, str]]:
    """A headless browser, and the address of the app while it runs with the shipped checkpoints."""
    with (
        tempfile.TemporaryDirectory() as folder,
        server(places.shipped(places.CHECKPOINTS), Path(folder) / "log") as url,
        chromium() as browser,
    ):
        yield browser, url


class Visit:
    """One visitor's page, in the dark unless a `color_scheme` is given, and whatever it complains about.

    It is another tab of a browser that may have been here before, which loads the page in half the time; or the first
    one of a browser that has not, if `new` is set.
    """

    ready = ".play[aria-disabled=false]"
    """What shows that the page is there."""

    def __init__(
        self, browser: Browser, url: str, width: int = 1280, height: int = 800, *, new: bool = False, **media: Any
    ) -> None:
        self._new, self._look = new, {"color_scheme": "dark", **media}
        self._size = (width, height)
        self.context = browser.new_context() if new else browser.contexts[0]
        self.complaints: list[str] = []
        self.open(url)

    def open(self, url: str) -> None:
        """Open the page in another tab."""
        self.page: Page = self.context.new_page()
        self.page.set_viewport_size({"width": self._size[0], "height": self._size[1]})
        self.page.emulate_media(**self._look)
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self.note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)
        self.page.locator(self.ready).first.wait_for()

    def close(self) -> None:
        """Close the page, or the browser that is new."""
        if self._new:
            self.context.close()
        else:
            self.page.close()

    def note(self, line: ConsoleMessage) -> None:
        """Remember an error in the console."""
        if line.type == "error":
            self.complaints.append(line.text)

    def turn_to(self, medium: str) -> None:
        """To the page of a medium, by its link."""
        self.page.get_by_role("link", name=medium.capitalize()).click()
        self.page.locator(f".view .{medium}").wait_for()
        self.page.locator("[data-test-script-state=notRunning]").wait_for()  # until then the stage may be put in again
        self.page.locator(".play[aria-disabled=false]").wait_for()

    def choose(self, label: str, value: str) -> None:
        """A value of a select box."""
        box = self.page.get_by_role("combobox", name=label)
        box.fill(value)
        box.press("Enter")
        box.press("Escape")
        self.page.locator("[data-test-script-state=notRunning]").wait_for()

    @property
    def report(self) -> dict[str, Any]:
        """What `window.carousel` says."""
        report: dict[str, Any] = self.page.evaluate("window.carousel")
        return report

    def until(self, condition: str) -> None:
        """Wait until a JavaScript condition on `c`, the report, holds."""
        self.page.wait_for_function(f"() => {{ const c = window.carousel; return {condition}; }}", polling=50)

    def press(self, name: str) -> None:
        """A button of the stage, by its class."""
        self.page.locator(f".{name}").click()

    def choose_download(self, form: str, within: str = ".downloads") -> None:
        """A format in the menu of the live take, or of what is within another element."""
        self.page.locator(f"{within} .open:not([aria-disabled=true])").click()
        self.page.locator(f"{within} [data-format={form}]").click()

    def saved(self, form: str, within: str = ".downloads") -> bytes:
        """The file that a menu hands over."""
        with self.page.expect_download() as download:
            self.choose_download(form, within)
        return Path(download.value.path()).read_bytes()

    def start(self) -> None:
        """Press Start and wait until something is heard or typed."""
        self.press("play")
        self.until("c.state === 'playing' && c.firstSound !== null")
