"""A musician plays with the app, on the computer's keys and on pretended MIDI ports: the music waits and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser import PORTS, Visit

INSECURE = """async () => {
  Object.defineProperty(window, "isSecureContext", { value: false });
  const { Midi } = await import("/carousel/static/midi.js");
  return new Midi({ stage: {} }, {}, { silence() {} }).panel.element.querySelector(".hint").textContent;
}"""
ALL_NOTES_OFF = 123


@pytest.fixture
def musician(browser: Browser, url: str) -> Iterator[Visit]:
    """A visitor with MIDI ports, who leaves without having met an error."""
    visit = Visit(browser, url, script=PORTS)
    yield visit
    visit.context.close()
    assert visit.complaints == []


def heard(visit: Visit) -> int:
    """How many phrases are in the origin that the tab remembers."""
    visit.page.wait_for_timeout(1100)  # it is saved once a second
    memory = json.loads(visit.page.evaluate("sessionStorage.getItem('carousel-Music')"))
    return len(json.loads(memory["origin"]).get("heard", []))


def sent(visit: Visit) -> list[dict[str, Any]]:
    """The messages that went out, with the times that they are for and at which they were sent, in milliseconds."""
    messages: list[dict[str, Any]] = visit.page.evaluate("sent")
    return messages


def test_a_musician_plays_and_the_stream_answers(musician: Visit) -> None:
    page, keys = musician.page, musician.page.keyboard
    page.get_by_role("button", name="Keyboard").click()
    page.get_by_role("button", name="Devices").click()
    found = Axe().run(page, context=None, options={"runOnly": ["wcag2a", "wcag2aa"]})
    assert [one["id"] for one in found.response["violations"] if "panel" in str(one["nodes"])] == []
    connect, line = page.get_by_role("button", name="Connect MIDI"), page.locator(".midi .hint")
    connect.click()
    line.filter(has_text="refused MIDI: allow it").wait_for()
    page.evaluate("navigator.requestMIDIAccess = () => Promise.resolve(ports)")
    connect.click()
    page.locator(".midi .out").select_option("Synth")
    page.get_by_label("Send the clock").check()

    # Without a take, what is played is its beginning: S and K play, and command nothing.
    for code in ("KeyS", "KeyK", "KeyA"):
        keys.down(code)
        keys.up(code)
    assert musician.report["phrases"] == 0 and musician.report["state"] == "idle"
    assert [message["data"] for message in sent(musician) if message["data"][0] == 0x90] == [
        [0x90, pitch, 90] for pitch in (62, 72, 60)
    ]
    musician.until("c.state === 'playing' && c.firstSound !== null")
    assert heard(musician) == 1 and musician.report["phrases"] == 1
    keys.press("?")
    page.get_by_role("dialog", name="Keys").get_by_text("Play notes").wait_for()
    keys.press("Escape")

    # While it plays, a phrase holds it back, and the answer comes in time.
    page.evaluate("play(0x90, 74, 100)")
    held = musician.report
    assert held["held"] is not None and held["playing"] == 1
    assert held["delays"][-1] < 50, "10 ms on a machine that does nothing else"
    page.wait_for_timeout(300)
    assert musician.report["position"] == held["held"]
    page.evaluate("play(0x80, 74, 0)")
    musician.until("c.held === null && c.phrases === 2")
    after = musician.report
    assert after["late"] == after["underruns"] == 0 and after["horizon"] > after["position"]
    assert heard(musician) == 2
    musician.until(f"c.position > {after['position']} + 3")

    messages = sent(musician)
    pulses = np.diff([message["at"] for message in messages if message["data"] == [0xF8]])
    notes = [message for message in messages if message["data"][0] >> 4 == 9 and message["at"] != message["now"]]
    ahead = [message["at"] - message["now"] for message in notes]
    print("ms between pulses:", np.percentile(pulses, (1, 50, 99)), "ms ahead:", np.percentile(ahead, (1, 50, 99)))
    assert abs(np.median(pulses) - 60_000 / 120 / 24) < 1 and notes
    assert [0xFA] in [m["data"] for m in messages] or any(message["data"] == [0xFB] for message in messages)

    # Panic ends everything, here and on every channel.
    page.evaluate("play(0x90, 74, 100)")
    before = len(sent(musician))
    page.get_by_role("button", name="Panic").click()
    page.wait_for_timeout(300)
    assert musician.report["state"] == "idle" and musician.report["sounding"] == musician.report["playing"] == 0
    last = [message["data"] for message in sent(musician)[before:]]
    assert {data[0] for data in last if data[1:] == [ALL_NOTES_OFF, 0]} == {0xB0 + channel for channel in range(16)}
    assert [0xFC] in last

    # A clock from outside starts and pauses; a phrase is the beginning of the next start.
    page.get_by_label("Follow a clock").check()
    line.filter(has_text="the beat is not").or_(line.filter(has_text="the beat is not followed")).wait_for()
    page.get_by_role("button", name="Phrase 1: use as beginning").click()
    page.evaluate("play(0xfa)")
    musician.until("c.state === 'playing' && c.firstSound !== null")
    assert heard(musician) == 1
    page.evaluate("play(0xfc)")
    musician.until("c.state === 'paused'")
    page.get_by_role("button", name="Keyboard").click()
    keys.press("k")
    musician.until("c.state === 'playing'")
    assert "on https or localhost" in page.evaluate(INSECURE)
