"""The training of the machine: one at a time, its owner's alone, and whatever ends it is told in one line."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from generator.foundation.errors import CarouselError
from generator.foundation.locks import alone, is_held
from generator.foundation.recipes import TrainingOptions
from generator.streaming.engine import load
from generator.web import trainings
from generator.web.access import is_direct
from generator.web.training_log import progress
from generator.web.trainings import BEGUN, CACHE, END, FILES, LOCK, LOG, Job
from tests.conftest import tiny

FAKE = f"""
import json, signal, sys, time
from pathlib import Path
from filelock import FileLock
bench = Path(sys.argv[1])
def stop(*_):
    (bench / {END!r}).write_text(json.dumps({{"status": 130, "words": ""}}))
    sys.exit()
signal.signal(signal.SIGINT, stop)
with FileLock(bench / {LOCK!r}):
    time.sleep(60)
"""
"""What stands for the process that trains: it holds the lock, and is stopped as that is."""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user's own folder, in the test's, and no process that outlives it."""
    monkeypatch.setattr("generator.foundation.places.own", lambda name: tmp_path / "own" / name)
    yield
    training = trainings.look()
    if training and training.phase == "running":
        os.killpg(training.job.pid, signal.SIGKILL)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that train nothing."""

    def start(module: list[str], cache: Path, niceness: int, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", FAKE, module[1]], text=True, process_group=0, **more)

    monkeypatch.setattr(trainings, "start", start)


def upload(folder: Path) -> Path:
    """A text, as the page keeps it once it was read."""
    (folder / FILES).mkdir(parents=True)
    (folder / CACHE).mkdir()
    (folder / FILES / "days.txt").write_text(
        "".join(f"On day {day} we made {day * 37 % 90} miles.\n" for day in range(900))
    )
    return folder


def wait(condition: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def phase() -> str:
    training = trainings.look()
    return training.phase if training else ""


def test_one_training_at_a_time_which_is_its_owners_alone(tmp_path: Path, fake: None) -> None:
    """Also in another server of the same user, for all is in files."""
    assert trainings.look() is None
    token = trainings.begin(upload(tmp_path / "a"), "one", "text", 1.0, tmp_path / "made")
    assert phase() == "running" and not (tmp_path / "a").exists()
    second = upload(tmp_path / "b")
    for what in (
        lambda: trainings.begin(second, "two", "text", 1.0, tmp_path / "made"),
        lambda: trainings.clear(token),
        lambda: trainings.resume(token),
    ):
        with pytest.raises(CarouselError, match="a training is running on this machine already"):
            what()
    assert (second / FILES / "days.txt").exists() and phase() == "running"
    for other in ("", token[:-1], "\ud800"):
        for action in (trainings.stop, trainings.discard):
            with pytest.raises(CarouselError, match="this training is not here any more"):
                action(other)
    assert token not in (trainings.bench() / "job.json").read_text() and phase() == "running"
    (tmp_path / "made" / "one").mkdir(parents=True)
    (tmp_path / "made" / "one" / "config.json").write_text("{}")
    trainings.stop(token)
    wait(lambda: phase() == "stopped", 20)
    training = trainings.look()
    assert training and training.has_checkpoint and training.can_resume
    trainings.clear(token)
    assert not trainings.bench().exists() and (tmp_path / "made" / "one").exists()
    token = trainings.begin(second, "two", "text", 1.0, tmp_path / "made")
    os.killpg(trainings.look().job.pid, signal.SIGKILL)  # type: ignore[union-attr]
    wait(lambda: phase() == "killed", 20)
    trainings.resume(token)
    assert phase() == "running"
    trainings.stop(token)
    wait(lambda: phase() == "stopped", 20)
    shutil.rmtree(trainings.bench() / FILES)
    with pytest.raises(CarouselError, match="nothing to go on with"):
        trainings.resume(token)
    trainings.discard(token)
    assert not trainings.bench().exists()
    token = trainings.begin(upload(tmp_path / "c"), "three", "text", 1.0, tmp_path / "made")
    (tmp_path / "made" / "three").mkdir()
    trainings.discard(token)
    assert trainings.look() is None and not (tmp_path / "made" / "three").exists()


def test_who_looks_at_a_lock_is_not_taken_for_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    with ThreadPoolExecutor(4) as threads:
        assert not any(threads.map(is_held, [lock] * 100))
    with alone(lock, lambda: pytest.fail("nobody holds it"), ""):
        assert is_held(lock)
    assert not is_held(lock)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", ".hidden", "-x", "a" * 41, "a\nb", "é", "con:", "BACH "])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(CarouselError, match=r"a name has|bach|BACH"):
        trainings.check_name(name, ["bach"])
    assert trainings.check_name(" my songs ", ["bach"]) == "my songs"


def test_a_place_that_is_taken_is_refused(tmp_path: Path, fake: None) -> None:
    (tmp_path / "made" / "one").mkdir(parents=True)
    with pytest.raises(CarouselError, match="something already; choose another name"):
        trainings.begin(upload(tmp_path / "a"), "one", "text", 1.0, tmp_path / "made")
    (tmp_path / "file").write_text("")
    with pytest.raises(CarouselError, match="cannot make this folder"):
        trainings.begin(tmp_path / "a", "one", "text", 1.0, tmp_path / "file")
    assert (tmp_path / "a" / FILES / "days.txt").exists() and trainings.look() is None


def test_a_process_that_nobody_could_stop_is_not_left_behind(
    tmp_path: Path, fake: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as its number is not written down, nothing else is stopped instead: 0 is the server's own group."""
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: killed.append(pid) or os.kill(pid, signal.SIGKILL))
    monkeypatch.setattr(os, "kill", lambda pid, sent, kill=os.kill: kill(pid, sent) if pid else pytest.fail("itself"))
    write = trainings._write

    def full(path: Path, job: Job) -> None:
        if job.pid:
            raise CarouselError("the disk is full")
        write(path, job)

    monkeypatch.setattr(trainings, "_write", full)
    with pytest.raises(CarouselError, match="the disk is full"):
        trainings.begin(upload(tmp_path / "a"), "one", "text", 1.0, tmp_path / "made")
    assert not trainings.bench().exists()
    assert len(killed) == 1 and trainings.look() is None
    trainings.bench().mkdir()
    write(trainings.bench() / "job.json", Job("one", "text", 1.0, str(tmp_path / "made"), trainings.digest("token")))
    monkeypatch.setattr(trainings, "is_held", lambda _: True)
    trainings.stop("token")
    monkeypatch.setattr(trainings, "START_SECONDS", 0.0)
    with pytest.raises(CarouselError, match="running"):
        trainings.discard("token")
    monkeypatch.undo()
    assert len(killed) == 1


LOGGED = f"""{BEGUN}files: 27 .mid from files
  kept in     /somewhere
training step 9  loss 5.5000  100 tokens/s 0:00:01
{BEGUN}files: 27 .mid from files
  kept in     /somewhere
training getting ready
training step 23  loss 5.4816  5,849 tokens/s 0:09:11
* step 40  loss 5.0000  validation 4.5000  18 s
Old: C4
training step 62  loss 4.8414  best 4.2244  4,706 tokens/s 0:00:30
  step 62  loss 4.8414  validation 4.2244  18 s
Piano: B♭5 C5
\x1b[31mred
"""


def test_the_log_tells_how_far_it_is(tmp_path: Path) -> None:
    job = Job("one", "music", 10, str(tmp_path / "out"), "", 1, 0.0)
    found = progress(tmp_path, job)
    assert found.doing == "Reading the files" and found.seconds_left is None and found.best is None
    (tmp_path / "out").mkdir()
    rows = [{"step": 40, "loss": 5.0, "validation": 4.5}, {"step": 62, "loss": 4.8414, "validation": 4.2244}]
    (tmp_path / "out" / "metrics.jsonl").write_text("".join(map("{}\n".format, map(json.dumps, rows))) + '{"step"')
    (tmp_path / LOG).write_text(LOGGED)
    found = progress(tmp_path, job)
    assert found.doing == "Training" and found.tokens_per_second == 4706
    assert found.seconds_left is not None and 28 < found.seconds_left <= 30
    assert found.losses == [(9, 5.5), (23, 5.4816), (40, 5.0), (62, 4.8414)]
    assert found.validations == [(40, 4.5), (62, 4.2244)] and found.best == 4.2244
    assert found.sample == "Piano: B♭5 C5\n\\u001b[31mred"
    (tmp_path / LOG).write_text(LOGGED.partition("training step 23")[0])
    found = progress(tmp_path, job)
    assert found.doing == "Getting ready" and found.seconds_left is None


def test_the_recipe_is_one_of_the_command_train() -> None:
    words = Job("one", "music", 10, "/made/one", "").arguments(Path("/bench"))
    assert words[:5] == ["/bench/uploaded files", "--out", "/made/one", "--preset", "quick"]
    assert TrainingOptions(minutes=10, validations=int(words[-1]))


@pytest.mark.parametrize(
    ("headers", "direct"),
    [
        ({}, True),
        ({"Host": "localhost:8501", "Origin": "http://localhost:8501"}, True),
        ({"Host": "127.0.0.1:8501"}, True),
        ({"Host": "[::1]:8501"}, True),
        ({"Host": "carousel.example"}, False),
        ({"Host": "127.0.0.1:8501", "Origin": "https://carousel.example"}, False),
        ({"Host": "localhost:8501", "X-Forwarded-For": "1.2.3.4"}, False),
        ({"Host": "localhost.example:8501"}, False),
    ],
)
def test_who_comes_through_a_proxy_does_not_sit_here(headers: dict[str, str], direct: bool) -> None:
    assert is_direct(headers) is direct


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_real_training_is_killed_goes_on_meets_a_full_disk_and_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each end is one line, the best so far is whole, and what cannot be written is not half there."""
    monkeypatch.setattr(trainings, "LONG", 1)  # or a busy machine would let it wait for long
    made = tmp_path / "made"
    token = trainings.begin(upload(tmp_path / "a"), "days", "text", 2.0, made)
    wait(lambda: (made / "days" / "config.json").exists())
    training = trainings.look()
    assert training and training.phase == "running" and os.getpriority(os.PRIO_PROCESS, training.job.pid) == 1
    os.killpg(training.job.pid, signal.SIGKILL)
    wait(lambda: phase() == "killed")
    trainings.resume(token)
    rows = len((made / "days" / "metrics.jsonl").read_text().splitlines())
    wait(lambda: len((made / "days" / "metrics.jsonl").read_text().splitlines()) > rows)
    training = trainings.look()
    assert training and training.phase == "running"
    resource.prlimit(training.job.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))  # no file may be larger now
    wait(lambda: phase() == "failed")
    training = trainings.look()
    assert training and training.words.endswith("free some space or choose another place"), training
    assert "cannot write: File too large" in training.words and "\n" not in training.words
    load(made / "days")
    assert training.has_checkpoint and training.can_resume
    trainings.resume(token)
    wait(lambda: "training step" in (trainings.bench() / LOG).read_text().rpartition(BEGUN)[2])
    trainings.stop(token)
    wait(lambda: phase() == "stopped")
    assert load(made / "days").stream(seed=1).pull(5)
    trainings.discard(token)
    assert not list(made.iterdir()) and not trainings.bench().exists()


@pytest.mark.slow
def test_a_training_to_its_end_leaves_the_checkpoint_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings, "LONG", 1)
    trainings.begin(upload(tmp_path / "a"), "days", "text", 0.05, tmp_path / "made")
    wait(lambda: phase() == "done")
    assert {path.name for path in trainings.bench().iterdir()} <= {"job.json", LOG, END, LOCK}
    assert "Not finished" not in load(tmp_path / "made" / "days").card
    assert load(tmp_path / "made" / "days").tokenizer.kind == tiny("char").tokenizer.kind


def test_a_name_that_is_offered_is_free() -> None:
    assert trainings.free_name(["bach"]) == "my-model"
    assert trainings.free_name(["my-model"]) == "my-model-2"
    assert trainings.free_name(["my-model", "my-model-2"]) == "my-model-3"
