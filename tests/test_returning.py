"""A take comes back: after a reload or a restart of the server, from another page, from the shelf, and by a link."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from generator.music import midi
from generator.music.score import Score
from tests.browser import Visit, free_port, server


def listen(visit: Visit, seconds: float) -> float:
    """Listen for so long; the position."""
    visit.until(f"c.state === 'playing' && c.position >= {visit.report['position'] + seconds}")
    return float(visit.report["position"])


def heard(visit: Visit) -> Score:
    """What the page gives away as MIDI."""
    with visit.page.expect_download() as download:
        visit.choose_download("mid")
    return midi.read(Path(download.value.path()))


def file_until(visit: Visit, url: str, seconds: float) -> bytes:
    """The MIDI file of what plays, up to a position."""
    with visit.page.expect_request("**/carousel/pull") as asked:
        pass
    body = asked.value.post_data_json
    assert body is not None
    wanted = {"visitor": body["visitor"], "take": body["take"], "until": seconds, "format": "mid"}
    answer = visit.page.request.post(f"{url}/carousel/download", data=wanted)
    return answer.body().partition(b"\n\n")[2]


def begins_with(whole: Score, part: Score) -> bool:
    """Whether a piece begins with another one, whose last notes may be cut off."""
    keys = [
        [(note.start_ticks, note.pitch, piece.voices[note.voice].name) for note in piece.notes]
        for piece in (whole, part)
    ]
    return bool(keys[1]) and set(keys[1]) == {key for key in keys[0] if key[0] <= max(keys[1])[0]}


def memory(visit: Visit, name: str = "Music") -> dict[str, Any]:
    """What the tab remembers."""
    found: dict[str, Any] = json.loads(visit.page.evaluate(f"sessionStorage.getItem('carousel-{name}')"))
    return found


def test_a_reload_loses_nothing(visit: Visit) -> None:
    visit.page.get_by_role("slider", name="Temperature").press("ArrowLeft")
    visit.page.get_by_test_id("stSidebar").get_by_test_id("stButton").first.click()
    visit.start()
    listen(visit, 3)
    visit.press("keep")
    visit.page.locator(".kept li").wait_for()
    listen(visit, 1.5)
    before, seed = heard(visit), visit.report["options"]["seed"]
    at = memory(visit)["position"]
    visit.page.reload()
    visit.until("c && c.state === 'playing'")
    assert -1 < visit.report["position"] - at < 10  # what was on its way to the ear is heard again
    assert visit.page.locator(".kept li").count() == 1
    visit.page.locator("[data-test-script-state=notRunning]").wait_for()
    assert visit.page.get_by_role("slider", name="Temperature").input_value() == "0.95"
    listen(visit, 3)
    assert visit.report["options"]["seed"] == seed and visit.report["options"]["temperature"] == 0.95
    assert visit.report["underruns"] == 0
    assert begins_with(heard(visit), before)


def test_another_page_and_back_goes_on(visit: Visit) -> None:
    """By the browser's button, and by the link."""
    visit.start()
    listen(visit, 2)
    before = heard(visit)
    visit.turn_to("text")
    visit.start()
    visit.until("c.typed > 20")
    visit.page.go_back()
    visit.page.locator(".view .music").wait_for()
    visit.until("c.state === 'playing'")
    listen(visit, 2)
    assert begins_with(heard(visit), before)
    visit.turn_to("text")
    visit.until("c.state === 'playing' && c.typed > 30")


@pytest.mark.slow
def test_a_kept_take_is_played_again(visit: Visit) -> None:
    visit.start()
    listen(visit, 3)
    visit.press("keep")
    visit.page.locator(".kept li").wait_for()
    kept = heard(visit)
    listen(visit, 3)
    take = visit.report["take"]
    visit.page.locator(".kept .replay").click()
    visit.until(f"c.state === 'playing' && c.take > {take} && c.position < 3")
    listen(visit, 2)
    assert begins_with(kept, heard(visit))


@pytest.mark.slow
def test_a_link_brings_the_same_music(browser: Browser, url: str, visit: Visit) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.start()
    listen(visit, 1)
    visit.page.get_by_role("slider", name="Temperature").press("ArrowLeft")
    visit.until("c.options.temperature === 0.95")
    listen(visit, 3)
    visit.press("downloads .open")
    visit.press("downloads .link")
    visit.page.locator(".status", has_text="copied").wait_for()
    address = visit.page.evaluate("navigator.clipboard.readText()")
    sent = file_until(visit, url, 3.0)
    assert midi.read(sent).notes
    other = Visit(browser, address, new=True)
    other.until("c && c.state === 'paused'")
    other.press("play")
    listen(other, 3)
    assert file_until(other, url, 3.0) == sent
    assert other.report["options"]["temperature"] == 0.95
    assert other.page.get_by_role("slider", name="Temperature").input_value() == "0.95"
    assert "#" not in other.page.url
    other.close()
    assert other.complaints == []


def test_a_link_that_was_changed_is_refused_in_words(browser: Browser, url: str) -> None:
    visit = Visit(browser, f"{url}/#take=nonsense")
    visit.page.locator(".status", has_text="Ask for it again").wait_for()
    visit.start()
    visit.close()
    assert visit.complaints == []


@pytest.mark.slow
def test_a_restart_of_the_server_is_not_heard(browser: Browser, folder: Path, tmp_path: Path) -> None:
    """The page plays what it has, and then goes on with the same take."""
    port = free_port()
    with server(folder, tmp_path / "log.txt", port) as url:
        visit = Visit(browser, url)
        visit.start()
        listen(visit, 2)
        visit.press("keep")
        visit.page.locator(".kept li").wait_for()
        before, take = heard(visit), visit.report["take"]
        until = float(visit.report["position"])
        file = file_until(visit, url, until)
    with server(folder, tmp_path / "again.txt", port):
        visit.until(f"c.state === 'playing' && c.take !== {take} && c.sequence > 0")
        listen(visit, 1)
        after = heard(visit)
        assert begins_with(after, before) and file_until(visit, url, until) == file
        spans = [(note.start_ticks, note.pitch, note.voice) for note in after.notes]
        assert len(spans) == len(set(spans)), "a note came twice"
        assert visit.page.locator(".kept li").count() == 1
        with visit.page.expect_download() as download:
            visit.choose_download("mid", ".kept")
        assert begins_with(after, midi.read(Path(download.value.path())))
    visit.close()


KEEP_CHUNKS = """() => {
  const { fetch } = window;
  window.chunks = [];
  window.fetch = async (...request) => {
    const answer = await fetch(...request);
    if (String(request[0]).endsWith("/pull")) window.chunks.push(await answer.clone().json());
    return answer;
  };
}"""


@pytest.mark.slow
def test_eight_seconds_without_a_network_neither_double_nor_lose_a_note(visit: Visit) -> None:
    visit.page.evaluate(KEEP_CHUNKS)
    visit.start()
    visit.until("c.horizon - c.position > 7")
    visit.context.set_offline(True)
    visit.page.wait_for_timeout(8000)
    visit.page.locator(".status", has_text="trying again").wait_for()
    visit.context.set_offline(False)
    visit.until("c.horizon - c.position > 7")
    assert visit.page.locator(".status").inner_text() == ""
    chunks = visit.page.evaluate("window.chunks")
    assert [chunk["seq"] for chunk in chunks] == list(range(1, len(chunks) + 1))
    notes = [(note[0], *note[2:]) for chunk in chunks for note in chunk["notes"]]
    assert visit.report["scheduled"] == len(notes) == len(set(notes))
    visit.complaints.clear()  # the browser's own, of requests that went nowhere


@pytest.mark.slow
def test_a_start_is_heard_after_a_restart_of_the_server(browser: Browser, folder: Path, tmp_path: Path) -> None:
    port = free_port()
    with server(folder, tmp_path / "log.txt", port) as url:
        visit = Visit(browser, url)
        visit.start()
        visit.press("stop")
        visit.until("c.state === 'idle'")
    with server(folder, tmp_path / "again.txt", port):
        visit.start()
    visit.close()
