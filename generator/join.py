"""Join checkpoints that were trained apart into one, whose logits are the mean of theirs, and score it on their corpus.

    python -m generator.train tinyshakespeare --out build/a --seed 0
    python -m generator.train tinyshakespeare --out build/b --seed 1
    python -m generator.join tinyshakespeare build/a build/b --out checkpoints/together

Two runs side by side, with one thread each, use two cores better than one run with two threads; joined they predict
better than one of them would after as long. What comes out is a checkpoint like any other, as wide as all together.
"""

from __future__ import annotations

from generator.cli import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.evaluate import evaluate
from generator.foundation import places
from generator.foundation.atomic import atomic_folder, newest
from generator.foundation.errors import CarouselError
from generator.model.checkpoint import Checkpoint
from generator.model.ensemble import join
from generator.training import card
from generator.training.run_folder import METRICS, STATE, claimed, refuse_to_replace


def joined(
    dataset: TokenDataset, folders: Sequence[Path], out: Path, made_by: str = "", *, overwrite: bool = False
) -> list[dict[str, Any]]:
    """Join the checkpoints in `folders` into `out`, whose card says how each of them was made; returns its scores.

    Weights are kept as fp16, so the zeros between the members take less room; the scores are of these.

    Raises:
        CarouselError: a checkpoint cannot be read or written, does not fit the others, or is of another corpus; or
            `out` holds one that is not to be replaced.
    """
    check(folders, out, overwrite)
    if len(folders) < 2:
        raise CarouselError(f"{folders[0]} alone is nothing to join; give two checkpoints or more")
    members = [Checkpoint.load(folder) for folder in folders]
    for member in members:
        if member.tokenizer.to_json() != dataset.tokenizer.to_json() or dataset.facts.title not in member.card:
            raise CarouselError(f"{member.name} was not trained on {dataset.facts.name}; name the corpus that it was")
    curves = [_metrics(folder) for folder in folders]
    with claimed(out, replacing=overwrite):
        checkpoint = join(members)
        kept = {name: value.astype(np.float16).astype(np.float32) for name, value in checkpoint.weights.items()}
        checkpoint = replace(checkpoint, weights=kept, name=out.name)
        scores = [
            evaluate(checkpoint, dataset, split, visible=True)
            for split in ("validation", "test")
            if split in dataset.splits
        ]
        histories = [card.made_by(member.card) for member in members]
        commands = "\n".join([*(line for line, _ in histories), made_by])
        trained = "\n".join(f"{member.name}: {words}" for member, (_, words) in zip(members, histories, strict=True))
        text = card.write(checkpoint, dataset.facts, scores, commands, trained)
        (out / STATE).unlink(missing_ok=True)  # of a run that made what is replaced now
        with atomic_folder(out) as made:
            replace(checkpoint, card=text).write(made, np.float16)
            (made / METRICS).write_text("".join(json.dumps(row) + "\n" for row in chain(*curves)), encoding="utf-8")
        return scores


def check(folders: Sequence[Path], out: Path, overwrite: bool) -> None:
    """Find out before the work whether something would be lost if these were joined there.

    Raises:
        CarouselError: it would.
    """
    command.keep_apart({"--out": out}, {f"CHECKPOINT {folder}": folder for folder in folders})
    if not overwrite:
        refuse_to_replace(out)


def _metrics(folder: Path) -> list[dict[str, Any]]:
    """The rows that a run has logged, each with the run's name."""
    try:
        lines = newest(folder / METRICS).read_text(encoding="utf-8").splitlines()
        return [{"member": folder.name} | json.loads(line) for line in lines]
    except (OSError, TypeError, ValueError) as error:
        raise CarouselError(f"{folder / METRICS}: missing or damaged; join what training has left") from error


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("join", __doc__)
    parser.add_argument("corpus", metavar="CORPUS", help="what they were trained on: a name, a file or a folder")
    parser.add_argument("members", type=Path, nargs="+", metavar="CHECKPOINT", help="two or more")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the checkpoint to make")
    parser.add_argument("--overwrite", action="store_true", help="replace the checkpoint in FOLDER")

    def work(given: argparse.Namespace) -> None:
        members = [places.checkpoint(member) for member in given.members]
        check(members, given.out, given.overwrite)
        dataset = prepare(open_corpus(given.corpus), Checkpoint.load(members[0]).tokenizer.kind)
        made_by = command.recipe("generator.join", arguments)
        print(json.dumps(joined(dataset, members, given.out, made_by, overwrite=given.overwrite), indent=2))

    return command.run(parser, work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
