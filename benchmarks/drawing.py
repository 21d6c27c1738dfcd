"""How the pictures of docs/lstm.md are drawn: SVG without a background, in colours that can be told apart, and read on
light and dark pages alike; the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measuring import optional
from generator.foundation.atomic import atomic_write

COLOURS = ("#2a7fb8", "#d55e00", "#009e73", "#c0689a", "#e69f00", "#56b4e9")
"""Blue, vermilion, green, purple, orange and light blue, after Okabe and Ito (2008): for the colour-blind too."""
GREY = "#7a7a7a"
_STYLE = {
    "svg.hashsalt": "carousel",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "savefig.transparent": True,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), GREY),
    **dict.fromkeys(("grid.color", "axes.titlecolor"), GREY),
}


@contextmanager
def drawn(path: Path, width: float, height: float, rows: int = 1, columns: int = 1, **more: Any) -> Iterator[Any]:
    """Panels to draw on, an array of them if there are several; afterwards they are written.

    Args:
        width, height: of the picture in inches.
        more: for matplotlib's `subplots`.
    """
    matplotlib, figures = map(optional, ("matplotlib", "matplotlib.figure"))
    with matplotlib.rc_context(_STYLE):
        figure = figures.Figure(figsize=(width, height), layout="constrained")
        yield figure.subplots(rows, columns, **more)
        with atomic_write(path) as file:
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
