"""The checkpoints that a page offers, and their models, which all visitors share."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import streamlit as st

from generator.foundation import places
from generator.foundation.errors import CarouselError
from generator.foundation.places import CONFIG
from generator.model.checkpoint import FINGERPRINT, TOKENIZER
from generator.streaming.engine import Model, load
from generator.streaming.origin import Origin
from generator.tokenizers import KINDS, from_json
from generator.tokenizers.drums import DrumsTokenizer


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


def kit() -> tuple[Path, DrumsTokenizer] | None:
    """The drummer who may play beside others: the first checkpoint of drums, its folder and its tokenizer; None if
    there is none."""
    for path in checkpoints("music").values():
        try:
            tokenizer = from_json(json.loads((path / TOKENIZER).read_bytes()))
        except (OSError, ValueError, CarouselError):  # broken, or gone by now
            continue
        if isinstance(tokenizer, DrumsTokenizer):
            return path, tokenizer
    return None


def place_for_new() -> Path:
    """The folder in which a new checkpoint is made: the one that the command line names, or else the user's own."""
    return Path(sys.argv[1]) if len(sys.argv) > 1 else places.own(places.CHECKPOINTS)


def loaded(path: Path) -> Model:
    """The model of a checkpoint folder, shared by all visitors, and loaded again if its files have changed."""
    return _loaded(str(path), max((file.stat().st_mtime for file in path.iterdir()), default=0.0))


@st.cache_resource(max_entries=8, show_spinner="Loading the model …")
def _loaded(path: str, changed: float) -> Model:
    """The model, cached for each time of the last change. What draws its tokens is loaded too, so that the first
    listener need not wait for that."""
    model = load(path)
    model.stream().pull(8)
    return model


def find(medium: str, origin: Origin) -> tuple[str, Model]:
    """The checkpoint that made a stream, its name and its model.

    Raises:
        CarouselError: it is not among those of the medium.
    """
    for name, path in checkpoints(medium).items():
        try:
            written = json.loads((path / CONFIG).read_bytes()).get(FINGERPRINT, origin.fingerprint)
            if written == origin.fingerprint and (model := loaded(path)).checkpoint.fingerprint == written:
                return name, model
        except (OSError, ValueError, AttributeError, CarouselError):  # another one that is broken
            continue
    raise CarouselError(f"this take needs the checkpoint {origin.wanted}, which is not on this page")
