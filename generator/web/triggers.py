"""What the stage asks for: each function answers one of its triggers, before the page runs again."""

from __future__ import annotations

from typing import Any

import streamlit as st

from generator.foundation.errors import CarouselError
from generator.streaming.engine import Model
from generator.streaming.snapshot import Snapshot
from generator.web.controls import (
    melody_options,
    new_seed,
    set_widgets_to,
    setting,
    uploaded,
)
from generator.web.drummer_widget import apply_drummer, show_drummer
from generator.web.fields import fields, number, text, whole, wholes
from generator.web.listening import begin_with_phrase
from generator.web.live import Live
from generator.web.models import checkpoints, loaded
from generator.web.returning import drawn_again, kept_again, live_take
from generator.web.routes import registry
from generator.web.session import admitted, errors_shown, known, playing, show_message, this_visitor, visitor_here

MOST_CANDIDATES = 16
"""The most candidates of bars that are drawn again."""


def start(medium: str, model: Model, options: dict[str, Any]) -> None:
    """Start a new live take with the values of the widgets."""
    with errors_shown():
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
        live = live_take(stream, setting(medium, "checkpoint"), origin=piece if isinstance(piece, Snapshot) else None)
        apply_drummer(live)
        live.upload = upload
        live.given = {name: tune[name] for name in tune if name == "tempo"}
        admitted().start(live)


def restore(medium: str) -> None:
    """Go on with a take that the browser remembers from before a reload or a restart of the server, or that is named by
    a link."""
    with errors_shown():
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


def replay(medium: str) -> None:
    """Play a kept take from its beginning, and go on where it ends."""
    with errors_shown():
        take = whole({"take": st.session_state[f"{medium}-stage"].replay}, "take")
        kept = visitor_here().kept(medium).get(take)
        if kept is None:
            raise CarouselError("this take is no longer here")
        go_on_with(drawn_again(medium, kept.origin, 0.0))


def tune(medium: str) -> None:
    """Go on with another seed, or with another checkpoint, as the radio asks for."""
    with errors_shown():
        name = text(fields(st.session_state[f"{medium}-stage"].tune), "checkpoint")
        if name not in checkpoints(medium):
            raise CarouselError(f"the checkpoint {name!r:.80} is not on this page")
        live = playing(medium)[1]
        st.session_state[f"{medium}-checkpoint"] = name
        if f"{medium}-{name}-shown" in st.session_state:  # else its own seed is a new one
            seed = new_seed(f"{medium}-{name}")
            if live and live.name == name:
                live.set(seed=seed)
        st.session_state["changed widgets"] = True


def go_on_with(live: Live) -> None:
    """Let a take play, and set the widgets to its options."""
    admitted().start(live)
    medium, model = live.medium, loaded(checkpoints(live.medium)[live.name])
    st.session_state[f"{medium}-checkpoint"] = live.name
    set_widgets_to(medium, model, live.options)
    show_drummer(live)
    st.session_state["changed widgets"] = True


def branch(medium: str, trigger: str) -> None:
    """Leave the live take at an earlier place and go on from there as another one: by a few bars, seconds or characters
    with another seed (`back`), with a token that the listener chose (`choose`), or with some bars that are drawn again
    (`redraw`)."""
    with errors_shown():
        request = fields(getattr(st.session_state[f"{medium}-stage"], trigger))
        visitor = visitor_here()
        live = visitor.playing(medium)[1]
        if live is None:
            raise CarouselError("nothing is playing; press Start")
        if trigger == "back":
            other = live.back(number(request, "position"), new_seed(f"{medium}-{live.name}"))
            st.session_state["changed widgets"] = True  # else the browser would soon ask for the seed that it shows
        elif trigger == "redraw":
            count, seed = whole(request, "count", 1, MOST_CANDIDATES), whole(request, "seed", 0, 2**53)
            voices = wholes(request, "voices")
            bars = number(request, "from"), number(request, "until")
            other = live.redraw(*bars, voices, count, seed, number(request, "at"))
        else:
            other = live.choose(whole(request, "position"), whole(request, "token"), number(request, "at"))
        visitor.start(other)


def keep(medium: str) -> None:
    """Keep what has been heard of the live take."""
    with errors_shown():
        request = fields(st.session_state[f"{medium}-stage"].keep)
        visitor = visitor_here()
        gone = visitor.keep(whole(request, "take"), number(request, "position"))
        if gone:
            show_message(f"kept; the shelf is full, so the oldest had to go: {', '.join(gone)}")


def remove(medium: str) -> None:
    """Remove a kept take."""
    with errors_shown():
        take = whole({"take": st.session_state[f"{medium}-stage"].remove}, "take")
        if visitor := this_visitor():
            visitor.remove(take)
