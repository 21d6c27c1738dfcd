"""Train a checkpoint on a corpus: truncated back-propagation through time over lanes that carry their state.

python -m generator.train tinyshakespeare --out checkpoints/shakespeare
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.nn import functional as F

from generator import card, command, tokenizers
from generator.atomic import atomic_write
from generator.corpora import open_corpus
from generator.corpora.batches import IGNORED, one_pass
from generator.corpora.shards import Shards, prepare
from generator.errors import CarouselError
from generator.evaluate import evaluate
from generator.model.checkpoint import Checkpoint
from generator.model.lstm import Dropout, LanguageModel, ModelConfig
from generator.options import PRESETS, TrainingOptions, add_arguments, given
from generator.streaming.engine import Model

STATE = "training.safetensors"
METRICS = "metrics.jsonl"
LENGTHS = ("steps", "minutes", "passes")
SAVE_SECONDS = 60
VALIDATION_LANES = 16
LEAST_WINDOWS = 32
"""Windows in a pass, at least: of a small corpus fewer lanes are read, so that it still gives many updates."""


class Trainer:
    """One run. All that its future depends on is in its state file, so a resumed run ends at the same weights."""

    def __init__(self, shards: Shards, out: Path, options: TrainingOptions, console: Console) -> None:
        self.shards, self.out, self.options, self.console = shards, out, options, console
        self.tokenizer = shards.tokenizer
        torch.manual_seed(options.seed)
        dropout = Dropout(
            options.dropout_embedding, options.dropout_layers, options.dropout_output, options.dropout_weights
        )
        tied = options.embedding_dim == options.hidden_size
        config = ModelConfig(
            self.tokenizer.vocab_size, options.embedding_dim, options.hidden_size, options.num_layers, tied
        )
        self.model = LanguageModel(config, dropout)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
        )
        train = shards.split("train")
        self.pieces = [train[index] for index in range(len(train))]
        self.lanes = min(options.lanes, max(1, len(train.tokens) // (options.window * LEAST_WINDOWS)))
        self.batches = self._pass(0)
        self.state = self.model.zero_state(self.batches.inputs.shape[1])
        lengths = [options.steps] if options.steps is not None else []
        if options.passes is not None:
            lengths.append(max(1, round(options.passes * len(self.batches))))
        self.steps = min(lengths, default=None)
        if self.steps is None and options.minutes is None:
            raise CarouselError("training needs a length; give --steps, --passes or --minutes")
        self.autocast = options.precision == "bf16" or (
            options.precision == "auto" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
        self.step = self.pass_number = self.window = self.validated = self.worse = 0
        self.best = math.inf
        self.seconds = 0.0
        self.loss = math.nan

    def _pass(self, number: int) -> Any:
        options = self.options
        return one_pass(
            self.pieces,
            self.tokenizer,
            lanes=self.lanes,
            steps=options.window,
            seed=options.seed,
            number=number,
            cold_share=options.cold_share,
        )

    @property
    def progress(self) -> float:
        """From 0 to 1 over the run; the first length to be reached ends it."""
        by_steps = self.step / self.steps if self.steps is not None else 0.0
        by_time = self.seconds / 60 / self.options.minutes if self.options.minutes is not None else 0.0
        return min(1.0, max(by_steps, by_time))

    @property
    def finished(self) -> bool:
        return self.progress >= 1 or self.worse >= self.options.patience

    def update(self) -> float:
        """One update over one window of every lane; returns its loss in nats a token."""
        if self.window == len(self.batches):
            self.pass_number, self.window = self.pass_number + 1, 0
            self.batches = self._pass(self.pass_number)
            self.state = self.model.zero_state(self.batches.inputs.shape[1])
        inputs = torch.from_numpy(np.ascontiguousarray(self.batches.inputs[self.window]))
        targets = torch.from_numpy(np.ascontiguousarray(self.batches.targets[self.window]))
        warm = torch.from_numpy(~self.batches.cold[self.window]).float().unsqueeze(1)
        self.state = [(h * warm, c * warm) for h, c in self.state]
        rate = self.options.learning_rate * 0.5 * (1 + math.cos(math.pi * self.progress))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1.0, (self.step + 1) / max(1, self.options.warm_up))
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            logits, state = self.model(inputs, self.state)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip)
        self.optimizer.step()
        self.state = [(h.detach().float(), c.detach().float()) for h, c in state]
        self.step, self.window = self.step + 1, self.window + 1
        return loss.item()

    def validate(self) -> float:
        """Nats a token over the validation split, in lanes (quick; `evaluate` reads it as one stream)."""
        self.model.eval()
        split = self.shards.split("validation")
        lanes = max(1, min(VALIDATION_LANES, len(split.tokens) // 64))
        return float(self.model.surprise(split.tokens, self.tokenizer.start, lanes=lanes).mean())

    def begin(self) -> None:
        """Start afresh in the folder; what an earlier run logged there goes."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CarouselError(
                f"{self.out}: cannot make this folder: {error.strerror}; choose another --out"
            ) from error
        with atomic_write(self.out / METRICS):
            pass

    def run(self) -> None:
        """Train to the end; Ctrl-C saves and raises KeyboardInterrupt."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, speed_estimate_period=300) as progress:
            task = progress.add_task("training", total=1.0, figures="")
            saved = mark = time.monotonic()
            try:
                while not self.finished:
                    loss = self.update()
                    now = time.monotonic()
                    self.seconds, mark, took = self.seconds + now - mark, now, now - mark
                    self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss
                    speed = self.batches.inputs[0].size / took
                    figures = f"step {self.step}  loss {self.loss:.4f}  best {self.best:.4f}  {speed:,.0f} tokens/s"
                    progress.update(task, completed=self.progress, figures=figures)
                    if not math.isfinite(loss):
                        raise CarouselError(f"{self.out}: the loss is {loss}; try a lower --learning-rate")
                    if int(self.progress * self.options.validations) > self.validated or self.progress >= 1:
                        self.report(speed)
                        mark = time.monotonic()
                    if now - saved > SAVE_SECONDS:
                        self.save()
                        saved = mark = time.monotonic()
            except KeyboardInterrupt:
                self.save()
                self.console.print(f"stopped at step {self.step}; go on with the same command and --resume")
                raise
            self.save()

    def report(self, speed: float) -> None:
        """Validate, keep the weights if they are the best, log, and show a short sample."""
        self.validated = max(self.validated + 1, int(self.progress * self.options.validations))
        nats = self.validate()
        checkpoint = Checkpoint.of(self.model, self.tokenizer)
        better = nats < self.best
        if better:
            self.best, self.worse = nats, 0
            checkpoint.save(self.out)
        else:
            self.worse += 1
        row = {
            "step": self.step,
            "passes": round(self.pass_number + self.window / len(self.batches), 3),
            "loss": self.loss,
            "validation": nats,
            "tokens_per_second": round(speed),
            "seconds": round(self.seconds, 1),
        }
        with (self.out / METRICS).open("a") as file:
            file.write(json.dumps(row) + "\n")
        mark = "*" if better else " "
        self.console.print(
            f"{mark} step {self.step}  loss {self.loss:.4f}  validation {nats:.4f}  {self.seconds:.0f} s",
            highlight=False,
        )
        self.console.print(card.sample(Model(checkpoint), 120), style="dim", highlight=False, markup=False)

    # The state file: safetensors, its metadata one JSON value.

    def _counters(self) -> dict[str, Any]:
        names = ("step", "pass_number", "window", "validated", "worse", "best", "seconds", "loss")
        return {name: getattr(self, name) for name in names}

    def save(self) -> None:
        """Write everything that the future of this run depends on."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.model.config.tied:
            del tensors["model.output.weight"]
        for index, (h, c) in enumerate(self.state):
            tensors[f"state.h{index}"], tensors[f"state.c{index}"] = h, c
        for number, values in self.optimizer.state_dict()["state"].items():
            for name, value in values.items():
                tensors[f"optimizer.{number}.{name}"] = value
        tensors["random"] = torch.get_rng_state()
        metadata = {"counters": self._counters(), "options": asdict(self.options), "corpus": self.shards.key}
        with atomic_write(self.out / STATE) as file:
            file.write(save({k: v.contiguous() for k, v in tensors.items()}, {"carousel": json.dumps(metadata)}))

    def load(self) -> None:
        """Go on where `save` left off.

        Raises:
            CarouselError: there is no such state, or it belongs to other data or options.
        """
        metadata, tensors = read_state(self.out)
        if metadata["corpus"] != self.shards.key:
            raise CarouselError(
                f"{self.out / STATE}: trained on other data; restore the corpus or choose another --out"
            )
        weights = {name[6:]: value for name, value in tensors.items() if name.startswith("model.")}
        self.model.load_state_dict(weights, strict=False)
        layers = range(self.model.config.num_layers)
        self.state = [(tensors[f"state.h{layer}"], tensors[f"state.c{layer}"]) for layer in layers]
        optimizer = self.optimizer.state_dict()
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".")
                optimizer["state"].setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict(optimizer)
        torch.set_rng_state(tensors["random"])
        for name, value in metadata["counters"].items():
            setattr(self, name, value)
        self.batches = self._pass(self.pass_number)
        # A run that was killed may have logged rows after its last save; it will log them again.
        path = self.out / METRICS
        rows = path.read_text().splitlines(keepends=True) if path.is_file() else []
        with atomic_write(path) as file:
            file.write("".join(row for row in rows if json.loads(row)["step"] <= self.step).encode())


def read_state(out: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The state file's metadata and tensors."""
    path = out / STATE
    if not path.is_file():
        raise CarouselError(f"{path}: nothing to resume here; leave --resume out to start")
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads(file.metadata()["carousel"])
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CarouselError(f"{path}: cut off or not a training state; start again without --resume") from error


def train(
    shards: Shards, out: Path, options: TrainingOptions, *, resume: bool = False, made_by: str = ""
) -> Checkpoint:
    """Train on a corpus's shards into a checkpoint folder; returns the best checkpoint by validation.

    Args:
        made_by: the command that the card gives for making the checkpoint again.

    Raises:
        CarouselError: the folder cannot be written, or there is nothing fitting to resume.
        KeyboardInterrupt: after Ctrl-C; the state has been saved.
    """
    console = Console(stderr=True)
    trainer = Trainer(shards, out, options, console)
    if resume:
        trainer.load()
    else:
        trainer.begin()
    trainer.run()
    checkpoint = replace(Checkpoint.load(out), name=out.name)
    splits = [split for split in ("validation", "test") if split in shards.splits]
    scores = [evaluate(checkpoint, shards, split) for split in splits]
    trained = (
        f"{trainer.step:,} updates over {trainer.pass_number + trainer.window / len(trainer.batches):.1f} passes "
        f"in {trainer.seconds / 60:.0f} minutes."
    )
    checkpoint = replace(checkpoint, card=card.write(checkpoint, shards.facts, scores, made_by, trained))
    checkpoint.save(out)
    for score in scores:
        console.print(json.dumps(score), highlight=False, markup=False)
    return checkpoint


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("train", __doc__)
    parser.add_argument("corpus", metavar="CORPUS", help="a name from data/corpora.toml, or a file or folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the checkpoint to make")
    parser.add_argument("--preset", choices=PRESETS, default="standard", help="a recipe (default: standard)")
    parser.add_argument("--tokenizer", choices=tokenizers.KINDS, help="default: the one that suits the corpus")
    parser.add_argument("--resume", action="store_true", help="go on where this run was interrupted")
    add_arguments(parser, TrainingOptions)

    def work(given_: argparse.Namespace) -> None:
        shards = prepare(open_corpus(given_.corpus), given_.tokenizer)
        if given_.resume:
            options = TrainingOptions(**read_state(given_.out)[0]["options"])
        else:
            options = options_of(given_.preset, given(given_, TrainingOptions))
        words = sys.argv[1:] if arguments is None else arguments
        made_by = shlex.join(["python", "-m", "generator.train", *(word for word in words if word != "--resume")])
        train(shards, given_.out, options, resume=given_.resume, made_by=made_by)

    return command.run(parser, work, arguments)


def options_of(preset: str, changes: dict[str, Any]) -> TrainingOptions:
    """A preset with changes; a length given replaces the preset's own."""
    recipe = dict(PRESETS[preset])
    if any(name in changes for name in LENGTHS):
        for name in LENGTHS:
            recipe.pop(name, None)
    return TrainingOptions(**{**recipe, **changes})


if __name__ == "__main__":
    raise SystemExit(main())
