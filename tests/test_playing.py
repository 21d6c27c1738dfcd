"""A musician plays with the app, on the computer's keys and on pretended MIDI ports: the music waits and answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.browser import PORTS, Visit
from tests.test_access import findings

INSECURE = """async () => {
  Object.defineProperty(window, "isSecureContext", { value: false });
  const { Midi } = await import("/carousel/static/midi.js");
  return new Midi({ stage: {} }, {}, { silence() {} }).panel.element.querySelector(".hint").textContent;
}"""
ALL_NOTES_OFF = 123


def heard(visit: Visit) -> int:
    """How many phrases are in the origin that the tab remembers."""
    visit.page.wait_for_timeout(1100)  # it is saved once a second
    memory = json.loads(visit.page.evaluate("sessionStorage.getItem('carousel-Music')"))
    return len(json.loads(memory["origin"]).get("heard", []))


def sent(visit: Visit) -> list[dict[str, Any]]:
    """The messages that went out, with the times that they are for and at which they were sent, in milliseconds."""
    messages: list[dict[str, Any]] = visit.page.evaluate("sent")
    return messages


@pytest.mark.slow
def test_a_musician_plays_and_the_stream_answers(visit: Visit) -> None:
    page, keys = visit.page, visit.page.keyboard
    page.evaluate(PORTS)
    page.get_by_role("button", name="Keyboard").click()
    page.get_by_role("button", name="Devices").click()
    assert findings(visit) == set()
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
    assert visit.report["phrases"] == 0 and visit.report["state"] == "idle"
    assert [message["data"] for message in sent(visit) if message["data"][0] == 0x90] == [
        [0x90, pitch, 90] for pitch in (62, 72, 60)
    ]
    visit.until("c.state === 'playing' && c.firstSound !== null")
    assert heard(visit) == 1 and visit.report["phrases"] == 1
    keys.press("?")
    page.get_by_role("dialog", name="Keys").get_by_text("Play notes").wait_for()
    keys.press("Escape")

    # While it plays, a phrase holds it back, and the answer comes in time.
    page.evaluate("play(0x90, 74, 100)")
    held = visit.report
    assert held["held"] is not None and held["playing"] == 1
    assert held["delays"][-1] < 50, "10 ms on a machine that does nothing else"
    page.wait_for_timeout(300)
    assert visit.report["position"] == held["held"]
    page.evaluate("play(0x80, 74, 0)")
    visit.until("c.held === null && c.phrases === 2")
    after = visit.report
    assert after["late"] == after["underruns"] == 0 and after["horizon"] > after["position"]
    assert heard(visit) == 2
    visit.until(f"c.position > {after['position']} + 3")

    messages = sent(visit)
    pulses = np.diff([message["at"] for message in messages if message["data"] == [0xF8]])
    notes = [message for message in messages if message["data"][0] >> 4 == 9 and message["at"] != message["now"]]
    ahead = [message["at"] - message["now"] for message in notes]
    print("ms between pulses:", np.percentile(pulses, (1, 50, 99)), "ms ahead:", np.percentile(ahead, (1, 50, 99)))
    assert abs(np.median(pulses) - 60_000 / 120 / 24) < 1 and notes
    assert [0xFA] in [m["data"] for m in messages] or any(message["data"] == [0xFB] for message in messages)

    # Panic ends everything, here and on every channel.
    page.evaluate("play(0x90, 74, 100)")
    before = len(sent(visit))
    page.get_by_role("button", name="Panic").click()
    page.wait_for_timeout(300)
    assert visit.report["state"] == "idle" and visit.report["sounding"] == visit.report["playing"] == 0
    last = [message["data"] for message in sent(visit)[before:]]
    assert {data[0] for data in last if data[1:] == [ALL_NOTES_OFF, 0]} == {0xB0 + channel for channel in range(16)}
    assert [0xFC] in last

    # A clock from outside starts and pauses; a phrase is the beginning of the next start.
    page.get_by_label("Follow a clock").check()
    line.filter(has_text="the beat is not").or_(line.filter(has_text="the beat is not followed")).wait_for()
    page.get_by_role("button", name="Phrase 1: use as beginning").click()
    page.evaluate("play(0xfa)")
    visit.until("c.state === 'playing' && c.firstSound !== null")
    assert heard(visit) == 1
    page.evaluate("play(0xfc)")
    visit.until("c.state === 'paused'")
    page.get_by_role("button", name="Keyboard").click()
    keys.press("k")
    visit.until("c.state === 'playing'")
    assert "on https or localhost" in page.evaluate(INSECURE)
