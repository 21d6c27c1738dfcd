"""A file of music tells how it was made, and comes out again from that to the byte; harm to it is found."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import generator
from generator import CarouselError
from generator.cli import takes
from generator.music import engraving, midi, origin
from generator.music.score import Score
from generator.streaming.origin import Cut, read_text
from generator.streaming.stream import Stream
from tests.conftest import ROOT, four_voices, run, tiny
from tests.test_takes import small_take


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with checkpoints of every kind, in which commands run."""
    for kind in ("char", "score", "performance"):
        tiny(kind).save(tmp_path / "checkpoints" / kind)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "length"),
    [(kind, length) for kind in ("score", "performance") for length in ("--seconds", "--tokens")]
    + [("score", "--bars")],
)
def test_what_was_cut_comes_out_again(house: Path, kind: str, length: str) -> None:
    midi.write(four_voices(2), house / "mine.mid")
    command = (f"checkpoints/{kind}", "--prime", "mine.mid", length, 9)
    assert run(*command, "-o", "first.mid", "--save", "first.take") == 0
    assert run("--resume", "first.take", "--temperature", 0.7, length, 5, "-o", "song.mid") == 0
    for file in ("first.mid", "song.mid"):
        assert run("--replay", file) == 0
        assert run("--replay", file, "-o", "again.mid") == 0
        assert Path(file).read_bytes() == Path("again.mid").read_bytes()


def test_a_file_of_music_gives_its_take_back(house: Path) -> None:
    assert run("checkpoints/score", "--seed", 4, "--bars", 9, "-o", "a.mid", "--save", "a.take") == 0
    assert (
        run("--resume", "a.take", "--rewind-bars", 4, "--seed", 5, "--bars", 2, "-o", "b.xml", "--save", "b.take") == 0
    )
    assert run("--replay", "b.xml", "-o", "c.take") == 0
    assert run("--replay", "b.take", "-o", "c.xml") == 0
    assert run("--replay", "b.xml", "-o", "c.mid") == 0
    assert Path("b.take").read_bytes() == Path("c.take").read_bytes()
    assert Path("b.xml").read_bytes() == Path("c.xml").read_bytes()
    assert midi.read(Path("c.mid")).notes
    assert "carousel" not in engraving.to_svg(midi.read(Path("c.mid"))).decode()


def test_a_renamed_checkpoint_is_found_and_a_missing_one_is_named(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("checkpoints/score", "--tokens", 90, "-o", "a.mid", "--save", "a.take") == 0
    (house / "checkpoints" / "score").rename(house / "checkpoints" / "renamed")
    (house / "checkpoints" / "broken").mkdir()
    assert run("--replay", "a.mid") == run("--replay", "a.take") == 0
    (house / "checkpoints" / "renamed").rename(house / "elsewhere")
    capsys.readouterr()
    assert run("--replay", "a.mid") == run("--resume", "a.take", "--tokens", 5) == 2
    assert capsys.readouterr().err.count("needs the checkpoint score (fingerprint ") == 2
    assert run("elsewhere", "--replay", "a.mid") == 0
    assert run("checkpoints/performance", "--replay", "a.mid") == 2


def test_an_edited_file_is_told_from_an_identical_one(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("checkpoints/score", "--seed", 4, "--tokens", 400, "--no-governor", "-o", "a.mid") == 0
    assert run("--replay", "a.mid") == 0
    assert "identical" in capsys.readouterr().err
    data = Path("a.mid").read_bytes()
    for old, new in ((b"\x00\xff\x2f\x00", b"\x01\xff\x2f\x00"), (b'"seed": 4', b'"seed": 5')):
        Path("b.mid").write_bytes(data.replace(old, new, 1))
        assert Path("b.mid").read_bytes() != data
        assert run("--replay", "b.mid") == 2
        errors = capsys.readouterr().err
        assert "edited" in errors and errors.count("\n") == 1
    truth = origin.read(Path("a.mid"))
    lie = replace(read_text(truth)[0], position=300).text()
    Path("b.mid").write_bytes(data.replace(truth.encode(), lie.encode()))
    assert run("--replay", "b.mid") == 2
    assert "edited" in capsys.readouterr().err
    assert run("--replay", "b.mid", "-o", "c.mid") == 0
    assert "b.mid: edited" in capsys.readouterr().err


def test_every_changed_character_of_a_provenance_is_found() -> None:
    text = small_take().text(Cut(7))
    assert read_text(text)[1] == Cut(7)
    chance = random.Random(3)
    for index in range(len(text)):
        changed = text[:index] + chr(ord(text[index]) ^ chance.randint(1, 127)) + text[index + 1 :]
        try:
            found = read_text(changed)
        except CarouselError:
            continue
        assert found[0].text(found[1]) == text, "only white space may differ"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "1" * 5000, "[" * 100_000, '{"version": 2}', '{"version": 1}']
)
def test_no_text_whatever_is_taken_for_a_provenance(text: str) -> None:
    with pytest.raises(CarouselError):
        read_text(text)


@given(st.lists(st.integers(0, 2**16 - 1), max_size=300))
@settings(max_examples=20)
def test_a_primer_of_any_tokens_travels(primer: list[int]) -> None:
    take = replace(small_take(), primer=tuple(primer), position=len(primer) + 40)
    text = take.text()
    assert text.isascii()
    assert read_text(text)[0].primer == tuple(primer)


def test_the_origin_is_the_first_text_of_a_midi_file_and_stays_out_of_the_music(house: Path) -> None:
    stream = generator.load("checkpoints/score").stream(four_voices(4), seed=4)
    stream.pull(300)
    score = stream.history()
    assert isinstance(score, Score)
    assert read_text(score.origin)[0].position == stream.position
    texts = [message.text for message in mido.MidiFile(write(score, "a.mid")).tracks[0] if message.type == "text"]
    assert texts == [f"carousel {score.origin}"]
    assert midi.read(Path("a.mid")) == midi.read(midi.to_bytes(replace(score, origin="")), "a.mid")
    assert score.between(0, 480).origin == ""
    assert origin.read(write(score, "a.musicxml")) == score.origin


def write(score: Score, name: str) -> Path:
    generator.write(score, name)
    return Path(name)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.mid", b"MThd", "carries no provenance"),
        ("a.mid", b'carousel {"version": 1', "damaged"),
        ("a.mid", b'carousel {"version": 1}', "provenance is damaged"),
        ("a.mid", b'carousel {"version": 9}', "newer Carousel"),
        ("a.xml", b"<a/>", "carries no provenance"),
        ("a.xml", b"<a", "damaged"),
        ("a.wav", b"RIFF", "cannot tell where it comes from"),
        ("none.mid", None, "cannot be read"),
    ],
)
def test_what_cannot_be_replayed_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes | None, message: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert run("--replay", tmp_path / name) == 2
    errors = capsys.readouterr().err
    assert message in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokens", "5"], "name a checkpoint"),
        (["checkpoints/bach", "--rewind", "5"], "--resume"),
        (["--replay", "a.mid", "--seed", "5"], "does not go with --seed"),
        (["--tree", "a.take", "--save", "b.take"], "does not go with --save"),
        (["--tree", "nothing.take"], "no take to show"),
    ],
)
def test_flags_that_do_not_go_together(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


# The tree.


def test_the_tree_of_branches(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = generator.load("checkpoints/char")
    (house / "takes").mkdir()

    def keep(stream: Stream, name: str) -> Stream:
        stream.snapshot().save(house / "takes" / f"{name}.take")
        return stream

    stream = model.stream(seed=7)
    stream.pull(50)
    early = keep(stream.fork(), "early")
    for index in range(5):
        stream.set(top_k=index + 3)
        stream.pull(10)
    keep(stream, "knob")
    early.pull(50)
    wild = early.fork(temperature=1.5)
    wild.pull(1000)
    keep(wild, "wild")
    early.pull(9)
    keep(early, "late")
    primed = model.stream("hello", seed=8, top_p=0.5)
    primed.pull(3)
    keep(primed, "primed")
    (house / "takes" / "bad.take").write_bytes(b"bad")
    (house / "takes" / "notes.txt").write_text("no take")
    capsys.readouterr()
    assert run("--tree", "takes") == 0
    printed = capsys.readouterr()
    assert "bad.take: cut off or not a take" in printed.err
    lines = [line.replace("takes/", "").rstrip() for line in printed.out.splitlines()]
    name = takes.origin_of(house / "takes" / "late.take")[0].wanted
    assert lines == [
        f"{name}, int8, primer of 0 tokens",
        "└── at 0: seed 7",
        "    ├── early.take  50 tokens",
        "    ├── late.take  109 tokens",
        "    ├── at 50: top_k 3; 3 more changes; at 90: top_k 7",
        "    │   └── knob.take  100 tokens",
        "    └── at 100: temperature 1.5",
        "        └── wild.take  1,100 tokens",
        f"{name}, int8, primer of 5 tokens",
        "└── at 5: seed 8, top_p 0.5",
        "    └── primed.take  8 tokens",
    ]
