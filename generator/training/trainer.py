"""One training run: updates over lanes that carry their state, validations, and the state file to resume from.

All that a run's future depends on is in its state file, so a run that was killed ends at the same weights as one that
was not (with a length in minutes, where the learning rate follows the clock, at weights that are as good). State and
checkpoint are written together, at every validation.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import TextColumn, TimeRemainingColumn
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from generator.corpora.batches import IGNORED, Batches, one_pass
from generator.corpora.dataset import TokenDataset
from generator.corpora.progress import bar
from generator.foundation.atomic import atomic_folder
from generator.foundation.errors import CarouselError, Option, listed
from generator.foundation.options import TrainingOptions
from generator.foundation.terminal import printable
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.lstm import Dropout, LanguageModel
from generator.streaming.engine import Model
from generator.training import card, minutes
from generator.training.run_folder import METRICS, STATE, read_state

SAVE_SECONDS = 60
VALIDATION_LANES = 16
VALIDATION_SECONDS = 6
"""A run with a length in minutes reads the validation split at most this often."""
WARM_SHARE = 0.05
"""Of a run: after it the learning rate is at its peak, however few updates that were."""
LEAST_WINDOWS = 32
"""Windows in a pass, at least: of a small corpus fewer lanes are read, so that it still gives many updates."""


class Trainer:
    """A run on a token dataset, into a folder."""

    def __init__(
        self, dataset: TokenDataset, out: Path, options: TrainingOptions, console: Console, made_by: str = ""
    ) -> None:
        self.began = time.monotonic()
        self.dataset, self.out, self.options, self.console, self.made_by = dataset, out, options, console, made_by
        self.tokenizer = dataset.tokenizer
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
        train = dataset.split("train")
        self.pieces = [train[index] for index in range(len(train))]
        self.lanes = min(options.lanes, max(1, len(train.tokens) // (options.window * LEAST_WINDOWS)))
        self.batches = self._pass(0)
        self.state = self.model.zero_state(self.batches.inputs.shape[1])
        lengths = [options.steps] if options.steps is not None else []
        if options.passes is not None:
            lengths.append(max(1, round(options.passes * len(self.batches))))
        self.steps = min(lengths, default=None)
        if self.steps is None and options.minutes is None:
            raise CarouselError("training needs a length; give ", *listed(("steps", "passes", "minutes"), " or "))
        self.validations = options.validations
        self.limit = math.inf  # seconds
        if options.minutes is not None:
            self.limit = 60 * options.minutes
            self.validations = max(1, min(options.validations, round(self.limit / VALIDATION_SECONDS)))
        self.reading: int | None = None
        self.autocast = options.precision == "bf16" or (
            options.precision == "auto" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
        self.step = self.pass_number = self.window = self.validated = self.worse = 0
        self.best, self.loss, self.seconds = math.inf, math.nan, 0.0
        self.log = ""

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
        return min(1.0, max(by_steps, self.seconds / self.limit))

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
            logits = self.model.logits(hidden)
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
        tokens = self.dataset.split("validation").tokens[: self.reading]
        lanes = max(1, min(VALIDATION_LANES, len(tokens) // 64))
        return float(self.averaged.negative_log_likelihood(tokens, self.tokenizer.start, lanes=lanes).mean())

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint.of(self.averaged, self.tokenizer, name=self.out.name)

    def get_ready(self) -> None:
        """Compile what draws samples; of a length in minutes, set aside what all but training takes."""
        minutes.draw(self._checkpoint())
        if self.options.minutes is None or self.step:
            return
        asked, spent = self.limit, time.monotonic() - self.began
        plan = minutes.plan(asked, spent, self._checkpoint(), self.dataset, VALIDATION_LANES)
        self.limit, self.reading = plan.training, plan.reading
        self.validations = min(self.validations, plan.validations)
        over = time.monotonic() - self.began + plan.training + plan.closing - asked
        self.console.print(
            f"{plan.training:.0f} s of training, then about {plan.closing:.0f} s for the last validation, the scores "
            "and the card" + (f": {over:.0f} s more than asked" if over > 1 else ""),
            highlight=False,
            soft_wrap=True,
        )

    def run(self) -> None:
        """Train to the end; Ctrl-C saves and raises KeyboardInterrupt."""
        columns = (TextColumn("{task.fields[figures]}"), TimeRemainingColumn())
        with _interrupts() as interrupted, bar("training", *columns, console=self.console, figures="") as show:
            if not self.finished:
                show(figures="getting ready")
                self.get_ready()
            saved = mark = time.monotonic()
            while not self.finished and not interrupted.is_set():
                loss = self.update()
                now = time.monotonic()
                self.seconds += now - mark
                self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss
                speed = self.batches.inputs[0].size / (now - mark)
                figures = f"step {self.step}  loss {self.loss:.4f}  best {self.best:.4f}  {speed:,.0f} tokens/s"
                show(completed=self.progress, total=1.0, figures=figures)
                if not math.isfinite(loss):
                    raise CarouselError(f"{self.out}: the loss is {loss}; try a lower ", Option("learning_rate"))
                mark = now
                if int(self.progress * self.validations) > self.validated or self.progress >= 1:
                    self.report(speed)
                    saved = mark = time.monotonic()
                elif now - saved > SAVE_SECONDS:
                    self.save()
                    saved = mark = time.monotonic()
                self.seconds += mark - now
            if interrupted.is_set():
                self.save()
        if interrupted.is_set() and not self.finished:
            self.console.print(f"stopped at step {self.step}; go on with the same command and --resume")
            raise KeyboardInterrupt
        if not math.isfinite(self.best):
            raise CarouselError(f"{self.out}: no validation gave a number; try a lower ", Option("learning_rate"))
        if self.progress < 1:
            count = self.options.patience
            self.console.print(
                f"stopped at step {self.step}: no better validation in the last {count}; the best is kept"
            )

    def report(self, speed: float) -> None:
        """Validate, log, save, with the weights if they are the best, and show a short sample."""
        self.validated = max(self.validated + 1, int(self.progress * self.validations))
        nats = self.validate()
        better = nats < self.best
        if better:
            self.best, self.worse = nats, 0
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
        self.log += json.dumps(row) + "\n"
        checkpoint = self._checkpoint()
        self.save(checkpoint if better else None)
        mark = "*" if better else " "
        self.console.print(
            f"{mark} step {self.step}  loss {self.loss:.4f}  validation {nats:.4f}  {self.seconds:.0f} s",
            highlight=False,
        )
        said = printable(card.sample(Model(checkpoint), 120), keep="\n\t")
        self.console.print(said, style="dim", highlight=False, markup=False)

    # The state file: safetensors, its metadata one JSON value.

    def _counters(self) -> dict[str, Any]:
        counts = ("step", "pass_number", "window", "validated", "worse", "best", "seconds", "loss")
        names = (*counts, "limit", "validations", "reading")
        return {name: getattr(self, name) for name in names}

    def save(self, better: Checkpoint | None = None) -> None:
        """Write everything that the future of this run depends on, together with the checkpoint where it is better."""
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
            "corpus": self.dataset.key,
            "made_by": self.made_by,
        }
        with atomic_folder(self.out) as made:
            state = save({k: v.contiguous() for k, v in tensors.items()}, {"carousel": json.dumps(metadata)})
            (made / STATE).write_bytes(state)
            if self.log:
                (made / METRICS).write_text(self.log, encoding="utf-8")
            if better:
                replace(better, card=self._card(better)).write(made)

    def _card(self, checkpoint: Checkpoint) -> str:
        """The card that holds until the run has ended."""
        so_far = f"Not finished: {self.step:,} updates so far. The same command with --resume goes on."
        return card.write(checkpoint, self.dataset.facts, [], self.made_by, so_far)

    def load(self) -> None:
        """Go on where `save` left off.

        Raises:
            CarouselError: there is no such state, or it belongs to other data or another version.
        """
        path = self.out / STATE
        metadata, tensors = read_state(self.out)
        if metadata.get("corpus") != self.dataset.key:
            raise CarouselError(f"{path}: trained on other data; restore the corpus or choose another --out")
        try:
            self._restore(metadata, tensors)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CarouselError(f"{path}: not a state of this run; choose another --out to start anew") from error
        log = self.out / METRICS
        if self.validated and log.is_file():  # before the first validation it is that of the checkpoint to be replaced
            self.log = log.read_text(encoding="utf-8", errors="replace")

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
            setattr(self, name, metadata["counters"].get(name, getattr(self, name)))  # older states lack some
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
