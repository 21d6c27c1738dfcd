"""Train a checkpoint on a corpus: truncated back-propagation through time over lanes that carry their state.

python -m generator.train tinyshakespeare --out checkpoints/shakespeare
"""

from __future__ import annotations

from generator.cli import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

# torch's threads wait for each other at every step. Spinning while they wait, they would starve each other as soon as
# anything else runs on the machine. This is read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from rich.console import Console

from generator import tokenizers
from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.evaluate import evaluate
from generator.foundation import places
from generator.foundation.errors import CarouselError
from generator.foundation.options import add_arguments, given
from generator.foundation.recipes import PRESETS, TrainingOptions
from generator.foundation.terminal import tell
from generator.model.checkpoint import Checkpoint, read_defaults
from generator.prepare import summary
from generator.training import card
from generator.training.run_folder import claimed, read_state, refuse_to_replace

LENGTHS = ("steps", "minutes", "passes")


def train(
    dataset: TokenDataset,
    out: Path,
    options: TrainingOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    made_by: str = "",
) -> Checkpoint:
    """Train on a corpus's tokens into a checkpoint folder; returns the best checkpoint by validation.

    Args:
        resume: go on where the run in this folder was interrupted, also if `overwrite` began it.
        overwrite: replace the checkpoint in this folder, once the first validation is done; it stays whole until then.
        made_by: the command that the card gives for making the checkpoint again.

    Raises:
        CarouselError: the folder cannot be written, holds a checkpoint that is neither resumed nor replaced, is in use
            by another process, or there is nothing fitting to resume.
        KeyboardInterrupt: after Ctrl-C; the state has been saved.
    """
    from generator.training.trainer import VALIDATION_LANES, Trainer  # imports torch, which takes seconds

    console = Console(stderr=True)
    with claimed(out, replacing=resume or overwrite):
        read_defaults(out, dataset.tokenizer)  # they stay, so a misfit is found before the work
        trainer = Trainer(dataset, out, options, console, made_by)
        if resume:
            trainer.load()
            if trainer.finished:
                tell(f"{out}: this run has reached its end; to train for longer, begin anew with another --out")
        trainer.run()
        checkpoint = replace(Checkpoint.load(out), name=out.name)
        lanes = 1 if trainer.reading is None else VALIDATION_LANES
        scores = [
            evaluate(checkpoint, dataset, split, lanes=lanes, reading=trainer.reading, visible=True)
            for split in ("validation", "test")
            if split in dataset.splits
        ]
        trained = (
            f"{trainer.step:,} updates over {trainer.pass_number + trainer.window / len(trainer.batches):.1f} passes "
            f"in {trainer.seconds / 60:.0f} minutes."
        )
        checkpoint = replace(checkpoint, card=card.write(checkpoint, dataset.facts, scores, trainer.made_by, trained))
        checkpoint.save(out)
    for score in scores:
        console.print(json.dumps(score), highlight=False, markup=False, soft_wrap=True)
    tell(f"{out}: done; hear it with: {places.command('sample')} {shlex.quote(str(out))}")
    return checkpoint


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("train", __doc__)
    parser.add_argument("corpus", metavar="CORPUS", help="a name from data/corpora.toml, or a file or folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the checkpoint to make")
    parser.add_argument("--preset", choices=PRESETS, default="standard", help="a recipe (default: standard)")
    parser.add_argument("--tokenizer", choices=tokenizers.KINDS, help="default: the one that suits the corpus")
    parser.add_argument("--resume", action="store_true", help="go on where this run was interrupted")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the checkpoint in FOLDER, once the first validation is done"
    )
    add_arguments(parser, TrainingOptions)

    def work(given_: argparse.Namespace) -> None:
        changes = given(given_, TrainingOptions)
        options = resumed(given_.out, changes) if given_.resume else options_of(given_.preset, changes)
        if not (given_.resume or given_.overwrite):
            refuse_to_replace(given_.out)
        dataset = prepare(open_corpus(given_.corpus), given_.tokenizer)
        print(summary(dataset), file=sys.stderr)
        made_by = command.recipe("generator.train", arguments)
        train(dataset, given_.out, options, resume=given_.resume, overwrite=given_.overwrite, made_by=made_by)

    return command.run(parser, work, arguments)


def resumed(out: Path, changes: dict[str, Any]) -> TrainingOptions:
    """The options of the run in a folder.

    Raises:
        CarouselError: there is none, or the command line asks for something else.
    """
    try:
        options = TrainingOptions(**read_state(out)[0]["options"])
    except (KeyError, TypeError) as error:
        raise CarouselError(f"{out}: not a state of this Carousel; choose another --out to start anew") from error
    for name, value in changes.items():
        if value != getattr(options, name):
            flag = "--" + name.replace("_", "-")
            raise CarouselError(f"{out}: this run began with {flag} {getattr(options, name)}; resume it without {flag}")
    return options


def options_of(preset: str, changes: dict[str, Any]) -> TrainingOptions:
    """A preset with changes; a length given replaces the preset's own."""
    recipe = dict(PRESETS[preset])
    if any(name in changes for name in LENGTHS):
        for name in LENGTHS:
            recipe.pop(name, None)
    return TrainingOptions(**{**recipe, **changes})


if __name__ == "__main__":
    raise SystemExit(main())
