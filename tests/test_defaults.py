"""A checkpoint has defaults of its own, which change neither its fingerprint nor its takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mido
import pytest

import generator
from generator import CarouselError, train
from generator.corpora.dataset import TokenDataset
from generator.foundation.options import SamplingOptions
from generator.model import ensemble
from generator.model.checkpoint import Checkpoint
from generator.streaming.snapshot import Snapshot
from tests.conftest import ROOT, SHIPPED, four_voices, run, tiny

OWN = {"seed": 12, "temperature": 0.6, "top_p": 0.9, "key": "D minor"}
INSTRUMENTS = {"Soprano": 68, "Bass": 70}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which commands run, with one checkpoint twice: without defaults and with some."""
    for name in ("plain", "own"):
        tiny("score").save(tmp_path / "checkpoints" / name)
    write(tmp_path / "checkpoints" / "own", OWN | {"instruments": INSTRUMENTS})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, own: object) -> None:
    (folder / "defaults.json").write_text(own if isinstance(own, str) else json.dumps(own))


def programs(path: str) -> list[int]:
    """Of each voice of a MIDI file, as other readers have it."""
    return [message.program for message in mido.MidiFile(path) if message.type == "program_change"]


def test_they_hold_where_nothing_else_is_given(house: Path) -> None:
    plain, own = generator.load("plain"), generator.load("own")
    assert plain.checkpoint.fingerprint == own.checkpoint.fingerprint
    assert own.defaults == SamplingOptions(**OWN) and plain.defaults == SamplingOptions()
    assert own.stream().pull(200) == plain.stream(**OWN).pull(200) != plain.stream().pull(200)
    assert generator.Engine(own).stream(seed=3).options == SamplingOptions(**OWN | {"seed": 3})
    given = {"seed": 1, "temperature": 1.2, "top_p": 1.0, "key": None}
    assert own.stream(**given).pull(200) == plain.stream(**given).pull(200)


def test_takes_keep_their_options(house: Path) -> None:
    plain, own = generator.load("plain"), generator.load("own")
    take = plain.stream(seed=5).snapshot()
    assert own.resume(take).options == take.options
    assert own.resume(take).pull(100) == plain.resume(take).pull(100)


def kept(take: str) -> SamplingOptions:
    """The options of a take, without what the governor adds."""
    return replace(Snapshot.load(take).options, lift=0.0)


def test_the_command_has_them(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("own", "--tokens", 90, "-o", "a.mid", "--save", "a.take") == 0
    assert kept("a.take") == SamplingOptions(**OWN)
    assert run("own", "--temperature", 1.3, "--tokens", 90, "-o", "b.mid", "--save", "b.take") == 0
    assert kept("b.take") == SamplingOptions(**OWN | {"temperature": 1.3})
    assert run("--resume", "b.take", "--tokens", 9, "-o", "b.mid", "--save", "b.take") == 0
    assert Snapshot.load("b.take").options.temperature == 1.3
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run("--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "(default: the checkpoint's own, or else 1.0)" in said and "defaults.json" in said


def test_a_file_of_music_has_the_instruments_and_keeps_them(house: Path) -> None:
    """Whatever the defaults become, a file is drawn again with the instruments that it was written with."""
    assert run("plain", "--tokens", 200, "-o", "organ.mid") == 0
    assert run("own", "--tokens", 200, "-o", "winds.mid") == 0
    assert run("own", "--tokens", 200, "-o", "winds.musicxml", "--save", "winds.take") == 0
    assert programs("organ.mid") == [19, 19, 19, 19] and programs("winds.mid") == [68, 19, 19, 70]
    generator.write(generator.load("own").resume(Snapshot.load("winds.take")).history(), "again.mid")
    assert programs("again.mid") == [68, 19, 19, 70]
    write(house / "checkpoints" / "own", {"instruments": {"Alto": 11}})
    for name in ("plain", "own"):
        for path in ("organ.mid", "winds.mid", "winds.musicxml", "again.mid", "winds.take"):
            assert run(f"checkpoints/{name}", "--replay", path) == 0, path


def test_a_piece_with_these_instruments_is_not_played_on_others(house: Path) -> None:
    tokenizer, score = generator.load("own").tokenizer, four_voices()
    for instruments, replaced in (({}, False), (INSTRUMENTS, False), ({"Alto": 11}, True)):
        voices = tuple(replace(voice, program=instruments.get(voice.name, 19)) for voice in score.voices)
        assert bool(tokenizer.quantise(replace(score, voices=voices))[1].replaced) == replaced


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ({"temprature": 1}, "there is no option 'temprature'; did you mean temperature"),
        ({"temperature": "hot"}, "temperature is 'hot'; give a number"),
        ({"temperature": 11}, "temperature is 11; it must lie between 0.0 and 10.0"),
        ({"lift": 1}, "'lift' cannot have a default"),
        ({"max_copy": 9}, "'max_copy' cannot have a default"),
        ({"key": "H minor"}, "H minor"),
        ({"characters": "abc"}, "characters is not for a checkpoint of kind score"),
        ({"instruments": [1]}, "give programs by the names of voices"),
        ({"instruments": {"Flute": 1}}, "there is no voice 'Flute'; there are Soprano, Alto, Tenor, Bass"),
        ({"instruments": {"Alto": 128}}, "the instrument of Alto is 128; give a General MIDI program, 0 to 127"),
        ({"instruments": {"Alto": True}}, "the instrument of Alto is True"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(
    own: object, words: str, house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(house / "checkpoints" / "own", own)
    with pytest.raises(CarouselError) as error:
        generator.load("own")
    said = str(error.value)
    assert words in said and "\n" not in said and said.count("own/defaults.json") == 1
    assert said.endswith("; correct or remove this file")
    assert run("own", "--tokens", 9) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_saving_and_joining_keep_them(house: Path) -> None:
    own = Checkpoint.load("own")
    own.save("copy")
    assert json.loads(Path("copy/defaults.json").read_text()) == OWN | {"instruments": INSTRUMENTS}
    again = Checkpoint.load("copy")
    assert (again.defaults, again.tokenizer.voices) == (own.defaults, own.tokenizer.voices)
    both = ensemble.join([own, again])
    assert (both.defaults, both.tokenizer.voices) == (own.defaults, own.tokenizer.voices)
    plain = Checkpoint.load("plain")
    for members in ([own, plain], [plain, own]):
        apart = ensemble.join(members)
        assert (apart.defaults, apart.tokenizer.voices) == (plain.defaults, plain.tokenizer.voices)
    plain.save("copy")
    assert not Path("copy/defaults.json").exists()
    assert Checkpoint.load("copy").defaults == SamplingOptions()


@pytest.mark.parametrize("kind", ["char", "performance", "frames"])
def test_every_kind_can_have_some(kind: str, tmp_path: Path) -> None:
    folder, before = tmp_path / "model", tiny(kind)
    before.save(folder)
    instruments = {voice.name: 6 for voice in before.tokenizer.voices}
    write(folder, {"temperature": 0.5, "instruments": instruments})
    model = generator.load(folder)
    assert model.checkpoint.fingerprint == before.fingerprint and model.stream().options.temperature == 0.5
    assert [voice.program for voice in model.tokenizer.voices] == [6] * len(instruments)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_ones_begin_at_once(name: str) -> None:
    """With its own seed a checkpoint sounds within half a second, and needs no governor in its first minute."""
    model = generator.load(ROOT / "checkpoints" / name)
    assert (ROOT / "checkpoints" / name / "defaults.json").is_file()
    stream = model.stream()
    stream.pull(2500)
    assert stream.lifts == 0
    piece = stream.history()
    if isinstance(piece, generator.Score):
        seconds = piece.clock().seconds
        assert seconds(piece.notes[0].start_ticks) <= 0.5 and seconds(piece.end_ticks) > 60


def test_training_keeps_those_of_its_folder(
    novel: TokenDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And finds a misfit before the work."""
    out = tmp_path / "model"
    recipe = ["--hidden-size", "8", "--embedding-dim", "4", "--lanes", "2", "--window", "8", "--steps", "2"]
    command = [str(tmp_path / "novel.txt"), "--out", str(out), *recipe, "--dropout-embedding", "0"]
    assert train.main(command) == 0 and not (out / "defaults.json").exists()
    write(out, {"temperature": 0.5})
    assert train.main([*command, "--overwrite"]) == 0
    assert generator.load(out).stream().options.temperature == 0.5
    before = (out / "model.safetensors").read_bytes()
    write(out, {"instruments": {"Soprano": 1}})
    capsys.readouterr()
    assert train.main([*command, "--overwrite"]) == 2
    assert "defaults.json: there is no voice 'Soprano'" in capsys.readouterr().err
    assert (out / "model.safetensors").read_bytes() == before
