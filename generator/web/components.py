"""What runs in the browser on a page, as Streamlit components."""

from __future__ import annotations

from typing import Any

import streamlit as st

from generator.web.routes import STATIC


@st.cache_resource(show_spinner=False)
def stage_component(medium: str) -> Any:
    """The stage of a page as a Streamlit component."""
    style = STATIC / "stage.css"
    others = sorted({*STATIC.glob("*.css")} - {style, STATIC / "page.css"})
    html, *css = (path.read_text(encoding="utf-8") for path in (STATIC / "stage.html", style, *others))
    return st.components.v2.component(f"carousel-{medium}", html=html, css="".join(css), js=_module(medium))


@st.cache_resource(show_spinner=False)
def token_component() -> Any:
    """What remembers the token in the browser, as a Streamlit component."""
    return st.components.v2.component("carousel-token", js=_module("token"))


def _module(name: str) -> str:
    """A JavaScript module that hands on another one. That comes from a route of this app with all that it imports,
    because modules that Streamlit serves cannot import one another."""
    module = f'const {{ default: part }} = await import(new URL("carousel/static/{name}.js", document.baseURI));'
    return f"{module}\nexport default part;"
