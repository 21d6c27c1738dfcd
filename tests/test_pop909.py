"""Played music is put into bars along marked beats; POP909 is read so, and what has no usable beats is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import reading
from generator.corpora import open_corpus
from generator.corpora.base import Facts
from generator.corpora.pop909 import BEATS, Pop909Corpus, read_beats, read_song
from generator.corpora.splits import split_of
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.played import Beats, in_bars
from generator.music.score import Note, Pedal, Score, Tempo, TimeSignature, Voice
from generator.tokenizers.score import ScoreTokenizer

FACTS = Facts("pop909", "", "", "the dataset's page", "music", "score")
VOICES = (Voice("MELODY"), Voice("BRIDGE"), Voice("PIANO"))


def played(*seconds: float, length: float = 0.1) -> Score:
    """A note at each of these moments, in milliseconds."""
    notes = [Note(round(1000 * at), round(1000 * length), 60, 90) for at in seconds]
    return Score(1000, VOICES[:1], tuple(notes), tempos=(Tempo(0, 60.0),))


def marked(*seconds: float, every: int = 4, first: int = 0, denominator: int = 4) -> Beats:
    return Beats(np.array(seconds), np.arange(len(seconds)) % every == first, denominator)


def steady(count: int, gap: float = 0.5, start: float = 1.0) -> tuple[float, ...]:
    return tuple(start + gap * beat for beat in range(count))


def test_notes_keep_their_places_between_the_beats() -> None:
    score = in_bars(played(1.0, 1.5, 1.75, 3.0, length=0.25), marked(*steady(9)))
    assert [note.start_ticks for note in score.notes] == [0, 480, 720, 1920]
    assert {note.duration_ticks for note in score.notes} == {240} and {note.velocity for note in score.notes} == {90}
    assert score.time_signatures == (TimeSignature(0, 4, 4),) and score.tempos == (Tempo(0, 120.0),)


def test_each_bar_has_the_tempo_in_which_it_was_played() -> None:
    times = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0)
    score = in_bars(played(*times), marked(*times))
    assert [note.start_ticks for note in score.notes] == [480 * beat for beat in range(9)]
    assert score.tempos == (Tempo(0, 120.0), Tempo(1920, 60.0))


def test_beats_go_on_before_the_first_and_behind_the_last() -> None:
    score = in_bars(played(0.0, 1.0, 6.0), marked(*steady(9), first=1))
    assert [note.start_ticks for note in score.notes] == [480, 1440, 480 * 13]
    early = in_bars(played(0.99, 1.5), marked(*steady(9)))
    assert [note.start_ticks for note in early.notes] == [0, 480], "a note a little before the first bar is in it"
    late = in_bars(played(5.0, 5.5), marked(*steady(17, start=-3.0)))
    assert [note.start_ticks for note in late.notes] == [0, 480], "bars of silence at the beginning are left out"


def test_bars_are_those_between_downbeats_and_long_ones_are_cut() -> None:
    beats = np.zeros(26, bool)
    beats[[0, 4, 8, 14, 17, 21, 25]] = True
    score = in_bars(played(*steady(26)), Beats(np.array(steady(26)), beats, 4))
    metres = [(metre.start_ticks // 480, metre.numerator) for metre in score.time_signatures]
    assert metres == [(0, 4), (12, 2), (14, 3), (17, 4)]
    slow = in_bars(played(*steady(13, 0.25)), marked(*steady(13, 0.25), every=6, denominator=8))
    assert slow.time_signatures == (TimeSignature(0, 6, 8),) and slow.tempos == (Tempo(0, 120.0),)
    assert [note.start_ticks for note in slow.notes] == [240 * beat for beat in range(13)]


def test_pedals_and_tempos_of_the_file_are_read() -> None:
    score = replace(
        played(1.0, 2.0), tempos=(Tempo(0, 60.0), Tempo(1500, 30.0)), pedals=(Pedal(1000, True), Pedal(1500, False))
    )
    found = in_bars(score, marked(*steady(9)))
    assert [note.start_ticks for note in found.notes] == [0, 3 * 480]  # the second one sounds at 2.5 s
    assert [pedal.start_ticks for pedal in found.pedals] == [0, 480]


@given(st.lists(st.floats(0.2, 1.5), min_size=8, max_size=30), st.integers(0, 3), st.floats(-3, 3))
@settings(max_examples=30)
def test_notes_on_the_beats_come_out_on_the_beats(gaps: list[float], first: int, start: float) -> None:
    times = 4 + start + np.cumsum(gaps)
    score = in_bars(played(*times), marked(*times, first=first))
    assert all(abs((note.start_ticks + 240) % 480 - 240) <= 3 for note in score.notes)
    steps = np.diff([note.start_ticks for note in score.notes])
    assert (abs(steps - 480) <= 6).all()
    starts = {at for at, _ in score.bar_starts()}
    downbeats = [round(note.start_ticks / 480) * 480 for note in score.notes][first::4]
    assert {at for at in downbeats if at < score.end_ticks - 960} <= starts


@pytest.mark.parametrize(
    "beats",
    [
        (1.0, 2.0, 2.0, 3.0, 4.0),
        (1.0, 2.0, 1.5, 3.0, 4.0),
        (0.0, 9.0, 10.0, 11.0, 12.0),
        (0.0, 1.0, float("nan"), 3.0, 4.0),
    ],
)
def test_beats_that_do_not_go_on_are_refused(beats: tuple[float, ...]) -> None:
    with pytest.raises(CarouselError, match="beats that are not"):
        marked(*beats)


def test_too_few_downbeats_and_music_far_from_the_beats_are_refused() -> None:
    with pytest.raises(CarouselError, match="fewer than two downbeats"):
        marked(*steady(4))
    with pytest.raises(CarouselError, match="for minutes"):
        in_bars(played(1.0, 4000.0), marked(*steady(9)))


def song(folder: Path, name: str, beats: str | None, voices: tuple[Voice, ...] = VOICES) -> None:
    notes = [Note(480 * at, 600, 60 + 12 * voice + at % 5, 70 + at, voice) for at in range(16) for voice in range(3)]
    (folder / name).mkdir()
    midi.write(Score(480, voices, tuple(notes), tempos=(Tempo(0, 120.0),)), folder / name / f"{name}.mid")
    if beats is not None:
        (folder / name / BEATS).write_text(beats)


def lines(count: int, strong: int = 2, every: int = 4) -> str:
    return "".join(f"{at / 2} {float(at % strong == 0)} {float(at % every == 0)}\n" for at in range(count))


def test_a_song_is_read_and_its_melody_is_one_line(tmp_path: Path) -> None:
    song(tmp_path, "001", lines(20))
    score = read_song(tmp_path / "001")
    melody, bridge = ([note for note in score.notes if note.voice == voice] for voice in (0, 1))
    assert {note.duration_ticks for note in melody[:-1]} == {480} and {note.duration_ticks for note in bridge} == {600}
    assert score.title == "001" and score.voices == VOICES and [str(each.count) for each in score.omissions] == ["15"]
    tokenizer = ScoreTokenizer.fit([score])
    assert [part.monophonic for part in tokenizer.table.parts] == [
        True,
        False,
        False,
    ] and tokenizer.table.velocities.size
    song(tmp_path, "002", lines(20, strong=3, every=6))
    assert read_beats(tmp_path / "002" / BEATS).denominator == 8


def test_what_has_no_usable_beats_is_left_out_with_the_reason(tmp_path: Path) -> None:
    broken = {"003": None, "004": "", "005": "1 2\n", "006": "a b c\n", "007": "0 1 1\n" * 9, "008": "0 1 1\n" * 10**6}
    for name in ("001", "002"):
        song(tmp_path, name, lines(20))
    for name, beats in broken.items():
        song(tmp_path, name, beats)
    (tmp_path / "009").mkdir()
    corpus = Pop909Corpus(FACTS, tmp_path)
    assert [(split, piece.name) for split, piece in corpus.read()] == [(split_of(n), n) for n in ("001", "002")]
    assert [name for name, _ in corpus.skipped] == [*broken, "009"]
    reasons = [reason for _, reason in corpus.skipped]
    assert all(reason.startswith((BEATS, "009.mid")) for reason in reasons)
    causes = ("cannot be read", "fewer", "three numbers", "three", "beats", "too large", "cannot be read")
    assert all(words in reason for reason, words in zip(reasons, causes, strict=True))
    before = corpus.fingerprint()
    (tmp_path / "001" / BEATS).write_text(lines(24))
    assert corpus.fingerprint() != before


def test_every_reader_of_the_benchmark_reads_the_same_songs(tmp_path: Path) -> None:
    song(tmp_path, "001", lines(20))
    found = reading.compare([tmp_path / "001"] * 2)
    assert (
        list(found) == ["symusic", "notes", "song", "tokens", "pretty_midi"] and found["pretty_midi"]["faster"] == 1.0
    )


def test_a_folder_without_songs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CarouselError, match="no folders of songs"):
        list(Pop909Corpus(FACTS, tmp_path).read())


def test_real_songs_lie_on_their_beats(mirror: Path) -> None:
    """One song in 160, against the times that another reader finds."""
    corpus = open_corpus("pop909")
    assert isinstance(corpus, Pop909Corpus)
    names = corpus.songs()[::160]
    scores = [read_song(corpus.folder / name) for name in names]
    tokenizer = ScoreTokenizer.fit(scores)
    assert [part.name for part in tokenizer.table.parts] == ["MELODY", "BRIDGE", "PIANO"]
    assert tokenizer.table.parts[0].monophonic and len(tokenizer.table.velocities) >= 5
    for name, score in zip(names, scores, strict=True):
        table = np.loadtxt(corpus.folder / name / BEATS)
        seconds = np.array(onsets(corpus.folder / name / f"{name}.mid"))
        near = np.abs(seconds[:, None] - table[:, 0]).min(1) < 0.002
        beat = 240 if score.time_signatures[0].denominator == 8 else 480
        on_beat = sum(min(note.start_ticks % beat, -note.start_ticks % beat) <= 4 for note in score.notes)
        assert on_beat >= 0.95 * near.sum() > 100
        grid, report = tokenizer.quantise(score)
        assert report.dropped <= 0.002 * len(score.notes) and report.max_velocity_error <= 16
        assert report.mean_onset_error_quarters < 0.02
        assert tokenizer.decode(tokenizer.encode(score)).notes == grid.notes


def onsets(path: Path) -> list[float]:
    now, found = 0.0, []
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "note_on" and message.velocity:
            found.append(now)
    return found
