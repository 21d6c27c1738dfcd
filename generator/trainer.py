"""One training run: updates over lanes that carry their state, validations, and the state file to resume from.

All that a run's future depends on is in its state file, so a run that was killed ends at the same weights as one that
was not (with a length in minutes, where the learning rate follows the clock, at weights that are as good).
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import TextColumn, TimeRemainingColumn
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from generator import card
from generator.atomic import atomic_write
from generator.corpora.batches import IGNORED, Batches, one_pass
from generator.corpora.progress import bar
from generator.corpora.shards import Shards
from generator.errors import CarouselError
from generator.model.checkpoint import Checkpoint, make_folder
from generator.model.lstm import Dropout, LanguageModel, ModelConfig
from generator.options import TrainingOptions
from generator.streaming.engine import Model
from generator.terminal import printable

STATE = "training.safetensors"
METRICS = "metrics.jsonl"
SAVE_SECONDS = 60
VALIDATION_LANES = 16
VALIDATION_SECONDS = 6
"""A run with a length in minutes reads the validation split at most this often."""
WARM_SHARE = 0.05
"""Of a run: after it the learning rate is at its peak, however few updates that were."""
LEAST_WINDOWS = 32
"""Windows in a pass, at least: of a small corpus fewer lanes are read, so that it still gives many updates."""


class Trainer:
    """A run on a corpus's shards, into a folder."""

    def __init__(
        self, shards: Shards, out: Path, options: TrainingOptions, console: Console, made_by: str = ""
    ) -> None:
        self.shards, self.out, self.options, self.console, self.made_by = shards, out, options, console, made_by
        self.tokenizer = shards.tokenizer
        torch.manual_seed(options.seed)
        dropout = Dropout(
            options.dropout_embedding, options.dropout_layers, options.dropout_output, options.dropout_weights
        )
        tied = options.embedding_dim == options.hidden_size
        config = ModelConfig(
            self.tokenizer.vocab_size, options.embedding_dim, options.hidden_size, options.num_layers, tied
        )
        self.model = LanguageModel(config, dropout, options.time_scale)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
        )
        self.average = AveragedModel(self.model, multi_avg_fn=self._average).eval()
        self.averaged: LanguageModel = self.average.module  # type: ignore[assignment]
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
        self.validations = options.validations
        if options.minutes is not None:
            self.validations = max(1, min(options.validations, round(60 * options.minutes / VALIDATION_SECONDS)))
        self.autocast = options.precision == "bf16" or (
            options.precision == "auto" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
        self.step = self.pass_number = self.window = self.validated = self.worse = 0
        self.best = math.inf
        self.seconds = 0.0
        self.loss = math.nan

    def _average(self, average: Any, current: Any, updates: int | Tensor) -> None:
        """An exponential moving average (Polyak and Juditsky 1992) that forgets its beginnings faster."""
        decay = min(self.options.averaging, (1 + int(updates)) / (10 + int(updates)))
        torch._foreach_lerp_(average, current, 1 - decay)

    def _pass(self, number: int) -> Batches:
        options = self.options
        return one_pass(
            self.pieces,
            self.tokenizer,
            lanes=self.lanes,
            steps=options.window,
            seed=options.seed,
            number=number,
            cold_share=options.cold_share,
            augment=options.augment,
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
        inputs = torch.from_numpy(self.batches.inputs[self.window].astype(np.int64, order="C"))
        targets = torch.from_numpy(self.batches.targets[self.window].astype(np.int64, order="C"))
        warm = torch.from_numpy(~self.batches.cold[self.window]).float().unsqueeze(1)
        self.state = [(h * warm, c * warm) for h, c in self.state]
        rate = self.options.learning_rate * 0.5 * (1 + math.cos(math.pi * self.progress))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(
                1.0, max((self.step + 1) / max(1, self.options.warm_up), self.progress / WARM_SHARE)
            )
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            hidden, state = self.model.read(inputs, self.state)
            logits = self.model.say(hidden)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + self._penalty(hidden)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.state = [(h.detach().float(), c.detach().float()) for h, c in state]
        self.step, self.window = self.step + 1, self.window + 1
        return loss.item()

    def _penalty(self, hidden: Tensor) -> Tensor | float:
        """On large h and on h that jumps: AR and TAR of Merity, McCann and Socher 2017."""
        penalty: Tensor | float = 0.0
        if self.options.activation_penalty:
            penalty = penalty + self.options.activation_penalty * hidden.square().mean()
        if self.options.jump_penalty:
            penalty = penalty + self.options.jump_penalty * hidden.diff(dim=1).square().mean()
        return penalty

    def validate(self) -> float:
        """Nats a token over the validation split, in lanes (quick; `evaluate` reads it as one stream)."""
        split = self.shards.split("validation")
        lanes = max(1, min(VALIDATION_LANES, len(split.tokens) // 64))
        return float(self.averaged.surprise(split.tokens, self.tokenizer.start, lanes=lanes).mean())

    def begin(self) -> None:
        """Start afresh in the folder; what an earlier run logged there goes."""
        make_folder(self.out)
        (self.out / STATE).unlink(missing_ok=True)
        with atomic_write(self.out / METRICS):
            pass

    def run(self) -> None:
        """Train to the end; Ctrl-C saves and raises KeyboardInterrupt."""
        columns = (TextColumn("{task.fields[figures]}"), TimeRemainingColumn())
        with _interrupts() as interrupted, bar("training", *columns, console=self.console, figures="") as show:
            saved = mark = time.monotonic()
            while not self.finished and not interrupted.is_set():
                loss = self.update()
                now = time.monotonic()
                self.seconds, mark, took = self.seconds + now - mark, now, now - mark
                self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss
                speed = self.batches.inputs[0].size / took
                figures = f"step {self.step}  loss {self.loss:.4f}  best {self.best:.4f}  {speed:,.0f} tokens/s"
                show(completed=self.progress, total=1.0, figures=figures)
                if not math.isfinite(loss):
                    raise CarouselError(f"{self.out}: the loss is {loss}; try a lower --learning-rate")
                if int(self.progress * self.validations) > self.validated or self.progress >= 1:
                    self.report(speed)
                    mark = time.monotonic()
                if now - saved > SAVE_SECONDS:
                    self.save()
                    saved = mark = time.monotonic()
            self.save()
        if self.progress < 1 and self.finished:
            count = self.options.patience
            self.console.print(
                f"stopped at step {self.step}: no better validation in the last {count}; the best is kept"
            )
        if interrupted.is_set() and not self.finished:
            self.console.print(f"stopped at step {self.step}; go on with the same command and --resume")
            raise KeyboardInterrupt

    def report(self, speed: float) -> None:
        """Validate, keep the weights if they are the best, log, and show a short sample."""
        self.validated = max(self.validated + 1, int(self.progress * self.validations))
        nats = self.validate()
        checkpoint = Checkpoint.of(self.averaged, self.tokenizer)
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
        try:
            with (self.out / METRICS).open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise CarouselError(f"{self.out / METRICS}: cannot write: {error.strerror}; free some space") from error
        mark = "*" if better else " "
        self.console.print(
            f"{mark} step {self.step}  loss {self.loss:.4f}  validation {nats:.4f}  {self.seconds:.0f} s",
            highlight=False,
        )
        said = printable(card.sample(Model(checkpoint), 120), keep="\n\t")
        self.console.print(said, style="dim", highlight=False, markup=False)

    # The state file: safetensors, its metadata one JSON value.

    def _counters(self) -> dict[str, Any]:
        names = ("step", "pass_number", "window", "validated", "worse", "best", "seconds", "loss")
        return {name: getattr(self, name) for name in names}

    def save(self) -> None:
        """Write everything that the future of this run depends on."""
        tensors = {"averaged": self.average.n_averaged}
        for kind, model in (("model", self.model), ("average", self.averaged)):
            tensors |= {f"{kind}.{name}": value for name, value in model.state_dict().items()}
            if self.model.config.tied:
                del tensors[f"{kind}.output.weight"]
        for index, (h, c) in enumerate(self.state):
            tensors[f"state.h{index}"], tensors[f"state.c{index}"] = h, c
        for number, values in self.optimizer.state_dict()["state"].items():
            for name, value in values.items():
                tensors[f"optimizer.{number}.{name}"] = value
        tensors["random"] = torch.get_rng_state()
        metadata = {
            "counters": self._counters(),
            "options": asdict(self.options),
            "corpus": self.shards.key,
            "made_by": self.made_by,
        }
        with atomic_write(self.out / STATE) as file:
            file.write(save({k: v.contiguous() for k, v in tensors.items()}, {"carousel": json.dumps(metadata)}))

    def load(self) -> None:
        """Go on where `save` left off.

        Raises:
            CarouselError: there is no such state, or it belongs to other data or another version.
        """
        path = self.out / STATE
        metadata, tensors = read_state(self.out)
        if metadata["corpus"] != self.shards.key:
            raise CarouselError(f"{path}: trained on other data; restore the corpus or choose another --out")
        try:
            self._restore(metadata, tensors)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CarouselError(f"{path}: not a state of this run; start again without --resume") from error
        # A run that was killed may have logged rows after its last save; it will log them again.
        rows = (self.out / METRICS).read_text().splitlines(keepends=True) if (self.out / METRICS).is_file() else []
        with atomic_write(self.out / METRICS) as file:
            file.write("".join(row for row in rows if _logged_step(row) <= self.step).encode())

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        for kind, model in (("model.", self.model), ("average.", self.averaged)):
            weights = {name.removeprefix(kind): value for name, value in tensors.items() if name.startswith(kind)}
            if self.model.config.tied:
                weights["output.weight"] = weights["embedding.weight"]
            model.load_state_dict(weights)
        self.average.n_averaged.copy_(tensors["averaged"])
        layers = range(self.model.config.num_layers)
        self.state = [(tensors[f"state.h{layer}"], tensors[f"state.c{layer}"]) for layer in layers]
        optimizer = self.optimizer.state_dict()
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".")
                optimizer["state"].setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict(optimizer)
        torch.set_rng_state(tensors["random"])
        self.made_by = metadata["made_by"]
        for name in self._counters():
            setattr(self, name, metadata["counters"][name])
        self.batches = self._pass(self.pass_number)


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Ctrl-C sets an event, so that the update under way is finished first; off the main thread nothing changes."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    previous = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)


def _logged_step(row: str) -> float:
    """The step of a row of the log; a row that was cut off counts as never written."""
    try:
        return float(json.loads(row)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


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
