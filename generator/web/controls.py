"""The widgets of the side bar, and the options that they ask for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import streamlit as st

from generator.cli.reporting import melody_omissions
from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Sentence
from generator.foundation.options import SamplingOptions
from generator.foundation.terminal import printable
from generator.music import files
from generator.music.score import Score
from generator.streaming.engine import Model
from generator.streaming.melody import brought
from generator.streaming.pitch_constraints import pitch_violations
from generator.streaming.snapshot import Snapshot
from generator.streaming.violations import RANGES
from generator.tokenizers.score import ScoreTokenizer
from generator.web import primers
from generator.web.constraints import (
    LABELS,
    OPTIONS,
    WORDS,
    choices,
    constraint_widgets,
    page_message,
    parts_of,
    persistent_key,
    widget_value,
)
from generator.web.drummer_widget import drummer_widget, show_drummer
from generator.web.live_music import BACK_BARS, BACK_SECONDS
from generator.web.live_text import BACK_CHARACTERS
from generator.web.markdown import plain

SAMPLING = ("temperature", "top_p", "governor")
MAX_TEMPERATURE = 2.0
"""The end of the temperature slider. Higher temperatures give noise, and would make the slider hard to set."""
FIRST_SEED = 7
"""The seed that is shown first where the checkpoint has none of its own."""
SEEDS = 10_000
"""Random seeds are below this number, so that they are short enough to be written down."""
SAFE_INTEGER = 2**53 - 1
"""The largest whole number that JavaScript represents exactly."""
LIMIT = f"A file has at most {st.get_option('server.maxUploadSize')} MB."
"""The browser does not send a larger file, and Streamlit tells nobody but the listener."""
MAX_TRANSPOSITION = 36
"""The most semitones by which a melody can be transposed."""


def setting(medium: str, name: str) -> Any:
    """The value of a widget of a page."""
    return st.session_state.get(f"{medium}-{name}")


HELP = {
    "seed": "Each number begins another piece, or another text. The same number with the same settings gives the same.",
    "temperature": "Low: what is most likely, again and again. High: more surprises, and more wrong notes or words.",
    "top_p": "Leaves out what is unlikely. 1 leaves out nothing; the lower it is, the fewer choices there are.",
    "governor": "Steps in where the model repeats itself or falls silent, and lets it be at all other times.",
}
"""What the widgets say of themselves."""


def controls(medium: str, model: Model, reseed: Callable[[int], None]) -> dict[str, Any]:
    """Show the widgets for a checkpoint; returns the options that can change while a stream plays. The seed applies
    when it is changed: `reseed` is called with the new one. The values of the others are read at the next start. An
    error in an upload is shown below it, in one line."""
    name, problem = f"{medium}-{model.checkpoint.name}", ""
    if f"{name}-shown" not in st.session_state:
        set_widgets_to(medium, model, replace(model.defaults, seed=model.defaults.seed or FIRST_SEED))
    try:
        adopt(medium, model, uploaded(medium, model))
    except CarouselError as error:
        problem = page_message(error)

    def bounds(name: str) -> dict[str, Any]:
        facts = OPTIONS[name].metadata
        return {"min_value": facts["minimum"], "max_value": facts["maximum"], "help": HELP[name]}

    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    row.number_input(
        WORDS["seed"],
        key=persistent_key(f"{name}-seed", FIRST_SEED),
        on_change=lambda: reseed(st.session_state[f"{name}-seed"]),
        **bounds("seed") | {"max_value": SAFE_INTEGER},
    )
    row.button("Another", help="Another seed", on_click=lambda: reseed(new_seed(name)), key=f"{medium}-dice")
    keys = {option: persistent_key(f"{name}-{option}", OPTIONS[option].default) for option in SAMPLING}
    st.slider(
        WORDS["temperature"],
        step=0.05,
        key=keys["temperature"],
        **bounds("temperature") | {"max_value": MAX_TEMPERATURE},
    )
    st.slider(WORDS["top_p"], step=0.01, key=keys["top_p"], **bounds("top_p"))
    st.toggle(WORDS["governor"], key=keys["governor"], help=HELP["governor"])
    if medium == "music":
        drummer_widget(model)
    if medium == "text":
        key = persistent_key("text-typed", "")
        st.text_area("Begin with", key=key, height=90, placeholder="ROMEO:", max_chars=primers.MAX_CHARACTERS)
    options = {option: st.session_state[key] for option, key in keys.items()} | constraint_widgets(medium, model)
    if len(melody_voices(model)) > 1:
        melody_widgets(medium, model)
    words = "The model reads it before the start; only its last part counts. A take goes on from where it was saved."
    st.file_uploader(WORDS["prime"], primers.SUFFIXES[medium], key=f"{medium}-file", help=f"{words} {LIMIT}")
    show_sentences(setting(medium, "omissions"))
    if problem:
        st.error(problem)
    return options


def show_sentences(sentences: Iterable[Sentence]) -> None:
    """Show the sentences about what was left out of an upload."""
    for sentence in sentences:
        (st.warning if sentence.loud else st.caption)(plain(printable(sentence.text)))


def new_seed(name: str) -> int:
    """Set the seed's widget of a checkpoint to a random seed, and return it."""
    seed = st.session_state[f"{name}-seed"] = random.randrange(SEEDS)
    return seed


def adopt(medium: str, model: Model, piece: str | Score | Snapshot | None) -> None:
    """Set the widgets to the options of an uploaded take, once for each upload."""
    if isinstance(piece, Snapshot) and st.session_state.get(f"{medium}-adopted") is not piece:
        st.session_state[f"{medium}-adopted"] = piece
        set_widgets_to(medium, model, piece.options)
        if medium == "music":
            show_drummer(piece)


def set_widgets_to(medium: str, model: Model, options: SamplingOptions) -> None:
    """Set the widgets of a checkpoint to some options."""
    state, key = st.session_state, f"{medium}-{model.checkpoint.name}"
    state[f"{key}-shown"] = True
    state[f"{key}-seed"] = min(options.seed, SAFE_INTEGER)
    state[f"{key}-temperature"], state[f"{key}-top_p"] = min(options.temperature, MAX_TEMPERATURE), options.top_p
    state[f"{key}-governor"] = options.governor
    for name in LABELS.keys() - {"ranges"}:
        state[f"{key}-{name}"] = widget_value(name, getattr(options, name), model)
    parts = parts_of(model)
    free = pitch_violations(SamplingOptions(ranges=options.ranges), parts) & RANGES == 0
    for part, row in zip(parts, free, strict=True):
        pitches = [pitch for pitch in range(part.low, part.high + 1) if row[pitch]] or [part.low, part.high]
        state[f"{key}-ranges-{part.name}"] = pitches[0], pitches[-1]


def follow_tempo(medium: str, model: Model) -> None:
    """Set the tempo to that of a clock that the page follows, or to the nearest one that the checkpoint knows."""
    tempo = st.session_state[f"{medium}-stage"].tempo
    if choices("tempo", model) and isinstance(tempo, int | float) and tempo > 0:
        st.session_state[f"{medium}-{model.checkpoint.name}-tempo"] = widget_value("tempo", tempo, model)
        st.session_state["changed widgets"] = True


def melody_voices(model: Model) -> list[str]:
    """The voices that can be given a melody; empty if the checkpoint does not write scores."""
    tokenizer = model.tokenizer
    return [voice.name for voice in tokenizer.voices if not voice.drum] if isinstance(tokenizer, ScoreTokenizer) else []


def melody_widgets(medium: str, model: Model) -> None:
    """Show the widgets for a melody, which one voice of the next stream keeps note for note."""
    names, words = melody_voices(model), f"One voice keeps it note for note, and the model writes the others. {LIMIT}"
    with st.expander("Harmonise a melody", icon=":material/lyrics:"):
        file = st.file_uploader(WORDS["melody"], files.SUFFIXES, key=f"{medium}-tune", help=words)
        row = st.container(horizontal=True, gap="small")
        row.selectbox(WORDS["voice"], names, key=persistent_key(f"{medium}-voice", names[0], names))
        key = persistent_key(f"{medium}-transpose", 0)
        row.number_input(WORDS["transpose"], -MAX_TRANSPOSITION, MAX_TRANSPOSITION, key=key, step=1)
    if file:
        try:
            melody_options(medium, model)
            show_sentences(setting(medium, "tune-omissions"))
            st.caption("The next start begins with the melody.")
        except CarouselError as error:
            st.error(page_message(error))


def melody_options(medium: str, model: Model) -> dict[str, Any]:
    """The sampling options for the uploaded melody; empty without one.

    Raises:
        CarouselError: the file is broken, or the checkpoint cannot write its melody.
    """
    voice, transpose = setting(medium, "voice"), setting(medium, "transpose")

    def read(name: str, data: bytes) -> tuple[dict[str, Any], list[Sentence]]:
        score = primers.read(name, data, "music")
        assert isinstance(score, Score)
        try:
            text = model.melody(score, voice, transpose)
        except CarouselError as error:
            raise CarouselError(f"{name}: ", *error.args) from error
        return brought(score, text), melody_omissions(score, text)

    beside = (model.checkpoint.fingerprint, voice, transpose)
    options, st.session_state[f"{medium}-tune-omissions"] = read_once(f"{medium}-tune", beside, read) or ({}, [])
    return dict(options)


def uploaded(medium: str, model: Model) -> str | Score | Snapshot | None:
    """The uploaded take, or the last part of an uploaded primer; None without an upload.

    Raises:
        CarouselError: the file is broken or of the wrong kind, or a take of another checkpoint.
    """

    def read(name: str, data: bytes) -> Any:
        whole = primers.read(name, data, medium)
        try:
            if isinstance(whole, Snapshot):
                model.engine().check(whole)
                return whole, []
            return primers.last_part(whole), primers.omissions(whole, model.tokenizer)
        except CarouselError as error:
            raise CarouselError(f"{name}: ", *error.args) from error

    state = st.session_state
    state[f"{medium}-primer"], state[f"{medium}-omissions"] = None, []
    piece, omissions = read_once(f"{medium}-file", (model.checkpoint.fingerprint,), read) or (None, [])
    state[f"{medium}-primer"], state[f"{medium}-omissions"] = piece, omissions
    return piece


def read_once(key: str, beside: tuple[Any, ...], read: Any) -> Any:
    """The result of reading an uploaded file, cached; None without an upload.

    Args:
        key: the key of the upload's widget.
        beside: other values that the result depends on.
        read: a function of the file's name and bytes.

    Raises:
        CarouselError: the one that `read` has raised.
    """
    file = st.session_state.get(key)
    if file is None:
        return None
    seen = (file.file_id, *beside)
    cached = st.session_state.get(f"{key}-read")
    if cached is None or cached[0] != seen:
        try:
            found = read(file.name, file.getvalue())
        except CarouselError as error:
            found = error
        cached = st.session_state[f"{key}-read"] = (seen, found)
    if isinstance(cached[1], CarouselError):
        raise cached[1]
    return cached[1]


def back_distance(model: Model) -> str:
    """The distance that the button for going back goes, such as `8 bars`."""
    if model.tokenizer.medium == "text":
        return f"{BACK_CHARACTERS} characters"
    return f"{BACK_BARS} bars" if model.tokenizer.bar_lines else f"{BACK_SECONDS:g} seconds"
