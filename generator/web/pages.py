"""The pages: one for music, one for text. Widgets say what is wanted; the stage, mounted once, plays it.

Streamlit runs this file at every change of a widget. That only notes what the next token is to obey; the sound goes on.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from generator.foundation import places
from generator.foundation.errors import CarouselError
from generator.foundation.options import SamplingOptions
from generator.model.checkpoint import TOKENIZER
from generator.streaming.constraints import PRIMER, Constraints
from generator.streaming.engine import Model, load
from generator.streaming.snapshot import Snapshot
from generator.tokenizers import KINDS
from generator.web.constraints import in_words, remembered
from generator.web.controls import SEEDS, controls, melody, setting, uploaded
from generator.web.live import BACK_CHARACTERS, Live, LiveText
from generator.web.live_music import BACK_BARS, BACK_SECONDS, LiveMusic
from generator.web.routes import FORMATS, STATIC, number, registry
from generator.web.visitors import Visitor


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
        st.info(f"There is no {medium} checkpoint yet. Train one: {places.command('train')} --help")
        return
    with st.sidebar:
        names = list(found)
        st.selectbox("Checkpoint", names, key=remembered(f"{medium}-checkpoint", names[0], names))
    try:
        model = loaded(found[setting(medium, "checkpoint")])
    except CarouselError as error:
        st.error(str(error))
        return
    with st.sidebar:
        options = controls(medium, model)
        try:
            wish(medium, model, options)
        except CarouselError as error:
            st.error(in_words(error))
        with st.expander("About this model", icon=":material/info:"):
            st.markdown(model.card or "This checkpoint has no card.")
    perform(medium, model, options)


def wish(medium: str, model: Model, options: dict[str, Any]) -> None:
    """Have the live take obey the options, as far as it is drawn from this checkpoint. With an uploaded take they are
    those of that one, and wait for the start that goes on from it.

    Raises:
        CarouselError: nothing could obey them all; what plays goes on as before.
    """
    live, upload = playing(medium)[1], setting(medium, "primer")
    begun = live is not None and upload is live.upload
    if live and live.plays(model.checkpoint.fingerprint) and (begun or not isinstance(upload, Snapshot)):
        if options.get("key") == PRIMER and not begun:  # the key of what the next start goes on from
            options = {name: value for name, value in options.items() if name not in ("key", "scale")}
        live.set(**options)
    else:
        if live and isinstance(upload, Snapshot):
            st.caption("The widgets wait for the next start, which goes on from the uploaded take.")
        settled = SamplingOptions(**options)
        Constraints(model.tokenizer).encode(
            replace(settled, key=None, scale=None) if settled.key == PRIMER else settled
        )


@st.fragment
def perform(medium: str, model: Model, options: dict[str, Any]) -> None:
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
            "back": step(model),
            "message": st.session_state.get("message"),
        },
        on_start_change=partial(start, medium, model, options),
        on_back_change=partial(back, medium),
        on_keep_change=partial(keep, medium),
        on_remove_change=partial(remove, medium),
    )


def start(medium: str, model: Model, options: dict[str, Any]) -> None:
    """A new live take, as the widgets say."""
    try:
        seed, tune = setting(medium, "seed"), melody(medium, model)
        upload = uploaded(medium, model)
        piece = upload or setting(medium, "typed") or None
        wanted = {"seed": seed, **{name: value for name, value in options.items() if value is not None}}
        if isinstance(piece, Snapshot):
            if tune:
                raise CarouselError("a melody begins with its stream; remove the melody or the take")
            stream = model.engine().resume(piece, **options, seed=seed)
            piece = stream.history() if medium == "text" else None
        else:
            stream = model.stream(piece, **{**tune, **wanted})
        title = f"{setting(medium, 'checkpoint')}, seed {stream.options.seed}"
        read = str(piece or "")
        live = LiveMusic(stream, title, model.tokenizer) if medium == "music" else LiveText(stream, title, read)
        live.upload = upload
        live.given = {name: tune[name] for name in tune if name == "tempo"}
        visitor = present()
        if visitor is None:
            st.session_state["visitor"] = registry().admit()
            visitor = registry().visitor(st.session_state["visitor"])
        visitor.start(live)
    except CarouselError as error:
        tell(in_words(error))


def back(medium: str) -> None:
    """The live take leaves its last part, and goes on from there with another seed."""
    try:
        position = number(dict(st.session_state[f"{medium}-stage"].back), "position")
        visitor = registry().visitor(st.session_state.get("visitor", ""))
        live = visitor.playing(medium)[1]
        if live is None:
            raise CarouselError("there is nothing to go back in; press Start")
        visitor.start(live.back(position, random.randrange(SEEDS)))
    except CarouselError as error:
        tell(in_words(error))


def step(model: Model) -> str:
    """How far one goes back, in words."""
    kind = model.tokenizer.kind
    steps = {"score": f"{BACK_BARS} bars", "char": f"{BACK_CHARACTERS} characters"}
    return steps.get(kind, f"{BACK_SECONDS:g} seconds")


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


def checkpoints(medium: str) -> dict[str, Path]:
    """The checkpoint folders of a medium, by name, the shipped ones first: those in the folder after `--`, or all that
    need no path."""
    found = {}
    known = places.checkpoints_in(Path(sys.argv[1])) if len(sys.argv) > 1 else places.checkpoints()
    for name, path in known.items():
        try:
            kind = json.loads((path / TOKENIZER).read_bytes())["kind"]
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if isinstance(kind, str) and kind in KINDS and KINDS[kind].medium == medium:
            found[name] = path
    shipped = places.shipped(places.CHECKPOINTS)
    return dict(sorted(found.items(), key=lambda item: item[1].parent != shipped))


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
