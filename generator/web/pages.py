"""The app's pages, one for music and one for text: widgets for the options, and a stage in the browser that plays.

Streamlit runs this file again whenever a widget changes. That only changes the options of the next token; the sound
goes on.
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
from generator.web.constraints import page_message, persistent_key
from generator.web.controls import SEEDS, controls, melody_options, setting, uploaded
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
    """A page: the controls in the side bar, and the stage."""
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
        options = controls(medium, model)
        try:
            apply_options(medium, model, options)
        except CarouselError as error:
            st.error(page_message(error))
        with st.expander("About this model", icon=":material/info:"):
            st.markdown(model.card or "This checkpoint has no card.")
    show_stage(medium, model, options)


def apply_options(medium: str, model: Model, options: dict[str, Any]) -> None:
    """Apply the options to the live take, if it is drawn from this checkpoint. If a take has been uploaded, the options
    are those of the upload, and are only checked: they apply to the next start, which continues it.

    Raises:
        CarouselError: the checkpoint cannot obey them together; the live take goes on as before.
    """
    live, upload = playing(medium)[1], setting(medium, "primer")
    begun = live is not None and upload is live.upload
    if live and live.plays(model.checkpoint.fingerprint) and (begun or not isinstance(upload, Snapshot)):
        if options.get("key") == PRIMER and not begun:  # this is the key of the upload, for the next start
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
def show_stage(medium: str, model: Model, options: dict[str, Any]) -> None:
    """Show the stage. Its buttons run only this function again and not the whole page, so that a start is quick."""
    visitor = this_visitor()
    number, live = playing(medium)
    stage_component(medium)(
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
            "back": back_distance(model),
            "message": st.session_state.get("message"),
        },
        on_start_change=partial(start, medium, model, options),
        on_back_change=partial(back, medium),
        on_keep_change=partial(keep, medium),
        on_remove_change=partial(remove, medium),
    )


def start(medium: str, model: Model, options: dict[str, Any]) -> None:
    """Start a new live take with the values of the widgets."""
    try:
        seed, tune = setting(medium, f"{model.checkpoint.name}-seed"), melody_options(medium, model)
        upload = uploaded(medium, model)
        piece = upload or setting(medium, "typed") or None
        wanted = {"seed": seed, **{name: value for name, value in options.items() if value is not None}}
        if isinstance(piece, Snapshot):
            if tune:
                raise CarouselError("a melody begins with its stream; remove the melody or the take")
            stream = model.engine().resume(piece, **options, seed=seed)
            piece = stream.history() if medium == "text" else None
        else:
            stream = model.stream(piece, **{**options, **tune, **wanted})
        title = f"{setting(medium, 'checkpoint')}, seed {stream.options.seed}"
        read = str(piece or "")
        live = LiveMusic(stream, title, model.tokenizer) if medium == "music" else LiveText(stream, title, read)
        live.upload = upload
        live.given = {name: tune[name] for name in tune if name == "tempo"}
        visitor = this_visitor()
        if visitor is None:
            st.session_state["visitor"] = registry().admit()
            visitor = registry().visitor(st.session_state["visitor"])
        visitor.start(live)
    except CarouselError as error:
        show_message(page_message(error))


def back(medium: str) -> None:
    """Go back in the live take by a few bars, seconds or characters, and go on from there with another seed."""
    try:
        position = number(dict(st.session_state[f"{medium}-stage"].back), "position")
        visitor = registry().visitor(st.session_state.get("visitor", ""))
        live = visitor.playing(medium)[1]
        if live is None:
            raise CarouselError("nothing is playing; press Start")
        visitor.start(live.back(position, random.randrange(SEEDS)))
    except CarouselError as error:
        show_message(page_message(error))


def back_distance(model: Model) -> str:
    """The distance that the button for going back goes, such as `8 bars`."""
    kind = model.tokenizer.kind
    steps = {"score": f"{BACK_BARS} bars", "char": f"{BACK_CHARACTERS} characters"}
    return steps.get(kind, f"{BACK_SECONDS:g} seconds")


def keep(medium: str) -> None:
    """Keep what has been heard of the live take."""
    request = st.session_state[f"{medium}-stage"].keep
    try:
        visitor = registry().visitor(st.session_state.get("visitor", ""))
        gone = visitor.keep(int(request["take"]), float(request["position"]))
    except CarouselError as error:
        show_message(str(error))
    else:
        if gone:
            show_message(f"kept; the shelf is full, so the oldest had to go: {', '.join(gone)}")


def remove(medium: str) -> None:
    """Remove a kept take."""
    visitor = this_visitor()
    if visitor:
        visitor.remove(int(st.session_state[f"{medium}-stage"].remove))


def show_message(text: str) -> None:
    """Show one line on the stage, once."""
    number = st.session_state.get("message", {"number": 0})["number"] + 1
    st.session_state["message"] = {"number": number, "text": text}


def this_visitor() -> Visitor | None:
    """The visitor of this session; None before the first start, or if the place was given to somebody else."""
    try:
        return registry().visitor(st.session_state.get("visitor", ""))
    except CarouselError:
        return None


def playing(medium: str) -> tuple[int, Live | None]:
    """The number of this visitor's live take, and the take; (0, None) if there is none."""
    visitor = this_visitor()
    return visitor.playing(medium) if visitor else (0, None)


def checkpoints(medium: str) -> dict[str, Path]:
    """The checkpoint folders of a medium by their names, the shipped ones first: those in the folder that the command
    line names, or else all that can be loaded by name."""
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
    """The model of a checkpoint folder, shared by all visitors, and loaded again if its files have changed."""
    return _loaded(str(path), max((file.stat().st_mtime for file in path.iterdir()), default=0.0))


@st.cache_resource(max_entries=8, show_spinner="Loading the model …")
def _loaded(path: str, changed: float) -> Model:
    """The model, cached for each time of the last change."""
    return load(path)


@st.cache_resource(show_spinner=False)
def stage_component(medium: str) -> Any:
    """The stage of a page as a Streamlit component. Its JavaScript modules come from a route of this app, because those
    that Streamlit serves cannot import one another."""
    html, css = ((STATIC / name).read_text(encoding="utf-8") for name in ("stage.html", "stage.css"))
    module = f'const {{ default: part }} = await import(new URL("/carousel/static/{medium}.js", document.baseURI));'
    return st.components.v2.component(f"carousel-{medium}", html=html, css=css, js=f"{module}\nexport default part;")


main()
