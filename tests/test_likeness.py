"""The statistics of music are what they say they are, and compare like with like."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import defaults, likeness
from benchmarks.music_statistics import HISTOGRAMS, cuts, features, names
from generator.music import midi
from generator.music.score import Bar, Note, Pedal, Score, Tempo, TimeSignature
from tests.conftest import four_voices, tiny


def test_the_features_of_what_is_known() -> None:
    """Four voices in quarters that never rest, eight bars of 4/4 at 120: 16 seconds."""
    found = features(four_voices(), 16.0)
    assert found["polyphony"] == pytest.approx(4, abs=0.5)
    assert found["empty_beat_rate"] < 0.05  # MusPy counts the beat at the very end
    assert found["notes_per_second"] == len(four_voices().notes) / 16
    assert found["interval"].sum() == len(four_voices().notes) - 4
    assert found["duration"].sum() == found["velocity"].sum() == len(four_voices().notes)
    assert np.flatnonzero(found["velocity"]).tolist() == [20] and found["pedal_share"] == 0


def test_a_feature_of_nothing_is_no_number() -> None:
    found = features(replace(four_voices(), notes=()), 30.0)
    assert found["notes_per_second"] == 0 and found["empty_beat_rate"] == 1
    for name in ("pitch_class_entropy", "scale_consistency", "polyphony", "groove_consistency"):
        assert np.isnan(found[name])


def test_bars_are_compared_within_their_metre() -> None:
    """Four bars of 4/4 and four of 3/4, each always with the same onsets: as alike as can be."""
    quarters = range(4 * 4 + 4 * 3)
    metres = (TimeSignature(0, 4, 4), TimeSignature(16 * 12, 3, 4))
    score = Score(12, four_voices().voices, tuple(Note(12 * at, 11, 60) for at in quarters), metres)
    assert features(score, 14.0)["groove_consistency"] == 1
    assert features(replace(score, time_signatures=()), 14.0)["groove_consistency"] == 1
    assert features(replace(score, notes=score.notes[:5] + score.notes[7:]), 14.0)["groove_consistency"] < 1


def test_the_pedal_is_down_for_a_share_of_the_time() -> None:
    pedals = (Pedal(0, True), Pedal(480, False), Pedal(960, True))
    assert features(replace(four_voices(), pedals=pedals), 2.0)["pedal_share"] == pytest.approx(0.75)


def test_only_performances_have_velocities_and_a_pedal() -> None:
    more = set(names(tiny("performance").tokenizer)) - set(names(tiny("score").tokenizer))
    assert more == {"velocity", "pedal_share"}


@settings(max_examples=30)
@given(st.floats(0.5, 9), st.lists(st.floats(30, 240), min_size=1, max_size=4), st.booleans())
def test_cuts_are_as_long_as_they_say_and_lose_nothing(seconds: float, tempos: list[float], barred: bool) -> None:
    bars = [start for start, _ in four_voices(12).bar_starts()]
    score = replace(
        four_voices(12),
        tempos=tuple(Tempo(7 * 480 * index, tempo) for index, tempo in enumerate(tempos)),
        bars=tuple(map(Bar, bars)) if barred else (),
    )
    found = list(cuts(score, seconds))
    starts = [note.start_ticks for note in score.notes]
    kept = sum(len(cut.notes) for cut, _ in found)
    for cut, length in found:
        assert length >= seconds - 1e-9
        assert cut.clock().seconds(cut.end_ticks) <= length + 1e-9
    assert [note.pitch for cut, _ in found for note in cut.notes] == [note.pitch for note in score.notes[:kept]]
    if kept < len(starts):
        total = sum(length for _, length in found)
        assert score.clock().seconds(starts[kept]) == pytest.approx(total) or not barred
        assert score.clock().seconds(score.end_ticks) - total < seconds


SAMPLES = st.lists(st.floats(-100, 100), min_size=2, max_size=30).map(np.array)


@given(SAMPLES, SAMPLES)
def test_an_overlap_is_a_share_and_has_no_sides(some: Any, others: Any) -> None:
    found = likeness.overlap(some, others)
    assert -1e-9 <= found <= 1 + 1e-9
    assert found == pytest.approx(likeness.overlap(others, some))
    assert likeness.overlap(some, some) == pytest.approx(1)


def test_overlaps_that_are_known() -> None:
    assert likeness.overlap(np.array([[1.0, 0, 3], [0, 0, 0]]), np.array([[0, 0, 1.0], [0, 4, 0]])) == 0.2
    random = np.random.default_rng(0)
    some, others = random.normal(0, 1, 20_000), random.normal(1, 1, 20_000)
    assert likeness.overlap(some, others) == pytest.approx(0.617, abs=0.03)  # 2 Φ(-1/2)
    assert likeness.overlap(some, others + 100) < 1e-6


def test_the_ratio_is_one_for_the_same_music_and_less_for_other() -> None:
    random = np.random.default_rng(0)
    held_out, train, same = (list(random.normal(0, 1, (count, 1))) for count in (60, 300, 200))
    fair = likeness.compare(same, train, held_out)
    assert fair["ratio"] == pytest.approx(1, abs=0.1) and fair["low"] < 1 < fair["high"]
    assert likeness.compare([value + 2 for value in same], train, held_out)["high"] < 0.7


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for index in range(4):
        midi.write(four_voices(20 + index), folder / f"{index}.mid")
    return folder


@pytest.mark.parametrize("kind", ["score", "performance"])
def test_the_command_prints_a_row_a_feature(
    kind: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(likeness, "DRAWS", 20)
    checkpoint = tiny(kind)
    checkpoint.save(tmp_path / "tiny")
    assert likeness.main([str(tmp_path / "tiny"), str(corpus), "--pieces", "2", "--temperature", "0.9"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = names(checkpoint.tokenizer) + ["seconds"] * (kind == "score")
    assert [row["feature"] for row in found["rows"]] == expected
    for row in found["rows"]:
        assert 0 <= row["overlap"] <= 1.001 and 0 < row["ceiling"] <= 1.001
        assert row["ratio"] == pytest.approx(row["overlap"] / row["ceiling"], rel=1e-2, abs=1e-9)
        assert ("held_out" in row) == (row["feature"] not in HISTOGRAMS)
    assert found["below"] == [row["feature"] for row in found["rows"] if row["ratio"] < 0.9]
    assert found["settings"]["excerpt"] == (30 if kind == "performance" else None)
    assert found["compared"]["generated"] <= 2 and found["compared"]["held_out"] == 1


def test_pairs_of_temperature_and_top_p_are_compared(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the held-out pieces, which say no words that the corpus does not have."""
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(likeness, "DRAWS", 20)
    small = ["--streams", "2", "--tokens", "200", "--pieces", "2", "--temperatures", "0.5", "--top-ps", "0.9", "1"]
    (tmp_path / "poem.txt").write_text("a rose is a rose\n" * 4000)
    for kind, source, more in (("score", corpus, ["--no-parallels"]), ("char", tmp_path / "poem.txt", [])):
        tiny(kind).save(tmp_path / kind)
        if kind == "score":
            (tmp_path / kind / "defaults.json").write_text('{"key": "D minor"}')
        assert defaults.main([str(tmp_path / kind), str(source), *small, *more]) == 0
        held_out, *rows = json.loads(capsys.readouterr().out)["rows"]
        assert [(row["temperature"], row["top_p"]) for row in rows] == [(0.5, 0.9), (0.5, 1.0)]
        assert all(row["lifts"] >= 0 and 0 <= row["copied"] <= 1 and row["longest_copy"] > 0 for row in rows)
        if kind == "char":
            assert held_out["no_words"] == 0 and held_out["different_words"] == 3 and rows[0]["no_words"] > 0.5
        else:
            assert held_out["parallels_per_100_bars"] > 100 and rows[0]["parallels_per_100_bars"] == 0
            assert 0 < rows[0]["likeness"] <= 1.1 and rows[0]["least"].split()[1] in names(tiny(kind).tokenizer)


def test_what_is_shorter_than_an_excerpt_is_not_compared() -> None:
    """Pieces of 16 and of 40 seconds."""
    short, long = four_voices(8), four_voices(20)
    assert [len(likeness.excerpts(long, seconds)) for seconds in (None, 30.0, 4.0)] == [1, 1, 8]
    assert likeness.excerpts(short, 30.0) == []
    table = likeness.measure([short, long], 15.0)
    assert [len(values) for values in table["notes_per_second"]] == [1, 2]
    assert len(likeness.measure([short, long], 30.0)["notes_per_second"]) == 1


def test_text_has_no_such_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny("char").save(tmp_path / "tiny")
    assert likeness.main([str(tmp_path / "tiny"), "tinyshakespeare"]) == 2
    assert capsys.readouterr().err.endswith("writes text; give a checkpoint that writes music\n")
