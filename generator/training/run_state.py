"""The state file of a training run: everything that the run's future depends on, written and read.

The file is in the safetensors format. Its tensors are the weights, their moving average, the optimizer's moments, the
recurrent state of every row of the batch and the state of torch's random number generator. Its metadata is one JSON
value: the counters of the run, its options, the key of its token dataset and the command that began it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from generator.model.lstm import LayerStates

if TYPE_CHECKING:
    from generator.training.trainer import Trainer

COUNTERS = (
    "step",
    "pass_number",
    "window",
    "validated",
    "worse",
    "best",
    "seconds",
    "loss",
    "limit",
    "validations",
    "reading",
)
"""The attributes of `Trainer` that are numbers and change during a run."""


def to_bytes(run: Trainer) -> bytes:
    """The content of the state file at this moment of a run."""
    tensors: dict[str, Tensor] = {"averaged": run.average.n_averaged}
    for kind, model in (("model", run.model), ("average", run.averaged)):
        tensors |= {f"{kind}.{name}": value for name, value in model.state_dict().items()}
        if model.config.tied:  # the output layer is the embedding
            del tensors[f"{kind}.output.weight"]
    for name, state in _states(run).items():
        for layer, (h, c) in enumerate(state):
            tensors[f"{name}.h{layer}"], tensors[f"{name}.c{layer}"] = h, c
    for number, values in run.optimizer.state_dict()["state"].items():
        for name, value in values.items():
            tensors[f"optimizer.{number}.{name}"] = value
    tensors["random"] = torch.get_rng_state()
    metadata = {
        "counters": {name: getattr(run, name) for name in COUNTERS},
        "options": asdict(run.options),
        "corpus": run.dataset.key,
        "made_by": run.made_by,
    }
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    return save(contiguous, {"carousel": json.dumps(metadata)})


def restore(run: Trainer, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Put a run of the same options and dataset into the state that `run_folder.read_state` has read.

    Raises:
        AttributeError, KeyError, RuntimeError, TypeError, ValueError: it is not a state of such a run.
    """
    for kind, model in (("model.", run.model), ("average.", run.averaged)):
        weights = {name.removeprefix(kind): value for name, value in tensors.items() if name.startswith(kind)}
        if model.config.tied:
            weights["output.weight"] = weights["embedding.weight"]
        model.load_state_dict(weights)
    run.average.n_averaged.copy_(tensors["averaged"])
    optimizer = run.optimizer.state_dict()
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            optimizer["state"].setdefault(int(number), {})[key] = value
    run.optimizer.load_state_dict(optimizer)
    torch.set_rng_state(tensors["random"])
    run.made_by = metadata["made_by"]
    for name in COUNTERS:
        setattr(run, name, metadata["counters"].get(name, getattr(run, name)))  # older versions wrote fewer counters
    run.begin_pass()
    for name, state in _states(run).items():
        state[:] = [(tensors[f"{name}.h{layer}"], tensors[f"{name}.c{layer}"]) for layer in range(len(state))]


def _states(run: Trainer) -> dict[str, LayerStates]:
    """The recurrent states of the model and of its teachers, by name."""
    return {"state": run.state} | {f"teacher{number}": state for number, state in enumerate(run.teachers.states)}
