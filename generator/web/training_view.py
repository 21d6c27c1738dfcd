"""A training on the page Train: its progress while it runs, with a sample, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from generator.web import trainings
from generator.web.markdown import plain
from generator.web.training_log import Progress, progress
from generator.web.training_sample import NOTHING, Sample
from generator.web.trainings import Training

STOPPING = "training-stopping"
"""The key of this session's state that holds when the training began that is being stopped."""
SAMPLE = "training-sample"
"""And of the one that holds the sample that was asked for last."""
LOOK_SECONDS = 2.0
"""The time from one look at the training to the next."""
NOTHING_YET = "There is nothing to hear before the first validation."
ENDS = {
    "done": ("success", "**{name}** is trained."),
    "stopped": ("success", "The training was stopped, and **{name}** is the best that it had."),
    "failed": ("error", "The training of **{name}** ended early: {words}"),
    "killed": ("error", "The training of **{name}** was cut off: its process was ended, or the machine was restarted."),
}
Act = Callable[[Callable[[str], object]], None]
"""Does something with this visitor's training, and shows an error."""


def running(training: Training, act: Act) -> None:
    """Show a training that runs, and look again and again."""
    st.header(f"Training {plain(training.job.name)}")

    @st.fragment(run_every=LOOK_SECONDS)
    def watch() -> None:
        now = trainings.look()
        if now is None or now.phase != "running" or now.job.began != training.job.began:
            st.rerun(scope="app")
        assert now is not None
        found = progress(trainings.bench(), now.job)
        left, whole = found.seconds_left, 60 * now.job.minutes
        words = f" · {in_words(left)} left" if left else ""
        is_stopping = st.session_state.get(STOPPING) == now.job.began
        doing = "Stopping …" if is_stopping else f"{found.doing} …{words}"
        st.progress(0.0 if left is None else max(0.0, 1 - left / whole), doing)
        buttons = st.container(horizontal=True)
        buttons.button(
            "Stop and keep",
            icon=":material/stop:",
            disabled=is_stopping or not now.has_checkpoint,
            help="Ends the training. The best model so far is kept.",
            on_click=stop,
            args=(now, act),
        )
        discard_button(buttons, act)
        if not now.has_checkpoint:
            st.caption("There is something to keep after the first validation.")
        figures(found)

    watch()
    sample_of(training)
    st.caption(
        "It goes on if you close this tab, or the app; open this page in this browser to see it again. It leaves the "
        "processor to whatever plays; if music stutters all the same, stop the training."
    )


def stop(training: Training, act: Act) -> None:
    """Stop a training, which may take some seconds."""
    st.session_state[STOPPING] = training.job.began
    act(trainings.stop)


def ended(training: Training, act: Act, page: Any) -> None:
    """Show how a training has ended, and what can be done now.

    Args:
        page: the page on which its checkpoint plays.
    """
    name, has_checkpoint = training.job.name, training.has_checkpoint
    kind, words = ENDS[training.phase]
    getattr(st, kind)(words.format(name=plain(name), words=plain(training.words or "the log says no more")))
    if training.phase not in ("done", "stopped"):
        kept = "The best model so far is kept." if has_checkpoint else "There is no model yet."
        more = " You can go on where it was." if training.can_resume else ""
        st.markdown(f"{kept}{more}")
    buttons = st.container(horizontal=True)
    if has_checkpoint and buttons.button("Play it", type="primary", icon=":material/play_arrow:"):
        st.session_state[f"{training.job.medium}-checkpoint"] = name
        st.switch_page(page)
    if training.can_resume:
        buttons.button("Go on training", icon=":material/resume:", on_click=act, args=(trainings.resume,))
    words = "Keep it, and train another" if has_checkpoint else "Begin anew"
    buttons.button(words, icon=":material/add:", on_click=act, args=(trainings.clear,))
    discard_button(buttons, act)
    figures(progress(trainings.bench(), training.job))
    sample_of(training)


def discard_button(place: Any, act: Act) -> None:
    """The button that removes a training, which asks first."""
    with place.popover("Discard", icon=":material/delete:"):
        st.markdown("The model and the uploaded files are removed.")
        st.button("Remove them", on_click=act, args=(trainings.discard,))


def figures(found: Progress) -> None:
    """Show the losses as a curve, the figures, and what the model wrote."""
    if found.losses:
        best = "" if found.best is None else f"best validation **{found.best:.3f}** · "
        rate = f" · {found.tokens_per_second:,} tokens a second" if found.tokens_per_second else ""
        st.markdown(f"{best}{max(step for step, _ in found.losses):,} updates{rate}")
        st.vega_lite_chart(curve(found), width="stretch", alt=curve_in_words(found))
        st.caption(
            "How surprised the model is by what comes next, on average: lower is better. Validation is what it has not "
            "read; where it rises again, the model begins to learn by heart."
        )
    if found.sample:
        st.markdown("**What it writes now**")
        st.code(found.sample, language=None, wrap_lines=True)


def curve(found: Progress) -> dict[str, Any]:
    """The losses as a Vega-Lite chart."""
    values: list[dict[str, Any]] = [
        {"update": step, "loss": loss, "of": kind}
        for kind, points in (("training", found.losses), ("validation", found.validations))
        for step, loss in points
    ]
    steps, losses = sorted(value["update"] for value in values), sorted(value["loss"] for value in values)
    # Streamlit draws the chart before its values are there, and Vega warns where it has to find a range in nothing.
    across = {"domain": [steps[0], max(steps[-1], steps[0] + 1)], "nice": True}
    up = {"domain": [losses[0], max(losses[-1], losses[0] + 0.1)], "nice": True, "zero": False}
    kinds = {"domain": ["training", "validation"]}
    axis = {"grid": False, "format": ",d", "tickMinStep": 1}
    legend = {"orient": "top", "title": None, "symbolType": "stroke", "symbolSize": 400}
    return {
        "height": 300,
        "data": {"values": values},
        "mark": {"type": "line", "point": {"size": 30}},
        "encoding": {
            "x": {"field": "update", "type": "quantitative", "title": "updates", "axis": axis, "scale": across},
            "y": {"field": "loss", "type": "quantitative", "title": "loss", "scale": up},
            "color": {"field": "of", "scale": {**kinds, "range": ["#8b8f99", "#c08a2b"]}, "legend": legend},
            "strokeDash": {"field": "of", "scale": {**kinds, "range": [[5, 3], [1, 0]]}, "legend": legend},
        },
    }


def curve_in_words(found: Progress) -> str:
    """What the chart shows, for those who do not see it."""
    first, last = found.losses[0][1], found.losses[-1][1]
    best = "" if found.best is None else f", and the best validation is {found.best:.3f}"
    return f"The training loss went from {first:.3f} to {last:.3f}{best}."


def sample_of(training: Training) -> None:
    """The button that lets the best model so far play a few seconds, and what it played. Nobody waits for it: the page
    looks again until the sample is made, and until there is a model that can make one."""
    if training.job.medium != "music":
        return
    looks = not training.has_checkpoint or is_being_made(training)

    @st.fragment(run_every=LOOK_SECONDS if looks else None)
    def listen() -> None:
        now = trainings.look()
        has_checkpoint, busy = bool(now and now.has_checkpoint), is_being_made(training)
        if looks != (busy or not has_checkpoint):
            st.rerun(scope="app")
        st.button(
            "Making a sample …" if busy else "Listen to a sample",
            icon=":material/hearing:",
            disabled=busy or not has_checkpoint,
            help="By the best model so far" if has_checkpoint else NOTHING_YET,
            on_click=make_sample,
            args=(training,),
            key="training-listen",
        )
        sample = sample_for(training)
        if sample is None or busy:
            return
        if sound := sample.sound():
            st.audio(sound, format="audio/wav")
        else:
            st.error(NOTHING)

    listen()


def sample_for(training: Training) -> Sample | None:
    """The sample that this visitor has asked for last, if it is of this training."""
    sample: Sample | None = st.session_state.get(SAMPLE)
    return sample if sample and sample.checkpoint == training.job.out else None


def is_being_made(training: Training) -> bool:
    """Whether a sample of this training is not made yet."""
    sample = sample_for(training)
    return sample is not None and not sample.is_made


def make_sample(training: Training) -> None:
    """Begin to make a sample, in the place of the last one."""
    st.session_state[SAMPLE] = Sample(Path(training.job.out))


def in_words(seconds: float) -> str:
    """A time such as `4 min 30 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return " ".join([f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest or not minutes))
