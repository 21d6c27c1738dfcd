"""What a stream can be asked for, as hypothesis draws it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.music.keys import SCALES
from generator.streaming.constraints import Constraints
from generator.streaming.engine import Model

DEFAULTS = asdict(SamplingOptions())
SAMPLING: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 2**63 - 1),
    "temperature": st.floats(0.3, 1.5),
    "top_k": st.integers(0, 20),
    "top_p": st.floats(0.1, 1.0),
    "min_p": st.floats(0.0, 0.2),
    "at_end": st.sampled_from(["next", "never"]),
    "governor": st.booleans(),
    "clamp": st.none() | st.sampled_from(["forget_gate 0.1=1, cell 0.3=-0.7", "hidden 0=0.5", "output_gate 0.0=0"]),
}
sampling = st.fixed_dictionaries(SAMPLING)
"""Each option of sampling; temperatures above 0, and streams that do not end."""
some_sampling = st.fixed_dictionaries({}, optional=SAMPLING)
"""Some of them."""

MUSIC = {
    "key": st.none() | st.sampled_from(["D minor", "F# major", "E♭ major", "b minor", "Cb major"]),
    "scale": st.none() | st.sampled_from(sorted(SCALES)),
    "ranges": st.none() | st.sampled_from(["48-75", "60-70", "55-62"]),
    "voices_at_once": st.none() | st.integers(1, 5),
    "density": st.none() | st.integers(1, 12),
}
WRITTEN = {"metre": st.none() | st.sampled_from(["4/4", "3/4", "5/8"]), "tempo": st.none() | st.floats(30, 240)}
TEXT = {
    "lines": st.none() | st.integers(1, 5),
    "characters": st.none() | st.text("abcdefgh \n", min_size=1),
    "starts_with": st.none() | st.text("abcdefgh \n", max_size=9),
}


def form(model: Model) -> st.SearchStrategy[dict[str, Any]]:
    """Constraints on the form of pieces, which take pieces that end."""
    asked = {"length": st.none() | st.integers(1, 12), "key_distance": st.none() | st.integers(0, 6)}
    asked["close"] = st.booleans()
    if not getattr(model.tokenizer, "counted_bars", 0):
        return st.just({})
    sections = {"form": st.sampled_from(["AABB", "abac"]), "length": st.none() | st.sampled_from([4, 9, 16])}
    return st.fixed_dictionaries(asked | {"form": st.none()}) | st.fixed_dictionaries(asked | sections)


@st.composite
def constraints(draw: st.DrawFn, model: Model) -> dict[str, Any]:
    """Every constraint that this model's streams can obey; those that contradict each other are left out."""
    tokenizer = model.tokenizer
    music = {"score": MUSIC | WRITTEN, "drums": WRITTEN}.get(tokenizer.kind, MUSIC)
    fitting = TEXT if tokenizer.medium == "text" else music
    if tokenizer.styles:
        fitting = fitting | {"style": st.none() | st.sampled_from(tokenizer.styles)}
    if tokenizer.kind == "score" and len(tokenizer.voices) > 1:
        fitting = fitting | {"parallels": st.booleans()}
    found: dict[str, Any] = draw(st.fixed_dictionaries(fitting))
    rules = Constraints(tokenizer)
    for name in ("scale", "metre", "ranges", "key", "parallels", "lines"):
        try:
            rules.settle(SamplingOptions(**found), ())
        except CarouselError:
            found[name] = DEFAULTS[name]
    return found
