"""The model: its two forms agree, its files are checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from generator.foundation.errors import CarouselError
from generator.model import checkpoint as checkpoints
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.lstm import Dropout, LanguageModel, multiplies_bf16
from generator.tokenizers import KINDS
from generator.tokenizers.char import CharTokenizer
from tests.conftest import random_checkpoint, tiny


def test_the_training_form_equals_torchs_lstm() -> None:
    checkpoint = tiny("char")
    model = checkpoint.model()
    tokens = torch.randint(checkpoint.config.vocab_size, (3, 40))
    with torch.no_grad():
        out, (h, c) = model.lstm(model.embedding(tokens))
        expected = model.output(out)
        read, after = model(tokens, model.zero_state(3))
    assert torch.allclose(read, expected, atol=1e-5)
    for layer, state in enumerate(after):
        assert torch.allclose(state[0], h[layer], atol=1e-5)
        assert torch.allclose(state[1], c[layer], atol=1e-5)


def test_likelihood_is_the_negative_log_likelihood() -> None:
    checkpoint = tiny("char")
    model = checkpoint.model()
    tokens = np.random.default_rng(0).integers(2, checkpoint.config.vocab_size, 600)
    nats = model.negative_log_likelihood(tokens, start=2)
    with torch.no_grad():
        inputs = torch.tensor([[2, *tokens[:-1].tolist()]])
        logits, _ = model(inputs, model.zero_state(1))
    expected = -torch.log_softmax(logits[0], dim=-1)[torch.arange(600), torch.tensor(tokens)]
    assert np.allclose(nats, expected.numpy(), atol=1e-4)
    lanes = [
        model.negative_log_likelihood(tokens[at : at + 85], start=2 if at == 0 else tokens[at - 1])
        for at in range(0, 595, 85)
    ]
    assert model.negative_log_likelihood(tokens, start=2, lanes=7) == pytest.approx(np.concatenate(lanes), abs=1e-4)


def test_a_fresh_model_keeps_what_it_has() -> None:
    model = LanguageModel(ModelConfig(10, 8, 16, 2))
    for layer in range(2):
        _, _, bias_ih, bias_hh = model.layer_weights(layer)
        forget = (bias_ih + bias_hh)[16:32]
        assert (forget == 1).all()


def test_a_time_scale_spreads_what_cells_keep() -> None:
    model = LanguageModel(ModelConfig(10, 8, 64, 2), time_scale=100)
    for layer in range(2):
        _, _, bias_ih, bias_hh = model.layer_weights(layer)
        spans = (bias_ih + bias_hh)[64:128].exp()
        assert 1 <= spans.min() < 20 and 80 < spans.max() <= 99
        assert torch.equal(bias_hh[:64], -bias_hh[64:128]) and not bias_hh[128:].any()


def test_dropout_uses_one_mask_for_all_steps() -> None:
    model = LanguageModel(ModelConfig(10, 8, 16, 1), Dropout(embedding=0.5))
    model.train()
    x = model._drop(torch.ones(4, 100, 32), 0.5)
    assert (x == x[:, :1]).all()
    assert set(x.unique().tolist()) == {0.0, 2.0}
    assert (x[0] != x[1]).any()


@pytest.mark.parametrize(
    "config", [ModelConfig(7, 3, 5, 1), ModelConfig(7, 3, 5, 3), ModelConfig(7, 5, 5, 2, tied=True)]
)
def test_a_config_knows_the_shapes_of_its_model(config: ModelConfig) -> None:
    weights = LanguageModel(config).state_dict()
    assert list(config.shapes().items()) == [(name, tuple(value.shape)) for name, value in weights.items()]


def test_tied_weights_are_one() -> None:
    model = LanguageModel(ModelConfig(10, 16, 16, 1, tied=True))
    assert model.output.weight is model.embedding.weight
    with pytest.raises(CarouselError, match="tied"):
        ModelConfig(10, 8, 16, 1, tied=True)


@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load(kind: str, tmp_path: Path) -> None:
    checkpoint = tiny(kind)
    checkpoint.save(tmp_path / "a")
    loaded = Checkpoint.load(tmp_path / "a")
    assert loaded.fingerprint == checkpoint.fingerprint
    assert loaded.card == checkpoint.card
    assert loaded.tokenizer.to_json() == checkpoint.tokenizer.to_json()
    names = {"embedding.weight", "lstm.weight_ih_l0", "lstm.bias_hh_l1", "output.weight", "output.bias"}
    assert names <= set(loaded.weights)
    assert set(json.loads((tmp_path / "a/config.json").read_text())) >= {
        "vocab_size",
        "embedding_dim",
        "hidden_size",
        "num_layers",
    }


def edit_config(**changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return edit


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return edit


def cut(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return edit


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: cannot read"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "no checkpoint, for it has no config.json"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json: cannot read"),
    "cut weights": (cut("model.safetensors"), "model.safetensors: cut off"),
    "cut config": (cut("config.json"), "config.json: not valid JSON"),
    "cut tokenizer": (cut("tokenizer.json"), "tokenizer.json: not valid JSON"),
    "empty weights": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors: cut off"),
    "foreign": (
        lambda folder: save_file({"w": torch.ones(3)}, folder / "model.safetensors"),
        "model.safetensors: no tensor",
    ),
    "shape": (edit_config(hidden_size=25), "has shape"),
    "bf16": (
        edit_weights(lambda weights: weights.update({name: value.bfloat16() for name, value in weights.items()})),
        "type 'BF16'; write them as F32 or F16",
    ),
    "nan": (edit_weights(lambda weights: weights["output.bias"].fill_(float("nan"))), "finite"),
    "vocabulary": (edit_config(vocab_size=11), "tokenizer.json: 32 tokens"),
    "size": (edit_config(hidden_size=-5), "hidden_size is -5"),
    "huge": (edit_config(hidden_size=10**9), "hidden_size"),
    "newer": (edit_config(attention="yes"), "newer"),
    "other tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text(
            (folder / "tokenizer.json").read_text().replace("xyz", "XYZ")
        ),
        "another config.json or tokenizer.json",
    ),
    "list": (lambda folder: (folder / "config.json").write_text("[1]"), "not a JSON object"),
    "kind": (lambda folder: (folder / "tokenizer.json").write_text('{"kind": "bpe"}'), "unknown kind"),
    "no rows": (lambda folder: (folder / "tokenizer.json").write_text('{"kind": "score"}'), "broken score tokenizer"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny("char").save(folder)
    damage, message = BROKEN[name]
    damage(folder)
    with pytest.raises(CarouselError, match=message) as error:
        Checkpoint.load(folder)
    assert "\n" not in str(error.value)
    assert "model" in str(error.value)


@pytest.mark.parametrize("kept_as", [np.float32, np.float16])
def test_a_flipped_bit_in_the_weights_is_noticed(tmp_path: Path, kept_as: type[np.float32 | np.float16]) -> None:
    folder = tmp_path / "model"
    tiny("char").save(folder, kept_as)
    path = folder / "model.safetensors"
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    whole = Checkpoint.load(folder).fingerprint
    for bit in [*np.random.default_rng(0).integers(8 * header, 8 * len(data), 50).tolist(), 8 * len(data) - 1]:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(CarouselError, match=r"model.safetensors: (damaged|output|lstm|embedding)"):
            Checkpoint.load(folder)
    for bit in np.random.default_rng(1).integers(0, 8 * header, 50).tolist():
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert Checkpoint.load(folder).fingerprint == whole
        except CarouselError as error:
            assert "\n" not in str(error)
    path.write_bytes(data)
    config = folder / "config.json"
    config.write_text(json.dumps({k: v for k, v in json.loads(config.read_text()).items() if k != "fingerprint"}))
    assert Checkpoint.load(folder).fingerprint == whole, "older checkpoints have no digest"


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    tiny("char").save(folder)
    new = random_checkpoint(CharTokenizer("xyz"))
    read = checkpoints._read_weights

    def replacing(*arguments: Any) -> Any:
        monkeypatch.undo()
        new.save(folder)
        return read(*arguments)

    monkeypatch.setattr(checkpoints, "_read_weights", replacing)
    assert Checkpoint.load(folder).fingerprint == new.fingerprint


def test_no_such_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CarouselError, match="no such checkpoint"):
        Checkpoint.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("cpu", "found"),
    [
        ({"architecture": "x86_64", "avx512_vnni": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "arm64", "neon": True, "bf16": True}, True),
        ({"architecture": "arm64", "neon": True, "bf16": False}, False),
    ],
)
def test_bf16_needs_its_own_instructions(cpu: dict[str, object], found: bool) -> None:
    """An update in bf16 takes three times as long as in fp32 on a CPU that has to convert."""
    assert multiplies_bf16(cpu) is found
