"""The app's pages: widgets for the options, and a stage in the browser that plays, one for music and one for text. The
page Memory shows the same stage, with what the units do meanwhile.

Streamlit runs this file again whenever a widget changes. That only changes the options of the next token; the sound
goes on.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any

import streamlit as st

from generator.foundation import places
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.streaming.constraints import PRIMER, Constraints
from generator.streaming.engine import Model
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.score import ScoreTokenizer
from generator.web import train_page
from generator.web.access import may_train
from generator.web.components import stage_component
from generator.web.constraints import choices, page_message, persistent_key
from generator.web.controls import (
    back_distance,
    controls,
    follow_tempo,
    setting,
)
from generator.web.downloads import FURTHER, formats
from generator.web.drummer_widget import apply_drummer
from generator.web.models import checkpoints, loaded
from generator.web.routes import STATIC
from generator.web.session import playing, this_visitor
from generator.web.triggers import branch, keep, remove, replay, restore, start, tune


def main() -> None:
    st.set_page_config("Carousel", STATIC / "icon.svg", layout="wide")
    st.html(STATIC / "page.css")
    st.logo(STATIC / "logo.svg", size="large")
    music = st.Page(partial(page, "music"), title="Music", icon=":material/music_note:", url_path="music", default=True)
    text = st.Page(partial(page, "text"), title="Text", icon=":material/notes:", url_path="text")
    memory = st.Page(partial(page, "music", "memory"), title="Memory", icon=":material/grid_on:", url_path="memory")
    own = partial(train_page.page, {"music": music, "text": text})
    train = st.Page(own, title="Train", icon=":material/school:", url_path="train")
    chosen = st.navigation([music, text, memory, *[train] * may_train()])
    if chosen is train:
        chosen.run()
    elif chosen is memory:
        page(watched_medium(), "memory")
    else:  # not `chosen.run()`, or Streamlit would put the stage in anew, in silence, when one turns to or from Memory
        page("music" if chosen is music else "text")


def watched_medium() -> str:
    """What the Memory page shows: what the visitor has heard or read last, or chooses here."""
    state = st.session_state
    shown: str = state.get("watched") or state.get("medium") or st.query_params.get("of", "")
    state["watched"] = shown if shown in ("music", "text") else "music"
    with st.sidebar:
        st.segmented_control("Watch", ["music", "text"], format_func=str.capitalize, key="watched", required=True)
    medium = str(state["watched"])
    st.query_params["of"] = medium  # for whoever loads the page anew
    return medium


def page(medium: str, name: str = "") -> None:
    """A page: the controls in the side bar, and the stage, on which what the page of this name has besides is shown."""
    st.session_state["medium"] = medium
    found = checkpoints(medium)
    if not found:
        st.info(f"There is no {medium} checkpoint yet. Train one: {places.command('train')} --help")
        return
    with st.sidebar:
        names = list(found)
        st.selectbox("Checkpoint", names, key=persistent_key(f"{medium}-checkpoint", names[0], names))
    try:
        model = loaded(found[setting(medium, "checkpoint")])
    except CarouselError as error:
        st.error(str(error))
        return
    with st.sidebar:
        options = controls(medium, model, partial(reseed, medium))
        try:
            apply_options(medium, model, options)
        except CarouselError as error:
            st.error(page_message(error))
        with st.expander("About this model", icon=":material/info:"):
            st.markdown(model.card or "This checkpoint has no card.")
    show_stage(medium, model, options, name or medium)


def apply_options(medium: str, model: Model, options: dict[str, Any]) -> None:
    """Apply the options to the live take, if it is drawn from this checkpoint. If a take has been uploaded, the options
    are those of the upload, and are only checked: they apply to the next start, which continues it.

    Raises:
        CarouselError: the checkpoint cannot obey them together; the live take goes on as before.
    """
    live, upload = playing(medium)[1], setting(medium, "primer")
    begun = live is not None and upload is live.upload
    if live and live.engine.fingerprint == model.checkpoint.fingerprint and (begun or not isinstance(upload, Snapshot)):
        if options.get("key") == PRIMER and not begun:  # this is the key of the upload, for the next start
            options = {name: value for name, value in options.items() if name not in ("key", "scale")}
        live.set(**options)
        apply_drummer(live)
    else:
        if live and isinstance(upload, Snapshot):
            st.caption("The widgets wait for the next start, which goes on from the uploaded take.")
        settled = SamplingOptions(**options)
        Constraints(model.tokenizer).encode(
            replace(settled, key=None, scale=None) if settled.key == PRIMER else settled
        )


def reseed(medium: str, seed: int) -> None:
    """Go on with another seed in the live take, if there is one."""
    live = playing(medium)[1]
    if live:
        live.set(seed=seed)


@st.fragment
def show_stage(medium: str, model: Model, options: dict[str, Any], name: str) -> None:
    """Show the stage. Its buttons run only this function again and not the whole page, so that a start is quick."""
    if st.session_state.pop("changed widgets", False):
        st.rerun(scope="app")
    visitor = this_visitor()
    number, live = playing(medium)
    stage_component(medium)(
        key=f"{medium}-stage",
        data={
            "page": name,
            "visitor": st.session_state.get("visitor", "") if visitor else "",
            "live": {"take": number, **live.describe()} if live else None,
            "stale": live is not None and live.engine.fingerprint != model.checkpoint.fingerprint,
            "kept": [
                {"take": take, "title": kept.title, "length": kept.length, "origin": kept.origin}
                for take, kept in (visitor.kept(medium) if visitor else {}).items()
            ],
            "voices": [asdict(voice) for voice in getattr(model.tokenizer, "voices", ())],
            "tempos": bool(choices("tempo", model)),
            "checkpoint": model.checkpoint.name,
            "checkpoints": list(checkpoints(medium)),
            "written": isinstance(model.tokenizer, ScoreTokenizer),
            "formats": formats(model.tokenizer),
            "further": FURTHER[medium],
            "back": back_distance(model),
            "message": st.session_state.get("message"),
        },
        on_start_change=partial(start, medium, model, options),
        on_back_change=partial(branch, medium, "back"),
        on_choose_change=partial(branch, medium, "choose"),
        on_redraw_change=partial(branch, medium, "redraw"),
        on_tempo_change=partial(follow_tempo, medium, model),
        on_restore_change=partial(restore, medium),
        on_replay_change=partial(replay, medium),
        on_keep_change=partial(keep, medium),
        on_tune_change=partial(tune, medium),
        on_remove_change=partial(remove, medium),
    )


main()
