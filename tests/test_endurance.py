"""What a loop and silence are: planted ones are found, the corpora have none; and an hour is told in windows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import endurance
from benchmarks.music_statistics import names
from generator.corpora import open_corpus
from generator.corpora.dataset import prepare
from generator.music import midi
from generator.music.score import Note, PieceEnd, Score, Voice
from generator.streaming.engine import Model, load
from generator.tokenizers.loop_cycles import LONGEST_CYCLE, REPETITIONS
from generator.tokenizers.loop_detector import SILENCE_MS, LoopDetector, Stretch, stretches
from generator.tokenizers.performance import PerformanceTokenizer
from tests.conftest import ROOT, four_voices, tiny

Notes = list[tuple[int, int]]
"""(start in ms, pitch) of each note."""


def score_of(notes: Notes) -> Score:
    """A tick is a millisecond."""
    return Score(500, (Voice("Piano"),), tuple(Note(start, 30, pitch) for start, pitch in notes))


def random_notes(count: int, seed: int = 0) -> Notes:
    """A melody with no pattern, five notes a second."""
    random = np.random.default_rng(seed)
    return list(zip((200 * np.arange(count)).tolist(), random.integers(40, 90, count).tolist(), strict=True))


def turned(cycle: Notes, length_ms: int, times: int, start_ms: int = 0) -> Notes:
    return [(start_ms + turn * length_ms + start, pitch) for turn in range(times) for start, pitch in cycle]


def kinds(notes: Notes) -> set[str]:
    return {stretch.kind for stretch in stretches(score_of(notes))}


CYCLE = st.lists(st.tuples(st.integers(41, 900), st.integers(21, 108)), min_size=1, max_size=60)


@settings(max_examples=30)
@given(CYCLE)
def test_any_cycle_that_goes_on_is_a_loop(steps: Notes) -> None:
    ends = np.cumsum([step for step, _ in steps]).tolist()
    cycle = [(end, pitch) for end, (_, pitch) in zip(ends, steps, strict=True)]
    times = max(REPETITIONS, -(-SILENCE_MS // ends[-1])) + 5
    before = random_notes(50)
    found = [one for one in stretches(score_of(before + turned(cycle, ends[-1], times, 10_000))) if one.kind == "loop"]
    assert len(found) == 1
    assert found[0].start_ms <= 10_000 + 2 * ends[-1]
    assert found[0].end_ms == 10_000 + ends[-1] * times


def test_parts_that_are_repeated_are_no_loop() -> None:
    """AABB three times over, and one cycle four times."""
    a, b = (random_notes(80, seed) for seed in (1, 2))
    tune = turned(a, 16_000, 2) + turned(b, 16_000, 2, 32_000)
    assert kinds(turned(tune, 64_000, 3)) == set()
    assert kinds(turned(a, 16_000, 4)) == set()
    assert kinds(turned(a, 16_000, REPETITIONS + 1)) == {"loop"}


def test_a_short_figure_may_be_repeated_for_a_while() -> None:
    assert kinds(random_notes(50) + turned([(0, 60), (200, 64)], 400, 50, 10_000)) == set()
    assert kinds(random_notes(50) + turned([(0, 60), (200, 64)], 400, 90, 10_000)) == {"loop"}


def test_a_loop_may_climb_slip_and_waver() -> None:
    cycle = random_notes(10)
    climbing = [(2000 * turn + start, pitch + turn % 12) for turn in range(30) for start, pitch in cycle]
    assert kinds(climbing) == {"loop"}
    slipping = turned(cycle, 2000, 30)
    for index in range(45, 300, 60):
        slipping[index] = (slipping[index][0], 100)
    assert kinds(slipping) == {"loop"}
    random = np.random.default_rng(0)
    chords = [(start, pitch + third) for start, pitch in turned(cycle, 2000, 30) for third in (0, 4)]
    wavering = sorted((start + int(random.integers(0, 20)), pitch) for start, pitch in chords)
    assert kinds(wavering) == {"loop"}


def test_the_longest_cycle() -> None:
    for length, expected in ((LONGEST_CYCLE, {"loop"}), (LONGEST_CYCLE + 1, set())):
        assert kinds(turned(random_notes(length), 200 * length, REPETITIONS + 1)) == expected


def test_silence() -> None:
    around = random_notes(50)
    later = [(start + 50_000, pitch) for start, pitch in around]
    found = stretches(score_of(around + later))
    assert [(one.kind, one.end_ms) for one in found] == [("silence", 51_400)]  # the eighth of the later notes
    assert kinds(around + [(start - 20_000, pitch) for start, pitch in later]) == set()
    assert kinds([(3000 * index, 50 + index * index % 37) for index in range(40)]) == set()
    assert kinds([(6000 * index, 50 + index * index % 37) for index in range(40)]) == {"silence"}
    assert stretches(score_of(around), 60_000) == [Stretch("silence", around[-8][0], 60_000)]


def test_stretches_of_a_kind_stay_apart_and_a_piece_lasts_until_its_last_note_ends() -> None:
    loop = [(500 * beat, 60 + 5 * (beat % 2)) for beat in range(100)]
    free = [(start + 55_000, pitch) for start, pitch in random_notes(200)]
    again = [(start + 100_000, pitch) for start, pitch in loop]
    loops = [one for one in stretches(score_of(loop + free + again)) if one.kind == "loop"]
    assert len(loops) == 2
    assert [one.start_ms < 10_000 for one in loops] == [True, False] and loops[0].end_ms < 60_000
    last = Note(0, 40_000, 60)
    assert stretches(Score(500, (Voice("Piano"),), (last,))) == [Stretch("silence", 0, 40_000)]


def test_a_stream_that_says_nothing_is_silent() -> None:
    assert stretches(score_of([]), SILENCE_MS) == [Stretch("silence", 0, SILENCE_MS)]
    assert stretches(score_of([]), SILENCE_MS - 1) == []


def test_a_loop_is_over_when_the_music_goes_on() -> None:
    detector = LoopDetector()
    loop = turned([(0, 60), (150, 63), (300, 67)], 500, 100)
    seen = []
    for start, pitch in loop + [(start + 50_000, pitch) for start, pitch in random_notes(40)]:
        detector.add_note(start, pitch)
        seen.append((start, detector.loop_since_ms))
    first = next(start for start, since in seen if since is not None)
    assert SILENCE_MS <= first < SILENCE_MS + 1500
    assert {since for start, since in seen if first <= start < 50_000} == {150}  # the first note follows none
    assert seen[-1][1] is None


def test_what_is_planted_in_real_music_is_found() -> None:
    """In the tunes that `folk` writes: four bars again and again, and a minute's rest."""
    model = load(ROOT / "checkpoints" / "folk")
    score = model.tokenizer.collect(model.stream(seed=3).pull(1000))
    at = score.clock().seconds
    notes = [(round(1000 * at(note.start_ticks)), note.pitch) for note in score.notes]
    assert kinds(notes) == set()
    bars = [round(1000 * at(bar.start_ticks)) for bar in score.bars]
    cycle = [(start - bars[20], pitch) for start, pitch in notes if bars[20] <= start < bars[24]]
    end = notes[-1][0] + 1000
    assert kinds(notes + turned(cycle, bars[24] - bars[20], 12, end)) == {"loop"}
    assert kinds(notes + [(start + end + 60_000, pitch) for start, pitch in notes]) == {"silence"}


def stuck_pieces(corpus: str, tokenizer: Any, step: int = 1) -> dict[str, set[str]]:
    dataset = prepare(open_corpus(corpus), tokenizer, progress=False)
    found = {}
    for split in map(dataset.split, dataset.splits):
        for index in range(0, len(split), step):
            if where := stretches(tokenizer.decode(split[index])):
                found[split.names[index]] = {one.kind for one in where}
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_piece_of_the_corpora_is_stuck(mirror: Path) -> None:
    """But one, which truly is silent."""
    bach, folk = (load(ROOT / "checkpoints" / name).tokenizer for name in ("bach", "folk"))
    assert stuck_pieces("bach-chorales", bach) == {"bach/bwv248.64-6": {"silence"}}
    assert stuck_pieces("folk-tunes", folk) == {}
    assert stuck_pieces("asap-piano", PerformanceTokenizer(), step=8) == {}


def test_streams_play_for_as_long_as_they_are_asked() -> None:
    model = Model(tiny("performance"))
    for score, _ in endurance.played(model, 3, 20.0):
        assert score.clock().seconds(score.end_ticks) > 15


def test_windows_are_compared_with_the_corpus_and_with_each_other() -> None:
    def window(value: float, *counts: int) -> dict[str, Any]:
        return {"polyphony": value, "interval": np.array(counts)}

    corpus = {
        "pieces": [window(float(value), 3, 1) for value in range(201)],
        "windows": [window(float(value), 1, 1) for value in range(101)],
    }
    whole = [window(50.0, 1, 1), window(96.0, 2, 0), window(np.nan, 0, 0), window(60.0, 1, 1)]
    by_piece = [window(9.0, 3, 1), window(10.0, 1, 1), window(11.0, 3, 1), window(190.0, 0, 9)]
    polyphony, interval = endurance.compare({"pieces": by_piece, "windows": whole}, corpus, ["polyphony", "interval"])
    assert polyphony["windows"] == {"low": 5, "high": 95, "inside": 2, "values": [50, 96, None, 60]}
    assert polyphony["pieces"] == {"low": 10, "high": 190, "inside": 3, "values": [9, 10, 11, 190]}
    assert polyphony["drift"] == pytest.approx(10 / np.std(np.arange(101)), rel=1e-3)
    assert interval["windows"] == {"low": 1, "high": 1, "inside": 2, "values": [1, 0.5, 0, 1]}
    assert interval["pieces"] == {"low": 1, "high": 1, "inside": 2, "values": [1, 0.75, 1, 0.25]}
    assert interval["drift"] == 0
    assert endurance.outside([polyphony, interval]) == {"pieces": 3, "windows": 4, "of": 8}


def test_a_window_is_the_mean_of_its_pieces_weighed_by_their_seconds() -> None:
    """Each by itself is in one key; together they are in two."""
    pitches = (60, 64, 67, 72, 76, 79, 61, 65, 68)
    notes = tuple(Note(500 * step, 250, pitch) for step, pitch in enumerate(pitches))
    piece = replace(Score(500, (Voice("Piano"),), notes), piece_ends=(PieceEnd(3000),))
    parts = list(endurance.split(piece, 4.5))
    assert [seconds for _, seconds in parts] == [3.0, 1.5]
    mean, whole = endurance.mean(parts), endurance.features(piece, 4.5)
    assert mean["scale_consistency"] == 1 > whole["scale_consistency"]
    assert mean["pitch_class_entropy"] == pytest.approx(np.log2(3)) and whole["pitch_class_entropy"] > 2
    assert mean["notes_per_second"] == pytest.approx(2) == whole["notes_per_second"]
    assert mean["interval"].sum() == whole["interval"].sum() - 1


@pytest.mark.parametrize("kind", ["score", "performance"])
def test_the_command(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(endurance, "WINDOW_SECONDS", 6.0)
    (tmp_path / "corpus").mkdir()
    for index in range(4):
        midi.write(four_voices(6 + index), tmp_path / "corpus" / f"{index}.mid")
    checkpoint = tiny(kind)
    checkpoint.save(tmp_path / "tiny")
    flags = ["--hours", "0.01", "--seeds", "3", "--minutes", "0.6", "--picture", str(tmp_path / "a.svg")]
    assert endurance.main([str(tmp_path / "tiny"), str(tmp_path / "corpus"), *flags]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed)
    assert "NaN" not in printed
    assert [row["statistic"] for row in found["rows"]] == names(checkpoint.tokenizer)
    assert all(len(row["windows"]["values"]) == 6 for row in found["rows"])
    assert found["outside"]["of"] == 6 * len(found["rows"])
    assert [row["governor"] for row in found["streams"]] == [True, False] and found["corpus"]["pieces"] == 4
    for row in found["streams"]:
        outside = row["outside"]
        assert row["seeds"] == 3 and 0 <= outside["windows"] <= outside["of"]
        assert outside["of"] > 0 and outside["of"] % len(names(checkpoint.tokenizer)) == 0
    assert found["streams"][1]["lifts"] == 0
    assert found["corpus"]["windows"] > 0 and found["corpus"]["loop"] == []
    endurance.draw(found["rows"], tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert len((tmp_path / "a.svg").read_bytes()) < 100_000


def test_a_window_that_nothing_fills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "corpus").mkdir()
    for index in range(4):
        midi.write(four_voices(6 + index), tmp_path / "corpus" / f"{index}.mid")
    tiny("score").save(tmp_path / "tiny")
    assert endurance.main([str(tmp_path / "tiny"), str(tmp_path / "corpus")]) == 2
    assert "five minutes" in capsys.readouterr().err
