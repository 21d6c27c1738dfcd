"""In a browser: what else could have come at a note or a character, branches that come back, and scripts of all
kinds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Route

from tests.browser import Visit
from tests.test_access import findings
from tests.test_returning import memory

HEBREW, ACCENTS = "שלום עולם\n", "e\u0301a\u0308o\u0302"
ORIGIN = "() => JSON.parse(JSON.parse(sessionStorage.getItem('carousel-Music')).origin)"
BRANCHES = "() => JSON.parse(sessionStorage.getItem('carousel-branches-Music')).branches"
AT_CANVAS = "() => document.activeElement.shadowRoot?.activeElement?.matches('canvas')"
TINTED = (
    "() => [1, 2, 3].reduce((sum, level) => sum + (CSS.highlights.get(`carousel-surprise-${level}`)?.size ?? 0), 0)"
)


def card(visit: Visit) -> Any:
    found = visit.page.get_by_role("dialog", name="What else could have come")
    found.locator("li").first.wait_for()
    return found


@pytest.mark.slow
def test_another_note_is_chosen_and_branches_come_back(visit: Visit) -> None:
    keys = visit.page.keyboard
    visit.start()
    visit.until("c.position > 2.5")
    visit.page.locator("canvas").focus()
    keys.press("ArrowLeft")
    keys.press("ArrowLeft")
    name = visit.page.locator(".aloud").inner_text()
    keys.press("Enter")
    assert card(visit).get_by_role("heading").inner_text() == name
    visit.page.get_by_role("button", name="Branches").evaluate("button => button.click()")
    visit.page.wait_for_timeout(50)
    assert visit.page.locator(".branches li").count() == 1
    assert findings(visit) == set()
    keys.press("Escape")
    visit.page.locator(".choices").wait_for(state="hidden")
    visit.page.wait_for_function(AT_CANVAS)
    assert visit.report["state"] == "playing"
    keys.press("Enter")
    take = visit.report["take"]
    chosen = card(visit).locator("li button:not(.came)").first
    words = chosen.locator(".words").inner_text()
    chosen.focus()
    keys.press("Enter")
    visit.until(f"c.state === 'playing' && c.take > {take} && c.sequence > 0")
    visit.page.wait_for_function(f"() => ({ORIGIN})().heard?.length === 1")
    rows = visit.page.locator(".branches li")
    names = [row.input_value() for row in rows.locator(".name").all()]
    assert len(names) == 2 and names[1].startswith(f"{words} for ")
    rows.nth(1).locator(".name").fill("the bold one")
    keys.press("Tab")
    visit.page.reload()
    visit.until("c && c.state === 'playing' && c.sequence > 0")
    visit.page.wait_for_function("() => sessionStorage.getItem('carousel-Music')")  # it is remembered once a second
    assert memory(visit)["origin"] and len(visit.page.evaluate(ORIGIN)["heard"]) == 1
    visit.page.get_by_role("button", name="Branches").click()
    assert rows.locator(".name").nth(1).input_value() == "the bold one"
    assert rows.nth(1).get_attribute("aria-current") == "true"
    take = visit.report["take"]
    rows.first.locator(".line").focus()
    keys.press("Enter")  # the first one again, from its beginning, as it was before the choice
    visit.until(f"c.state === 'playing' && c.take !== {take} && c.sequence > 0")
    visit.page.wait_for_function(f"() => !('heard' in ({ORIGIN})())")
    assert rows.count() == 2 and visit.report["position"] < 3
    rows.nth(1).locator(".remove").click()
    assert rows.count() == 1 and [one["parent"] for one in visit.page.evaluate(BRANCHES)] == [None]
    visit.page.evaluate("sessionStorage.setItem('carousel-branches-Music', '{\"branches\": [{}, 5, null]}')")


@pytest.mark.slow
def test_text_in_all_scripts_and_its_surprises(visit: Visit) -> None:
    visit.turn_to("text")
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    visit.start()
    visit.until("c.typed > 60")
    assert "surprises" not in asked and visit.page.evaluate(TINTED) == 0
    visit.page.get_by_role("button", name="Surprise").click()
    visit.page.wait_for_function(f"() => ({TINTED})() > 20")
    assert findings(visit) == set()
    visit.page.get_by_role("button", name="Surprise").click()
    assert visit.page.evaluate(TINTED) == 0

    visit.page.locator(".page").focus()
    visit.page.keyboard.press("ArrowLeft")
    visit.page.keyboard.press("ArrowLeft")
    visit.page.keyboard.press("Enter")
    chosen = card(visit).locator("li button:not(.came)").first
    take = visit.report["take"]
    chosen.click()
    visit.until(f"c.state === 'playing' && c.take > {take} && c.typed > 62")

    def in_other_scripts(route: Route) -> None:
        answer = route.fetch()
        chunk = json.loads(answer.body())
        chunk["text"] = (HEBREW + ACCENTS * 400)[: len(chunk["text"])]
        route.fulfill(response=answer, body=json.dumps(chunk))

    visit.page.route("**/carousel/pull", in_other_scripts)
    visit.press("stop")
    visit.press("play")
    visit.until("c.state === 'playing' && c.typed > 40")
    block = visit.page.locator(".page > div").last
    assert block.evaluate("block => [block.dir, getComputedStyle(block).unicodeBidi, block.matches(':dir(rtl)')]") == [
        *("auto", "plaintext", True),
    ]
    where = """block => { const range = document.createRange(); const [node, at] = [block.firstChild, %s];
        range.setStart(node, at); range.setEnd(node, at + %s); const box = range.getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2]; }"""
    first, last = (block.evaluate(where % (at, 1)) for at in (0, 8))
    assert first[0] > last[0]  # Hebrew begins at the right
    visit.page.mouse.click(*block.evaluate(where % (len(HEBREW) + 2, 2)))
    assert card(visit).get_by_role("heading").inner_text() == "a\u0308"  # both code points, one tab for each
    assert card(visit).locator(".tabs button").count() == 2
    visit.page.unroute("**/carousel/pull")
