"""How smoothly the Memory page draws, how soon what is held is heard, and what watching costs. JSON, one object.

    python -m benchmarks.memory_page

A server with the shipped checkpoints and a headless Chromium, which draws on the CPU, run on this machine. For each
checkpoint the page listens for some seconds without watching, on its own page, and then watches on the page Memory.
`frames_per_second` and `longest_ms` are of the intervals between calls of requestAnimationFrame; `server_share` is the
share of one core that the server takes meanwhile. `held_ms` is the time from the click that holds a gate to the
position from which the stream was drawn again with it, when the listener reaches it.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import psutil

from benchmarks.measuring import parser, report
from benchmarks.reaction import CHECKPOINTS, percentiles
from generator.cli import command
from tests.browser import Visit, shipped_app

FRAMES = """(seconds) => new Promise((done) => {
  const times = [];
  const frame = (now) => {
    times.push(now);
    if (now - times[0] < 1000 * seconds) requestAnimationFrame(frame);
    else done(times);
  };
  requestAnimationFrame(frame);
})"""
"""The times of the frames of so many seconds."""
SETTLE_MS = 2500


def frames(visit: Visit, server: psutil.Process, seconds: float) -> dict[str, float]:
    """How the page draws for so long, and what the server takes."""
    visit.page.wait_for_timeout(SETTLE_MS)
    before = sum(server.cpu_times()[:2])
    times = np.array(visit.page.evaluate(FRAMES, seconds))
    took = (times[-1] - times[0]) / 1000
    return {
        "frames_per_second": round((len(times) - 1) / took, 1),
        "longest_ms": round(float(np.diff(times).max()), 1),
        "server_share": round((sum(server.cpu_times()[:2]) - before) / took, 3),
    }


def held(visit: Visit, times: int) -> list[float]:
    """Hold a gate and let go of it so many times; milliseconds until each is heard."""
    found = []
    for index in range(times):
        visit.page.wait_for_timeout(1500)
        before = visit.report["heardAt"]
        button = visit.page.locator(".holding").get_by_role("button", name=("Shut", "Let go")[index % 2])
        clicked = button.evaluate("(button) => { button.click(); return performance.now(); }")
        visit.until(f"c.heardAt !== {'null' if before is None else before}")
        found.append(float(visit.report["heardAt"]) - float(clicked))
    return found


def measure(visit: Visit, server: psutil.Process, checkpoint: str, given: argparse.Namespace) -> dict[str, Any]:
    """The figures of one checkpoint."""
    visit.choose("Checkpoint", checkpoint)
    visit.start()
    alone = frames(visit, server, given.seconds)
    visit.page.get_by_role("link", name="Memory").click()
    visit.until("c.cells && c.cells.columns > 20")
    watched = frames(visit, server, given.seconds)
    columns = visit.report["cells"]["columns"]
    changes = held(visit, given.changes)
    return {
        "checkpoint": checkpoint,
        "unwatched": alone,
        "watched": watched,
        "columns": columns,
        "held_ms": percentiles(changes),
        "heard_within_500_ms": round(float(np.mean(np.array(changes) <= 500)), 2),
        "underruns": visit.report.get("underruns", 0),
    }


def memory_page(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    rows = []
    with shipped_app() as (browser, url):
        [server] = [one for one in psutil.Process().children() if "streamlit" in one.cmdline()]
        for name in given.only:
            visit = Visit(browser, url)
            if CHECKPOINTS[name] == "text":
                visit.turn_to("text")
            rows.append(measure(visit, server, name, given))
            visit.close()
    report("memory_page", given, "streamlit", "playwright", rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("memory_page", __doc__)
    made.add_argument("--seconds", type=command.positive, default=10, metavar="N", help="(default: 10)")
    made.add_argument("--changes", type=command.positive, default=20, metavar="N", help="(default: 20)")
    made.add_argument("--only", nargs="+", default=list(CHECKPOINTS), choices=CHECKPOINTS, help="(default: all)")
    return command.run(made, memory_page, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
