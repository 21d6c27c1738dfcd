"""One training run: truncated back-propagation through time, validations, and checkpoints to resume from.

A batch has several rows, called lanes in the options: each reads its own part of the corpus, window by window, and
carries its recurrent state from one window to the next.

A run that was killed and resumed ends with the same weights as one that was not, because everything that its future
depends on is in its state file (`run_state.py`). Only a run whose length is in minutes ends with other, equally good
weights, because its learning rate follows the clock. State and checkpoint are written together.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import TextColumn, TimeRemainingColumn
from torch.optim.swa_utils import AveragedModel

from generator.corpora.batches import Batches, one_pass
from generator.corpora.dataset import TokenDataset
from generator.corpora.progress import bar
from generator.foundation.atomic import atomic_folder
from generator.foundation.errors import CarouselError, Option, listed
from generator.foundation.recipes import TrainingOptions
from generator.foundation.signals import handled
from generator.foundation.terminal import printable
from generator.model.checkpoint import Checkpoint
from generator.model.config import config_of
from generator.model.lstm import Dropout, LanguageModel, multiplies_bf16
from generator.streaming.engine import Model
from generator.training import card, minutes, run_state
from generator.training.formulas import cross_entropy, learning_rate, penalty, update_average
from generator.training.run_folder import METRICS, STATE, read_state
from generator.training.teachers import Teachers

SAVE_SECONDS = 60
"""The state is saved this often between validations."""
VALIDATION_LANES = 16
"""The validation split is cut into this many streams, which are read as the rows of one batch."""
VALIDATION_SECONDS = 6
"""A run whose length is in minutes validates at most once in this time."""
LEAST_WINDOWS = 32
"""A pass has at least this many windows. A small corpus is read in fewer rows, so that it gives this many updates."""


class Trainer:
    """A run that trains a model on a token dataset, and writes its checkpoint and its state into a folder."""

    def __init__(
        self, dataset: TokenDataset, out: Path, options: TrainingOptions, console: Console, made_by: str = ""
    ) -> None:
        """Make an untrained model.

        Args:
            out: the folder to write into; it exists.
            console: where progress, validations and samples are printed.
            made_by: the command that the model card gives for making the checkpoint again.

        Raises:
            CarouselError: the options give no length.
        """
        self.began = time.monotonic()
        self.dataset, self.out, self.options, self.console, self.made_by = dataset, out, options, console, made_by
        self.tokenizer = dataset.tokenizer
        torch.manual_seed(options.seed)
        dropout = Dropout(
            options.dropout_embedding, options.dropout_layers, options.dropout_output, options.dropout_weights
        )
        config = config_of(options, self.tokenizer.vocab_size, self.tokenizer.grammar.feature_rows)
        self.model = LanguageModel(config, dropout, options.time_scale)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
        )
        self.average = AveragedModel(self.model, multi_avg_fn=partial(update_average, options.averaging)).eval()
        self.averaged: LanguageModel = self.average.module  # type: ignore[assignment]
        train = dataset.split("train")
        self.pieces = [train[index] for index in range(len(train))]
        self.lanes = min(options.lanes, max(1, len(train.tokens) // (options.window * LEAST_WINDOWS)))
        self.step = self.pass_number = self.window = 0  # updates made; complete passes; windows read of this pass
        self.validated = self.worse = 0  # validations made; validations since the best one
        self.best, self.loss, self.seconds = math.inf, math.nan, 0.0
        self.log = ""  # the content of `metrics.jsonl`
        self.teachers = Teachers(options.teacher_folders, self.tokenizer)
        self.begin_pass()
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
        self.reading: int | None = None  # the most tokens of a split that a validation reads
        self.autocast = options.precision == "bf16" or (
            options.precision == "auto" and multiplies_bf16(torch.cpu.get_capabilities())
        )

    def begin_pass(self) -> None:
        """Make the batches of pass `pass_number` over the training split, and begin from zero states."""
        options = self.options
        self.batches: Batches = one_pass(
            self.pieces + self.teachers.pieces(len(self.pieces), options.seed, self.pass_number),
            self.tokenizer,
            lanes=self.lanes,
            steps=options.window,
            seed=options.seed,
            number=self.pass_number,
            cold_share=options.cold_share,
            augment=options.augment,
        )
        self.state = self.model.zero_state(self.batches.inputs.shape[1])
        self.teachers.begin(self.batches.inputs.shape[1])

    @property
    def progress(self) -> float:
        """The share of the run that is done, 0 to 1. Of a run with several lengths the first one reached counts."""
        by_steps = self.step / self.steps if self.steps is not None else 0.0
        return min(1.0, max(by_steps, self.seconds / self.limit))

    @property
    def finished(self) -> bool:
        return self.progress >= 1 or self.worse >= self.options.patience

    def update(self) -> float:
        """Make one update from the next window, of shape (rows, steps); returns its mean loss in nats a token."""
        if self.window == len(self.batches):
            self.pass_number, self.window = self.pass_number + 1, 0
            self.begin_pass()
        read = self.batches.inputs, self.batches.targets, self.batches.features
        inputs, targets, features = (torch.from_numpy(part[self.window].astype(np.int64, order="C")) for part in read)
        warm = torch.from_numpy(~self.batches.cold[self.window]).float().unsqueeze(1)
        self.state = [(h * warm, c * warm) for h, c in self.state]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, self.step, self.progress)
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            hidden, state = self.model.read(inputs, self.state, features)
            logits = self.model.logits(hidden)
            expected = self.teachers.expect(inputs, warm, features)
        loss = cross_entropy(logits.float(), targets, expected)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + penalty(self.options, hidden)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.state = [(h.detach().float(), c.detach().float()) for h, c in state]
        self.step, self.window = self.step + 1, self.window + 1
        return loss.item()

    def validate(self) -> float:
        """The negative log-likelihood of the validation split, in nats a token. The split is cut into several streams
        that are read side by side, which is quick; the command `evaluate` reads it as one stream."""
        tokens = self.dataset.split("validation").tokens[: self.reading]
        lanes = max(1, min(VALIDATION_LANES, len(tokens) // 64))
        features = self.tokenizer.grammar.features_before(tokens)
        nats = self.averaged.negative_log_likelihood(tokens, self.tokenizer.start, features=features, lanes=lanes)
        return float(nats.mean())

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint.of(self.averaged, self.tokenizer, name=self.out.name)

    def get_ready(self) -> None:
        """Compile the loops that draw samples. If the length of the run is in minutes, also measure how long the
        validations, the scores and the card will take, and shorten the training by that."""
        minutes.draw(self._checkpoint())
        if self.options.minutes is None or self.step:
            return
        asked, spent = self.limit, time.monotonic() - self.began
        plan = minutes.plan(asked, spent, self._checkpoint(), self.dataset, VALIDATION_LANES)
        self.limit, self.reading = plan.training, plan.reading
        self.validations = min(self.validations, plan.validations)
        over = time.monotonic() - self.began + plan.training + plan.closing - asked
        said = (
            f"{plan.training:.0f} s of training, then about {plan.closing:.0f} s for the last validation, the scores "
        )
        said += "and the card" + (f": {over:.0f} s more than asked" if over > 1 else "")
        self.console.print(said, highlight=False, soft_wrap=True)

    def run(self) -> None:
        """Train to the end of the run.

        Raises:
            CarouselError: the loss or every validation is infinite or not a number.
            KeyboardInterrupt: after Ctrl-C; the state has been saved.
        """
        columns = (TextColumn("{task.fields[figures]}"), TimeRemainingColumn())
        interrupted = threading.Event()  # Ctrl-C lets the update under way finish first
        deferred = handled(signal.SIGINT, lambda *_: interrupted.set())
        with deferred, bar("training", *columns, console=self.console, figures="getting ready") as show:
            if not self.finished:
                self.get_ready()
            saved = mark = time.monotonic()
            while not self.finished and not interrupted.is_set():
                loss = self.update()
                now = time.monotonic()
                self.seconds += now - mark
                self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss
                speed = self.batches.inputs[0].size / (now - mark)
                best = f"  best {self.best:.4f}" if self.validated else ""
                figures = f"step {self.step}  loss {self.loss:.4f}{best}  {speed:,.0f} tokens/s"
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
        """Validate, add a row to the log, save the run, and print a short sample. The checkpoint is replaced if this
        validation is the best one.

        Args:
            speed: tokens a second of the last update, for the log.
        """
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
        sample = printable(card.sample(Model(checkpoint), 120), keep="\n\t")
        self.console.print(sample, style="dim", highlight=False, markup=False)

    def save(self, better: Checkpoint | None = None) -> None:
        """Write the state and the log, and with them, all or nothing, a checkpoint that is better than the last one."""
        with atomic_folder(self.out) as made:
            (made / STATE).write_bytes(run_state.to_bytes(self))
            if self.log:
                (made / METRICS).write_text(self.log, encoding="utf-8")
            if better:
                replace(better, card=self._card(better)).write(made)

    def _card(self, checkpoint: Checkpoint) -> str:
        """The card of a run that has not ended."""
        so_far = f"Not finished: {self.step:,} updates so far. The same command with --resume goes on."
        return card.write(checkpoint, self.dataset.facts, [], self.made_by, so_far)

    def load(self) -> None:
        """Go on from the state file in the folder.

        Raises:
            CarouselError: there is no state file, it is damaged, or it belongs to another dataset or another version.
        """
        path = self.out / STATE
        metadata, tensors = read_state(self.out)
        if metadata.get("corpus") != self.dataset.key:
            raise CarouselError(f"{path}: trained on other data; restore the corpus or choose another --out")
        try:
            run_state.restore(self, metadata, tensors)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CarouselError(f"{path}: not a state of this run; choose another --out to start anew") from error
        log = self.out / METRICS
        if self.validated and log.is_file():  # until the first validation it belongs to the checkpoint to be replaced
            self.log = log.read_text(encoding="utf-8", errors="replace")
