"""How far a long work is: nothing is said of what is soon done, and each work that lasts says what it is and ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from generator.corpora import progress
from generator.sinks import sound
from generator.streaming.engine import Engine, Model
from tests.conftest import ROOT, run, tiny

Told = list[tuple[str, int, int]]


def recorded() -> tuple[Told, Callable[[str, int, int], None]]:
    told: Told = []
    return told, lambda *what: told.append(what)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every work counts as a long one, and a line comes at once."""
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.001)


def test_what_is_soon_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.when_slow() as told:
        for done in range(5):
            told("reading", done, 4)
    assert capsys.readouterr().err == ""


def test_each_work_that_lasts_has_a_bar_until_it_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    impatient(monkeypatch)

    def said(expected: str = "") -> str:
        """What was written in a tenth of a second, or until this was, which a busy machine may let wait."""
        written, deadline = "", time.monotonic() + 60
        while not written or (expected not in written and time.monotonic() < deadline):
            time.sleep(0.1)
            written += capsys.readouterr().err
            if not expected:
                break
        return written

    with progress.when_slow() as told:
        for what, unit in (("reading", "tokens"), ("drawing", "bars")):
            for done in (0, 1):
                told(what, done, 4, unit)
            lines = said(f"{what}  25%")
            assert f"{what}  25%" in lines and f" {unit}/s" in lines
            told(what, 4, 4, unit)
            said()
            assert not said()
        told("reading", 1, 4)
        assert "reading  25%" in said("reading  25%")
        told("drawing", 2, 4)  # the work before was broken off
        last = said("drawing  50%").splitlines()[-1]
    assert "drawing  50%" in last
    said()
    assert not said()


def test_the_rate_counts_from_where_a_work_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    impatient(monkeypatch)
    with progress.when_slow() as told:
        told("going on", 10**9, 2 * 10**9)
        time.sleep(0.2)
        told("going on", 10**9 + 1, 2 * 10**9)
        time.sleep(0.1)
        rates = [int(rate.replace(",", "")) for rate in re.findall(r"([\d,]+) tokens/s", capsys.readouterr().err)]
    assert rates and max(rates) <= 5


def test_a_stream_tells_how_far_it_is_in_its_primer_and_in_its_past() -> None:
    model = Model(tiny("char"))
    engine = Engine(model)
    prime = str(model.tokenizer.collect(model.stream(seed=1).pull(500)))
    told, tell = recorded()
    stream = engine.stream(prime, progress=tell)
    total = stream.position
    assert told == [("reading the primer", min(done, total), total) for done in range(64, total + 64, 64)]
    stream.pull(300)
    told, tell = recorded()
    resumed = engine.resume(stream.snapshot(), progress=tell)
    assert not told
    list(resumed.past())
    assert told[0][0] == "reading the primer" and told[-1] == ("drawing the past again", total + 300, total + 300)
    told, tell = recorded()
    engine.resume(stream.snapshot(), progress=tell).rewind(10)
    assert told[-1] == ("drawing the past again", total + 290, total + 290)


def test_sound_says_how_far_it_is_and_what_ctrl_c_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    impatient(monkeypatch)
    assert run(ROOT / "checkpoints" / "bach", "--bars", 4, "-o", tmp_path / "a.wav") == 0
    assert "seconds/s" in capsys.readouterr().err.partition("playing it into the file ")[2]

    def stopped(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sound, "limit", stopped)
    assert run(ROOT / "checkpoints" / "bach", "--bars", 4, "-o", tmp_path / "b.wav") == 130
    assert "b.wav: stopped before it was whole" in capsys.readouterr().err and not (tmp_path / "b.wav").exists()


@pytest.mark.parametrize("extent", [("--bars", 30), ("--tokens", 900), ("--seconds", 60)])
def test_a_file_that_takes_long_says_how_far_it_is(
    extent: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    impatient(monkeypatch)
    assert run(ROOT / "checkpoints" / "bach", *extent, "-o", tmp_path / "a.mid") == 0
    assert f"{extent[0].lstrip('-')}/s" in capsys.readouterr().err.partition("drawing ")[2]
