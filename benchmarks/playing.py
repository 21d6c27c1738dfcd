"""How soon the app plays what a musician plays, and how evenly it plays to a MIDI port. JSON, one object.

    python -m benchmarks.playing

A server with the shipped checkpoints, a headless Chromium and MIDI ports that only pretend run on this machine.
`key_ms` is the time from the event of a key to the call that lets it sound. `answer_ms` is the time from the end of a
phrase to the first note that answers it; the rest that ends the phrase is in it. `ahead_ms` is how long before its time
a message leaves for the port, and `late` counts those that left after it. `pulse_error_ms` is how far the times between
two pulses of the MIDI clock are from their median.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.measuring import parser, report
from generator.cli import command
from tests.browser import PORTS, Visit, shipped_app

CHECKPOINTS = ("bach", "folk", "piano")
PHRASE = (67, 69, 71, 72)
NOTE_MS, GAP_MS = 200, 50
ON, PULSE = 0x90, 0xF8


def percentiles(times: list[float]) -> dict[str, float]:
    """The 1st, the 50th and the 99th percentile of times in milliseconds."""
    return {f"p{rank}": round(float(np.percentile(times, rank)), 2) for rank in (1, 50, 99)}


def play(visit: Visit) -> float:
    """Play a phrase; the page's time of its end, in milliseconds."""
    for pitch in PHRASE:
        visit.page.evaluate(f"play({ON}, {pitch}, 90)")
        visit.page.wait_for_timeout(NOTE_MS)
        visit.page.evaluate(f"play({ON}, {pitch}, 0)")
        visit.page.wait_for_timeout(GAP_MS)
    return float(visit.page.evaluate("performance.now()"))


def measure(visit: Visit, checkpoint: str, given: argparse.Namespace) -> dict[str, Any]:
    """The figures of one checkpoint."""
    visit.choose("Checkpoint", checkpoint)
    visit.page.get_by_role("button", name="Devices").click()
    visit.page.evaluate("navigator.requestMIDIAccess = () => Promise.resolve(ports)")
    visit.page.get_by_role("button", name="Connect MIDI").click()
    visit.page.locator(".midi .out").select_option("Synth")
    visit.page.get_by_label("Send the clock").check()
    visit.start()
    ends = []
    for _ in range(given.phrases):
        visit.until("c.position > 1 && c.held === null && c.horizon - c.position > 2")
        visit.page.wait_for_timeout(given.pause_ms)
        ends.append(play(visit))
        visit.until("c.held === null")
    visit.page.wait_for_timeout(given.pause_ms)
    sent, keys = visit.page.evaluate("sent"), visit.report["delays"]
    notes = [message for message in sent if message["data"][0] & 0xF0 == ON and message["at"] != message["now"]]
    answers = [min((note["at"] - end for note in notes if note["at"] > end), default=np.inf) for end in ends]
    pulses = np.diff([message["at"] for message in sent if message["data"][0] == PULSE])
    ahead = [message["at"] - message["now"] for message in notes]
    return {
        "checkpoint": checkpoint,
        "key_ms": percentiles(keys),
        "answer_ms": percentiles(answers),
        "ahead_ms": percentiles(ahead),
        "late": sum(seconds < 0 for seconds in ahead),
        "pulse_error_ms": percentiles(list(np.abs(pulses - np.median(pulses)))),
        "underruns": visit.report["underruns"],
    }


def playing(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    rows = []
    with shipped_app() as (browser, url):
        for name in given.only:
            visit = Visit(browser, url, new=True)
            visit.page.evaluate(PORTS)
            rows.append(measure(visit, name, given))
            visit.close()
    report("playing", given, "streamlit", "playwright", rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("playing", __doc__)
    made.add_argument("--phrases", type=command.positive, default=10, metavar="N", help="(default: 10)")
    made.add_argument("--pause-ms", type=command.positive, default=3000, metavar="N", help="(default: 3000)")
    made.add_argument("--only", nargs="+", default=list(CHECKPOINTS), choices=CHECKPOINTS, help="(default: all)")
    return command.run(made, playing, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
