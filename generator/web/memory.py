"""What the Memory page asks for: what the units of a live take did at each token, what they are, and to hold some.

Nothing is kept while the stream is drawn. Whoever watches asks for some tokens, which are drawn again to see what the
units did at them, as `Stream.trace` does; so it costs nothing where nobody watches.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st
from starlette.responses import JSONResponse, Response

from generator.analysis import units as known_units
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.model.state import PARTS, Floats
from generator.streaming.runtime import Runtime
from generator.streaming.stream import Stream
from generator.web.constraints import page_message
from generator.web.fields import number, text, whole
from generator.web.live import Live
from generator.web.models import checkpoints, loaded

MOST_COLUMNS = 256
"""The most tokens of which one answer tells."""
LONGEST_CLAMP = 2000
"""The most characters of what is held at once."""
FOLLOWED = ("input_gate", "forget_gate", "output_gate", "cell")
"""What is told of the unit that is followed, in this order, with three decimals."""
GATES = ("input_gate", "forget_gate", "output_gate")
REASONS = 6
"""The number of gates that are named as reasons for a token."""
MEASURED_TOKENS = 512
"""From so many tokens of a stream with seed 0 time constants are measured where `units.json` has none."""


def columns(live: Live, body: dict[str, Any]) -> Response:
    """Answer with a column for each token: its position, what it means, one part of all units of a layer as bytes
    (`quantised`), and all of the unit that is followed."""
    config, since = live.engine.config, body.get("since")
    layer, unit = whole(body, "layer", 0, config.num_layers - 1), whole(body, "unit", 0, config.hidden_size - 1)
    part = text(body, "part")
    if part not in PARTS:
        raise CarouselError(f"a unit has no part {part[:40]!r}; it has {', '.join(PARTS)}")
    start = None if since is None else whole(body, "since")
    watched, positions = live.watch(start, number(body, "at"), number(body, "until"), MOST_COLUMNS)
    values = quantised(getattr(watched.trace, part)[:, layer], part)
    followed = np.stack([getattr(watched.trace, name)[:, layer, unit] for name in FOLLOWED], axis=1)
    return JSONResponse(
        {
            "start": watched.start,
            "at": positions,
            "words": watched.words,
            "values": b64encode(values.tobytes()).decode("ascii"),
            "followed": followed.astype(float).round(3).tolist(),
        }
    )


def units(live: Live) -> Response:
    """Answer with the number of layers and of units in each, their time constants in tokens, and for each unit of which
    it is known what it follows: the layer, the unit, the label and how closely, from 0 to 1."""
    engine = live.engine
    config, labels = engine.config, list[list[Any]]()
    constants = _time_constants(engine, engine.fingerprint)
    path = checkpoints(live.medium).get(live.name)
    if path is not None and (model := loaded(path)).checkpoint.fingerprint == engine.fingerprint:
        found = known_units.of(model.checkpoint)
        if found is not None:
            constants = [list(layer) for layer in found.time_constants]
            rows = {(row.layer, row.unit, row.label): row for row in (*found.labels, *found.units)}
            labels = [[*where, round(row.strength, 2)] for where, row in rows.items()]
    shape = {"layers": config.num_layers, "units": config.hidden_size}
    return JSONResponse({**shape, "constants": constants, "labels": labels})


def reasons(live: Live, body: dict[str, Any]) -> Response:
    """Answer with the gates that contributed most to a token: part, layer, unit, and the nats that it contributed."""
    (stream, trail), position = live.past(), whole(body, "position")
    trail.check(stream, position)
    found = stream.reasons(position, REASONS)
    return JSONResponse([[one.part, one.layer, one.unit, round(one.nats, 2)] for one in found])


def clamp(live: Live, body: dict[str, Any]) -> Response:
    """Hold parts of units of a live take at a value, as the option `clamp` says, or let go of all of them."""
    wanted = text(body, "clamp")
    if len(wanted) > LONGEST_CLAMP:
        raise CarouselError("so much cannot be held at once; let go of some of it first")
    try:
        live.set(clamp=wanted or None)
    except CarouselError as error:
        raise CarouselError(page_message(error)) from error
    return JSONResponse({"changes": live.describe()["changes"]})


def quantised(values: Floats, part: str) -> npt.NDArray[np.uint8]:
    """Values of a part as bytes, for a page, which need not have more: gates from 0 to 1, all else from -1 to 1, and of
    a cell its tanh, which is what the unit shows of it."""
    shown = np.tanh(values) if part == "cell" else values
    return np.rint(255 * (shown if part in GATES else (shown + 1) / 2)).astype(np.uint8)


@st.cache_data(max_entries=16, show_spinner=False)
def _time_constants(_engine: Runtime, fingerprint: str) -> list[list[float]]:
    """The time constant of each unit of each layer in tokens, as `Trace.time_constants` finds it in a short stream."""
    stream = Stream.begin(_engine, (), ((0, _engine.settle(SamplingOptions(), ())),))
    stream.record(MEASURED_TOKENS)
    stream.pull(MEASURED_TOKENS)
    constants: list[list[float]] = stream.recorded().time_constants().round(1).tolist()
    return constants
