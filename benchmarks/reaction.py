"""How soon the app answers a click on Start, and a change of a control. JSON, one object.

    python -m benchmarks.reaction

A server with the shipped checkpoints and a headless Chromium run on this machine. `first_ms` is the time from the click
on Start to the first note on the audio clock, or the first character on the page. `change_ms` is the time from the key
that moves a slider to the position from which the stream was drawn again with the new value, when the listener reaches
it. `late` counts notes that came after their time, `underruns` gaps in the sound.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.measuring import parser, report
from generator.cli import command
from tests.browser import Visit, shipped_app

CHECKPOINTS = {**dict.fromkeys(("bach", "drums", "folk", "piano", "pop"), "music"), "shakespeare": "text"}
SLIDERS = ("Temperature", "Top-p")


def percentiles(times: list[float]) -> dict[str, float]:
    """The median and the 95th percentile of times in milliseconds."""
    return {"median": round(float(np.median(times))), "p95": round(float(np.percentile(times, 95)))}


def change(visit: Visit, slider: str, key: str) -> float:
    """Press a key on a slider; milliseconds until the change is heard."""
    handle = visit.page.get_by_role("slider", name=slider)
    handle.focus()
    before = visit.report["heardAt"]
    visit.page.evaluate("addEventListener('keydown', () => (window.pressedAt = performance.now()), {capture: true})")
    handle.press(key)
    visit.until(f"c.heardAt !== {'null' if before is None else before}")
    return float(visit.report["heardAt"]) - float(visit.page.evaluate("window.pressedAt"))


def measure(visit: Visit, checkpoint: str, given: argparse.Namespace) -> dict[str, Any]:
    """The figures of one checkpoint."""
    visit.choose("Checkpoint", checkpoint)
    first, changed = [], []
    for _ in range(given.starts):
        visit.start()
        first.append(1000 * float(visit.report["firstSound"]))
        visit.press("stop")
        visit.until("c.state === 'idle'")
    visit.start()
    for index in range(given.changes):
        visit.page.wait_for_timeout(given.pause_ms)
        changed.append(change(visit, SLIDERS[index % 2], ("ArrowLeft", "ArrowRight")[index // 2 % 2]))
    late, underruns = visit.report.get("late", 0), visit.report.get("underruns", 0)
    visit.press("stop")
    return {
        "checkpoint": checkpoint,
        "first_ms": percentiles(first),
        "change_ms": percentiles(changed),
        "heard_within_500_ms": round(float(np.mean(np.array(changed) <= 500)), 2),
        "late": late,
        "underruns": underruns,
    }


def reaction(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    rows = []
    with shipped_app() as (browser, url):
        for name in given.only:
            visit = Visit(browser, url)
            if CHECKPOINTS[name] == "text":
                visit.turn_to("text")
            rows.append(measure(visit, name, given))
            visit.close()
    report("reaction", given, "streamlit", "playwright", rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("reaction", __doc__)
    made.add_argument("--starts", type=command.positive, default=20, metavar="N", help="(default: 20)")
    made.add_argument("--changes", type=command.positive, default=100, metavar="N", help="(default: 100)")
    made.add_argument("--pause-ms", type=command.positive, default=700, metavar="N", help="(default: 700)")
    made.add_argument("--only", nargs="+", default=list(CHECKPOINTS), choices=CHECKPOINTS, help="(default: all)")
    return command.run(made, reaction, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
