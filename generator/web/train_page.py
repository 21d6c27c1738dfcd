"""The page Train: files are uploaded, it shows what was understood of them, and a process trains on them.

Three steps: 1 Files, 2 What was understood, 3 Train. While a training of this visitor is there, the page shows that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from generator.foundation.errors import CarouselError
from generator.foundation.omissions import many
from generator.web import trainings
from generator.web.components import token_component
from generator.web.markdown import plain
from generator.web.models import checkpoints, place_for_new
from generator.web.training_view import ended, running
from generator.web.trainings import CACHE, FILES, Training
from generator.web.understood import Understood, understand
from generator.web.uploads import MAX_FILES, MAX_MEGABYTES, SUFFIXES, Skipped, store

TOKEN, MESSAGE, READ = "training", "training-message", "training-read"
"""The keys of this session's state: the token of its training, a message to show once, and the files that were read."""
KINDS = {
    "score": "written music, with bars, keys and voices",
    "performance": "recorded playing, each note at its own moment, without bars",
    "drums": "drums that people play, with bars, loudness and timing off the grid",
    "char": "text, character by character",
}
NAMED = 12
"""How many skipped files are named before one has to ask for the others."""
LITTLE = 20_000
"""With fewer tokens to learn from, the page warns that the model will soon know them by heart."""
MINUTES = (2, 10, 30, 60)
DEFAULT_MINUTES = 10


def page(pages: dict[str, Any]) -> None:
    """The page.

    Args:
        pages: those of the media, on which a finished checkpoint plays.
    """
    with st.container(key="train"):
        content(pages)


def content(pages: dict[str, Any]) -> None:
    """What is on the page."""
    st.title("Train")
    if message := st.session_state.pop(MESSAGE, ""):
        st.error(plain(message))
    training = trainings.look()
    token = st.session_state.get(TOKEN, "")
    is_own = training is not None and training.belongs_to(token)
    token_component()(
        key="training-token", data={"token": token, "isOwn": is_own}, on_known_change=recall, height="content"
    )
    if training is None or not is_own:
        new_training(training)
    elif training.phase == "running":
        running(training, act)
    else:
        ended(training, act, pages[training.job.medium])


def recall() -> None:
    """Take over the token that the browser remembers."""
    token = st.session_state["training-token"].known
    st.session_state[TOKEN] = token if isinstance(token, str) else ""


def act(what: Callable[[str], object]) -> None:
    """Do something with this visitor's training; an error is shown by the next run of the page."""
    try:
        what(st.session_state.get(TOKEN, ""))
    except CarouselError as error:
        st.session_state[MESSAGE] = str(error)


def new_training(other: Training | None) -> None:
    """The three steps.

    Args:
        other: somebody else's training, if there is one.
    """
    st.caption("Make a model of your own from music or text that you have. It takes three steps, and ten minutes.")
    st.header("1 Files")
    files = st.file_uploader(
        "Music (MIDI, MusicXML, ABC, Humdrum) or text (.txt, .md)",
        SUFFIXES,
        accept_multiple_files=True,
        key="training-files",
        help=f"At most {MAX_FILES} files, with {st.get_option('server.maxUploadSize')} MB each and {MAX_MEGABYTES} MB "
        "together. They stay on the machine that this app runs on, and are removed when the training is over.",
    )
    st.header("2 What was understood")
    understood = st.container()
    st.header("3 Train")
    is_busy = other is not None and other.phase == "running"
    if is_busy:
        st.info(f"{trainings.BUSY.capitalize()}.", icon=":material/hourglass_top:")
    columns = st.columns([2, 3], vertical_alignment="top")
    columns[0].text_input("Name of the model", trainings.free_name(names()), max_chars=40, key="training-name")
    columns[1].segmented_control(
        "How long",
        MINUTES,
        default=DEFAULT_MINUTES,
        format_func=lambda minutes: f"{minutes} min",
        required=True,
        key="training-minutes",
    )
    place = st.container()
    st.caption(
        "The longer, the better, until the model has learnt what there is. You can stop it and keep what it has."
    )
    with understood:
        read = reading(files)
        if read is None:
            st.caption("Here stands what your files hold, before anything is trained.")
        else:
            show(read)
    place.button(
        "Train",
        type="primary",
        icon=":material/play_arrow:",
        disabled=is_busy or read is None or bool(read.error),
        on_click=begin,
    )


def reading(files: list[Any]) -> Understood | None:
    """What was understood of the uploaded files, read when they have changed; None without any."""
    ids = [file.file_id for file in files]
    kept = st.session_state.get(READ)
    if kept and kept[0] == ids:
        understood: Understood = kept[2]
        return understood
    st.session_state.pop(READ, None)
    if not files:
        return None
    folder = tempfile.TemporaryDirectory(prefix="carousel-", ignore_cleanup_errors=True)
    upload = Path(folder.name) / "upload"
    try:
        for name in (FILES, CACHE):
            (upload / name).mkdir(parents=True)
        skipped = store(((file.name, file.size, file.getvalue()) for file in files), upload / FILES)
        found = read_with_progress(upload, skipped)
    except (CarouselError, OSError) as error:
        return Understood(error=str(error))
    st.session_state[READ] = ids, folder, found
    return found


def read_with_progress(upload: Path, skipped: list[Skipped]) -> Understood:
    """Read the stored files, and show how far it is. Streamlit leaves this, and so ends the process, when the files are
    changed or the tab is closed."""
    if len(skipped) and not any((upload / FILES).iterdir()):
        return Understood(skipped=skipped, error="none of these files can be learnt from")
    bar, steps = st.progress(0.0, "Reading …"), understand(upload / FILES, upload / CACHE, skipped)
    try:
        while True:
            step = next(steps)
            words = f"Reading {step.name} ({step.done + 1} of {step.total}) …" if step.name else "Reading …"
            if step.total and not step.name:
                words = "All read. Writing them down as tokens …"
            bar.progress(step.done / (step.total + 1), plain(words))
    except StopIteration as end:
        found: Understood = end.value
        return found
    finally:
        steps.close()
        bar.empty()


def show(read: Understood) -> None:
    """Show what was understood."""
    if read.error:
        st.error(f"Nothing can be learnt from these files: {plain(read.error)}", icon=":material/error:")
    else:
        because = f", because {plain(read.reason)}" if read.reason else ""
        tokens = f"(tokenizer `{read.tokenizer}`, {sum(read.tokens.values()):,} tokens)"
        validation = read.pieces["validation"]
        count, held_back = sum(read.pieces.values()), f"Of them, {validation:,} {'is' if validation == 1 else 'are'}"
        if len(read.rows) == 1:  # it was cut in two
            count, held_back = 1, "Its last tenth is"
        st.markdown(
            f"**{many(count, 'piece')}** to learn from, as {KINDS[read.tokenizer]}{because} {tokens}. {held_back} kept "
            "back, to see how well the model predicts what it has not read."
        )
        if read.tokens.get("train", 0) < LITTLE:
            st.info("This is little: the model will soon know it by heart. More files make better models.")
    if read.skipped:
        named = [f"- **{plain(name)}**: {plain(reason)}" for name, reason in read.skipped]
        st.warning("\n".join([f"{len(named):,} left out:", *named[:NAMED]]), icon=":material/warning:")
        if named[NAMED:]:
            with st.expander(f"{len(named) - NAMED} more"):
                st.markdown("\n".join(named[NAMED:]))
    if read.rows:
        columns = [name for name in read.rows[0] if any(row[name] != "" for row in read.rows)]
        st.dataframe(
            read.rows, column_order=columns, height=min(280, 37 * (len(read.rows) + 1)), alt="The pieces, one a row"
        )
    if read.sentences:
        with st.expander("What was dropped or changed", expanded=any(one.loud for one in read.sentences)):
            for sentence in read.sentences:
                (st.warning if sentence.loud else st.caption)(plain(sentence.text))


def names() -> list[str]:
    """The names of all checkpoints."""
    return [*checkpoints("music"), *checkpoints("text")]


def begin() -> None:
    """Begin to train on the files that were read."""
    try:
        _, folder, read = st.session_state[READ]
        name = trainings.check_name(st.session_state["training-name"], names())
        minutes = float(st.session_state["training-minutes"] or DEFAULT_MINUTES)
        upload = Path(folder.name) / "upload"
        st.session_state[TOKEN] = trainings.begin(upload, name, read.medium, minutes, place_for_new())
        del st.session_state[READ]
        folder.cleanup()
    except KeyError:
        st.session_state[MESSAGE] = "the files have changed and are read again; press Train when they are read"
    except CarouselError as error:
        st.session_state[MESSAGE] = str(error)
