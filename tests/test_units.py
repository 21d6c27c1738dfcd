"""What units follow: planted units are found, chance is not, and the shipped checkpoints' tables hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.analysis import following, reading, units
from generator.analysis.following import effects, midranks
from generator.analysis.reading import watch
from generator.analysis.units import UnitLabel, Units
from generator.corpora import open_corpus
from generator.corpora.dataset import Split, TokenDataset, prepare
from generator.foundation.errors import CarouselError
from generator.model.checkpoint import UNITS, Checkpoint
from generator.streaming.engine import Model
from generator.tokenizers.char import CharTokenizer
from generator.training import card
from tests.conftest import random_checkpoint, tiny
from tests.test_evaluate import command

LINES = "".join(f"On day {day} we made {day * 37 % 90} miles{', and slept' * (day % 3)}.\n" for day in range(900))
VOWELS, LENGTH = (0, 5), (0, 7)
"""The units that `planted` makes follow something: the last letter was a vowel; how long the line is."""


def planted() -> Checkpoint:
    """A fake in which two units of layer 0 do nothing else than to follow something."""
    checkpoint = random_checkpoint(CharTokenizer.fit([LINES]))
    size, weights = checkpoint.config.hidden_size, {name: value.copy() for name, value in checkpoint.weights.items()}
    characters = checkpoint.tokenizer.decode(np.arange(checkpoint.config.vocab_size, dtype=np.uint16))
    weights["embedding.weight"][:, 0] = [character in "aeiouO" for character in characters]
    weights["embedding.weight"][:, 1] = [character == "\n" for character in characters]
    for unit in (VOWELS[1], LENGTH[1]):
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            weights[f"lstm.{name}"][unit::size] = 0
    biases, inputs = weights["lstm.bias_ih_l0"], weights["lstm.weight_ih_l0"]
    biases[VOWELS[1] :: size] = 8, -8, -2, 8  # written anew at each step, as much as the vowel says
    inputs[2 * size + VOWELS[1], 0] = 4
    biases[LENGTH[1] :: size] = 8, 8, 0.02, 0  # a little more at each step, forgotten at the end of the line
    inputs[size + LENGTH[1], 1] = -16
    return replace(checkpoint, weights=weights)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return planted()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, checkpoint: Checkpoint) -> TokenDataset:
    folder = tmp_path_factory.mktemp("text")
    (folder / "miles.txt").write_text(LINES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROUSEL_CACHE", str(folder / "cache"))
        return prepare(open_corpus(folder / "miles.txt"), checkpoint.tokenizer, progress=False)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def found(checkpoint: Checkpoint, dataset: TokenDataset) -> Units:
    return following.find(checkpoint, dataset)


def best(found: Units, label: str) -> UnitLabel:
    return next(row for row in found.best() if row.label == label)


# Scores


def test_planted_units_are_found_and_confirmed(found: Units) -> None:
    vowel, length = best(found, "after a vowel"), best(found, "characters since the line began")
    assert (vowel.layer, vowel.unit) == VOWELS and vowel.measure == "auc" and vowel.confirmed > 0.999
    assert (length.layer, length.unit) == LENGTH and length.measure == "correlation" and length.confirmed > 0.99
    assert not length.falls and vowel.baseline < 0.9 and length.baseline < 0.8
    assert found.time_constants[0][VOWELS[1]] == pytest.approx(1 / 8, rel=0.01)  # log σ(-8) is -8.0003
    followed = found.of(*VOWELS)
    assert followed is not None and followed.label == "after a vowel"


def test_what_no_unit_knows_is_no_better_than_shifted_labels(checkpoint: Checkpoint, dataset: TokenDataset) -> None:
    watched = watch(checkpoint, dataset.split("validation"))
    random = np.random.default_rng(8)
    tokens = len(watched.cell)
    labels = [random.random(tokens) < 0.3 for _ in range(6)] + [np.cumsum(random.normal(size=tokens)) for _ in range(2)]
    found, baseline = effects(watched, labels, 20, reading.quiet)
    best = np.abs(found).max((1, 2, 3))
    assert (best[:6] < 1.3 * baseline[:6]).all() and (best[6:] < 1.6 * baseline[6:]).all()


@given(
    values=st.lists(st.sampled_from([-2.0, -0.0, 0.0, 0.5, 3.0]), min_size=2, max_size=40),
    kind=st.sampled_from([np.float16, np.float64]),
)
def test_midranks(values: list[float], kind: type[Any]) -> None:
    found, length = midranks(np.array(values, kind))
    ranks = [sum(other < value for other in values) + (values.count(value) - 1) / 2 for value in values]
    assert found == pytest.approx(np.array(ranks) - (len(values) - 1) / 2)
    assert length == pytest.approx(np.linalg.norm(found) or 1)
    assert np.array_equal(midranks(np.array(values).astype(np.int8))[0], midranks(np.trunc(values))[0])


@given(seed=st.integers(0, 99))
@settings(max_examples=10)
def test_an_effect_is_the_auc(seed: int) -> None:
    random = np.random.default_rng(seed)
    label, h = random.random(60) < 0.4, random.integers(-9, 9, (60, 1, 1)).astype(np.int8)
    label[:2] = True, False
    watched = reading.Watched(tiny("char"), None, h.astype(np.float16), h, np.ones((1, 1)))  # type: ignore[arg-type]
    true, false = h[label, 0, 0].astype(int), h[~label, 0, 0].astype(int)
    pairs = np.sign(true[:, None] - false[None, :])
    effect, _ = effects(watched, [label], 0, reading.quiet)
    assert effect[0, :, 0, 0] == pytest.approx(pairs.mean(), abs=1e-5)


# The file


def test_the_file_comes_back_and_travels_with_the_checkpoint(
    checkpoint: Checkpoint, found: Units, tmp_path: Path
) -> None:
    known = replace(checkpoint, units=found.to_json())
    known.save(tmp_path / "a")
    assert units.load(tmp_path / "a") == found and Checkpoint.load(tmp_path / "a").fingerprint == known.fingerprint
    Checkpoint.load(tmp_path / "a").save(tmp_path / "b")
    assert units.load(tmp_path / "b") == found
    checkpoint.save(tmp_path / "b")  # other weights, of which nothing is known
    assert units.load(tmp_path / "b") is None and not (tmp_path / "b" / UNITS).exists()


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: data["labels"][0].update(unit=10**9),
        lambda data: data["labels"][0].update(layer=True),
        lambda data: data["labels"][0].update(label="\x1b[2J"),
        lambda data: data["labels"][0].update(label=["x"]),
        lambda data: data["labels"][0].update(score=float("nan")),
        lambda data: data["labels"][0].update(part="soul"),
        lambda data: data["labels"][0].update(extra=1),
        lambda data: data["labels"].extend([data["labels"][0]] * 2**16),
        lambda data: data.update(units="abc"),
        lambda data: data.update(time_constants=[[1.0]]),
        lambda data: data["time_constants"][0].__setitem__(0, "x"),
        lambda data: data["time_constants"][0].__setitem__(0, float("inf")),
        lambda data: data["time_constants"][0].__setitem__(0, 10**400),
        lambda data: data.pop("corpus"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(checkpoint: Checkpoint, found: Units, broken: Any) -> None:
    data = json.loads(found.to_json())
    broken(data)
    with pytest.raises(CarouselError, match=r"^tiny/units.json: damaged; make it anew with evaluate --units"):
        units.of(replace(checkpoint, units=json.dumps(data)))


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "damaged"), ("[]", "damaged"), ("[" * 10**5, "damaged"), ('{"format": 9}', "another version")],
)
def test_another_file_is_refused(checkpoint: Checkpoint, content: str, said: str) -> None:
    with pytest.raises(CarouselError, match=said):
        units.of(replace(checkpoint, units=content))


def test_the_file_of_another_checkpoint_is_refused(found: Units) -> None:
    other = random_checkpoint(CharTokenizer.fit([LINES]), seed=1)
    with pytest.raises(CarouselError, match=r"of another checkpoint"):
        units.of(replace(other, units=found.to_json()))


def test_a_card_has_one_table(found: Units) -> None:
    once = card.with_units("# tiny\n\nA sample.\n", found)
    assert once.startswith("# tiny\n\nA sample.\n\n**What its units follow**") and "| after a vowel | 0.5 " in once
    assert card.with_units(once, found) == once


# The command


def test_the_command(checkpoint: Checkpoint, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, text = tmp_path / "tiny", tmp_path / "miles.txt"
    text.write_text(LINES)
    checkpoint.save(folder)
    before = (folder / "model.safetensors").read_bytes()
    status, out, _ = command(capsys, folder, text, "--units")
    assert status == 0 and not (folder / UNITS).exists()
    row = next(row for row in json.loads(out)["labels"] if row["label"] == "after a vowel")
    assert row["unit"] == "0.5" and row["confirmed"] > row["baseline"]
    assert command(capsys, folder, text, "--units", "--keep")[1] == out
    assert (folder / "model.safetensors").read_bytes() == before
    kept = units.load(folder)
    assert kept is not None and kept.summary() == json.loads(out)
    assert "| after a vowel | 0.5 " in (folder / "card.md").read_text(encoding="utf-8")
    status, out, _ = command(capsys, folder, text, "--like", "On day 7 we made 79 miles, a")
    assert status == 0 and "miles, a" in json.loads(out)["like"][0]["around"]
    status, out, _ = command(capsys, folder, text, "--trace", tmp_path / "trace.safetensors")
    assert status == 0 and json.loads(out)["tokens"] and (tmp_path / "trace.safetensors").stat().st_size > 10**5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--keep"], "--keep belongs to --units"),
        (["--units", "--split", "test"], "leave --split out"),
        (["--units", "--like", "x"], "not allowed with"),
        (["--like", "…"], ""),
    ],
)
def test_flags_that_do_not_fit(
    checkpoint: Checkpoint,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    (tmp_path / "miles.txt").write_text(LINES)
    checkpoint.save(tmp_path / "tiny")
    status, _, error = command(capsys, tmp_path / "tiny", tmp_path / "miles.txt", *flags)
    assert status in (0, 2) and message in error and error.count("\n") <= 1


def test_nothing_is_held_out(checkpoint: Checkpoint, dataset: TokenDataset) -> None:
    alone = replace(dataset, _splits={"train": dataset.split("train")})
    with pytest.raises(CarouselError, match="no split validation"):
        following.find(checkpoint, alone)
    little = replace(dataset, _splits={"validation": dataset.split("train").part(0, 30)})
    with pytest.raises(CarouselError, match="too little is held out to compare units with"):
        following.find(checkpoint, little)


# The shipped checkpoints


def test_the_shipped_tables_are_theirs_and_far_above_chance(shipped: Model) -> None:
    found = units.of(shipped.checkpoint)
    assert found is not None and len(found.units) > 200
    clear = [row for row in found.best() if row.confirmed > row.baseline + 0.3]
    assert len(clear) >= 10
    assert card.with_units(shipped.card, found) == shipped.card


@pytest.mark.parametrize(
    ("name", "label", "least"),
    [("bach", "position in the bar", 0.7), ("shakespeare", "characters since the line began", 0.8)],
)
def test_the_table_holds_for_what_is_drawn(root: Path, name: str, label: str, least: float) -> None:
    """The unit that was found on held-out pieces follows the same in a stream of the model's own."""
    model = Model(Checkpoint.load(root / "checkpoints" / name))
    found = units.of(model.checkpoint)
    assert found is not None
    row = best(found, label)
    assert min(row.score, row.confirmed) > least and row.baseline < 0.2
    stream = model.stream(seed=4)
    stream.pull(1500)
    watched = watch(model.checkpoint, Split(np.array(stream.tokens(), np.uint16), np.array([0, 1500]), ("drawn",)))
    effect, _ = effects(watched, [model.tokenizer.labels(watched.split.tokens)[label]], 0, reading.quiet)
    assert effect[0, units.PARTS.index(row.part), row.layer, row.unit] * (-1 if row.falls else 1) > 0.6


def test_where_lines_end_is_decided_by_the_unit_that_follows_them(root: Path) -> None:
    """Not only does it follow their length: a cell that is held as it is at the end of a line makes lines short."""
    model = Model(Checkpoint.load(root / "checkpoints" / "shakespeare"))
    found = units.of(model.checkpoint)
    assert found is not None
    row = best(found, "characters since the line began")
    assert row.falls and row.part == "cell"
    lines = []
    for cell in (-1.5, 1.5):
        stream = model.stream("ROMEO:\n", seed=7, clamp=f"cell {row.layer}.{row.unit}={cell}")
        lines.append("".join(map(str, stream.pull(600))).count("\n"))
    assert lines[0] > 3 * lines[1]


def test_a_folder_without_the_file_is_as_before(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "checkpoints" / "bach", tmp_path / "bach")
    (tmp_path / "bach" / UNITS).unlink()
    assert units.load(tmp_path / "bach") is None
    assert Checkpoint.load(tmp_path / "bach").fingerprint == Checkpoint.load(root / "checkpoints" / "bach").fingerprint
