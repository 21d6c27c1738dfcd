"""An LSTM and a plain tanh RNN of as many units, trained the same way on the same text, to be compared.

`trained` keeps what it has made in a folder and takes it from there the next time.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generator.cli import command
from generator.corpora.batches import IGNORED, one_pass
from generator.corpora.dataset import TokenDataset
from generator.corpora.progress import bar
from generator.foundation.atomic import atomic_write
from generator.model.lstm import LanguageModel, initialise

KINDS = {"LSTM": (nn.LSTM, 3e-3), "tanh RNN": (nn.RNN, 1e-3)}
"""The recurrent layer, and a learning rate that suits it."""
LANES, WINDOW, EMBEDDING = 32, 64, 128
State = Tensor | tuple[Tensor, ...] | None
"""h of an RNN, (h, c) of an LSTM, each (layers, rows, units); None for zeros."""


class Network(nn.Module):
    """An embedding, recurrent layers and an output layer."""

    def __init__(self, embedding: nn.Embedding, recurrent: nn.RNNBase, output: nn.Linear) -> None:
        super().__init__()
        self.embedding, self.recurrent, self.output = embedding, recurrent, output

    @staticmethod
    def new(kind: str, vocab_size: int, units: int) -> Network:
        """One of `KINDS`, untrained."""
        recurrent = KINDS[kind][0](EMBEDDING, units, batch_first=True)
        if isinstance(recurrent, nn.LSTM):
            initialise(recurrent)
        else:
            nn.init.orthogonal_(recurrent.weight_hh_l0)
        return Network(nn.Embedding(vocab_size, EMBEDDING), recurrent, nn.Linear(units, vocab_size))

    @staticmethod
    def of(model: LanguageModel) -> Network:
        """The layers of a checkpoint's model."""
        return Network(model.embedding, model.lstm, model.output)

    def forward(self, tokens: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Logits, (rows, steps, vocab_size), of tokens, (rows, steps), and the state after them."""
        hidden, after = self.recurrent(self.embedding(tokens), state)
        return self.output(hidden), after

    @torch.no_grad()
    def negative_log_likelihood(self, tokens: npt.NDArray[np.integer], start: int) -> float:
        """Nats a token of one carried stream that begins with `start`."""
        targets = torch.from_numpy(tokens.astype(np.int64))[None]
        inputs = torch.cat([torch.tensor([[start]]), targets[:, :-1]], dim=1)
        state: State = None
        total = 0.0
        for part in range(0, len(tokens), 1000):
            logits, state = self(inputs[:, part : part + 1000], state)
            total += float(F.cross_entropy(logits[0], targets[0, part : part + 1000], reduction="sum"))
        return total / len(tokens)


def detached(state: State) -> State:
    """The state in fp32, without the steps that led to it."""
    if state is None:
        return None
    return state.detach().float() if isinstance(state, Tensor) else tuple(part.detach().float() for part in state)


def add_networks(made: argparse.ArgumentParser) -> None:
    """The flags for what is trained."""
    made.add_argument("--units", type=command.positive, default=256, metavar="N", help="(default: 256)")
    made.add_argument("--passes", type=command.positive, default=5, metavar="N", help="over the text (default: 5)")
    made.add_argument(
        "--keep", type=Path, default=Path("build/networks"), metavar="FOLDER", help="(default: build/networks)"
    )


def trained(kind: str, dataset: TokenDataset, units: int, passes: int, folder: Path, seed: int = 0) -> Network:
    """One of `KINDS` after some passes over the training split: Adam, half a cosine, gradients clipped to norm 1."""
    torch.manual_seed(seed)
    network = Network.new(kind, dataset.tokenizer.vocab_size, units)
    path = folder / f"{kind.replace(' ', '-')}-{units}-{passes}-{seed}-{dataset.key[:16]}.safetensors"
    if path.is_file():
        safetensors.torch.load_model(network, path)
        return network.eval()
    train = dataset.split("train")
    pieces = [train[index] for index in range(len(train))]
    optimizer = torch.optim.Adam(network.parameters(), lr=KINDS[kind][1], fused=True)
    bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    with bar(f"training the {kind}") as show:
        for number in range(passes):
            batches = one_pass(
                pieces, dataset.tokenizer, lanes=LANES, steps=WINDOW, seed=seed, number=number, cold_share=0.0
            )
            state: State = None
            for window in range(len(batches)):
                done = (number + window / len(batches)) / passes
                optimizer.param_groups[0]["lr"] = KINDS[kind][1] * 0.5 * (1 + math.cos(math.pi * done))
                inputs = torch.from_numpy(batches.inputs[window].astype(np.int64))
                targets = torch.from_numpy(batches.targets[window].astype(np.int64))
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    logits, state = network(inputs, detached(state))
                loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                show(completed=done, total=1.0)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(network.state_dict()))
    return network.eval()
