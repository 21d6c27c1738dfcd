"""What the listener wants: the widgets of the side bar, and what they say."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import streamlit as st

from generator.cli.reporting import melody_losses
from generator.foundation.errors import CarouselError
from generator.foundation.omissions import Sentence
from generator.foundation.options import SamplingOptions
from generator.music import files
from generator.music.score import Score
from generator.streaming.engine import Model
from generator.streaming.melody import brought
from generator.streaming.pitch_constraints import pitch_violations
from generator.streaming.snapshot import Snapshot
from generator.streaming.violations import RANGES
from generator.tokenizers.score import ScoreTokenizer
from generator.web import primers
from generator.web.constraints import LABELS, OPTIONS, WORDS, chosen, constrained, in_words, parts_of, remembered

SAMPLING = ("temperature", "top_p", "governor")
WILDEST = 2.0
"""The temperature slider's end. Beyond it there is only noise, and a longer slider would be hard to set."""
SEEDS = 10_000
"""So many to choose from by chance: short ones, to be written down."""
SAFE_INTEGER = 2**53 - 1
"""The largest whole number that a browser can hold."""
FARTHEST = 36
"""Semitones by which a melody can be moved."""


def setting(medium: str, name: str) -> Any:
    """What a widget of a page says."""
    return st.session_state.get(f"{medium}-{name}")


def controls(medium: str, model: Model) -> dict[str, Any]:
    """The widgets of a checkpoint; the options that a stream obeys while it plays. The others wait for the next start.

    What is wrong with an upload stands under it, in one line.
    """
    problem = ""
    try:
        adopt(medium, model, uploaded(medium, model))
    except CarouselError as error:
        problem = in_words(error)

    def bounds(name: str) -> dict[str, Any]:
        facts = OPTIONS[name].metadata
        return {"min_value": facts["minimum"], "max_value": facts["maximum"], "help": facts["help"]}

    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    row.number_input(WORDS["seed"], key=remembered(f"{medium}-seed", 7), **bounds("seed") | {"max_value": SAFE_INTEGER})
    row.button("", icon=":material/casino:", help="Another seed", on_click=roll, args=(medium,), key=f"{medium}-dice")
    keys = {name: remembered(f"{medium}-{name}", OPTIONS[name].default) for name in SAMPLING}
    st.slider(
        WORDS["temperature"], step=0.05, key=keys["temperature"], **bounds("temperature") | {"max_value": WILDEST}
    )
    st.slider(WORDS["top_p"], step=0.01, key=keys["top_p"], **bounds("top_p"))
    st.toggle(WORDS["governor"], key=keys["governor"], help=OPTIONS["governor"].metadata["help"])
    if medium == "text":
        key = remembered("text-typed", "")
        st.text_area("Begin with", key=key, height=90, placeholder="ROMEO:", max_chars=primers.MAX_CHARACTERS)
    options = {name: setting(medium, name) for name in SAMPLING} | constrained(medium, model)
    if len(singers(model)) > 1:
        harmonise(medium, model)
    words = "The model reads it before the start; only its last part counts. A take goes on from where it was saved."
    st.file_uploader(WORDS["prime"], primers.SUFFIXES[medium], key=f"{medium}-file", help=words)
    say(setting(medium, "losses"))
    if problem:
        st.error(problem)
    return options


def say(sentences: Iterable[Sentence]) -> None:
    """What is left out of an upload."""
    for sentence in sentences:
        (st.warning if sentence.loud else st.caption)(sentence.text)


def roll(medium: str) -> None:
    """Another seed."""
    st.session_state[f"{medium}-seed"] = random.randrange(SEEDS)


def adopt(medium: str, model: Model, piece: str | Score | Snapshot | None) -> None:
    """Who uploads a take finds in the widgets what it was made with."""
    if not isinstance(piece, Snapshot) or st.session_state.get(f"{medium}-adopted") is piece:
        return
    st.session_state[f"{medium}-adopted"] = piece
    options, state = piece.options, st.session_state
    state[f"{medium}-seed"] = min(options.seed, SAFE_INTEGER)
    state[f"{medium}-temperature"], state[f"{medium}-top_p"] = min(options.temperature, WILDEST), options.top_p
    state[f"{medium}-governor"] = options.governor
    for name in LABELS.keys() - {"ranges"}:
        state[f"{medium}-{model.checkpoint.name}-{name}"] = chosen(name, getattr(options, name), model)
    parts = parts_of(model)
    free = pitch_violations(SamplingOptions(ranges=options.ranges), parts) & RANGES == 0
    for part, row in zip(parts, free, strict=True):
        pitches = [pitch for pitch in range(part.low, part.high + 1) if row[pitch]] or [part.low, part.high]
        state[f"{medium}-{model.checkpoint.name}-ranges-{part.name}"] = pitches[0], pitches[-1]


def singers(model: Model) -> list[str]:
    """The voices of which one can have a melody, while the model writes the others."""
    tokenizer = model.tokenizer
    return [voice.name for voice in tokenizer.voices if not voice.drum] if isinstance(tokenizer, ScoreTokenizer) else []


def harmonise(medium: str, model: Model) -> None:
    """The widgets of a melody that the next start keeps note for note."""
    names, words = singers(model), "One voice keeps it note for note, and the model writes the others."
    with st.expander("Harmonise a melody", icon=":material/lyrics:"):
        file = st.file_uploader(WORDS["melody"], files.SUFFIXES, key=f"{medium}-tune", help=words)
        row = st.container(horizontal=True, gap="small")
        row.selectbox(WORDS["voice"], names, key=remembered(f"{medium}-voice", names[0], names))
        key = remembered(f"{medium}-transpose", 0)
        row.number_input(WORDS["transpose"], -FARTHEST, FARTHEST, key=key, step=1)
    if file:
        try:
            melody(medium, model)
            say(setting(medium, "tune-losses"))
            st.caption("The next start begins with the melody.")
        except CarouselError as error:
            st.error(in_words(error))


def melody(medium: str, model: Model) -> dict[str, Any]:
    """The options that the melody of the page brings; empty without one.

    Raises:
        CarouselError: it is broken, or the checkpoint cannot say it.
    """
    voice, transpose = setting(medium, "voice"), setting(medium, "transpose")

    def read(name: str, data: bytes) -> tuple[dict[str, Any], list[Sentence]]:
        score = primers.read(name, data, "music")
        assert isinstance(score, Score)
        try:
            text = model.melody(score, voice, transpose)
        except CarouselError as error:
            raise CarouselError(f"{name}: ", *error.args) from error
        return brought(score, text), melody_losses(score, text)

    beside = (model.checkpoint.fingerprint, voice, transpose)
    options, st.session_state[f"{medium}-tune-losses"] = once(f"{medium}-tune", beside, read) or ({}, [])
    return dict(options)


def uploaded(medium: str, model: Model) -> str | Score | Snapshot | None:
    """The last part of the uploaded primer, or the take, or None.

    Raises:
        CarouselError: it is broken or of another kind, or a take of another checkpoint.
    """

    def read(name: str, data: bytes) -> Any:
        whole = primers.read(name, data, medium)
        try:
            if isinstance(whole, Snapshot):
                model.engine().check(whole)
                return whole, []
            return primers.last_part(whole), primers.losses(whole, model.tokenizer)
        except CarouselError as error:
            raise CarouselError(f"{name}: ", *error.args) from error

    state = st.session_state
    state[f"{medium}-primer"], state[f"{medium}-losses"] = None, []
    piece, state[f"{medium}-losses"] = once(f"{medium}-file", (model.checkpoint.fingerprint,), read) or (None, [])
    state[f"{medium}-primer"] = piece
    return piece


def once(key: str, beside: tuple[Any, ...], read: Any) -> Any:
    """What an upload is read as, None without one; it is read once for all that it is read beside.

    Raises:
        CarouselError: as `read` does.
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
