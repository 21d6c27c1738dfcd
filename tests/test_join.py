"""Joined checkpoints say the mean of what their members say."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from generator import join as command
from generator import train
from generator.foundation.errors import CarouselError
from generator.model.checkpoint import Checkpoint
from generator.model.config import ModelConfig
from generator.model.ensemble import join
from generator.model.lstm import LanguageModel
from generator.streaming.engine import Model
from generator.tokenizers.char import CharTokenizer
from generator.training.run_folder import STATE
from tests.conftest import random_checkpoint, tiny

TOKENIZER = CharTokenizer("\n abc")


def test_the_logits_are_the_mean_of_the_members() -> None:
    torch.manual_seed(1)
    tied = LanguageModel(ModelConfig(TOKENIZER.vocab_size, 20, 20, 2, tied=True))
    members = [random_checkpoint(TOKENIZER, 2), random_checkpoint(TOKENIZER, 3, 40), Checkpoint.of(tied, TOKENIZER)]
    together = join(members)
    assert (together.config.hidden_size, together.config.embedding_dim) == (84, 36)
    tokens = torch.randint(TOKENIZER.vocab_size, (2, 50))
    with torch.no_grad():
        models = [member.model() for member in members]
        expected = torch.stack([model(tokens, model.zero_state(2))[0] for model in models]).mean(dim=0)
        model = together.model()
        found, _ = model(tokens, model.zero_state(2))
    assert torch.allclose(found, expected, atol=1e-5)


def test_one_member_joined_is_itself() -> None:
    alone = tiny("score")
    assert join([alone]).fingerprint == alone.fingerprint


def test_who_does_not_fit_is_refused() -> None:
    with pytest.raises(CarouselError, match="nothing to join"):
        join([])
    with pytest.raises(CarouselError, match="different tokenizers"):
        join([tiny("char"), random_checkpoint(TOKENIZER)])
    three = Checkpoint.of(LanguageModel(ModelConfig(TOKENIZER.vocab_size, 8, 8, 3)), TOKENIZER)
    with pytest.raises(CarouselError, match="number of layers"):
        join([random_checkpoint(TOKENIZER), three])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. " * 200, encoding="utf-8")
    small = ["--hidden-size", "16", "--steps", "30", "--validations", "2", "--window", "16"]
    for seed in (0, 1):
        assert train.main([str(text), "--out", str(tmp_path / f"m{seed}"), "--seed", str(seed), *small]) == 0
    folders = [str(tmp_path / "m0"), str(tmp_path / "m1")]
    capsys.readouterr()
    assert command.main([str(text), *folders, "--out", str(tmp_path / "both")]) == 0
    scores = json.loads(capsys.readouterr().out)
    loaded = Checkpoint.load(tmp_path / "both")
    own = [json.loads(line) for line in (tmp_path / "both" / "metrics.jsonl").read_text().splitlines()]
    assert {row["member"] for row in own} == {"m0", "m1"}
    block = re.search(r"```json\n(.*?)```", loaded.card, re.S)
    assert block
    assert json.loads(block[1]) == scores
    assert loaded.card.count("python -m generator.train") == 2
    assert "python -m generator.join" in loaded.card
    assert loaded.config.hidden_size == 32
    assert (tmp_path / "both" / "model.safetensors").stat().st_size < 2.1 * sum(v.size for v in loaded.weights.values())
    assert Model(loaded).stream(seed=1).pull(50)

    asked = [str(text), *folders, "--out", str(tmp_path / "both")]
    (tmp_path / "both" / STATE).write_text("of a run that was there before")
    assert command.main(asked) == 2
    assert "both: holds a checkpoint" in capsys.readouterr().err
    assert command.main([*asked, "--overwrite"]) == 0
    again = Checkpoint.load(tmp_path / "both")
    assert again.fingerprint == loaded.fingerprint and "--overwrite" not in again.card
    assert {path.name for path in (tmp_path / "both").iterdir()} == {
        "card.md", "config.json", "metrics.jsonl", "model.safetensors", "tokenizer.json"
    }  # fmt: skip
    capsys.readouterr()

    shutil.copytree(folders[1], tmp_path / "unlogged")
    (tmp_path / "unlogged" / "metrics.jsonl").unlink()
    other = tmp_path / "other.txt"
    other.write_text("0123456789 " * 300, encoding="utf-8")
    for arguments, complaint in (
        ([str(other), *folders], "not trained on other"),
        ([str(text), folders[0], str(tmp_path / "none")], "no such checkpoint"),
        ([str(text), folders[0]], "give two"),
        ([str(text), folders[0], str(tmp_path / "unlogged")], "missing or damaged"),
    ):
        assert command.main([*arguments, "--out", str(tmp_path / "no")]) == 2
        assert complaint in capsys.readouterr().err
        assert not (tmp_path / "no").exists()
