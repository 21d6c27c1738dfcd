"""This browser session: its visitor, its live takes, and what is said to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from generator.foundation.errors import CarouselError
from generator.web.constraints import page_message
from generator.web.live import Live
from generator.web.routes import registry
from generator.web.visitors import Visitor


def known(token: Any) -> Visitor | None:
    """The visitor with a token, if there is one."""
    try:
        return registry().visitor(token) if isinstance(token, str) else None
    except CarouselError:
        return None


def admitted() -> Visitor:
    """The visitor of this session, who is admitted if this is the first start.

    Raises:
        CarouselError: all places are taken.
    """
    visitor = this_visitor()
    if visitor is None:
        st.session_state["visitor"] = registry().admit()
        visitor = visitor_here()
    return visitor


def show_message(text: str) -> None:
    """Show one line on the stage, once."""
    number = st.session_state.get("message", {"number": 0})["number"] + 1
    st.session_state["message"] = {"number": number, "text": text}


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an error of this block on the stage."""
    try:
        yield
    except CarouselError as error:
        show_message(page_message(error))


def visitor_here() -> Visitor:
    """The visitor of this session.

    Raises:
        CarouselError: nothing was started yet, or the server no longer knows this page.
    """
    return registry().visitor(st.session_state.get("visitor", ""))


def this_visitor() -> Visitor | None:
    """The visitor of this session; None before the first start, or if the place was given to somebody else."""
    return known(open_page(st.session_state.get("visitor", "")))


@st.cache_resource(
    scope="session", on_release=lambda token: registry().note_page(token, closed=True), show_spinner=False
)
def open_page(token: str) -> str:
    """The token of this session's visitor, whose page is open until Streamlit loses the connection to it."""
    registry().note_page(token, closed=False)
    return token


def playing(medium: str) -> tuple[int, Live | None]:
    """The number of this visitor's live take, and the take; (0, None) if there is none."""
    visitor = this_visitor()
    return visitor.playing(medium) if visitor else (0, None)
