"""The widget with which a listener asks for a drummer."""

from __future__ import annotations

from typing import Any

import streamlit as st

from generator.streaming.drummer import can_lead
from generator.streaming.engine import Model
from generator.streaming.snapshot import Snapshot
from generator.web.constraints import persistent_key
from generator.web.live_band import ANY, LiveBand
from generator.web.models import kit, loaded

KEY = "music-drummer"
NOBODY = "Nobody"
ANY_STYLE = "Any style"
HELP = "Somebody drums to the bars that are written, in their metre and at their tempo, from the next bar line on."


def drummer_widget(model: Model) -> None:
    """Show the widget, if there is a checkpoint of drums and the model writes bars that one can drum to."""
    drums = kit()
    if drums is None or not can_lead(model.tokenizer):
        return
    choices = [NOBODY, ANY_STYLE, *drums[1].styles]
    st.selectbox("Drummer", choices, key=persistent_key(KEY, NOBODY, choices), help=HELP)


def apply_drummer(live: Any) -> None:
    """Let the drummer of a live take play what the widget says."""
    drums = kit()
    if isinstance(live, LiveBand) and drums is not None and live.can_have_drummer:
        chosen = st.session_state.get(KEY, NOBODY)
        style = {NOBODY: None, ANY_STYLE: ANY}.get(chosen, chosen)
        if style != live.drum_style:  # else the model need not be loaded
            live.drum(loaded(drums[0]).engine(), style)


def show_drummer(take: Any) -> None:
    """Set the widget to the drummer of a live take or of an uploaded one."""
    style = None
    if isinstance(take, LiveBand):
        style = take.drum_style
    elif isinstance(take, Snapshot) and take.drums is not None and len(take.entries) % 2:
        style = take.drums.options.style or ANY
    st.session_state[KEY] = NOBODY if style is None else style or ANY_STYLE
