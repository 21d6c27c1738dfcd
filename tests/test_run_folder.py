"""The folder of a checkpoint: nothing is replaced unasked, all files change together, one process at a time."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save

from generator import join, train
from generator.corpora.dataset import TokenDataset
from generator.foundation.errors import CarouselError
from generator.foundation.recipes import TrainingOptions
from generator.model.checkpoint import Checkpoint
from generator.training import trainer
from generator.training.run_folder import LOCK, METRICS, STATE, claimed, read_state
from tests.conftest import ROOT, random_checkpoint, tiny

CHECKPOINT = {"card.md", "config.json", "model.safetensors", "tokenizer.json"}
OPTIONS = TrainingOptions(hidden_size=24, embedding_dim=8, lanes=4, window=16, steps=12, validations=3, patience=9)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kept", [{"config.json"}, {"model.safetensors"}, {STATE}, {METRICS}])
def test_what_is_there_is_not_replaced_unasked(
    novel: TokenDataset, tmp_path: Path, capsys: Any, kept: set[str]
) -> None:
    out = tmp_path / "model"
    out.mkdir()
    for name in kept:
        (out / name).write_text("an evening's work")
    before = contents(out)
    with pytest.raises(CarouselError, match=r"model: holds .*--resume.*--overwrite"):
        train.train(novel, out, OPTIONS)
    with pytest.raises(CarouselError, match=r"model: holds .*--resume.*--overwrite"):
        join.joined(novel, [], out)
    capsys.readouterr()
    assert train.main(["no such corpus", "--out", str(out)]) == 2, "the corpus is not looked for"
    assert join.main(["no such corpus", "no", "checkpoints", "--out", str(out)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "model: holds" in first and "model: holds" in second
    assert contents(out) == before


def test_what_is_replaced_stays_whole_until_the_first_validation(
    novel: TokenDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    tiny("char").save(out)
    for name in (STATE, METRICS):
        (out / name).write_text("of the run before")
    before = contents(out)

    def crash(_: Any) -> float:
        raise RuntimeError

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(trainer.Trainer, "validate", crash)
        train.train(novel, out, OPTIONS, overwrite=True)
    assert contents(out) == before
    recipe = shlex.split("--hidden-size 24 --embedding-dim 8 --lanes 4 --window 16 --steps 12 --validations 3")
    assert train.main([str(tmp_path / "novel.txt"), "--out", str(out), *recipe, "--overwrite"]) == 0
    made = Checkpoint.load(out)
    assert made.config.hidden_size == 24 and made.card.startswith("# model\n") and "--overwrite" not in made.card
    assert len((out / METRICS).read_text().splitlines()) == 3 and read_state(out)[0]["counters"]["step"] == 12
    assert set(contents(out)) == CHECKPOINT | {STATE, METRICS}


def test_a_run_that_has_ended_says_so_when_it_is_resumed(novel: TokenDataset, tmp_path: Path, capsys: Any) -> None:
    before = train.train(novel, tmp_path / "model", OPTIONS)
    assert "reached its end" not in capsys.readouterr().err
    assert train.train(novel, tmp_path / "model", OPTIONS, resume=True).fingerprint == before.fingerprint
    assert "model: this run has reached its end; to train for longer" in capsys.readouterr().err


def test_a_crash_after_the_first_validation_is_resumed_to_the_bit(
    novel: TokenDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the first minute too, and the card says meanwhile that the run is not finished."""
    whole = train.train(novel, tmp_path / "whole", OPTIONS)
    out = tmp_path / "crashed"
    update = trainer.Trainer.update

    def crash(run: trainer.Trainer) -> float:
        if run.step == 6:
            raise RuntimeError
        return update(run)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(trainer.Trainer, "update", crash)
        train.train(novel, out, OPTIONS, made_by="python -m generator.train novel.txt")
    metadata, state = read_state(out)
    checkpoint = Checkpoint.load(out)
    assert metadata["counters"]["step"] == 4
    assert all(np.array_equal(state[f"average.{name}"].numpy(), value) for name, value in checkpoint.weights.items())
    for words in ("# crashed", "novel.txt", "python -m generator.train novel.txt", "Not finished: 4 updates"):
        assert words in checkpoint.card
    resumed = train.train(novel, out, OPTIONS, resume=True)
    assert resumed.fingerprint == whole.fingerprint and "Not finished" not in resumed.card
    found, expected = (
        [json.loads(row)["validation"] for row in (folder / METRICS).read_text().splitlines()]
        for folder in (out, tmp_path / "whole")
    )
    assert found == expected and len(found) == 3


def test_each_score_is_one_line_however_narrow_the_terminal(
    novel: TokenDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    train.train(novel, tmp_path / "model", OPTIONS)
    *_, score, done = capsys.readouterr().err.splitlines()
    assert json.loads(score)["split"] == "validation"
    assert done.endswith(f"hear it with: python -m generator.sample {tmp_path / 'model'}")


@pytest.mark.parametrize("state", [b"\x00" * 100, *(save({}, {"carousel": text}) for text in ("{}", "[1]", "{"))])
def test_a_damaged_state_is_told_without_an_advice_that_destroys(tmp_path: Path, capsys: Any, state: bytes) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / STATE).write_bytes(state)
    assert train.main(["no such corpus", "--out", str(out), "--resume"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "model" in said and said.endswith("choose another --out to start anew")
    assert contents(out) == {STATE: state}


def test_a_run_that_is_resumed_before_its_first_validation_has_a_log_of_its_own(
    novel: TokenDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    train.train(novel, out, OPTIONS)
    before = contents(out)
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0)
    update = trainer.Trainer.update

    def crash(run: trainer.Trainer) -> float:
        if run.step == 3:
            raise RuntimeError
        return update(run)

    options = replace(OPTIONS, seed=1)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(trainer.Trainer, "update", crash)
        train.train(novel, out, options, overwrite=True)
    assert contents(out) == before | {STATE: (out / STATE).read_bytes()} != before
    train.train(novel, out, options, resume=True, overwrite=True)
    assert len((out / METRICS).read_text().splitlines()) == 3


def test_a_run_without_one_valid_validation_says_so(
    novel: TokenDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not give its card to the checkpoint that was to be replaced."""
    tiny("char").save(tmp_path / "model")
    monkeypatch.setattr(trainer.Trainer, "validate", lambda _: float("nan"))
    with pytest.raises(CarouselError, match="no validation gave a number; try a lower learning_rate"):
        train.train(novel, tmp_path / "model", OPTIONS, overwrite=True)
    assert Checkpoint.load(tmp_path / "model").card == "# tiny\n"


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from generator.training.run_folder import claimed
from generator.model.checkpoint import Checkpoint

old, new, out = map(Path, sys.argv[1:])
checkpoint = Checkpoint.load(new)
operations = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir")

def save(folder, survived):
    def watch(event, arguments):
        nonlocal survived
        if event in operations and str(folder) in str(arguments):
            if not survived:
                os.kill(os.getpid(), signal.SIGKILL)
            survived -= 1
    sys.addaudithook(watch)
    checkpoint.save(folder)
    os._exit(0)

for survived in range(1000):
    folder = out / str(survived)
    shutil.copytree(old, folder)
    child = os.fork()
    if not child:
        save(folder, survived)
    status = os.waitpid(child, 0)[1]
    found = Checkpoint.load(folder)
    with claimed(folder, replacing=True):
        later = Checkpoint.load(folder)
    print(status, found.fingerprint, found.card.strip(), later.fingerprint, *sorted(os.listdir(folder)))
    if not status:
        break
"""


def test_a_checkpoint_is_the_old_or_the_new_one_wherever_its_writer_is_killed(tmp_path: Path) -> None:
    """Before each operation on its folder; whoever claims the folder next finishes or clears away what was begun."""
    old, new = tiny("char"), random_checkpoint(tiny("score").tokenizer, seed=1)
    old.save(tmp_path / "old")
    new.save(tmp_path / "new")
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", KILLED, *(str(tmp_path / name) for name in ("old", "new", "out"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [int(row[0]) for row in rows] == [signal.SIGKILL] * (len(rows) - 1) + [0] and len(rows) > 12
    found = [row[1] for row in rows]
    changed = found.index(new.fingerprint)
    assert found == [old.fingerprint] * changed + [new.fingerprint] * (len(rows) - changed) and 5 < changed < len(rows)
    assert all(row[1] == row[4] for row in rows)
    assert {tuple(row[5:]) for row in rows} == {tuple(sorted(CHECKPOINT))}


def test_one_process_at_a_time(novel: TokenDataset, tmp_path: Path, capsys: Any) -> None:
    """And the lock of one that was killed is no lock."""
    out = tmp_path / "model"
    claim = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom generator.training.run_folder import claimed\n"
        "with claimed(Path(sys.argv[1]), replacing=False): print('mine', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", claim, str(out)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout and holder.stdout.readline() == b"mine\n"
    arguments = [str(tmp_path / "novel.txt"), "--out", str(out), "--overwrite"]
    assert train.main(arguments) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("model: another process is training there; wait for it or choose another --out")
    )
    holder.kill()
    holder.communicate()
    assert (out / LOCK).exists()
    with claimed(out, replacing=False):
        pass
    assert contents(out) == {}


@pytest.mark.parametrize("written", [False, True])
def test_a_folder_into_which_nothing_was_written_goes_again(tmp_path: Path, written: bool) -> None:
    """As after a Ctrl-C before the first update."""
    out = tmp_path / "deep" / "model"
    with pytest.raises(KeyboardInterrupt), claimed(out, replacing=False):
        if written:
            (out / METRICS).touch()
        raise KeyboardInterrupt
    assert out.exists() == written
    assert out.parent.exists()
