"""Measure how fast a checkpoint streams, against the loop over `nn.LSTM` that everyone writes.

    python -m generator.bench checkpoints/bach

Both sample from the same weights, alone and many side by side, in turn, for several rounds; a ratio is the median of
the pairs. Ours keeps to the grammar and decodes the events; the loop does neither. `product` says how int8 is
multiplied here: by the CPU's matrix unit (`amx`), its vectors (`vnni512`, `avx2`), or what every CPU has (`plain`).
JSON, one object.
"""

from __future__ import annotations

from generator.cli import command  # first, so that Ctrl-C is quiet while the others are imported

# isort: split
import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.foundation.options import SamplingOptions
from generator.model.backends import AUTO, BACKENDS
from generator.streaming.engine import Model, load
from generator.streaming.jobs import CHUNK
from generator.streaming.stream import Stream

if TYPE_CHECKING:
    from generator.model.lstm import LanguageModel  # imports torch, which takes seconds

ROUNDS = 5
STREAMS = (1, 8, 32, 128)


def bench(model: Model, backend: str, tokens: int) -> dict[str, Any]:
    """Tokens a second of some streams together and of the loop with as many lanes, and the median of their ratios."""
    import torch

    engine = model.engine(backend)
    reference = model.checkpoint.model()
    rows = []
    for count in STREAMS:
        streams = [engine.stream(**asdict(SamplingOptions(seed=seed))) for seed in range(count)]
        steps = max(CHUNK, tokens // count)

        def ours(streams: list[Stream] = streams, steps: int = steps) -> None:
            engine.pull(streams, steps)

        def loop(count: int = count, steps: int = steps) -> None:
            sample_with_nn_lstm(reference, model.tokenizer.start, steps, count)

        ours()
        loop()
        pairs = [(speed(ours, steps * count), speed(loop, steps * count)) for _ in range(ROUNDS)]
        rows.append(
            {
                "streams": count,
                "tokens_per_second": round(statistics.median(ours for ours, _ in pairs)),
                "nn_lstm_loop_tokens_per_second": round(statistics.median(loop for _, loop in pairs)),
                "ratio": round(statistics.median(ours / loop for ours, loop in pairs), 2),
            }
        )
    return {
        "checkpoint": model.checkpoint.name,
        "backend": engine.backend.name,
        "product": engine.backend.product,
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "rounds": ROUNDS,
        "rows": rows,
    }


def speed(work: Callable[[], None], tokens: int) -> float:
    """Tokens a second of one round."""
    start = time.perf_counter()
    work()
    return tokens / (time.perf_counter() - start)


def sample_with_nn_lstm(model: LanguageModel, start: int, steps: int, lanes: int = 1) -> None:
    """The rival: `nn.LSTM` called for one token a lane at a time, softmax and multinomial, without a grammar, so also
    without features: where the model reads some, it reads zeros."""
    import torch

    with torch.inference_mode():
        token, state = torch.full((lanes, 1), start), None
        features = torch.zeros(lanes, 1, model.config.feature_dim)
        for _ in range(steps):
            x, state = model.lstm(torch.cat([model.embedding(token), features], dim=2), state)
            probabilities = torch.softmax(model.output(x[:, -1]), dim=-1)
            token = torch.multinomial(probabilities, 1)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("bench", __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a folder, or a name such as bach")
    parser.add_argument("--tokens", type=command.positive, default=500, metavar="N", help="a round (default: 500)")
    parser.add_argument("--backend", choices=(AUTO, *BACKENDS), default=AUTO, help="default: auto, which is int8")

    def work(given: argparse.Namespace) -> None:
        print(json.dumps(bench(load(given.checkpoint), given.backend, given.tokens), indent=2))

    return command.run(parser, work, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
