"""A checkpoint is a folder: `model.safetensors`, `config.json`, `tokenizer.json`, `card.md`. No file can run code."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from generator import tokenizers
from generator.foundation import places
from generator.foundation.atomic import READY, atomic_folder, newest
from generator.foundation.errors import CarouselError
from generator.foundation.places import CONFIG
from generator.model.config import ModelConfig
from generator.model.state import Floats
from generator.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from generator.model.lstm import LanguageModel  # imports torch, which only training and reading need

WEIGHTS, TOKENIZER, CARD = "model.safetensors", "tokenizer.json", "card.md"
MADE_FOR = "made_for"
"""The key in the weights' metadata that says which sizes and tokenizer they were trained with (SHA-256)."""
FINGERPRINT = "fingerprint"
"""The key in `config.json`, beside the sizes, that says which weights belong to it: a flipped bit is noticed."""
LARGEST_JSON = 64 * 2**20
"""Bytes; a larger JSON file is refused unread."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a trained model is: sizes, weights by torch's names (fp32), tokenizer and card."""

    config: ModelConfig
    weights: dict[str, Floats]
    tokenizer: Tokenizer
    card: str = ""
    name: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over sizes, tokenizer and weights, hexadecimal: the identity that a take names."""
        digest = hashlib.sha256(_canonical(self.config.to_json()) + _canonical(self.tokenizer.to_json()))
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.weights[name]).data)
        return digest.hexdigest()

    @staticmethod
    def of(model: LanguageModel, tokenizer: Tokenizer, card: str = "", name: str = "") -> Checkpoint:
        """The present state of a model that is being trained."""
        weights = {key: value.numpy(force=True).copy() for key, value in model.state_dict().items()}
        return Checkpoint(model.config, weights, tokenizer, card, name)

    def model(self) -> LanguageModel:
        """The model in its form for reading whole sequences, in evaluation mode."""
        import torch

        from generator.model.lstm import LanguageModel

        weights = {name: torch.from_numpy(value) for name, value in self.weights.items()}
        return LanguageModel(self.config, weights=weights).eval()

    def save(self, folder: str | Path, kept_as: type[np.float32 | np.float16] = np.float32) -> None:
        """Replace the four files of a checkpoint in a folder, together or not at all; the folder is made."""
        with atomic_folder(Path(folder)) as made:
            self.write(made, kept_as)

    def write(self, folder: Path, kept_as: type[np.float32 | np.float16] = np.float32) -> None:
        """Write the four files into a folder that is there, the weights as fp32 or rounded to fp16."""
        weights = {name: np.ascontiguousarray(value, kept_as) for name, value in self.weights.items()}
        rounded = replace(self, weights={name: value.astype(np.float32) for name, value in weights.items()})
        config = {**self.config.to_json(), FINGERPRINT: rounded.fingerprint}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        tokenizer = json.dumps(self.tokenizer.to_json(), ensure_ascii=False, indent=1) + "\n"
        (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
        (folder / CARD).write_text(self.card, encoding="utf-8")
        (folder / WEIGHTS).write_bytes(save(weights, {MADE_FOR: _made_for(self.config, self.tokenizer)}))

    @staticmethod
    def load(folder: str | Path) -> Checkpoint:
        """Read and check a checkpoint, given by its folder, or by its name as `places.checkpoint` finds it.

        Raises:
            CarouselError: a file is missing, cut off, damaged or foreign, or the parts do not fit one another.
        """
        folder = places.checkpoint(folder)
        while True:
            seen = _stamps(folder)
            try:
                return Checkpoint._load(folder)
            except CarouselError:
                if _stamps(folder) == seen:  # else a training run has just replaced what was being read
                    raise

    @staticmethod
    def _load(folder: Path) -> Checkpoint:
        if not folder.is_dir():
            names = places.checkpoints()
            known = f"there are {', '.join(names)}; " if names else ""
            raise CarouselError(f"{folder}: no such checkpoint; {known}train one with: {places.command('train')}")
        data = _read_json(folder / CONFIG)
        expected = data.pop(FINGERPRINT, None)  # older checkpoints have none
        unknown = set(data) - {spec.name for spec in fields(ModelConfig)}
        if unknown:
            raise CarouselError(f"{folder / CONFIG}: unknown key {sorted(unknown)[0]!r}; it needs a newer Carousel")
        try:
            config = ModelConfig(**data)
        except (CarouselError, TypeError) as error:
            raise CarouselError(f"{folder / CONFIG}: {error}") from error
        try:
            tokenizer = tokenizers.from_json(_read_json(folder / TOKENIZER))
        except CarouselError as error:
            raise CarouselError(f"{folder / TOKENIZER}: {error}") from error
        if tokenizer.vocab_size != config.vocab_size:
            raise CarouselError(
                f"{folder / TOKENIZER}: {tokenizer.vocab_size} tokens, but the model has {config.vocab_size}; "
                "restore the tokenizer that the model was trained with"
            )
        card = folder / CARD
        weights = _read_weights(folder / WEIGHTS, config, _made_for(config, tokenizer))
        text = _read_bytes(card, LARGEST_JSON).decode(errors="replace") if newest(card).is_file() else ""
        checkpoint = Checkpoint(config, weights, tokenizer, text, folder.name)
        if expected is not None and checkpoint.fingerprint != expected:
            raise CarouselError(
                f"{folder / WEIGHTS}: damaged, or not the weights that {CONFIG} names; restore the checkpoint"
            )
        return checkpoint


def _stamps(folder: Path) -> list[tuple[int, int] | None]:
    """What changes where a file of a checkpoint is replaced: its number and its time in the file system."""

    def stamp(path: Path) -> tuple[int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    return [stamp(place / name) for place in (folder / READY, folder) for name in (CONFIG, TOKENIZER, CARD, WEIGHTS)]


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        now = newest(path)
        if now.stat().st_size > limit:
            raise CarouselError(f"{path}: larger than {limit >> 20} MB; this is not a checkpoint's file")
        return now.read_bytes()
    except OSError as error:
        if path.name == CONFIG and not newest(path).exists():
            raise CarouselError(
                f"{path.parent}: no checkpoint, for it has no {CONFIG}; name a folder such as checkpoints/bach"
            ) from error
        raise CarouselError(f"{path}: cannot read: {error.strerror}; restore the checkpoint") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(_read_bytes(path, LARGEST_JSON))
    except (ValueError, RecursionError) as error:
        raise CarouselError(f"{path}: not valid JSON; restore the checkpoint") from error
    if not isinstance(data, dict):
        raise CarouselError(f"{path}: not a JSON object; restore the checkpoint")
    return data


def _made_for(config: ModelConfig, tokenizer: Tokenizer) -> str:
    return hashlib.sha256(_canonical(config.to_json()) + _canonical(tokenizer.to_json())).hexdigest()


def _read_weights(path: Path, config: ModelConfig, made_for: str) -> dict[str, Floats]:
    expected = config.shapes()
    size = sum(4 * math.prod(shape) for shape in expected.values())
    try:
        data = _read_bytes(path, 2 * size + LARGEST_JSON)
        weights = load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    except SafetensorError as error:
        raise CarouselError(f"{path}: cut off or not a safetensors file; restore the checkpoint") from error
    except KeyError as error:  # of a type that NumPy does not have
        raise CarouselError(f"{path}: holds numbers of type {error}; write them as F32 or F16") from error
    for name, shape in expected.items():
        if name not in weights:
            raise CarouselError(f"{path}: no tensor {name}; this file belongs to another kind of model")
        found = tuple(weights[name].shape)
        if found != shape:
            raise CarouselError(f"{path}: {name} has shape {found}, but config.json asks for {shape}")
        weights[name] = weights[name].astype(np.float32)
        if not np.isfinite(weights[name]).all():
            raise CarouselError(f"{path}: {name} holds values that are not finite numbers; restore the checkpoint")
    if metadata.get(MADE_FOR, made_for) != made_for:
        raise CarouselError(f"{path}: trained with another config.json or tokenizer.json; restore the checkpoint")
    return {name: weights[name] for name in expected}
