"""A checkpoint is a folder: `model.safetensors`, `config.json`, `tokenizer.json`, `card.md`, `defaults.json` if it has
defaults of its own, and `units.json` if it is known what its units follow. No file can run code."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, fields, replace
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
from generator.foundation.options import SamplingOptions
from generator.foundation.places import CONFIG
from generator.model import defaults
from generator.model.config import ModelConfig
from generator.model.state import Floats
from generator.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from generator.model.lstm import LanguageModel  # imports torch, which only training and reading need

WEIGHTS, TOKENIZER, CARD = "model.safetensors", "tokenizer.json", "card.md"
UNITS = "units.json"
MADE_FOR = "made_for"
"""The key in the metadata of the weights for the SHA-256 of the config and tokenizer that they were trained with."""
FINGERPRINT = "fingerprint"
"""The key in `config.json` for the checkpoint's fingerprint, by which `load` notices damaged weights."""
LARGEST_JSON = 64 * 2**20
"""The maximum size of a JSON file in bytes."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model: sizes, weights (fp32, by their names in torch), tokenizer, model card (Markdown), the options of
    streams for which no others are given, and the text of `units.json`, which `analysis.units` reads."""

    config: ModelConfig
    weights: dict[str, Floats]
    tokenizer: Tokenizer
    card: str = ""
    name: str = ""
    defaults: SamplingOptions = field(default_factory=SamplingOptions)
    units: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of sizes, tokenizer and weights, hexadecimal, by which a take identifies its checkpoint."""
        digest = hashlib.sha256(_canonical(self.config.to_json()) + _canonical(self.tokenizer.to_json()))
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.weights[name]).data)
        return digest.hexdigest()

    @staticmethod
    def of(model: LanguageModel, tokenizer: Tokenizer, card: str = "", name: str = "") -> Checkpoint:
        """A checkpoint of a model in training, with copies of its weights."""
        weights = {key: value.numpy(force=True).copy() for key, value in model.state_dict().items()}
        return Checkpoint(model.config, weights, tokenizer, card, name)

    def model(self) -> LanguageModel:
        """The model as a torch module, in evaluation mode."""
        import torch

        from generator.model.lstm import LanguageModel

        weights = {name: torch.from_numpy(value) for name, value in self.weights.items()}
        return LanguageModel(self.config, weights=weights).eval()

    def save(self, folder: str | Path, kept_as: type[np.float32 | np.float16] = np.float32) -> None:
        """Replace the files of a checkpoint in a folder, all or none; the folder is created if it is missing."""
        with atomic_folder(Path(folder)) as made:
            self.write(made, kept_as)
        if not defaults.to_json(self.defaults, self.tokenizer):
            (Path(folder) / defaults.FILE).unlink(missing_ok=True)  # of a checkpoint that was there before
        if not self.units:
            (Path(folder) / UNITS).unlink(missing_ok=True)

    def write(self, folder: Path, kept_as: type[np.float32 | np.float16] = np.float32) -> None:
        """Write the files into an existing folder, the weights as fp32 or rounded to fp16."""
        weights = {name: np.ascontiguousarray(value, kept_as) for name, value in self.weights.items()}
        rounded = replace(self, weights={name: value.astype(np.float32) for name, value in weights.items()})
        config = {**self.config.to_json(), FINGERPRINT: rounded.fingerprint}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        tokenizer = json.dumps(self.tokenizer.to_json(), ensure_ascii=False, indent=1) + "\n"
        (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
        (folder / CARD).write_text(self.card, encoding="utf-8")
        own = defaults.to_json(self.defaults, self.tokenizer)
        if own:
            text = json.dumps(own, ensure_ascii=False, indent=2) + "\n"
            (folder / defaults.FILE).write_text(text, encoding="utf-8")
        if self.units:
            (folder / UNITS).write_text(self.units, encoding="utf-8")
        (folder / WEIGHTS).write_bytes(save(weights, {MADE_FOR: _made_for(self.config, self.tokenizer)}))

    @staticmethod
    def load(folder: str | Path) -> Checkpoint:
        """Read and validate a checkpoint, given by its folder or by a name that `places.checkpoint` finds.

        Raises:
            CarouselError: a file is missing, truncated, damaged or of another format, or the files do not belong
                together.
        """
        folder = places.checkpoint(folder)
        while True:
            seen = _stamps(folder)
            try:
                return Checkpoint._load(folder)
            except CarouselError:
                if _stamps(folder) == seen:  # otherwise a training run replaced the files meanwhile
                    raise

    @staticmethod
    def _load(folder: Path) -> Checkpoint:
        if not folder.is_dir():
            names = places.checkpoints()
            known = f"there are {', '.join(names)}; " if names else ""
            raise CarouselError(f"{folder}: no such checkpoint; {known}train one with: {places.command('train')}")
        data = _read_json(folder / CONFIG)
        expected = data.pop(FINGERPRINT, None)  # checkpoints of older versions have none
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
        if config.feature_rows not in (0, tokenizer.grammar.feature_rows):
            raise CarouselError(
                f"{folder / TOKENIZER}: its features have {tokenizer.grammar.feature_rows} values, but the model reads "
                f"{config.feature_rows}; restore the tokenizer that the model was trained with"
            )
        weights = _read_weights(folder / WEIGHTS, config, _made_for(config, tokenizer))
        card, units = _read_text(folder / CARD), _read_text(folder / UNITS)
        options, tokenizer = read_defaults(folder, tokenizer)
        checkpoint = Checkpoint(config, weights, tokenizer, card, folder.name, options, units)
        if expected is not None and checkpoint.fingerprint != expected:
            raise CarouselError(
                f"{folder / WEIGHTS}: damaged, or not the weights that {CONFIG} names; restore the checkpoint"
            )
        return checkpoint


def _stamps(folder: Path) -> list[tuple[int, int] | None]:
    """The inode and modification time of each file, which change when a file is replaced; None if it is missing."""

    def stamp(path: Path) -> tuple[int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    names = (CONFIG, TOKENIZER, CARD, defaults.FILE, UNITS, WEIGHTS)
    return [stamp(place / name) for place in (folder / READY, folder) for name in names]


def _canonical(value: Any) -> bytes:
    """A JSON value in the one form that is hashed."""
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


def _read_text(path: Path) -> str:
    """The content of a file that a checkpoint need not have; empty if it is missing."""
    return _read_bytes(path, LARGEST_JSON).decode(errors="replace") if newest(path).is_file() else ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(_read_bytes(path, LARGEST_JSON))
    except (ValueError, RecursionError) as error:
        raise CarouselError(f"{path}: not valid JSON; restore the checkpoint") from error
    if not isinstance(data, dict):
        raise CarouselError(f"{path}: not a JSON object; restore the checkpoint")
    return data


def read_defaults(folder: Path, tokenizer: Tokenizer) -> tuple[SamplingOptions, Tokenizer]:
    """The options of a folder's `defaults.json`, and the tokenizer with its instruments; without the file, the usual.

    Raises:
        CarouselError: the file is damaged, or holds something that this tokenizer cannot have.
    """
    path = folder / defaults.FILE
    if not newest(path).exists():
        return SamplingOptions(), tokenizer
    try:
        return defaults.from_json(_read_json(path), tokenizer)
    except CarouselError as error:
        named = [] if str(path) in str(error) else [f"{path}: "]
        raise CarouselError(*named, *error.args, "; correct or remove this file") from error


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
    except KeyError as error:  # a number type that NumPy does not have
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
