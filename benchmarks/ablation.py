"""What each part of the training recipe is worth: the recipe, then the recipe without one part at a time.

    python -m benchmarks.ablation tinyshakespeare --minutes 4 --hidden-size 256

Every run has the same data, seed and length, and trains as `generator.train` does, whose flags change the recipe that
they all start from. `nats` is the best validation in nats a token, read in lanes; `worth` is how many nats more it
takes without the part, so a part that harms has a negative worth.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.measuring import parser, report, rounded, watched
from generator.cli import command
from generator.corpora import open_corpus
from generator.corpora.dataset import TokenDataset, prepare
from generator.foundation.options import add_arguments, given
from generator.foundation.recipes import TrainingOptions
from generator.training.trainer import Trainer

PARTS: dict[str, dict[str, Any]] = {
    "weight-drop": {"dropout_weights": 0.0},
    "dropout of the embedding": {"dropout_embedding": 0.0},
    "dropout between layers": {"dropout_layers": 0.0},
    "dropout at the output": {"dropout_output": 0.0},
    "moving average": {"averaging": 0.0},
    "weight decay": {"weight_decay": 0.0},
    "activation penalty": {"activation_penalty": 0.0},
    "jump penalty": {"jump_penalty": 0.0},
    "warm-up": {"warm_up": 0},
    "cold starts": {"cold_share": 0.0},
    "variants of pieces": {"augment": False},
}
"""What a recipe has, and how it is left out."""
MORE: dict[str, dict[str, Any]] = {
    "time scale 256": {"time_scale": 256},
}
"""What it could have besides."""


def run(dataset: TokenDataset, options: TrainingOptions) -> dict[str, Any]:
    """Train, and say how well it went."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(dataset, Path(folder), options, Console(quiet=True))
        trainer.run()
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    return {"nats": rounded(trainer.best), "updates": trainer.step, "parameters": parameters}


def variants(options: TrainingOptions) -> dict[str, TrainingOptions]:
    """The recipe, without each part that it has, with what it lacks, and with the output tied to the embedding."""
    found = {"recipe": options}
    for name, without in PARTS.items():
        if replace(options, **without) != options:
            found[f"without {name}"] = replace(options, **without)
    found |= {f"with {name}": replace(options, **more) for name, more in MORE.items()}
    found["with tied embedding"] = replace(options, embedding_dim=options.hidden_size)
    return found


def ablation(arguments: argparse.Namespace) -> None:
    """Do what the command line asks."""
    options = TrainingOptions(**{"validations": 5, "patience": 1000, **given(arguments, TrainingOptions)})
    dataset = prepare(open_corpus(arguments.corpus))
    rows: list[dict[str, Any]] = []
    for name, changed in watched(variants(options).items(), "runs"):
        row = {"who": name, **run(dataset, changed)}
        if rows:
            row["worth"] = rounded(row["nats"] - rows[0]["nats"]) * (-1 if name.startswith("with ") else 1)
        rows.append(row)
    report("ablation", arguments, unit="nats a token", rows=rows)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    made = parser("ablation", __doc__)
    made.add_argument("corpus", metavar="CORPUS", help="a name from data/corpora.toml, or a file or folder")
    add_arguments(made, TrainingOptions)
    return command.run(made, ablation, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
