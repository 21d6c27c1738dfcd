"""Measure how fast a checkpoint streams, against the loop over `nn.LSTM` that everyone writes.

    python -m generator.bench checkpoints/bach

Both sample with the same options from the same weights, in turn, for several rounds; the ratio is the median of the
pairs. JSON, one object.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from generator import command
from generator.model.lstm import LanguageModel
from generator.streaming.engine import Model, load

ROUNDS = 5


def bench(model: Model, tokens: int) -> dict[str, Any]:
    """Tokens a second of one stream and of the loop, and the median of their ratios."""
    stream = model.stream(seed=0, temperature=1.0)
    reference = model.checkpoint.model()

    def ours() -> None:
        for _ in stream.take(tokens):
            pass

    def loop() -> None:
        sample_with_nn_lstm(reference, model.tokenizer.start, tokens)

    ours()
    loop()
    pairs = [(speed(ours, tokens), speed(loop, tokens)) for _ in range(ROUNDS)]
    return {
        "checkpoint": model.checkpoint.name,
        "backend": stream.snapshot().backend,
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "tokens": tokens,
        "rounds": ROUNDS,
        "stream_tokens_per_second": round(statistics.median(stream for stream, _ in pairs)),
        "nn_lstm_loop_tokens_per_second": round(statistics.median(loop for _, loop in pairs)),
        "ratio": round(statistics.median(stream / loop for stream, loop in pairs), 2),
    }


def speed(work: Callable[[], None], tokens: int) -> float:
    """Tokens a second of one round."""
    start = time.perf_counter()
    work()
    return tokens / (time.perf_counter() - start)


@torch.inference_mode()
def sample_with_nn_lstm(model: LanguageModel, start: int, tokens: int) -> None:
    """The rival: `nn.LSTM` called for one token at a time, softmax and multinomial, without a grammar."""
    token, state = torch.tensor([[start]]), None
    for _ in range(tokens):
        x, state = model.lstm(model.embedding(token), state)
        probabilities = torch.softmax(model.output(x[:, -1]), dim=-1)
        token = torch.multinomial(probabilities, 1)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("bench", __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, such as checkpoints/bach")
    parser.add_argument("--tokens", type=command.positive, default=500, metavar="N", help="a round (default: 500)")

    def work(given: argparse.Namespace) -> None:
        print(json.dumps(bench(load(given.checkpoint), given.tokens), indent=2))

    return command.run(parser, work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
