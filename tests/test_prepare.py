"""The prepare command: a summary for people, a line for what is wrong, nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from generator import prepare
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare as make
from generator.corpora.download import CACHE
from generator.music import midi
from tests.conftest import ROOT, four_voices


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE, str(folder))
    return folder


def test_a_folder_is_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(4):
        midi.write(four_voices(4 + number), folder / f"{number}.mid")
    for number in range(12):
        (folder / f"bad {number:02}.mid").write_bytes(b"MThd")
    assert prepare.main([str(folder)]) == 0
    out = capsys.readouterr().out
    for words in (
        "mine: 16 .mid from mine\n",
        "licence     not stated",
        "tokenizer   score, ",
        "onsets lie on the grid of 12 a quarter",
        "train       3 pieces, ",
        "validation  1 piece, ",
        "as tokens   308 notes\n",
        "max onset error quarters 0, mean onset error quarters 0, ",
        f"skipped     12, listed in {tmp_path / 'cache' / 'skipped' / 'mine-'}",
        "    bad 00.mid: a damaged MIDI file",
        "    bad 09.mid: ",
        "    and 2 more\n",
        f"kept in     {tmp_path / 'cache' / 'shards' / 'mine-'}",
    ):
        assert words in out, out
    assert "bad 10.mid" not in out


@pytest.mark.parametrize("kind", ["score", "performance"])
def test_what_tokens_cannot_express_is_summed_up(tmp_path: Path, kind: str) -> None:
    """As it was reported of each piece; and again out of the cache."""
    for number in range(5):
        straight = four_voices(3 + number)
        swung = (replace(note, start_ticks=note.start_ticks + 7 * (note.pitch % 3)) for note in straight.notes)
        score = replace(straight, notes=tuple(sorted(swung, key=lambda note: note.start_ticks)))
        midi.write(score, tmp_path / f"{number}.mid")
    corpus = open_corpus(tmp_path)
    dataset = make(corpus, kind, progress=False)
    reports = [asdict(dataset.tokenizer.quantise(piece.content)[1]) for _, piece in corpus.read()]  # type: ignore[attr-defined]
    notes = sum(report["notes"] for report in reports)
    assert dataset.report.keys() == reports[0].keys()
    for name, value in dataset.report.items():
        found = [report[name] for report in reports]
        if name.startswith("mean"):
            weighted = (report[name] * report["notes"] for report in reports)
            assert value == pytest.approx(sum(weighted) / notes) and min(found) <= value <= max(found)
        else:
            assert value == (max(found) if name.startswith("max") else sum(found)), name
    assert dataset.report["notes"] == notes > 0
    assert max(value for name, value in dataset.report.items() if "onset" in name) > 0
    assert make(corpus, kind, progress=False).report == dataset.report


def test_text_loses_what_only_the_validation_split_has(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("to be or not to be" * 9)
    assert "  as tokens   162 characters\n  kept in" in prepare.summary(make(open_corpus(tmp_path), progress=False))
    (tmp_path / "a.txt").write_text("to be or not to be" * 9 + "¿¿?")
    said = prepare.summary(make(open_corpus(tmp_path), progress=False))
    assert "    3 characters read as unknown (2 % of 165 characters): not in the training split;" in said


def test_another_tokenizer_may_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    midi.write(four_voices(20), tmp_path / "a.mid")
    assert prepare.main([str(tmp_path / "a.mid"), "--tokenizer", "performance"]) == 0
    assert "tokenizer   performance, " in capsys.readouterr().out


@pytest.mark.parametrize("corpus", ["no-such-corpus", "/no/such/place"])
def test_what_is_wrong_is_one_line(corpus: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.main([corpus]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m generator.prepare: {corpus}: neither a corpus nor a path")


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        prepare.main(["--help"])
    assert "python -m generator.prepare bach-chorales" in capsys.readouterr().out


def test_ctrl_c_leaves_nothing_half_done(tmp_path: Path, cache: Path) -> None:
    """In the middle of reading many files with two processes."""
    tune = "X:{0}\nT:Tune {0}\nM:4/4\nL:1/8\nK:G\n" + "GABc dedB|dedB dedB|c2ec B2dB|A2A2 G2G2|\n" * 8
    folder = tmp_path / "tunes"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number}.abc").write_text(tune.format(number))
    command = [sys.executable, "-m", "generator.prepare", str(folder)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    )
    deadline = time.monotonic() + 120
    while not list(cache.glob("shards/.*/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the parent and its readers alike
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, b""), err.decode()
    assert b"Traceback" not in err, err.decode()
    assert list((cache / "shards").iterdir()) == []
