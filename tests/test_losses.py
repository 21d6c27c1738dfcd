"""What is lost is said: by cause, in words, loudly above a tenth, at every door alike."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pretty_midi
import pytest
from streamlit.testing.v1 import AppTest

from generator import prepare, sample, train
from generator.foundation.omissions import WHEN_PRIMING, Omission, Report, Sentence, cause, sentences
from generator.web.markdown import plain
from tests.conftest import ROOT

BACH = ROOT / "checkpoints" / "bach"


@dataclass(frozen=True, slots=True)
class Band(Report):
    notes: int
    drums: int = cause("drum note", "left out", "it has none", better="score", of="notes", gone=True)
    late: int = cause("note", "moved by up to {max_error:.1f} s", "its clock is slow", of="notes")
    marks: int = cause("mark", "left out", "it cannot read", remedy="read them aloud")
    max_error: float = 0.0


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (Band(100), []),
        (Band(90, drums=10), ["10 drum notes left out (10 % of 100 notes): it has none; try --tokenizer score"]),
        (
            Band(89, drums=11),
            ["WARNING: 11 drum notes left out (11 % of 100 notes): it has none; try --tokenizer score"],
        ),
        (Band(0, drums=1), ["WARNING: 1 drum note left out (100 % of 1 note): it has none; try --tokenizer score"]),
        (Band(1000, marks=2000), ["2,000 marks left out: it cannot read; read them aloud"]),
        (
            Band(1990, drums=10, late=1500, max_error=0.25),
            [
                "WARNING: 1,500 notes moved by up to 0.2 s (75 % of 2,000 notes): its clock is slow",
                "10 drum notes left out (0.50 % of 2,000 notes): it has none; try --tokenizer score",
            ],
        ),
    ],
)
def test_a_report_in_words(report: Band, said: list[str]) -> None:
    assert [str(sentence) for sentence in sentences(report)] == said


def test_what_a_reader_left_out_is_summed() -> None:
    omissions = [
        Omission(2, "grace note", "left out"),
        Omission(1, "bar", "mended"),
        Omission(12, "grace note", "left out"),
    ]
    assert sentences(Band(90), omissions) == [
        Sentence("14 grace notes left out", True),
        Sentence("1 bar mended", False),
    ]


def test_a_checkpoint_has_its_tokenizer() -> None:
    [sentence] = sentences(Band(0, drums=1), remedy=WHEN_PRIMING)
    assert sentence.text.endswith("it has none; try a checkpoint of kind score")


def test_what_is_gone_is_summed() -> None:
    assert Band(5, drums=3, late=2).dropped == 3


def pop_song(path: Path, beats: int = 64) -> None:
    """A song at 89: a piano in chords, a bass, and drums, which have 4 of 8 notes a beat."""
    song = pretty_midi.PrettyMIDI(initial_tempo=89)
    piano, bass = pretty_midi.Instrument(0, name="Keys"), pretty_midi.Instrument(33, name="Bass")
    kit = pretty_midi.Instrument(0, is_drum=True, name="Kit")
    beat = 60 / 89
    for at in range(beats):
        start = at * beat
        piano.notes += [pretty_midi.Note(80, pitch, start, start + beat) for pitch in (60, 64, 67)]
        bass.notes.append(pretty_midi.Note(80, 36 + at % 5, start, start + beat))
        kit.notes += [pretty_midi.Note(80, pitch, start + late, start + late + 0.1) for pitch, late in DRUMS]
    song.instruments += [piano, bass, kit]
    song.lyrics.append(pretty_midi.Lyric(path.stem, 0.0))  # of equal files only one is read
    song.write(str(path))


DRUMS = ((36, 0.0), (42, 0.0), (38, 30 / 89), (42, 30 / 89))


@pytest.fixture
def songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "songs"
    folder.mkdir()
    for number in range(5):
        pop_song(folder / f"{number}.mid")
    return folder


NO_DRUMS = (
    "WARNING: 1,280 drum notes left out (50 % of 2,560 notes): this tokenizer plays one piano; try --tokenizer score"
)
ONE_PIANO = (
    "WARNING: 320 notes of other instruments played by a piano (12 % of 2,560 notes): this tokenizer plays one piano"
)


def test_preparing_one_piano_from_songs(songs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the words that training says too; and the remedy is one."""
    assert prepare.main([str(songs), "--tokenizer", "performance"]) == 0
    said = capsys.readouterr().out
    assert "as tokens   1,280 notes of 2,560\n" in said and f"    {NO_DRUMS}\n" in said and f"    {ONE_PIANO};" in said
    assert "5 tempos not written down: this tokenizer counts seconds" in said
    out = str(songs.parent / "piano")
    assert (
        train.main([str(songs), "--tokenizer", "performance", "--preset", "quick", "--steps", "1", "--out", out]) == 0
    )
    assert f"    {NO_DRUMS}\n" in capsys.readouterr().err
    assert prepare.main([str(songs), "--tokenizer", "score"]) == 0
    assert "as tokens   2,560 notes\n" in (said := capsys.readouterr().out) and "WARNING" not in said


def test_what_the_readers_left_out_is_said_of_a_corpus(songs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also the second time, out of the cache."""
    data = bytearray((songs / "0.mid").read_bytes())
    at = data.index(b"\xc1\x21")  # the bass's program, which no note needs
    data[at + 1] = 0xA1
    (songs / "0.mid").write_bytes(data)
    for number in range(2):
        (songs / f"{number}.abc").write_text(f'X:{number}\nM:4/4\nL:1/4\nK:G\n"G"G A {{c}}B c|{{e}}d4|\n')
    for _ in range(2):
        assert prepare.main([str(songs)]) == 0
        said = capsys.readouterr().out
        for words in ("4 grace notes left out", "2 chord symbols left out", "1 damaged message passed over"):
            assert f"    {words}\n" in said, said


def test_a_primer_that_a_checkpoint_hardly_knows(songs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample.main([str(BACH), "--prime", str(songs / "0.mid"), "--tokens", "5"]) == 0
    said = capsys.readouterr().err.splitlines()
    for words in (
        "--prime: WARNING: tempo 72 instead of 89: the nearest that this checkpoint knows",
        "--prime: WARNING: 256 drum notes left out (50 % of 512 notes): no voice of this vocabulary is for drums",
    ):
        assert words in said, said
    assert not any("tempo changed" in line for line in said), "it is told once, by its numbers"
    assert any("notes left out at the place of another one (25 % of 512 notes)" in line for line in said)
    # What it says itself it knows.
    ours = str(songs / "ours.mid")
    assert sample.main([str(BACH), "--bars", "2", "--seed", "1", "-o", ours]) == 0
    capsys.readouterr()
    assert sample.main([str(BACH), "--prime", ours, "--tokens", "5"]) == 0
    assert "--prime" not in capsys.readouterr().err


def test_a_text_with_characters_that_a_checkpoint_has_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert sample.main([str(ROOT / "checkpoints" / "shakespeare"), "--prime", "Ätna and Öl", "--tokens", "5"]) == 0
    said = capsys.readouterr().err
    assert "--prime: WARNING: 2 characters read as unknown (18 % of 11 characters): " in said


def test_a_melody_is_one_voice_of_a_song(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tunes = "X:1\nM:4/4\nL:1/4\nK:G\nG A {c}B c|d4|\n\nX:2\nM:4/4\nL:1/4\nK:G\nG4|\n"
    (tmp_path / "two.abc").write_text(tunes)
    assert sample.main([str(BACH), "--melody", str(tmp_path / "two.abc"), "-o", str(tmp_path / "a.mid")]) == 0
    said = capsys.readouterr().err
    assert "1 piece left out: of a file only the first one counts\n" in said
    assert "--melody: WARNING: 1 grace note left out\n" in said and "a melody is one voice" not in said


def test_the_app_says_what_it_leaves_out(songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = songs.parent / "checkpoints"
    shutil.copytree(BACH, folder / "bach")
    monkeypatch.setattr(sys, "argv", ["app.py", str(folder)])
    page = AppTest.from_file(str(ROOT / "generator" / "web" / "pages.py"), default_timeout=60).run()
    assert not page.warning and not page.exception
    page.file_uploader(key="music-file").upload("song.mid", (songs / "0.mid").read_bytes()).run()
    assert not page.exception
    warnings, captions = ([one.value for one in ones] for ones in (page.warning, page.caption))
    assert plain("tempo 72 instead of 89: the nearest that this checkpoint knows") in warnings
    assert plain("208 drum notes left out (50 % of 416 notes): no voice of this vocabulary is for drums") in warnings
    assert plain("the first 96 notes left out: only the last part counts") in captions
    assert plain("track 2 Bass (Electric Bass (finger)) → Bass: 52 of 52 notes") in captions
    tune = b"X:1\nM:4/4\nL:1/4\nK:G\nG A {c}B c|d4|d4|GABc|d4|GABc|\n"
    page.file_uploader(key="music-tune").set_value(("tune.abc", tune, "text/plain")).run()
    assert "1 grace note left out" in [caption.value for caption in page.caption] and not page.exception
