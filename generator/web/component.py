"""The stage of a page as a Streamlit component, and what its button for going back is called."""

from __future__ import annotations

from typing import Any

import streamlit as st

from generator.streaming.engine import Model
from generator.web.live_music import BACK_BARS, BACK_SECONDS
from generator.web.live_text import BACK_CHARACTERS
from generator.web.routes import STATIC


@st.cache_resource(show_spinner=False)
def stage_component(medium: str) -> Any:
    """The stage of a page. Its JavaScript modules come from a route of this app, because those that Streamlit serves
    cannot import one another."""
    style = STATIC / "stage.css"
    others = sorted({*STATIC.glob("*.css")} - {style, STATIC / "page.css"})
    html, *css = (path.read_text(encoding="utf-8") for path in (STATIC / "stage.html", style, *others))
    module = f'const {{ default: part }} = await import(new URL("carousel/static/{medium}.js", document.baseURI));'
    code = f"{module}\nexport default part;"
    return st.components.v2.component(f"carousel-{medium}", html=html, css="".join(css), js=code)


def back_distance(model: Model) -> str:
    """The distance that the button for going back goes, such as `8 bars`."""
    kind = model.tokenizer.kind
    steps = {"score": f"{BACK_BARS} bars", "char": f"{BACK_CHARACTERS} characters"}
    return steps.get(kind, f"{BACK_SECONDS:g} seconds")
