"""The shipped checkpoints: small, whole, and as good as their cards say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from generator import sample
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.evaluate import evaluate
from generator.model.checkpoint import Checkpoint
from generator.music import midi
from generator.streaming.engine import load
from generator.training import card
from tests.conftest import ALL_SHIPPED, ROOT, SHIPPED, models

CHECKPOINTS = ROOT / "checkpoints"


def scores(name: str) -> dict[str, dict[str, float]]:
    """The scores on a card, by split."""
    text = (CHECKPOINTS / name / "card.md").read_text(encoding="utf-8")
    block = re.search(r"```json\n(.*?)```", text, re.S)
    assert block
    return {row["split"]: row for row in json.loads(block[1])}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_checkpoint_is_small_and_its_card_is_whole(name: str) -> None:
    folder = CHECKPOINTS / name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20_000_000
    assert {path.name for path in folder.iterdir()} == {
        *("card.md", "config.json", "defaults.json", "metrics.jsonl", "model.safetensors", "tokenizer.json"),
        "units.json",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["fingerprint"] == Checkpoint.load(folder).fingerprint
    text = (folder / "card.md").read_text(encoding="utf-8")
    for expected in ("**Data.**", "Licence:", "python -m generator.train", "**Scores**", "**A sample**", "parameters"):
        assert expected in text
    assert text.startswith(f"# {name}\n")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n\t\t", "")
    commands = re.findall(r"^python (-m generator\.(?:train|join) .*)$", text, re.M)
    assert commands
    for command in commands:
        assert command in makefile, "the Makefile trains with another command than the card names"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_sample_on_a_card_is_what_the_checkpoint_says(name: str) -> None:
    model = load(CHECKPOINTS / name)
    tokens, options = card.manner(model.tokenizer.kind)
    said = model.card.split("**A sample**")[1]
    assert f"the first {tokens} tokens" in said and all(str(value) in said for value in options.values())
    assert card.sample(model, tokens).strip() in said


@pytest.mark.slow
def test_shakespeare_on_the_validation_tenth(mirror: Path) -> None:
    claimed = scores("shakespeare")["validation"]["nats_per_character"]
    assert claimed <= 1.45
    checkpoint = Checkpoint.load(CHECKPOINTS / "shakespeare")
    found = evaluate(checkpoint, prepare(open_corpus("tinyshakespeare"), checkpoint.tokenizer), "validation")
    assert found["nats_per_character"] == pytest.approx(claimed, abs=2e-4)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("name", "corpus"),
    [
        ("bach", "bach-chorales"),
        ("drums", "groove-drums"),
        ("folk", "folk-tunes"),
        ("piano", "asap-piano"),
        ("pop", "pop909"),
    ],
)
def test_music_scores_are_reproduced(name: str, corpus: str, mirror: Path) -> None:
    checkpoint = Checkpoint.load(CHECKPOINTS / name)
    dataset = prepare(open_corpus(corpus), checkpoint.tokenizer)
    for split, row in scores(name).items():
        assert evaluate(checkpoint, dataset, split)["nats_per_note"] == pytest.approx(row["nats_per_note"], abs=2e-3)


@pytest.mark.parametrize("folder", models(*ALL_SHIPPED))
def test_the_same_command_gives_the_same_bytes(folder: str, tmp_path: Path) -> None:
    name, music = Path(folder).name, load(ROOT / folder).tokenizer.medium == "music"
    length = {"piano": ["--seconds", "30"], "shakespeare": ["--tokens", "1000"]}.get(name, ["--bars", "64"])
    outputs = {}
    variants = {"a": [], "b": [], "1": ["--chunk", "1"], "97": ["--chunk", "97"], "other": ["--seed", "8"]}
    for key, more in variants.items():
        out = tmp_path / f"{key}.{'mid' if music else 'txt'}"
        assert sample.main([str(CHECKPOINTS / name), "--seed", "7", *length, *more, "-o", str(out)]) == 0
        outputs[key] = out.read_bytes()
    assert outputs["a"] == outputs["b"] == outputs["1"] == outputs["97"] != outputs["other"]
    if name == "bach":
        score = midi.read(outputs["a"])
        assert [voice.name for voice in score.voices] == ["Soprano", "Alto", "Tenor", "Bass"]
        assert {note.voice for note in score.notes} == {0, 1, 2, 3}
        assert 60 * 4 <= score.end_ticks / score.ticks_per_quarter <= 64 * 4 + 8


def test_text_is_verse_and_words() -> None:
    text = "".join(map(str, load(CHECKPOINTS / "shakespeare").stream(seed=7, temperature=0.8).take(4000)))
    lines = [line for line in text.split("\n") if line]
    speakers = [line for line in lines if re.fullmatch(r"[A-Z][A-Za-z' ]+:", line)]
    assert len(speakers) > 10
    verse = [line for line in lines if line not in speakers]
    assert 25 < sum(map(len, verse)) / len(verse) < 60
