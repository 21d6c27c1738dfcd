"""What runs in the browser on a page, as Streamlit components."""

from __future__ import annotations

from typing import Any

import streamlit as st

from generator.web.routes import STATIC


@st.cache_resource(show_spinner=False)
def stage_component(medium: str) -> Any:
    """The stage of a page as a Streamlit component. Its JavaScript modules come from a route of this app, because those
    that Streamlit serves cannot import one another."""
    style = STATIC / "stage.css"
    others = sorted({*STATIC.glob("*.css")} - {style, STATIC / "page.css"})
    html, *css = (path.read_text(encoding="utf-8") for path in (STATIC / "stage.html", style, *others))
    module = f'const {{ default: part }} = await import(new URL("carousel/static/{medium}.js", document.baseURI));'
    code = f"{module}\nexport default part;"
    return st.components.v2.component(f"carousel-{medium}", html=html, css="".join(css), js=code)


@st.cache_resource(show_spinner=False)
def token_component() -> Any:
    """What remembers the token in the browser, as a Streamlit component."""
    code = (STATIC / "token.js").read_text(encoding="utf-8")
    return st.components.v2.component("carousel-token", js=code)
