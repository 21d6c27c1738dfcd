"""The app's pages, one for music and one for text: widgets for the options, and a stage in the browser that plays.

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
from generator.web import train_page
from generator.web.access import may_train
from generator.web.constraints import choices, page_message, persistent_key
from generator.web.controls import controls, follow_tempo, melody_options, new_seed, set_widgets_to, setting, uploaded
from generator.web.downloads import FORMATS, FURTHER
from generator.web.fields import fields, number, text, whole
from generator.web.listening import begin_with_phrase
from generator.web.live import Live
from generator.web.live_music import BACK_BARS, BACK_SECONDS
from generator.web.live_text import BACK_CHARACTERS
from generator.web.models import checkpoints, loaded
from generator.web.returning import LIVE, drawn_again, kept_again
from generator.web.routes import STATIC, registry
from generator.web.visitors import Visitor


def main() -> None:
    st.set_page_config("Carousel", STATIC / "icon.svg", layout="wide")
    st.html(STATIC / "page.css")
    st.logo(STATIC / "logo.svg", size="large")
    music = st.Page(partial(page, "music"), title="Music", icon=":material/music_note:", url_path="music", default=True)
    text = st.Page(partial(page, "text"), title="Text", icon=":material/notes:", url_path="text")
    own = partial(train_page.page, {"music": music, "text": text})
    train = st.Page(own, title="Train", icon=":material/school:", url_path="train")
    st.navigation([music, text, *[train] * may_train()]).run()


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
        options = controls(medium, model, partial(reseed, medium))
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


def reseed(medium: str, seed: int) -> None:
    """Go on with another seed in the live take, if there is one."""
    live = playing(medium)[1]
    if live:
        live.set(seed=seed)


@st.fragment
def show_stage(medium: str, model: Model, options: dict[str, Any]) -> None:
    """Show the stage. Its buttons run only this function again and not the whole page, so that a start is quick."""
    if st.session_state.pop("changed widgets", False):
        st.rerun(scope="app")
    visitor = this_visitor()
    number, live = playing(medium)
    stage_component(medium)(
        key=f"{medium}-stage",
        data={
            "visitor": st.session_state.get("visitor", "") if visitor else "",
            "live": {"take": number, **live.describe()} if live else None,
            "stale": live is not None and not live.plays(model.checkpoint.fingerprint),
            "kept": [
                {"take": take, "title": kept.title, "length": kept.length, "origin": kept.origin}
                for take, kept in (visitor.kept(medium) if visitor else {}).items()
            ],
            "voices": [asdict(voice) for voice in getattr(model.tokenizer, "voices", ())],
            "tempos": bool(choices("tempo", model)),
            "formats": FORMATS[medium],
            "further": FURTHER[medium],
            "back": back_distance(model),
            "message": st.session_state.get("message"),
        },
        on_start_change=partial(start, medium, model, options),
        on_back_change=partial(branch, medium, "back"),
        on_choose_change=partial(branch, medium, "choose"),
        on_tempo_change=partial(follow_tempo, medium, model),
        on_restore_change=partial(restore, medium),
        on_replay_change=partial(replay, medium),
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
        else:
            # what nobody chose is the melody's, and not the checkpoint's own default
            stream = model.stream(piece, **{**options, **tune, **wanted})
        begin_with_phrase(stream, st.session_state[f"{medium}-stage"].start)
        live = LIVE[medium](stream, setting(medium, "checkpoint"))
        live.upload = upload
        live.given = {name: tune[name] for name in tune if name == "tempo"}
        admitted().start(live)
    except CarouselError as error:
        show_message(page_message(error))


def restore(medium: str) -> None:
    """Go on with a take that the browser remembers from before a reload or a restart of the server, or that is named by
    a link."""
    try:
        request = fields(st.session_state[f"{medium}-stage"].restore)
        position, token = number(request, "position"), request.get("visitor")
        is_here = bool(token) and token == st.session_state.get("visitor")  # only the page was turned
        before = known(token)
        if before and not is_here:
            st.session_state["visitor"] = registry().renew(str(token))
        take = before.takes.get(whole(request, "take")) if before else None
        if isinstance(take, Live) and take.medium == medium:
            live = take.again(position)
        else:
            live = drawn_again(medium, text(request, "origin"), position)
        admitted().put_back(kept_again(medium, request.get("kept", [])))
        if is_here:
            admitted().start(live)
        else:
            go_on_with(live)
    except CarouselError as error:
        show_message(page_message(error))


def replay(medium: str) -> None:
    """Play a kept take from its beginning, and go on where it ends."""
    try:
        visitor = registry().visitor(st.session_state.get("visitor", ""))
        kept = visitor.kept(medium).get(st.session_state[f"{medium}-stage"].replay)
        if kept is None:
            raise CarouselError("this take is no longer here")
        go_on_with(drawn_again(medium, kept.origin, 0.0))
    except CarouselError as error:
        show_message(page_message(error))


def go_on_with(live: Live) -> None:
    """Let a take play, and set the widgets to its options."""
    admitted().start(live)
    medium, model = live.medium, loaded(checkpoints(live.medium)[live.name])
    st.session_state[f"{medium}-checkpoint"] = live.name
    set_widgets_to(medium, model, live.options)
    st.session_state["changed widgets"] = True


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
        visitor = registry().visitor(st.session_state["visitor"])
    return visitor


def branch(medium: str, trigger: str) -> None:
    """Leave the live take at an earlier place and go on from there as another one: by a few bars, seconds or characters
    with another seed (`back`), or with a token that the listener chose (`choose`)."""
    try:
        request = fields(getattr(st.session_state[f"{medium}-stage"], trigger))
        visitor = registry().visitor(st.session_state.get("visitor", ""))
        live = visitor.playing(medium)[1]
        if live is None:
            raise CarouselError("nothing is playing; press Start")
        if trigger == "back":
            other = live.back(number(request, "position"), new_seed(f"{medium}-{live.name}"))
        else:
            other = live.choose(whole(request, "position"), whole(request, "token"), number(request, "at"))
        visitor.start(other)
    except CarouselError as error:
        show_message(page_message(error))


def back_distance(model: Model) -> str:
    """The distance that the button for going back goes, such as `8 bars`."""
    kind = model.tokenizer.kind
    steps = {"score": f"{BACK_BARS} bars", "char": f"{BACK_CHARACTERS} characters"}
    return steps.get(kind, f"{BACK_SECONDS:g} seconds")


def keep(medium: str) -> None:
    """Keep what has been heard of the live take."""
    try:
        request = fields(st.session_state[f"{medium}-stage"].keep)
        visitor = registry().visitor(st.session_state.get("visitor", ""))
        gone = visitor.keep(whole(request, "take"), number(request, "position"))
    except CarouselError as error:
        show_message(str(error))
    else:
        if gone:
            show_message(f"kept; the shelf is full, so the oldest had to go: {', '.join(gone)}")


def remove(medium: str) -> None:
    """Remove a kept take."""
    visitor = this_visitor()
    if visitor:
        visitor.remove(st.session_state[f"{medium}-stage"].remove)


def show_message(text: str) -> None:
    """Show one line on the stage, once."""
    number = st.session_state.get("message", {"number": 0})["number"] + 1
    st.session_state["message"] = {"number": number, "text": text}


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


main()
