"""In a browser: bars of the roll are selected, with the pointer and with keys, and drawn again between what stays."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import Visit
from tests.test_access import findings
from tests.test_returning import memory

SEED = "15"
"""With this one the fake's first piece has six bars of two seconds each."""


@pytest.mark.slow
def test_bars_are_selected_and_drawn_again(visit: Visit) -> None:
    page, keys = visit.page, visit.page.keyboard
    page.get_by_label("Seed", exact=True).fill(SEED)
    keys.press("Enter")
    page.locator("[data-test-script-state=notRunning]").wait_for()
    visit.start()
    visit.until("c.position > 6.2")
    keys.press("k")
    roll, card = page.locator("canvas"), page.get_by_role("dialog", name="Draw again")
    roll.focus()
    keys.press("Shift+ArrowLeft")
    assert page.locator(".aloud").inner_text() == "Bar 3"
    keys.press("Escape")
    keys.press("Shift+ArrowLeft")
    keys.press("Shift+ArrowLeft")
    keys.press("Enter")
    expect(card.get_by_role("heading")).to_have_text("Bars 2 to 3")
    assert findings(visit) == set()
    keys.press("Escape")
    card.wait_for(state="hidden")
    assert visit.report["state"] == "paused"
    box: Any = roll.bounding_box()
    right, middle = box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2
    page.mouse.move(right, middle)
    page.mouse.down()
    page.mouse.move(right - 60, middle)
    page.mouse.move(right - 170, middle, steps=3)
    page.mouse.up()
    card.wait_for()
    bars = card.get_by_role("heading").inner_text()
    assert bars in ("Bars 2 to 3", "Bars 3 to 4")
    voices = [card.get_by_label(name) for name in ("Soprano", "Alto", "Tenor", "Bass")]
    for voice in voices:
        voice.uncheck()
    again = card.get_by_role("button", name="Draw again")
    expect(again).to_have_attribute("aria-disabled", "true")
    voices[1].check()
    take = visit.report["take"]
    again.click()
    visit.until(f"c.state === 'playing' && c.take > {take} && c.position > 2")
    expect(page.locator(".status")).to_have_text("")
    page.get_by_role("button", name="Branches").click()
    names = [row.input_value() for row in page.locator(".branches .name").all()]
    assert names[1] == f"{bars} again, Alto"
    page.wait_for_function("() => JSON.parse(sessionStorage.getItem('carousel-Music')).take > " + str(take))
    assert memory(visit)["origin"]
    one, other = page.get_by_role("group", name="Compare two branches").get_by_role("button").all()
    assert (one.get_attribute("aria-pressed"), other.get_attribute("aria-pressed")) == ("false", "true")
    before = visit.report
    one.click()
    visit.until(f"c.state === 'playing' && c.take > {before['take']} && c.sequence > 0")
    assert before["position"] - 0.3 < visit.report["position"] < before["position"] + 20
    expect(one).to_have_attribute("aria-pressed", "true")
    assert page.locator(".branches li").count() == 2 and findings(visit) == set()
