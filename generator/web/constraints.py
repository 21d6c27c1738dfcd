"""Widgets for the constraints among the sampling options.

The widgets are made from the fields of `SamplingOptions`. A checkpoint gets those that its `Constraints` accept. A new
option needs a line in `LABELS`, and if it has a fixed set of values one in `choices`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import streamlit as st

from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.music.keys import KEYS, SCALES, read_key
from generator.music.score import Score, pitch_name, style_name
from generator.streaming.constraints import PRIMER, Constraints
from generator.streaming.engine import Model
from generator.streaming.performance_constraints import part_of
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.performance import PerformanceTokenizer
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_vocabulary import Part

OPTIONS = {spec.name: spec for spec in fields(SamplingOptions)}
LABELS = {
    "style": "Style",
    "key": "Key",
    "scale": "Scale",
    "metre": "Metre",
    "length": "Bars of a piece",
    "form": "Form",
    "close": "End on the tonic",
    "key_distance": "Fifths to the next key",
    "tempo": "Tempo",
    "parallels": "Parallel fifths and octaves",
    "voices_at_once": "Notes at once",
    "density": "Notes a second",
    "ranges": "Ranges",
    "starts_with": "Say next",
    "lines": "Lines of a paragraph",
    "characters": "Only these characters",
}
"""The constraints that have a widget, in the order of the page."""
WORDS = LABELS | {
    "seed": "Seed",
    "temperature": "Temperature",
    "top_p": "Top-p",
    "governor": "Governor",
    "prime": "Go on from a file",
    "melody": "Melody",
    "voice": "Voice",
    "transpose": "Semitones up",
    "at_end": "Piece's end",
    "clamp": "What is held",
    "max_copy": "The limit of copies",
    "the engine's index": "--originality on the command line",
}
"""The names of options on the page, for error messages."""


def persistent_key(key: str, default: Any, choices: Sequence[Any] | None = None) -> str:
    """The key for a widget, whose value is set to the one it had when it was last shown.

    Streamlit forgets the widgets of a page when the user goes to another one. This restores them.

    Args:
        default: the value of a new widget, and of one whose old value is not among `choices`.
    """
    saved = st.session_state.setdefault("saved", {})
    value = st.session_state.get(key, saved.get(key, default))
    if choices is not None and value not in choices:
        value = default
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
    saved[key] = value
    return key


def constraint_widgets(medium: str, model: Model) -> dict[str, Any]:
    """Show the widgets of the constraints that a checkpoint can obey; returns the options that they ask for."""
    can = Constraints(model.tokenizer)

    def obeys(**options: Any) -> bool:
        try:
            can.encode(SamplingOptions(**options))
        except CarouselError:
            return False
        return True

    asked: dict[str, Any] = {}
    can_ask: list[tuple[str, list[Any]]] = []
    for name in LABELS:
        found = choices(name, model)
        beside = {"key": KEYS[0]} if name == "scale" else {}
        if found is not None:
            found = [choice for choice in found if obeys(**{name: choice}, **beside)]
            if len(found) > 1 or (
                found and name == "style"
            ):  # a single style is a choice too, because a piece may have none
                can_ask.append((name, found))
        elif obeys(**{name: weakest_value(name, model)}):
            can_ask.append((name, []))
    if can_ask:
        with st.expander("Constraints", icon=":material/tune:"):
            for name, found in can_ask:
                asked[name] = widget(medium, model, name, found, asked)
    return asked


def choices(name: str, model: Model) -> list[Any] | None:
    """The values of an option with a fixed set of values; empty if the checkpoint has none, None for other options."""
    table = model.tokenizer.table if isinstance(model.tokenizer, ScoreTokenizer | DrumsTokenizer) else None
    if name == "style":
        return list(model.tokenizer.styles)
    if name == "key":
        return list(KEYS)
    if name == "scale":
        return list(SCALES)
    if name == "metre":
        return [f"{numerator}/{denominator}" for numerator, denominator in table.metres] if table else []
    if name == "tempo":
        return [float(tempo) for tempo in table.tempos] if table else []
    return None


def widget_value(name: str, value: Any, model: Model) -> Any:
    """The value of a widget for a value of its option: in the page's spelling, or for a tempo the nearest choice."""
    if not value:
        return value
    if name == "key":
        return KEYS[read_key(value)]
    if name == "style":
        return style_name(value)
    return min(choices(name, model) or [value], key=lambda tempo: abs(tempo - value)) if name == "tempo" else value


def weakest_value(name: str, model: Model) -> Any:
    """The value of an option that restricts the least, with which to test whether a checkpoint can obey the option."""
    spec = OPTIONS[name]
    if isinstance(spec.default, bool):
        return not spec.default
    if name == "ranges":
        return "0-127"
    least = spec.metadata["minimum"]
    return getattr(model.tokenizer, "characters", "A")[0] if least is None else least


def widget(medium: str, model: Model, name: str, found: list[Any], asked: dict[str, Any]) -> Any:
    """Show the widget of one constraint; returns the value that it asks for, or None.

    Args:
        found: the choices, empty if the option has no fixed set of values.
        asked: the values of the widgets before this one.
    """
    spec, key = OPTIONS[name], f"{medium}-{model.checkpoint.name}-{name}"
    label, words = LABELS[name], spec.metadata["help"]
    if isinstance(spec.default, bool):
        return st.toggle(label, key=persistent_key(key, spec.default), help=words)
    if found:
        if name == "key" and isinstance(st.session_state.get(f"{medium}-primer"), Score):
            found = [PRIMER, *found]
        off = name == "scale" and not asked.get("key")
        nothing = "Plain major or minor" if name == "scale" else "Any"
        key = persistent_key(key, None, [None, *found])
        format_ = {"format_func": choice_label, "help": words, "disabled": off, "placeholder": nothing}
        choice = st.selectbox(label, found, None, key=key, **format_)
        return None if off else choice
    if name == "ranges":
        return range_sliders(key, parts_of(model))
    if spec.metadata["minimum"] is not None:
        low, high = spec.metadata["minimum"], spec.metadata["maximum"]
        key = persistent_key(key, None)
        return st.number_input(label, low, high, None, key=key, step=1, placeholder="Any number", help=words)
    return st.text_input(label, None, key=persistent_key(key, None), placeholder="Anything", help=words) or None


def choice_label(choice: Any) -> str:
    """The label of a choice."""
    if choice == PRIMER:
        return "The key of the file"
    return f"{choice:g}" if isinstance(choice, float) else str(choice)


def parts_of(model: Model) -> list[Part]:
    """The voices whose range can be restricted."""
    tokenizer = model.tokenizer
    if isinstance(tokenizer, ScoreTokenizer):
        return list(tokenizer.table.parts)
    return [part_of(tokenizer)] if isinstance(tokenizer, PerformanceTokenizer) else []


def range_sliders(key: str, parts: Sequence[Part]) -> str | None:
    """Show a slider with two ends for each voice; returns the option `ranges`, None if no slider was moved."""
    narrowed = []
    for part in parts:
        if part.drum or part.low == part.high:
            continue
        pitches, name = range(part.low, part.high + 1), f"{key}-{part.name}"
        whole = part.low, part.high
        pairs = [(low, high) for low in pitches for high in pitches if low <= high]
        key_ = persistent_key(name, whole, pairs)
        ends: Any = st.select_slider(f"Range of {part.name}", pitches, whole, key=key_, format_func=pitch_name)
        if ends != whole:
            narrowed.append(f"{part.name}:{ends[0]}-{ends[1]}")
    return ",".join(narrowed) or None


def page_message(error: CarouselError) -> str:
    """The message of an error, with the names of widgets in the place of those of options."""
    return error.worded(lambda name: WORDS.get(name, name))
