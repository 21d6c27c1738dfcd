"""Corpora: the pieces that are promised, in the splits that are promised, and a line for whatever is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.corpora import download, folder, open_corpus, splits
from generator.corpora.archives import FramesCorpus, MaestroCorpus
from generator.corpora.base import Corpus, Facts, Piece
from generator.corpora.dataset import prepare
from generator.corpora.music21_package import Music21Corpus, _title_key
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.score import Note, Score, Tempo, TimeSignature, Voice

QUARTETS = ("Soprano", "Alto", "Tenor", "Bass")
FACTS = Facts("test", "a test", "none", "here", "music", "score")


def music(*pitches: int, tempo: float = 100.0) -> Score:
    """Quarters in 4/4."""
    notes = tuple(Note(480 * index, 480, pitch) for index, pitch in enumerate(pitches))
    return Score(480, (Voice("Flute", 73),), notes, (TimeSignature(0, 4, 4),), (Tempo(0, tempo),))


def names(corpus: Corpus, split: str) -> list[str]:
    return [piece.name for piece in corpus.pieces(split)]


# Named corpora


def few(name: str, monkeypatch: pytest.MonkeyPatch, *wanted: str) -> Corpus:
    """A corpus of the music21 package, cut down to a few files."""
    everything = Music21Corpus.files
    monkeypatch.setattr(Music21Corpus, "files", lambda self: [path for path in everything(self) if path.name in wanted])
    return open_corpus(name)


def test_chorales_have_four_singers_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    files = (
        "bwv10.7.mxl",
        "bwv70.11.mxl",
        "bwv11.6.mxl",
        "bwv190.7.mxl",
        "bwv190.7-inst.mxl",
        "bwv846.mxl",
        "bwv324.mxl",
    )
    corpus = few("bach-chorales", monkeypatch, *files)
    pieces = dict(piece for piece in ((piece.name, piece.content) for _, piece in corpus.read()))
    assert list(pieces) == ["bach/bwv10.7", "bach/bwv11.6", "bach/bwv190.7-inst", "bach/bwv70.11"]
    for score in pieces.values():
        assert isinstance(score, Score)
        assert tuple(voice.name for voice in score.voices) == QUARTETS
        assert not score.style
        assert score.tempos == (Tempo(0, 72.0),)
        for voice in range(4):
            line = [note for note in score.notes if note.voice == voice]
            assert all(first.end_ticks <= second.start_ticks for first, second in pairwise(line))
    assert dict(corpus.skipped) == {
        "bach/bwv190.7": "the same as bach/bwv190.7-inst",
        "bach/bwv324.mxl": "bar 7 is 10 quarters long where its metre has 4",
        "bach/bwv846.mxl": "it does not have one part each for Soprano, Alto, Tenor, Bass",
    }


def test_folk_tunes_are_one_line_on_regular_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = few("folk-tunes", monkeypatch, "AcrobatsHornpipe.abc", "0701-0720.abc")
    found = list(corpus.read())
    assert 15 <= len(found) <= 21
    metre = {(m.numerator, m.denominator) for _, piece in found for m in piece.content.time_signatures}
    assert metre <= {(6, 8), (9, 8), (2, 2), (4, 4), (2, 4), (3, 4), (3, 8), (12, 8)}
    for _, piece in found:
        assert len(piece.content.time_signatures) == 1
        assert piece.content.voices == (Voice("Melody", 73),)
    acrobats = next(piece.content for _, piece in found if "Acrobats" in piece.name)
    assert acrobats.style == "hornpipe"
    assert len(list(acrobats.bar_starts())) == 33  # AABB of 8 bars each, after a pickup


def test_one_tune_in_two_collections_has_one_title() -> None:
    assert _title_key("THE ACROBAT'S -- HORNPIPE") == _title_key("Acrobats") == "acrobats"
    assert _title_key("The Reel") == "The Reel"


def test_chorales_of_one_work_stay_together() -> None:
    works = {f"bwv{number}" for number in range(1, 440)}
    shares = {
        split: sum(splits.split_of(work) == split for work in works) / len(works) for split in Music21Corpus.splits
    }
    assert shares["train"] == pytest.approx(0.9, abs=0.05)
    assert shares["validation"] > 0.02 < shares["test"]


def test_tiny_shakespeare_is_cut_as_everybody_cuts_it(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(download.MIRROR, str(mirror))
    corpus = open_corpus("tinyshakespeare")
    [train], [validation] = ([p.content for p in corpus.pieces(split)] for split in corpus.splits)
    assert isinstance(train, str) and isinstance(validation, str)
    assert (len(train), len(validation)) == (1_003_854, 111_540)
    assert corpus.fingerprint() == open_corpus("tinyshakespeare").fingerprint()


def test_frames_come_back_out_of_the_score(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(download.MIRROR, str(mirror))
    corpus = open_corpus("jsb-chorales")
    assert isinstance(corpus, FramesCorpus)
    frames = json.loads(corpus.path.read_text())
    found: dict[str, list[Score]] = {split: [] for split in corpus.splits}
    for split, piece in corpus.read():
        assert isinstance(piece.content, Score)
        found[split].append(piece.content)
    assert [len(found[split]) for split in corpus.splits] == [229, 76, 77]
    for group, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        for chorale, score in zip(frames[group], found[split], strict=True):
            back: list[list[int]] = [[] for _ in chorale]
            for note in score.notes:
                back[note.start_ticks].append(note.pitch)
            assert [sorted(frame) for frame in back] == [sorted(frame) for frame in chorale]
            assert all(first.voice < second.voice for first, second in pairwise(score.notes)
                       if first.start_ticks == second.start_ticks)  # fmt: skip


def test_all_performances_of_a_composition_share_a_split(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(download.MIRROR, str(mirror))
    corpus = open_corpus("asap-piano")
    assert isinstance(corpus, folder.FolderCorpus)
    assert len(corpus.files) == 957
    assert folder.composition("Beethoven/Piano_Sonatas/24-1_no_2_repeat/A.mid") == "beethoven/piano_sonatas/24-1"
    corpus.files = corpus.files[::12]
    groups: dict[str, set[str]] = {}
    for split, piece in corpus.read():
        assert isinstance(piece.content, Score)
        assert piece.content.style == piece.name.split("/")[0].lower()
        groups.setdefault(folder.composition(piece.name), set()).add(split)
    assert all(len(where) == 1 for where in groups.values())
    assert set.union(*groups.values()) == set(corpus.splits)


def test_asap_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(download.MIRROR, str(tmp_path))
    with pytest.raises(CarouselError, match=r"fetch https://github.com/.* into a folder called asap"):
        open_corpus("asap-piano")


def test_maestro_brings_its_splits(tmp_path: Path) -> None:
    rows = [("2004/a.midi", "train"), ("2004/b.midi", "test"), ("2006/c.midi", "validation"), ("2006/d.midi", "train")]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["canonical_composer", "canonical_title", "split", "year", "midi_filename", "duration"])
    writer.writerows(["J. S. Bach", "Fugue, in C", split, 2004, name, 60] for name, split in reversed(rows))
    path = tmp_path / "maestro.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("maestro-v3.0.0/maestro-v3.0.0.csv", table.getvalue())
        for name, _ in rows:
            archive.writestr(f"maestro-v3.0.0/{name}", b"damaged" if "d.midi" in name else midi.to_bytes(music(60, 62)))
    corpus = MaestroCorpus(FACTS, path)
    assert [(split, piece.name) for split, piece in corpus.read()] == [(split, name) for name, split in rows[:3]]
    assert [name for name, _ in corpus.skipped] == ["2006/d.midi"]
    assert {piece.content.style for _, piece in corpus.read() if isinstance(piece.content, Score)} == {"bach"}
    path.write_bytes(b"no zip")
    with pytest.raises(CarouselError, match="not the archive of MAESTRO"):
        list(corpus.read())


# Text


def test_text_keeps_everything_but_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffÄpfel\r\n\r\n日本\rمرحبا\n\ttab \x0c\u2028 e\u0301 ".encode())
    corpus = open_corpus(path)
    assert (corpus.medium, corpus.tokenizer, corpus.name) == ("text", "char", "a.txt")
    text = "".join(str(piece.content) for _, piece in corpus.read())
    assert text == "Äpfel\n\n日本\nمرحبا\n\ttab \x0c\u2028 e\u0301 "


@given(st.text(min_size=2, max_size=200))
def test_a_text_is_cut_at_nine_tenths(text: str) -> None:
    first, last = splits.cut(Piece("text", text))
    assert first.content + last.content == text  # type: ignore[operator]
    assert len(first.content) == len(text) * 9 // 10  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b" \n\r\n", "the file is empty"),
        (b"x", "1 characters are too few"),
        ("naïve".encode("latin-1"), r"not UTF-8 at byte 2 \(another encoding\?\)"),
        ("naïve".encode("utf-16"), r"not UTF-8 at byte 0 \(UTF-16\?\)"),
        (
            "to be".encode("utf-16-le"),
            r"a control character at 1 \(UTF-16 without a mark\?\); convert it, as with iconv",
        ),
        (b"to \x1b[31mbe", r"a control character at 3 \(no plain text\?\)"),
    ],
)
def test_bad_texts_are_refused_in_a_line(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(data)
    with pytest.raises(CarouselError, match=words) as caught:
        list(open_corpus(path).read())
    assert "bad.txt" in str(caught.value)


def test_a_folder_of_texts_has_a_piece_a_file(tmp_path: Path) -> None:
    for index in range(30):
        (tmp_path / f"{index}.txt").write_text(f"text {index}")
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    (tmp_path / ".hidden.txt").write_text("no")
    corpus = open_corpus(tmp_path)
    assert corpus.facts.title == f"31 .txt from {tmp_path.name}"
    train, validation = names(corpus, "train"), names(corpus, "validation")
    assert len(train) + len(validation) == 30
    assert 1 <= len(validation) <= 8
    assert corpus.skipped == [
        ("bad.txt", "not UTF-8 at byte 0 (another encoding?); convert it, as with iconv -t UTF-8")
    ]
    (tmp_path / "new.txt").write_text("new")
    assert set(train) <= {*names(open_corpus(tmp_path), "train"), *validation}


@given(st.sets(st.text(min_size=1), min_size=2, max_size=20))
def test_a_few_pieces_give_some_of_each_split(found: set[str]) -> None:
    parted = list(splits.train_and_validation(Piece(name, "text") for name in sorted(found)))
    assert {split for split, _ in parted} == {"train", "validation"}
    assert sorted(piece.name for _, piece in parted) == sorted(found)


def test_a_file_name_may_be_any_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (b"\xff.txt", "Ärger 日本.txt".encode()):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("a text")
    monkeypatch.setenv(download.CACHE, str(tmp_path / "cache"))
    dataset = prepare(open_corpus(tmp_path), progress=False)
    assert {name for split in dataset.splits for name in dataset.split(split).names} == {"\ufffd.txt", "Ärger 日本.txt"}


# Folders of music


def write(path: Path, score: Score) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.write(score, path)


def test_a_folder_is_searched_through_and_through(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "one.MID", music(60, 62))
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nowhere.mid").symlink_to(tmp_path / "gone")
    write(tmp_path / "two.midi", music(64, 65))
    (tmp_path / "notes.txt").write_text("about them")
    (tmp_path / "tunes.abc").write_text("X:1\nT:First\nM:4/4\nK:C\nCDEF|\n\nX:2\nT:Second\nM:4/4\nK:C\nEFGA|\n")
    (tmp_path / "broken.mid").write_bytes(b"MThd")
    (tmp_path / "empty.xml").write_bytes(b"")
    corpus = open_corpus(tmp_path)
    assert sorted(piece.name for _, piece in corpus.read()) == [
        "a/b/one.MID",
        "tunes.abc 1 First",
        "tunes.abc 2 Second",
        "two.midi",
    ]
    assert corpus.medium == "music"
    assert [name for name, _ in corpus.skipped] == ["broken.mid", "empty.xml"]
    assert all(str(tmp_path) not in reason for _, reason in corpus.skipped)
    before = corpus.fingerprint()
    assert before == open_corpus(tmp_path).fingerprint()
    write(tmp_path / "two.midi", music(64, 66))
    assert before != open_corpus(tmp_path).fingerprint()


def test_a_folder_without_music_says_what_was_seen(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "sub/c.PDF", "README"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CarouselError) as caught:
        open_corpus(tmp_path)
    for words in (".mid .midi .kar .rmi .xml .musicxml .mxl .abc .krn", "2 .jpg", "1 .pdf", "1 files without a suffix"):
        assert words in str(caught.value)
    (tmp_path / "none").mkdir()
    with pytest.raises(CarouselError, match="it holds no files"):
        open_corpus(tmp_path / "none")


def test_a_single_bad_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(b"garbage" * 9)
    with pytest.raises(CarouselError, match="not a MIDI file"):
        list(open_corpus(tmp_path / "a.mid").read())


def test_a_single_piece_is_cut_at_a_bar(tmp_path: Path) -> None:
    score = music(*range(40, 80))
    write(tmp_path / "a.mid", score)
    (_, train), (_, validation) = open_corpus(tmp_path).read()
    assert isinstance(train.content, Score) and isinstance(validation.content, Score)
    assert [note.pitch for note in train.content.notes] == list(range(40, 76))
    assert [note.pitch for note in validation.content.notes] == list(range(76, 80))
    assert validation.content.notes[0].start_ticks == 0
    assert validation.content.time_signatures[0] == TimeSignature(0, 4, 4)
    assert validation.content.tempos == train.content.tempos
    write(tmp_path / "a.mid", music(60, 62))
    with pytest.raises(CarouselError, match="too little to learn from"):
        list(open_corpus(tmp_path).read())


def test_the_tokenizer_suits_the_files(tmp_path: Path, asap: list[Path]) -> None:
    write(tmp_path / "straight.mid", music(60, 62, 64))
    (tmp_path / "straight.abc").write_text("X:1\nM:4/4\nK:C\nCDEF|\n")
    assert folder.suited_tokenizer([tmp_path / "straight.abc"]) == ("score", "the files are written music")
    assert folder.suited_tokenizer([tmp_path / "straight.mid"])[0] == "score"
    kind, reason = folder.suited_tokenizer(asap[:3])
    assert kind == "performance"
    assert reason.startswith("only ")
    corpus = open_corpus(asap[0])
    assert (corpus.tokenizer, corpus.facts.reason[:4]) == ("performance", "only")
