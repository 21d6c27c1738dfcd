"""The pages: one for music, one for text. Widgets say what is wanted; the stage, mounted once, plays it.

Streamlit runs this file at every change of a widget. That only notes what the next token is to obey; the sound goes on.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from generator.errors import CarouselError
from generator.options import SamplingOptions
from generator.streaming.engine import Model, load
from generator.tokenizers import KINDS
from generator.web import primers
from generator.web.live import Live, LiveMusic, LiveText
from generator.web.routes import FORMATS, STATIC, registry
from generator.web.visitors import Visitor

OPTIONS = {spec.name: spec for spec in fields(SamplingOptions)}
SAMPLING = ("temperature", "top_p")
# The temperature slider's end. Beyond it there is only noise, and a longer slider would be hard to set.
WILDEST = 2.0
# The largest whole number that a browser can hold.
SAFE_INTEGER = 2**53 - 1
ROOT = Path(__file__).parents[2]


def main() -> None:
    st.set_page_config("Carousel", STATIC / "icon.svg", layout="wide")
    st.html(STATIC / "page.css")
    st.logo(STATIC / "logo.svg", size="large")
    music = st.Page(partial(page, "music"), title="Music", icon=":material/music_note:", url_path="music", default=True)
    text = st.Page(partial(page, "text"), title="Text", icon=":material/notes:", url_path="text")
    st.navigation([music, text]).run()


def page(medium: str) -> None:
    """Controls in the side bar, the stage beside them."""
    found = checkpoints(medium)
    if not found:
        st.info(f"There is no {medium} checkpoint in {folder()} yet. Train one: python -m generator.train --help")
        return
    with st.sidebar:
        controls(medium, list(found))
    try:
        model = loaded(found[setting(medium, "checkpoint")])
    except CarouselError as error:
        st.error(str(error))
        return
    with st.sidebar, st.expander("About this model"):
        st.markdown(model.card or "This checkpoint has no card.")
    live = playing(medium)[1]
    if live:
        live.set(**sampling(medium))
    perform(medium, model)


@st.fragment
def perform(medium: str, model: Model) -> None:
    """The stage. Its own buttons run this part of the page alone, so that a start is quick."""
    visitor = present()
    number, live = playing(medium)
    stage(medium)(
        key=f"{medium}-stage",
        data={
            "visitor": st.session_state.get("visitor", ""),
            "live": {"take": number, **live.describe()} if live else None,
            "kept": [
                {"take": take, "title": kept.title, "length": kept.length}
                for take, kept in (visitor.kept(medium) if visitor else {}).items()
            ],
            "voices": [asdict(voice) for voice in getattr(model.tokenizer, "voices", ())],
            "formats": FORMATS[medium],
            "message": st.session_state.get("message"),
        },
        on_start_change=partial(start, medium, model),
        on_keep_change=partial(keep, medium),
        on_remove_change=partial(remove, medium),
    )


def controls(medium: str, names: list[str]) -> None:
    """The widgets. Temperature and top-p are obeyed at once, the others by the next start."""
    defaults = {"checkpoint": names[0], "seed": 7, "typed": ""}
    defaults |= {name: OPTIONS[name].default for name in SAMPLING}
    saved = st.session_state.get(f"{medium}-saved", {})
    for name, default in defaults.items():
        # Streamlit forgets the widgets of a page that is left; whoever comes back finds what was set.
        if f"{medium}-{name}" not in st.session_state:
            st.session_state[f"{medium}-{name}"] = saved.get(name, default)

    def bounds(name: str) -> dict[str, Any]:
        facts = OPTIONS[name].metadata
        return {"min_value": facts["minimum"], "max_value": facts["maximum"], "help": facts["help"]}

    st.selectbox("Checkpoint", names, key=f"{medium}-checkpoint")
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    row.number_input("Seed", key=f"{medium}-seed", **bounds("seed") | {"max_value": SAFE_INTEGER})
    row.button("", icon=":material/casino:", help="Another seed", on_click=roll, args=(medium,), key=f"{medium}-dice")
    st.slider("Temperature", step=0.05, key=f"{medium}-temperature", **bounds("temperature") | {"max_value": WILDEST})
    st.slider("Top-p", step=0.01, key=f"{medium}-top_p", **bounds("top_p"))
    if medium == "text":
        st.text_area("Begin with", key="text-typed", height=90, placeholder="ROMEO:", max_chars=primers.MAX_CHARACTERS)
    words = "The model reads it before the start; only its last part counts."
    if st.file_uploader("Go on from a file", primers.SUFFIXES[medium], key=f"{medium}-file", help=words):
        try:
            uploaded(medium)
        except CarouselError as error:
            st.error(str(error))
    st.session_state[f"{medium}-saved"] = {name: setting(medium, name) for name in defaults}


def start(medium: str, model: Model) -> None:
    """A new live take, as the widgets say."""
    try:
        prime = uploaded(medium) or setting(medium, "typed") or None
        stream = model.stream(prime, seed=setting(medium, "seed"), **sampling(medium))
        title = f"{setting(medium, 'checkpoint')}, seed {stream.options.seed}"
        live = LiveMusic(stream, title, model.tokenizer) if medium == "music" else LiveText(stream, title, prime or "")
        visitor = present()
        if visitor is None:
            st.session_state["visitor"] = registry().admit()
            visitor = registry().visitor(st.session_state["visitor"])
        visitor.start(live)
    except CarouselError as error:
        tell(str(error))


def keep(medium: str) -> None:
    """What has been heard goes to the shelf."""
    wish = st.session_state[f"{medium}-stage"].keep
    try:
        visitor = registry().visitor(st.session_state.get("visitor", ""))
        gone = visitor.keep(int(wish["take"]), float(wish["position"]))
    except CarouselError as error:
        tell(str(error))
    else:
        if gone:
            tell(f"kept; the shelf is full, so the oldest had to go: {', '.join(gone)}")


def remove(medium: str) -> None:
    """A kept take leaves the shelf."""
    visitor = present()
    if visitor:
        visitor.remove(int(st.session_state[f"{medium}-stage"].remove))


def roll(medium: str) -> None:
    """Another seed."""
    st.session_state[f"{medium}-seed"] = random.randrange(10_000)


def tell(words: str) -> None:
    """Have the stage show one line, once."""
    number = st.session_state.get("message", {"number": 0})["number"] + 1
    st.session_state["message"] = {"number": number, "text": words}


def present() -> Visitor | None:
    """This session's visitor, once a stream was started and while it has its place."""
    try:
        return registry().visitor(st.session_state.get("visitor", ""))
    except CarouselError:
        return None


def playing(medium: str) -> tuple[int, Live | None]:
    """This visitor's live take with its number."""
    visitor = present()
    return visitor.playing(medium) if visitor else (0, None)


def setting(medium: str, name: str) -> Any:
    """What a widget says."""
    return st.session_state.get(f"{medium}-{name}")


def sampling(medium: str) -> dict[str, float]:
    """The options that a stream obeys while it plays."""
    return {name: setting(medium, name) for name in SAMPLING}


def uploaded(medium: str) -> Any:
    """The last part of the uploaded primer, or None; a file is read once.

    Raises:
        CarouselError: it is broken or of another kind.
    """
    file = setting(medium, "file")
    if file is None:
        return None
    cached = st.session_state.get(f"{medium}-primer")
    if cached is None or cached[0] != file.file_id:
        try:
            piece: Any = primers.last_part(primers.read(file.name, file.getvalue(), medium))
        except CarouselError as error:
            piece = error
        cached = st.session_state[f"{medium}-primer"] = (file.file_id, piece)
    if isinstance(cached[1], CarouselError):
        raise cached[1]
    return cached[1]


def folder() -> Path:
    """Where the checkpoints are: the argument after `--`, else beside the app."""
    return Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "checkpoints"


def checkpoints(medium: str) -> dict[str, Path]:
    """The checkpoint folders of a medium, by name."""
    found = {}
    for path in sorted(folder().glob("*/tokenizer.json")):
        try:
            kind = json.loads(path.read_bytes())["kind"]
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if isinstance(kind, str) and kind in KINDS and KINDS[kind].medium == medium:
            found[path.parent.name] = path.parent
    return found


def loaded(path: Path) -> Model:
    """The model of a checkpoint folder, shared by all visitors; loaded anew when its files change."""
    return _loaded(str(path), max((file.stat().st_mtime for file in path.iterdir()), default=0.0))


@st.cache_resource(max_entries=8, show_spinner="Loading the model …")
def _loaded(path: str, changed: float) -> Model:
    return load(path)


@st.cache_resource(show_spinner=False)
def stage(medium: str) -> Any:
    """The browser's part of a page. Its modules come from a route of ours, so that they can import one another."""
    html, css = ((STATIC / name).read_text(encoding="utf-8") for name in ("stage.html", "stage.css"))
    module = f'const {{ default: part }} = await import(new URL("/carousel/static/{medium}.js", document.baseURI));'
    return st.components.v2.component(f"carousel-{medium}", html=html, css=css, js=f"{module}\nexport default part;")


main()
