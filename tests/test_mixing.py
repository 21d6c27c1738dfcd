"""The mixer, the sheet and the radio as a listener uses them, in a hidden tab, with odd things in its storage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import Visit
from tests.conftest import four_voices
from tests.test_access import findings

BEFORE = """
  const usual = window.setInterval;
  window.setInterval = (action, ms, ...more) => usual(action, Math.max(ms, 60_000), ...more); // as in a hidden tab
  window.handlers = {};
  navigator.mediaSession.setActionHandler = (action, handler) => (window.handlers[action] = handler);
  if (!localStorage.length) localStorage.setItem("carousel-mix", '{"tune": {"voices": 5, "transpose": 1e9}}');
  if (!sessionStorage.length) sessionStorage.setItem("carousel-radio", '{"queue": [null], "heard": {}}');
"""
TRANSPOSE = """
  (box) => {
    const before = window.carousel.sharps;
    box.value = "2";
    box.dispatchEvent(new Event("change"));
    return window.carousel.sharps - before;
  }
"""
IDS = """
  (sheet) => [...sheet.querySelectorAll("[id]")].map(({ id }) => id)
"""


def open_panel(visit: Visit, name: str) -> None:
    visit.page.locator(".panel-buttons").get_by_role("button", name=name).click()


@pytest.mark.slow
def test_listening(browser: Browser, url: str) -> None:
    visit = Visit(browser, url, new=True)
    page = visit.page
    page.add_init_script(BEFORE)
    page.reload()
    page.locator(".play[aria-disabled=false]").wait_for()
    visit.start()
    the_mixer_is_heard_at_once(visit)
    the_sheet_grows_and_is_lit(visit)
    the_system_s_keys_work(visit)
    the_queue_goes_to_another_checkpoint(visit)
    assert findings(visit) == set()
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    the_timer_ends_it(visit)
    visit.close()
    assert visit.complaints == []


def the_mixer_is_heard_at_once(visit: Visit) -> None:
    """Levels also of notes that are scheduled already; other instruments and pitches from the next note on."""
    page = visit.page
    open_panel(visit, "Mixer")
    visit.until("c.voiceLevels.some((level) => level > 1e-2)")
    voice = page.evaluate("((levels) => levels.indexOf(Math.max(...levels)))(window.carousel.voiceLevels)")
    alone = f"c.voiceLevels.every((level, index) => (index === {voice} ? level > 1e-3 : level < 1e-5))"
    for button, condition in (("Solo", alone), ("Mute", f"c.voiceLevels[{voice}] < 1e-5")):
        toggle = page.get_by_role("button", name=f"{button} {four_voices().voices[voice].name}")
        visit.until(f"c.voiceLevels[{voice}] > 1e-3")
        horizon = visit.report["horizon"]
        toggle.click()
        visit.until(condition)
        assert visit.report["position"] < horizon, "what was scheduled already did not obey"
        assert toggle.get_attribute("aria-pressed") == "true"
        toggle.click()
    scheduled = visit.report["scheduled"]
    assert page.get_by_label("Transpose").evaluate(TRANSPOSE) % 12 == 2
    assert page.get_by_label("Instrument of Bass").locator("option").count() == 128
    page.get_by_label("Instrument of Bass").select_option("Cello")
    page.get_by_label("Metronome").check()
    visit.until(f"c.clicks > 1 && c.scheduled > {scheduled}")
    mix = json.loads(page.evaluate("localStorage.getItem('carousel-mix')"))["tune"]
    assert (mix["transpose"], mix["voices"][3]["program"], mix["metronome"]) == (2, 42, True)


def the_sheet_grows_and_is_lit(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Sheet", exact=True).click()
    visit.until("c.lines > 0 && c.lit > 0")
    until = visit.report["sheetUntil"]
    visit.until(f"c.sheetUntil > {until} && c.lit > 0")
    sheet = visit.page.get_by_role("region", name="Sheet music")
    ids = sheet.evaluate(IDS)
    assert len(ids) == len(set(ids)) > 50
    assert sheet.get_by_role("img", name="Sheet music from bar").count() > 0
    visit.until("c.position > 8")  # the clock does not stand still
    assert visit.report["underruns"] == 0


def the_system_s_keys_work(visit: Visit) -> None:
    page, seed = visit.page, visit.report["options"]["seed"]
    assert page.evaluate("navigator.mediaSession.metadata.title") == f"tune, seed {seed}"
    for action, state in (("pause", "paused"), ("play", "playing")):
        page.evaluate(f"handlers.{action}()")
        visit.until(f"c.state === '{state}'")
        page.wait_for_function(f"navigator.mediaSession.playbackState === '{state}'")
    page.evaluate("handlers.nexttrack()")
    visit.until(f"c.options.seed !== {seed}")
    manifest = page.evaluate("fetch(document.querySelector('link[rel=manifest]').href).then((answer) => answer.json())")
    assert manifest["name"] == "Carousel" and manifest["start_url"] == "../../"


def the_queue_goes_to_another_checkpoint(visit: Visit) -> None:
    """And what was heard before can be heard again."""
    page = visit.page
    open_panel(visit, "Radio")
    page.get_by_label("Checkpoint to add").select_option("wild")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="Play the queue").click()
    visit.until("c.checkpoint === 'wild' && c.state === 'playing' && c.queueAt === 0 && c.position > 0")
    assert "writes no bars" in page.locator(".sheet").get_attribute("data-hint")
    page.get_by_role("button", name="Leave the queue").click()
    page.get_by_role("button", name="Play tune").click()
    visit.until("c.checkpoint === 'tune' && c.state === 'playing' && c.position > 1")
    assert page.get_by_label("Transpose").input_value() == "2"


def the_timer_ends_it(visit: Visit) -> None:
    visit.page.get_by_label("Stop in").select_option("15 minutes")
    visit.page.get_by_text("15 minutes left").wait_for()
    visit.page.evaluate("{ const now = performance.now(); performance.now = () => now + 900_001; }")
    visit.page.get_by_text("Good night.").wait_for()
    assert visit.report["state"] == "idle"


def test_the_icons_are_there(root: Path) -> None:
    static = root / "generator" / "web" / "static"
    manifest = json.loads((static / "app.webmanifest").read_text(encoding="utf-8"))
    assert all((static / icon["src"]).is_file() for icon in manifest["icons"])
