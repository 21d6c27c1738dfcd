"""The app as a visitor meets it: a real server, a real browser, and models that are made in a moment."""

from __future__ import annotations

import io
import json
import subprocess
import urllib.error
import urllib.request
import wave
from pathlib import Path
from typing import Any

import mido
import pretty_midi
import pytest
from playwright.sync_api import Browser, Page

from generator.music import midi
from generator.sinks.sound import LEAD_SECONDS
from generator.web.routes import STATIC
from tests.browser import ROOT, Visit, command
from tests.conftest import four_voices
from tests.test_access import findings
from tests.test_engraving import notes_in


def plays_without_a_gap(visit: Visit, seconds: float) -> dict[str, Any]:
    """Listen for so long on the audio clock; the report at the end."""
    visit.start()
    visit.until("c.level > 0.01")
    begin = visit.report["position"]
    visit.until(f"c.position >= {begin + seconds}")
    report = visit.report
    assert report["underruns"] == 0
    assert report["clock"] == "running"
    assert report["scheduled"] > 0
    assert report["horizon"] - report["position"] > 0.5, "nothing is buffered"
    return report


def test_music_plays_and_obeys_the_temperature_at_once(visit: Visit) -> None:
    """Ten seconds without a gap; then the server's stream has the new temperature and the page is the same one."""
    report = plays_without_a_gap(visit, 10)
    assert report["options"]["temperature"] == 1.0
    visit.page.evaluate("document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot.mark = 'same'")
    slider = visit.page.get_by_role("slider", name="Temperature")
    for _ in range(8):
        slider.press("ArrowLeft")
    visit.until("c.options.temperature === 0.6")
    assert visit.report["take"] == report["take"] and visit.report["sequence"] > report["sequence"]
    assert visit.report["underruns"] == 0
    mark = "document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot.mark"
    assert visit.page.evaluate(mark) == "same"
    slider = visit.page.get_by_role("slider", name="Top-p")
    slider.press("ArrowLeft")
    visit.until("c.options.top_p === 0.99")


@pytest.mark.slow
def test_music_plays_for_a_minute(visit: Visit) -> None:
    report = plays_without_a_gap(visit, 60)
    assert report["sounding"] < 400, "tones are not let go"


def test_pause_resume_stop_and_start_again(visit: Visit) -> None:
    visit.start()
    visit.press("play")
    visit.until("c.state === 'paused' && c.clock === 'suspended'")
    paused = visit.report["position"]
    visit.page.wait_for_timeout(400)
    assert visit.report["position"] == paused
    visit.press("play")
    visit.until(f"c.state === 'playing' && c.position > {paused}")
    visit.press("stop")
    visit.until("c.state === 'idle'")
    stopped = visit.report
    visit.page.wait_for_timeout(400)
    assert visit.report["position"] == stopped["position"]
    assert visit.report["sounding"] == 0
    visit.start()
    assert visit.report["take"] > stopped["take"] and visit.report["position"] < stopped["position"] + 10


def test_downloads_are_what_was_heard(visit: Visit) -> None:
    """Of the take that plays, with what would follow, and of one that was kept; a kept one can be removed."""
    visit.start()
    visit.until("c.position > 4")
    data = visit.saved("mid")
    position = visit.report["position"]
    assert 0 < mido.MidiFile(file=io.BytesIO(data)).length <= position + 0.1
    piano = pretty_midi.PrettyMIDI(io.BytesIO(data))
    assert {instrument.name for instrument in piano.instruments} <= {voice.name for voice in four_voices().voices}
    assert sum(len(instrument.notes) for instrument in piano.instruments) == len(midi.read(data).notes) > 0

    visit.press("keep")
    visit.page.locator(".kept li").wait_for()
    assert "tune, seed 7" in visit.page.locator(".kept li .name").inner_text()
    kept = visit.saved("mid", ".kept")
    seconds = mido.MidiFile(file=io.BytesIO(kept)).length
    assert seconds > 1
    score = midi.read(kept)
    seconds -= max(0.0, score.clock().seconds(score.notes[0].start_ticks) - LEAD_SECONDS)  # a WAV begins with a note
    with wave.open(io.BytesIO(visit.saved("wav", ".kept"))) as sound:
        assert abs(sound.getnframes() - seconds * sound.getframerate()) < 0.5001, "the nearest, or either of two"
    assert visit.saved("abc", ".kept").startswith(b"%abc-2.1\nX:1\n")
    assert notes_in(visit.saved("svg", ".kept")) >= len(midi.read(kept).notes) > 0

    visit.page.locator(".downloads .open").click()
    visit.page.locator(".downloads").get_by_label("How much").select_option("300")
    with visit.page.expect_download() as download:
        visit.page.locator(".downloads [data-format=mid]").click()
    longer = mido.MidiFile(download.value.path())
    assert position + 299 < longer.length < visit.report["position"] + 300.1
    assert visit.report["state"] == "playing" and visit.report["underruns"] == 0
    visit.page.locator(".kept .remove").click()
    visit.page.locator(".kept li").wait_for(state="detached")


def test_the_menu_of_downloads_by_keyboard(visit: Visit) -> None:
    """Escape closes it, and stops no music; a download says how far it is, can be cancelled, and ends with its page."""
    visit.start()
    visit.until("c.position > 2")
    keys, menu = visit.page.keyboard, visit.page.get_by_role("dialog", name="Download")
    visit.page.get_by_role("button", name="Download").press("Enter")
    menu.wait_for()
    groups = [group.get_attribute("aria-label") for group in menu.get_by_role("group").all()]
    assert groups == ["Sound", "Sheet music", "Take"]
    assert findings(visit) == set()
    keys.press("k")
    keys.press("Escape")
    menu.wait_for(state="hidden")
    assert visit.report["state"] == "playing"
    visit.page.locator(".downloads .open:focus").wait_for()
    keys.press("Enter")
    menu.wait_for()
    menu.get_by_label("How much").select_option("1800")
    menu.get_by_role("button", name="WAV").press("Enter")
    progress = visit.page.get_by_role("progressbar", name="WAV")
    progress.filter(has_text="%").wait_for()
    visit.page.get_by_role("button", name="Cancel WAV").press("Enter")
    progress.wait_for(state="detached")
    assert visit.page.locator(".aloud").inner_text() == "WAV is cancelled"
    assert visit.report["state"] == "playing"
    keys.press("Enter")
    menu.get_by_label("How much").select_option("1800")
    menu.get_by_role("button", name="WAV").press("Enter")
    progress.filter(has_text="%").wait_for()
    with visit.page.expect_event("requestfailed", lambda request: request.url.endswith("/carousel/download")):
        visit.turn_to("text")  # nobody waits for it any more


def test_text_types_itself(visit: Visit) -> None:
    """Text grows at the speed that is asked for, follows its end unless the reader scrolls up, and can be saved."""
    visit.turn_to("text")
    visit.page.get_by_label("Begin with").fill("to be")
    visit.start()
    visit.until("c.typed > 20")
    speed = visit.page.get_by_label("Speed")
    speed.fill("7")
    assert visit.report["speed"] == 640
    visit.until("c.typed > 3000 && c.blocks > 2")
    page = visit.page.locator(".page")
    assert page.evaluate("page => page.scrollTop + page.clientHeight >= page.scrollHeight - 48")
    page.evaluate("page => page.scrollTo(0, 0)")
    visit.page.locator(".follow").wait_for()
    before = visit.report["typed"]
    visit.until(f"c.typed > {before + 200}")
    assert page.evaluate("page => page.scrollTop") == 0
    visit.press("stop")
    shown = page.evaluate("page => [...page.children].map(block => block.textContent).join('\\n')")
    text = visit.saved("txt").decode()
    assert text.startswith("to be") and len(text) == 5 + visit.report["typed"]
    assert shown.replace("\n", "") == text.replace("\n", "")


PUT_IN_AGAIN = """
async (html) => {
  const { default: mount } = await import("/carousel/static/text.js");
  window.fetch = () => new Promise(() => {});
  const data = { visitor: "", live: null, kept: [], formats: [], back: "", message: null };
  const put = (live) => {
    const host = document.body.appendChild(document.createElement("div"));
    const parentElement = host.attachShadow({ mode: "open" });
    parentElement.innerHTML = html;
    const takeOut = mount({ parentElement, data: { ...data, live }, setTriggerValue: () => {} });
    return { play: parentElement.querySelector(".play"), leave: () => (host.remove(), takeOut()) };
  };
  const first = put(null);
  first.play.click();
  first.leave();
  const second = put({ take: 1, primer: "", before: "", at: 0 });
  const { state } = window.carousel;
  second.leave();
  put({ take: 2, primer: "", before: "", at: 0 });
  return [state, window.carousel.state];
}
"""


def test_a_start_outlives_its_stage(blank: Page) -> None:
    """Streamlit may put a stage in anew while it starts: the new one plays. One that left while it played is over."""
    assert blank.evaluate(PUT_IN_AGAIN, (STATIC / "stage.html").read_text(encoding="utf-8")) == ["playing", "idle"]


def test_each_page_keeps_its_settings(visit: Visit) -> None:
    """Turning the page stops the music, which goes on at the return; what was set and kept there is found again."""
    seed = visit.page.get_by_label("Seed", exact=True)
    seed.fill("123")
    visit.start()
    visit.press("keep")
    visit.page.locator(".kept li").wait_for()
    visit.turn_to("text")
    assert seed.input_value() == "7" and visit.page.locator(".kept li").count() == 0
    visit.turn_to("music")
    assert seed.input_value() == "123"
    assert visit.page.locator(".kept li .name").inner_text() == "tune, seed 123"
    visit.until("c.state === 'playing'")
    assert visit.page.locator(".view > *").count() == 1


def test_visitors_do_not_meet(browser: Browser, url: str) -> None:
    """In two tabs of a browser. Each has a token of its own, hears another seed, and sees only what it kept itself."""
    visits = [Visit(browser, url), Visit(browser, url)]
    sent: list[list[dict[str, Any]]] = [[], []]
    for visit, bodies in zip(visits, sent, strict=True):
        visit.page.on(
            "request", lambda request, b=bodies: request.url.endswith("/pull") and b.append(request.post_data_json)
        )
    visits[1].page.get_by_label("Seed", exact=True).fill("8")
    for visit in visits:
        visit.start()
    tokens = {body["visitor"] for bodies in sent for body in bodies}
    assert len(tokens) == 2 and all(len(token) >= 32 for token in tokens)
    visits[0].press("keep")
    visits[0].page.locator(".kept li").wait_for()
    assert visits[1].page.locator(".kept li").count() == 0
    files = [visit.saved("mid") for visit in visits]
    assert midi.read(files[0]).notes[:8] != midi.read(files[1]).notes[:8]
    for visit in visits:
        visit.close()
        assert visit.complaints == []


def test_a_broken_upload_is_one_line(visit: Visit, tmp_path: Path) -> None:
    """And a good one is gone on from."""
    for name, data in (
        ("broken.mid", b"MThd\0\0\0\6\0\1"),
        ("empty.musicxml", b""),
        ("good.mid", midi.to_bytes(four_voices())),
    ):
        (tmp_path / name).write_bytes(data)
        visit.page.locator("input[type=file]").last.set_input_files(tmp_path / name)
        if name != "good.mid":
            alert = visit.page.get_by_role("alert").filter(has_text=name)
            alert.wait_for()
            assert "Traceback" not in alert.inner_text() and "\n" not in alert.inner_text().strip()
            visit.press("play")
            visit.page.locator(".status").filter(has_text=name).wait_for()
            assert visit.report["state"] == "idle"
    visit.page.get_by_role("alert").wait_for(state="detached")
    visit.start()


@pytest.mark.parametrize("size", [(1280, 800), (390, 800)], ids=["laptop", "telephone"])
def test_nothing_is_cut_off(browser: Browser, url: str, size: tuple[int, int]) -> None:
    visit = Visit(browser, url, *size)
    visit.start()
    visit.press("keep")
    visit.page.locator(".kept li").wait_for()
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for control in visit.page.locator(".bar button, .bar input, canvas, .kept button").all():
        box = control.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= size[0], control
    visit.close()
    assert visit.complaints == []


def ask(url: str, route: str, body: bytes) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{url}/carousel/{route}", body, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[]",
        b"[" * 4000,
        b"x" * 100_000,
        b"{}",
        b'{"visitor": "guess", "take": 1, "have": 0, "until": 1}',
        b'{"visitor": 1, "take": 1, "have": 0, "until": 1}',
        b'{"visitor": "guess", "take": true, "have": -1, "until": NaN, "format": "exe"}',
    ],
)
def test_a_strange_request_is_answered_in_one_line(url: str, body: bytes) -> None:
    for route in ("pull", "download"):
        status, error = ask(url, route, body)
        assert status in (409, 410) and error and "\n" not in error


def test_an_unknown_instrument_is_refused(url: str) -> None:
    for query in ("program=128&drum=0", "program=-1", "program=x"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/carousel/instrument?{query}", timeout=60)
        with caught.value:
            error = json.loads(caught.value.read())["error"]
            assert caught.value.code == 404 and "program" in error and "literal" not in error


def test_a_port_in_use_is_said(url: str, folder: Path) -> None:
    port = int(url.rpartition(":")[2])
    done = subprocess.run(command(folder, port), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert f"Port {port} is not available" in done.stdout + done.stderr
