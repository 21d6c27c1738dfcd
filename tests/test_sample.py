"""The sampling and evaluating commands, as a user types them."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import mido
import pretty_midi
import pytest

from generator import bench, evaluate, sample
from generator.model.backends.tiles import VECTORS
from generator.music import midi
from generator.music.score import Note, Score, pitch_name
from generator.streaming.engine import Engine
from generator.streaming.lengths import until_bars
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers import KINDS
from generator.tokenizers.char import CharTokenizer
from tests.conftest import ROOT, four_voices, random_checkpoint, run, tiny


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        tiny(kind).save(folder / kind)
    return folder


def test_text_goes_to_standard_output(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(models / "char", "--seed", 7, "--tokens", 300, "--prime", "hello") == 0
    text = capsys.readouterr().out
    assert text.startswith("hello")
    assert len(text) == 305


def test_text_is_not_held_back_in_a_pipe(models: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONUNBUFFERED", None)
    command = [sys.executable, "-m", "generator.sample", str(models / "char")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(50)) == 50
        process.stdout.close()  # as `head` does
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_command_gives_the_same_bytes_however_chunked(models: Path, tmp_path: Path, kind: str) -> None:
    suffix = "txt" if kind == "char" else "mid"
    outputs = {}
    for name, more in {
        "a": [],
        "b": [],
        "one": ["--chunk", 1],
        "many": ["--chunk", 97],
        "other": ["--seed", 8],
    }.items():
        out = tmp_path / f"{name}.{suffix}"
        assert run(models / kind, "--seed", 7, "--tokens", 500, *more, "-o", out) == 0
        outputs[name] = out.read_bytes()
    assert outputs["a"] == outputs["b"] == outputs["one"] == outputs["many"] != outputs["other"]


@pytest.mark.parametrize("chunk", [1, 97])
@pytest.mark.parametrize("length", ["--tokens", "--bars"])
def test_saved_and_resumed_is_as_never_stopped(models: Path, tmp_path: Path, length: str, chunk: int) -> None:
    model, take = models / "score", tmp_path / "evening.take"
    for whole, first, rest in ((900, 333, 567), (60, 40, 20)):
        assert run(model, "--seed", 3, length, whole, "-o", tmp_path / "whole.mid") == 0
        assert (
            run(model, "--seed", 3, length, first, "--chunk", chunk, "-o", tmp_path / "first.mid", "--save", take) == 0
        )
        assert run(model, "--resume", take, length, rest, "-o", tmp_path / "resumed.mid") == 0
        assert (tmp_path / "whole.mid").read_bytes() == (tmp_path / "resumed.mid").read_bytes()


def test_bars_are_counted(models: Path, tmp_path: Path) -> None:
    assert run(models / "score", "--bars", 16, "-o", tmp_path / "a.mid") == 0
    model = sample.load(models / "score")
    stream = model.stream()
    piece = model.tokenizer.collect(list(until_bars(stream, 16, size=7)))
    assert len(piece.bars) == 16
    assert mido.MidiFile(tmp_path / "a.mid").type == 1
    found = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    assert sum(len(voice.notes) for voice in found.instruments) == len(piece.notes) > 0
    assert found.get_end_time() == pytest.approx(piece.clock().seconds(piece.end_ticks), abs=0.01)


def test_seconds_are_counted(models: Path, tmp_path: Path) -> None:
    for kind in ("score", "performance"):
        starts = []
        for length in (("--seconds", 9), ("--tokens", 1500)):
            out = tmp_path / f"{kind}.mid"
            assert run(models / kind, "--seed", 1, *length, "-o", out) == 0
            voices = pretty_midi.PrettyMIDI(str(out)).instruments
            starts.append(sorted(note.start for voice in voices for note in voice.notes))
        assert max(starts[1]) > 12, "the longer one has all before nine seconds"
        assert starts[0] == [start for start in starts[1] if start < 9] != []


def test_a_primer_file_is_continued(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    midi.write(four_voices(4), tmp_path / "mine.mid")
    out = tmp_path / "out.mid"
    assert run(models / "score", "--prime", tmp_path / "mine.mid", "--tokens", 300, "-o", out) == 0
    mine, longer = midi.read(tmp_path / "mine.mid"), midi.read(out)
    assert len(longer.notes) > len(mine.notes)
    ratio = longer.ticks_per_quarter / mine.ticks_per_quarter
    first = {(note.start_ticks * ratio, note.pitch) for note in mine.notes}
    assert first <= {(note.start_ticks, note.pitch) for note in longer.notes}
    (tmp_path / "mine.txt").write_text("abc\r\ndef")
    capsys.readouterr()
    assert run(models / "char", "--prime", tmp_path / "mine.txt", "--tokens", 20) == 0
    assert capsys.readouterr().out.startswith("abc\ndef")


def test_music_without_a_file_is_listed_note_by_note(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(models / "score", "--tokens", 200) == 0
    model = sample.load(models / "score")
    events = model.stream().pull(200)
    clock, notes = model.tokenizer.collect(events).clock(), [event for event in events if isinstance(event, Note)]
    lines = [re.split(r"\s+", line.strip()) for line in capsys.readouterr().out.splitlines() if line.count(".") == 2]
    assert len(lines) == len(notes) > 5
    for (start, length, voice, name), note in zip(lines, notes, strict=True):
        seconds = clock.seconds(note.start_ticks), clock.seconds(note.end_ticks)
        assert (float(start), float(start) + float(length)) == pytest.approx(seconds, abs=2e-3)
        assert (voice, name) == (model.tokenizer.voices[note.voice].name, pitch_name(note.pitch))


def test_a_primer_is_read_by_the_model_once(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the file it is decoded; the past is replayed only where there is more of it."""
    midi.write(four_voices(2), tmp_path / "mine.mid")
    (tmp_path / "mine.txt").write_text("abc")
    command = ["--tokens", 40, "--save", tmp_path / "a.take", "-o"]
    read: list[int] = []
    begin = Stream.begin

    def noted(engine: Engine, primer: list[int], *more: Any) -> Stream:
        read.append(len(primer))
        return begin(engine, primer, *more)

    for kind, suffix in (("score", "mid"), ("performance", "mid"), ("char", "txt")):
        out, primer = tmp_path / f"{kind}.{suffix}", tmp_path / f"mine.{suffix}"
        read.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Stream, "begin", noted)
            assert run(models / kind, "--prime", primer, *command, out) == 0
        assert len(read) == 1
        written = out.read_bytes()
        assert run(models / kind, "--resume", tmp_path / "a.take", "--tokens", 1, "-o", out) == 0
        assert len(written) <= len(out.read_bytes())
        stream = sample.load(models / kind).resume(Snapshot.load(tmp_path / "a.take"))
        sample.sinks.write(stream.history(), out)
        assert out.read_bytes() == written


def test_text_needs_no_library_of_music(models: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("abc")
    code = "import sys; from generator import sample; assert sample.main(sys.argv[1:]) == 0; print(*sys.modules)"
    command = [models / "char", "--tokens", "20", "--prime", tmp_path / "mine.txt", "-o", tmp_path / "out.txt"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, command)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"music21", "symusic", "verovio", "pretty_midi"} & set(done.stdout.splitlines()[-1].split())


def test_at_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At a piece's end the next one begins, or nothing more is said, or there is no such end."""
    model = tmp_path / "model"
    random_checkpoint(CharTokenizer(" abcdefgh")).save(model)  # a new line is the end of a piece, and nothing else
    said = {}
    for how in ("next", "never", "stop"):
        assert run(model, "--seed", 3, "--tokens", 2000, "--at-end", how, "--save", tmp_path / f"{how}.take") == 0
        said[how] = capsys.readouterr().out
    assert run(model, "--seed", 3, "--tokens", 2000) == 0
    assert capsys.readouterr().out == said["next"]
    assert len(said["next"]) == len(said["never"]) == 2000
    assert said["next"].count("\n") > 2 and "\n" not in said["never"]
    assert said["stop"] == said["next"][: said["next"].index("\n") + 1]
    assert run(model, "--resume", tmp_path / "stop.take", "--tokens", 50) == 0
    assert capsys.readouterr().out == "", "what has stopped stays so"
    assert run(model, "--resume", tmp_path / "stop.take", "--tokens", 50, "--at-end", "next") == 0
    assert len(capsys.readouterr().out) == 50


BAD = [
    (["char", "--temperature", "-1"], "--temperature"),
    (["char", "--temperature", "nan"], "--temperature"),
    (["char", "--tokens", "-1"], "--tokens"),
    (["char", "--tokens", "many"], "--tokens"),
    (["score", "--seconds", "inf"], "--seconds"),
    (["char", "--bars", "4"], "--bars"),
    (["performance", "--bars", "4"], "no bars"),
    (["frames", "--bars", "4"], "no bars"),
    (["char", "--tokens", "5", "--save", "nowhere/a.take"], "does not exist"),
    (["char", "--top-p", "2"], "--top-p"),
    (["char", "--at-end", "now"], "--at-end"),
    (["nothing"], "no such checkpoint"),
    (["score", "--prime", "no such file"], "no such file"),
    (["score", "--prime", "PRIMER.txt"], "not a music file"),
    (["score", "--prime", "BROKEN.mid"], "BROKEN.mid"),
    (["char", "--prime", "MUSIC.mid"], "MUSIC.mid"),
    (["char", "--prime", ""], "empty"),
    (["char", "--prime", "世界"], "no character"),
    (["char", "-o", "nowhere/a.txt"], "does not exist"),
    (["char", "-o", "a.mid"], "text cannot be written"),
    (["score", "-o", "a.txt"], "music cannot be written"),
    (["score", "-o", "a"], "without a suffix"),
    (["char", "--resume", "none.take"], "cannot read"),
    (["char", "--resume", "PRIMER.txt"], "not a take"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: " ".join(value) if value else None)
def test_bad_input_gets_one_line(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("PRIMER.txt").write_text("hello")
    Path("BROKEN.mid").write_bytes(b"MThd nonsense")
    midi.write(four_voices(1), Path("MUSIC.mid"))
    try:
        status = run(models / arguments[0], *arguments[1:])
    except SystemExit as stopped:  # argparse prints its usage first
        status = int(stopped.code or 0)
    errors = capsys.readouterr().err
    assert status == 2
    assert errors.count("\n") == 1
    assert message in errors


def test_greedy_is_allowed(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(models / "char", "--temperature", "0", "--tokens", 50) == 0
    one = capsys.readouterr().out
    assert run(models / "char", "--temperature", "0", "--tokens", 50, "--seed", 9) == 0
    assert capsys.readouterr().out == one


def test_unknown_characters_in_a_primer_are_named(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(models / "char", "--prime", "a世b", "--tokens", 10) == 0
    assert "世" in capsys.readouterr().err


def test_evaluate_prints_one_object(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("hello world\n" * 100)
    assert evaluate.main([str(models / "char"), str(tmp_path / "text.txt")]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["split"] == "validation"
    assert scores["bits_per_character"] == pytest.approx(scores["nats_per_character"] / math.log(2))
    assert scores["nats_per_token"] * scores["tokens"] == pytest.approx(
        scores["nats_per_character"] * scores["characters"]
    )
    folder = tmp_path / "songs"
    folder.mkdir()
    for index in range(5):
        midi.write(four_voices(2 + index), folder / f"{index}.mid")
    for kind in ("score", "performance"):
        assert evaluate.main([str(models / kind), str(folder), "--split", "train"]) == 0
        scores = json.loads(capsys.readouterr().out)
        assert {"nats_per_token", "nats_per_note", "nats_per_second", "convention", "corpus"} <= set(scores)
    assert evaluate.main([str(models / "char"), str(folder)]) == 2
    assert evaluate.main([str(models / "char"), str(tmp_path / "text.txt"), "--split", "best"]) == 2
    assert "no split best" in capsys.readouterr().err


def test_history_of_a_stream_is_what_the_file_holds(models: Path, tmp_path: Path) -> None:
    assert run(models / "score", "--seed", 5, "--tokens", 400, "-o", tmp_path / "a.mid") == 0
    stream = sample.load(models / "score").stream(seed=5)
    list(stream.take(400))
    history = stream.history()
    assert isinstance(history, Score)
    assert midi.to_bytes(history) == (tmp_path / "a.mid").read_bytes()


def test_a_backend_is_chosen_and_a_saved_stream_keeps_its_own(models: Path, tmp_path: Path) -> None:
    take = tmp_path / "a.take"
    assert run(models / "score", "--backend", "fp32", "--tokens", 90, "-o", tmp_path / "a.mid", "--save", take) == 0
    assert Snapshot.load(take).backend == "fp32"
    assert run(models / "score", "--resume", take, "--tokens", 90, "-o", tmp_path / "b.mid", "--save", take) == 0
    assert Snapshot.load(take).backend == "fp32"
    assert run(models / "score", "--backend", "fp32", "--tokens", 180, "-o", tmp_path / "c.mid") == 0
    assert (tmp_path / "b.mid").read_bytes() == (tmp_path / "c.mid").read_bytes()
    assert run(models / "score", "--resume", take, "--backend", "int8", "--tokens", 9, "-o", tmp_path / "d.mid") == 2
    assert run(models / "score", "--tokens", 10, "-o", tmp_path / "d.mid", "--save", take) == 0
    assert Snapshot.load(take).backend == "int8"


def test_evaluate_reads_through_a_backend(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAROUSEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("hello world\n" * 100)
    found = []
    for extra in ([], ["--backend", "fp32"], ["--backend", "int8"]):
        assert evaluate.main([str(models / "char"), str(tmp_path / "text.txt"), *extra]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [scores.get("backend") for scores in found] == [None, "fp32", "int8"]
    assert found[1]["nats_per_token"] == pytest.approx(found[0]["nats_per_token"], rel=1e-4)
    assert found[2]["nats_per_token"] == pytest.approx(found[0]["nats_per_token"], rel=0.02)


def test_bench_prints_a_row_for_each_number_of_streams(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([str(models / "char"), "--tokens", "8"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["streams"] for row in found["rows"]] == list(bench.STREAMS)
    assert all(row["tokens_per_second"] > 0 and row["ratio"] > 0 for row in found["rows"])
    assert found["backend"] == "int8"
    assert found["product"] in ("amx", *VECTORS)


HELP = """
import runpy, sys

command, sys.argv[1:] = sys.argv[1], ["--help"]
try:
    runpy.run_module(f"generator.{command}", run_name="__main__", alter_sys=True)
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["prepare", "train", "sample", "evaluate", "bench"])
def test_ctrl_c_while_libraries_are_imported_is_quiet(command: str, tmp_path: Path) -> None:
    for library in ("numpy", "torch"):
        (tmp_path / f"{library}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-m", f"generator.{command}", "--help"],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr, done.stdout) == (130, "", "")
