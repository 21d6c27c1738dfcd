"""The listening test: pairs of a held-out piece and one that a checkpoint wrote, to be told apart in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from docs import listen
from generator.music.score import Note, Score, TimeSignature, Voice


def facts(page: Path) -> dict[str, list[dict[str, dict[str, list[list[float]]]]]]:
    """The data in a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_an_opening_is_cut_at_its_last_bar_line() -> None:
    notes = [Note(0, 12, 60), Note(36, 24, 64), Note(48, 12, 67), Note(96, 12, 72)]
    piece = Score.from_events([TimeSignature(0, 4, 4), *notes], ticks_per_quarter=12, voices=(Voice("Melody"),))
    assert listen.opening(piece, 1) == [(0.0, 1.0, 60), (3.0, 4.0, 64)]
    assert listen.opening(piece, 3) is None


def test_the_page_that_lies_in_docs_is_told_apart_to_its_tally(browser: Browser) -> None:
    errors: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(listen.PAGE.as_uri())
    pairs = facts(listen.PAGE)["pairs"]
    assert len(pairs) == 10
    for pair in pairs:
        for piece in pair.values():
            assert len(piece["notes"]) > 20
    for number in range(1, 11):
        expect(page.get_by_role("heading", name=f"Pair {number} of 10")).to_be_visible()
        if number == 1:
            page.get_by_role("button", name="Play A").click()
            expect(page.get_by_role("button", name="Stop")).to_be_visible()
            page.wait_for_function("document.querySelector('progress').value > 0")
        # The piece of the corpus is told by its notes, as nobody can who only hears.
        page.evaluate("number => choose(order[number - 1])", number)
    expect(page.get_by_text("10 of 10 told apart.")).to_be_visible()
    expect(page.get_by_text("You hear the difference.")).to_be_visible()
    expect(page.get_by_text("right")).to_have_count(10)
    page.get_by_role("button", name="Once more").click()
    expect(page.get_by_role("heading", name="Pair 1 of 10")).to_be_visible()
    assert not errors
    page.close()
