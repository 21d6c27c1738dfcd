"""How well it predicts polyphonic music: one model trained on a dataset of frames, in nats a frame. JSON, one object.

    python -m benchmarks.polyphony --out build/jsb
    python -m benchmarks.polyphony Nottingham.mat --passes 20
    python -m benchmarks.polyphony --checkpoint build/jsb

FILE is JSON, {"train": [[[60, 64], [62], ...], ...], "valid": ..., "test": ...}: splits of pieces of frames of MIDI
pitches; or .mat with traindata, validdata and testdata, cells of binary matrices of frames x 88 keys. Without one it is
the JSB chorales. The model is the library's own, by its trainer, with the RECIPE below and the flags on top; the
weights kept are those that predict the validation split best. `generator/model/frame_likelihood.py` says how frames are
scored.

Two rows for each split, not to be mixed:

- model: p(frame | past), the published convention.
- transposed_mixture: the same weights asked in up to 13 keys. Component k gives a frame the probability that the model
  gives it when it and the past are moved by k semitones, and 0 where that leaves the keyboard. Moving is one to one, so
  each component's probabilities of all frames sum to at most 1, and so does their mean. It is taken over the components
  whose past is on the keyboard, which are known before the frame is; the unmoved one always is among them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from generator import train  # train before torch, for it says how torch's threads are to wait
from generator.cli import command
from generator.training import card

# isort: split
from rich.console import Console

from benchmarks.measuring import optional, parser, report
from generator.corpora import open_corpus
from generator.corpora.archives import SPLITS, Frames, FramesCorpus
from generator.corpora.base import Facts
from generator.corpora.dataset import TokenDataset, prepare
from generator.corpora.paths import LICENCE
from generator.foundation.errors import CarouselError
from generator.foundation.options import add_arguments, given
from generator.foundation.recipes import TrainingOptions
from generator.model.checkpoint import Checkpoint
from generator.model.frame_likelihood import CONVENTION, Nats, frame_nats, frame_scores, summed
from generator.model.lstm import LanguageModel
from generator.music.score import DEFAULT_TEMPO, Voice
from generator.tokenizers.base import Tokens
from generator.tokenizers.frames import FramesTokenizer
from generator.tokenizers.frames_grammar import FRAME, HIGHEST, KEYS, LOWEST, PITCH, TRANSPOSITIONS
from generator.training.run_folder import claimed
from generator.training.trainer import Trainer

DEFAULT = "jsb-chorales"
RECIPE: dict[str, Any] = {
    "passes": 150.0,
    "lanes": 32,
    "window": 64,
    "cold_share": 1.0,
    "dropout_embedding": 0.1,
    "dropout_layers": 0.5,
    "dropout_output": 0.5,
    "dropout_weights": 0.4,
    "activation_penalty": 0.0,
    "jump_penalty": 0.0,
    "validations": 40,
    "patience": 10,
}
PUBLISHED = {
    DEFAULT: {
        "DMM-Aug-NADE (Krishnan and others, 2017)": 5.118,
        "RNN-NADE (Boulanger-Lewandowski and others, 2012, as Krishnan and others give it)": 5.19,
        "TCN (Bai and others, 2018)": 8.10,
        "LSTM (Bai and others, 2018)": 8.45,
    }
}
"""Nats a frame of the test split."""


class FramesFile(FramesCorpus):
    """A dataset of frames at a path."""

    def __init__(self, path: Path) -> None:
        facts = Facts(path.name, f"frames from {path.name}", LICENCE, str(path), "music", FramesTokenizer.kind)
        super().__init__(facts, path, (Voice("Piano"),), DEFAULT_TEMPO)

    def frames(self) -> dict[str, list[Frames]]:
        """As `FramesCorpus`, of JSON or of .mat; all that a piano cannot play is refused."""
        if not self.path.is_file():
            raise CarouselError(f"{self.path}: no such file; give a dataset of frames as .json or .mat")
        found = from_mat(self.path) if self.path.suffix.lower() == ".mat" else super().frames()
        for split in self.splits:
            if not any(found.get(split, ())):
                raise CarouselError(f"{self.path}: no pieces to {split} with; give train, validation and test")
        pitches = {pitch for pieces in found.values() for piece in pieces for frame in piece for pitch in frame}
        if outside := pitches - set(range(LOWEST, HIGHEST + 1)):
            raise CarouselError(f"{self.path}: pitch {min(outside)}; a frame has those from {LOWEST} to {HIGHEST}")
        return found


def from_mat(path: Path) -> dict[str, list[Frames]]:
    """The pieces of each split out of a MATLAB file.

    Raises:
        CarouselError: it is none, or it holds something else.
    """
    try:
        data = optional("scipy.io").loadmat(path, variable_names=["traindata", "validdata", "testdata"])
    except CarouselError:
        raise
    except Exception as error:  # scipy raises whatever a broken file makes it stumble over
        raise CarouselError(f"{path}: not a MATLAB file of version 5 to 7.2 ({error!r}); fetch it again") from error
    found: dict[str, list[Frames]] = {}
    for name, split in SPLITS.items():
        if f"{name}data" not in data:
            continue
        cells = data[f"{name}data"]
        if cells.dtype != object:
            raise CarouselError(f"{path}: {name}data is no cell of matrices but {cells.dtype}; give frames x {KEYS}")
        found[split] = []
        for number, cell in enumerate(cells.ravel()):
            where = f"{path}: {name}data, matrix {number}"
            if not isinstance(cell, np.ndarray) or cell.dtype.kind not in "buif":
                raise CarouselError(f"{where}: not a matrix of numbers; give frames x {KEYS}")
            if cell.size and cell.shape[1:] != (KEYS,):
                raise CarouselError(f"{where}: its shape is {cell.shape}; give frames x {KEYS}")
            if not np.isin(cell, (0, 1)).all():
                raise CarouselError(f"{where}: values other than 0 and 1; give a binary piano roll")
            found[split].append([(LOWEST + np.flatnonzero(frame)).tolist() for frame in cell] if cell.size else [])
    return found


class Run(Trainer):
    """A run whose validation is what will be published."""

    def validate(self) -> float:
        """Nats a frame."""
        return float(scores(self.averaged, self.dataset, "validation")["nats_per_frame"])


def pieces_of(dataset: TokenDataset, split: str) -> list[Tokens]:
    part = dataset.split(split)
    return [part[index] for index in range(len(part))]


def scores(model: LanguageModel, dataset: TokenDataset, split: str) -> dict[str, Any]:
    """The row of one model."""
    pieces = pieces_of(dataset, split)
    found = frame_scores(model, tokenizer_of(dataset), pieces)
    return {"what": "model", "split": split, "pieces": len(pieces), **found}


def tokenizer_of(dataset: TokenDataset) -> FramesTokenizer:
    """The frames tokenizer of the dataset.

    Raises:
        CarouselError: they have another.
    """
    if not isinstance(dataset.tokenizer, FramesTokenizer):
        raise CarouselError(
            f"frames are scored, not what the tokenizer {dataset.tokenizer.kind} makes; train on frames"
        )
    return dataset.tokenizer


def mixture_scores(model: LanguageModel, dataset: TokenDataset, split: str) -> dict[str, Any]:
    """The row of the mixture over transpositions."""
    pieces = pieces_of(dataset, split)
    mixed = mixture_nats(model, tokenizer_of(dataset), pieces)
    return {"what": "transposed_mixture", "split": split, "pieces": len(pieces), **summed(mixed)}


def mixture_nats(model: LanguageModel, tokenizer: FramesTokenizer, pieces: Sequence[Tokens]) -> list[Nats]:
    """As `frame_nats`, under the mixture that the head of this file defines."""
    lanes = [on_the_keyboard(tokenizer, piece) for piece in pieces]
    transposed = iter(frame_nats(model, tokenizer, [*chain.from_iterable(lanes)]))
    found = []
    for piece, moved in zip(pieces, lanes, strict=True):
        frames = int((piece == FRAME).sum())
        log = np.full((len(TRANSPOSITIONS), frames), -np.inf)
        asked = np.zeros(frames)
        for component in range(len(TRANSPOSITIONS)):
            nats = next(transposed) if component < len(moved) else np.zeros(0)
            log[component, : len(nats)] = -nats
            asked[: len(nats) + 1] += 1  # to the frame that leaves the keyboard it gives 0
        found.append(np.log(asked) - np.logaddexp.reduce(log, axis=0))
    return found


def on_the_keyboard(tokenizer: FramesTokenizer, piece: Tokens) -> list[Tokens]:
    """A piece in all transpositions, each up to the first frame that leaves the keyboard; none that begins with it."""
    found = []
    for semitones in TRANSPOSITIONS:
        keys = piece.astype(np.int64) - PITCH + semitones
        outside = np.flatnonzero((piece >= PITCH) & ((keys < 0) | (keys >= KEYS)))
        whole = piece[: outside[0]] if len(outside) else piece
        ends = np.flatnonzero(whole == FRAME)
        if len(ends):
            kept = np.append(whole[: ends[-1] + 1], np.uint16(tokenizer.end))
            found.append(tokenizer.transposed(kept, semitones))
    return found


def trained(
    dataset: TokenDataset, out: Path, options: TrainingOptions, made_by: str, resume: bool
) -> tuple[Checkpoint, float]:
    """The best checkpoint by validation, saved with its card; and the minutes that the run took."""
    run = Run(dataset, out, options, Console(stderr=True), made_by)
    if resume:
        run.load()
    run.run()
    checkpoint = replace(Checkpoint.load(out), name=out.name)
    rows = [scores(checkpoint.model(), dataset, split) for split in ("validation", "test")]
    said = f"{run.step:,} updates over {run.pass_number + run.window / len(run.batches):.1f} passes."
    replace(checkpoint, card=card.write(checkpoint, dataset.facts, rows, run.made_by, said)).save(out)
    return checkpoint, run.seconds / 60


def options_of(changes: dict[str, Any]) -> TrainingOptions:
    """The recipe with changes; a length given replaces its own."""
    recipe = {k: v for k, v in RECIPE.items() if k not in train.LENGTHS or not set(train.LENGTHS) & set(changes)}
    return TrainingOptions(**{**recipe, **changes})


def polyphony(asked: argparse.Namespace, made_by: str) -> None:
    """Do what the command line asks."""
    changes = given(asked, TrainingOptions)
    if asked.checkpoint is not None and (changes or asked.resume or asked.out):
        raise CarouselError("--checkpoint is measured as it is; leave out what is for training")
    if asked.resume and not asked.out:
        raise CarouselError("--resume goes on in a folder; give --out")
    corpus = FramesFile(Path(asked.file)) if asked.file else open_corpus(DEFAULT)
    run: dict[str, Any] = {}
    if asked.checkpoint is not None:
        checkpoint = Checkpoint.load(asked.checkpoint)
        dataset = prepare(corpus, checkpoint.tokenizer)
    else:
        dataset = prepare(corpus, FramesTokenizer.kind)
        with tempfile.TemporaryDirectory() as temporary:
            out = asked.out or Path(temporary) / "polyphony"
            options = train.resumed(out, changes) if asked.resume else options_of(changes)
            with claimed(out, replacing=asked.resume or asked.overwrite):
                checkpoint, minutes = trained(dataset, out, options, made_by, asked.resume)
        run = {"minutes": round(minutes, 1), "seed": options.seed, "training": asdict(options)}
    model = checkpoint.model()
    report(
        "polyphony",
        asked,
        dataset=corpus.name,
        convention=CONVENTION,
        left_out=dataset.skipped,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        **run,
        published=PUBLISHED.get(corpus.name, {}),
        rows=[row(model, dataset, split) for split in ("test", "validation") for row in (scores, mixture_scores)],
    )


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("polyphony", __doc__)
    made.add_argument("file", nargs="?", metavar="FILE", help=f"a dataset as .json or .mat (default: {DEFAULT})")
    made.add_argument("--out", type=Path, metavar="FOLDER", help="keep the checkpoint here")
    made.add_argument("--resume", action="store_true", help="go on where the run in --out was interrupted")
    made.add_argument("--overwrite", action="store_true", help="replace the checkpoint in --out")
    made.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="train nothing, measure this one")
    recipe = ", ".join(f"--{name.replace('_', '-')} {value}" for name, value in RECIPE.items())
    add_arguments(
        made.add_argument_group("training", f"The recipe: {recipe}; else the defaults here."), TrainingOptions
    )
    made_by = command.recipe("benchmarks.polyphony", arguments)
    return command.run(made, lambda asked: polyphony(asked, made_by), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
