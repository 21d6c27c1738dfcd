"""A musician plays on MIDI ports and the model answers, in time; whatever happens, all is silent in the end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import mido
import pytest

from generator import Snapshot, sample
from generator.live import duet
from generator.live.player import Player
from generator.live.port import Port
from generator.music.score import Clock, Note
from generator.streaming.engine import Model, load
from tests.conftest import ROOT, tiny
from tests.test_readme import FENCE


@cache
def model(name: str) -> Model:
    return load(ROOT / "checkpoints" / name) if (ROOT / "checkpoints" / name).is_dir() else Model(tiny(name))


class Memory(ModuleType):
    """A backend of mido whose ports are lists, and can vanish."""

    def __init__(self) -> None:
        super().__init__("ports_in_memory")
        self.sent: list[mido.Message] = []
        self.played: list[mido.Message] = []
        self.there = {"Synth A", "Keyboard B"}
        self.now: Callable[[], float] = lambda: 0.0
        backend = self

        class Input(mido.ports.BaseInput):
            def _receive(self, block: bool = True) -> None:
                if self.name not in backend.there:
                    raise OSError("gone")
                self._messages.extend(backend.played)
                backend.played.clear()

        class Output(mido.ports.BaseOutput):
            def _send(self, message: mido.Message) -> None:
                if self.name not in backend.there:
                    raise OSError("gone")
                backend.sent.append(message.copy(time=backend.now()))

        self.Input, self.Output = Input, Output

    def get_devices(self, **_: Any) -> list[dict[str, Any]]:
        kinds = {"Synth A": "is_output", "Keyboard B": "is_input"}
        return [{"name": n, "is_input": False, "is_output": False, kinds[n]: True} for n in sorted(self.there)]

    def heard(self) -> list[tuple[float, float, int, int, int]]:
        """The notes that were played but for the click, in order: when each began and ended, its channel, pitch and
        velocity."""
        notes, begun = [], {}
        for message in self.sent:
            if message.type == "note_on" and message.channel != 9:
                begun[message.channel, message.note] = message
            elif message.type == "note_off" and message.channel != 9:
                on = begun.pop((message.channel, message.note))
                notes.append((on.time, message.time, on.channel, on.note, on.velocity))
        return sorted(notes)

    def sounding(self) -> set[tuple[int, int]]:
        """The notes that the messages so far leave sounding."""
        notes: set[tuple[int, int]] = set()
        for message in self.sent:
            if message.type == "note_on":
                notes.add((message.channel, message.note))
            elif message.type == "note_off":
                notes.discard((message.channel, message.note))
        return notes


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    memory = Memory()
    monkeypatch.setitem(sys.modules, "ports_in_memory", memory)
    before = mido.backend
    mido.set_backend("ports_in_memory")
    yield memory
    mido.set_backend(before)


class Stage:
    """A player with a clock that moves when the player sleeps, and while it draws."""

    def __init__(self, name: str, ear: bool = True, click: bool = False) -> None:
        self.seconds = 0.0
        stream = model(name).stream(seed=5, temperature=1.0, top_p=1.0)
        out = Port("output", "synth", [mido.Message("program_change", program=19)])
        keys = Port("input", "Keyboard", []) if ear else None
        clock = Clock(stream.engine.tokenizer.ticks_per_quarter)
        self.player = Player(stream, clock, out, keys, click=click, now=lambda: self.seconds, sleep=self.sleep)
        self.stream = stream
        self.player._events = None if ear else iter(stream)

    def sleep(self, seconds: float) -> None:
        self.seconds += max(seconds, 0.001)

    def run(self, seconds: float) -> None:
        until = self.seconds + seconds
        while self.seconds < until and self.player.step():
            pass


def by_pitch(note: Note) -> tuple[int, int, int]:
    return note.voice, note.pitch, note.start_ticks


def on(pitch: int) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=90)


def off(pitch: int) -> mido.Message:
    return mido.Message("note_off", note=pitch)


@pytest.mark.parametrize(("name", "click"), [("bach", True), ("folk", False), ("performance", False)])
def test_a_phrase_is_answered_for_as_long_and_then_there_is_silence(ports: Memory, name: str, click: bool) -> None:
    stage = Stage(name, click=click)
    ports.now = lambda: stage.seconds
    stage.run(1)
    assert not any(message.type == "note_on" and message.channel != 9 for message in ports.sent)
    assert any(message.type == "note_on" and message.channel == 9 for message in ports.sent) == click
    for turn in (1, 2):
        before = stage.stream.position
        for pitch in (60, 62, 64):
            ports.played.append(on(pitch))
            stage.run(0.5)
            ports.played.append(off(pitch))
            stage.run(0.1)
        assert not stage.stream.snapshot().injected[turn - 1 :]
        ports.sent.clear()
        stage.run(14)
        *_, (phrase, tokens) = stage.stream.snapshot().injected
        assert len(stage.stream.snapshot().injected) == turn
        assert stage.stream.position > before
        begun = stage.stream.fork()
        begun.rewind(begun.position - phrase - len(tokens))
        onward = stage.stream.fork()
        onward.pull(300)  # what still sounds ends
        score, clock = onward.history(), onward.history().clock()
        said = [note for note in score.notes if begun.now_ticks <= note.start_ticks <= stage.stream.now_ticks]
        assert said
        shift = ports.heard()[0][0] - clock.seconds(said[0].start_ticks)
        for note, sound in zip(sorted(said, key=by_pitch), sorted(ports.heard(), key=itemgetter(2, 3, 0)), strict=True):
            assert sound[2:] == (note.voice, note.pitch, note.velocity)
            times = [clock.seconds(ticks) + shift for ticks in (note.start_ticks, note.end_ticks)]
            assert sound[:2] == pytest.approx(times, abs=0.03)
        assert not {note for note in ports.sounding() if note[0] != 9}
        ports.sent.clear()
        stage.run(1)
        assert not any(message.channel != 9 for message in ports.sent)
    assert stage.stream.fork().history() == stage.stream.history()


def test_who_plays_into_the_answer_is_heard_and_what_was_not_heard_is_taken_back(ports: Memory) -> None:
    stage = Stage("bach", ear=True)
    stage.player._events = iter(stage.stream)
    stage.run(6)
    assert ports.sounding()
    ahead = stage.stream.now_ticks
    ports.played.append(on(65))
    stage.run(0.01)
    assert not ports.sounding()
    assert stage.stream.now_ticks < ahead
    ports.played.append(off(65))
    stage.run(5)
    assert len(stage.stream.snapshot().injected) == 1


def test_a_port_that_vanishes_is_looked_for_and_the_stream_goes_on(
    ports: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage("bach", ear=False)
    stage.run(5)
    assert ports.sounding()
    ports.there.discard("Synth A")
    position, count = stage.stream.position, len(ports.sent)
    stage.run(5)
    assert len(ports.sent) == count
    assert stage.stream.position > position
    assert "vanished; looking for it" in capsys.readouterr().err
    ports.there.add("Synth A")
    stage.run(5)
    back = ports.sent[count:]
    assert "is back" in capsys.readouterr().err
    assert [message.type for message in back[:33]] == ["control_change"] * 32 + ["program_change"]
    assert any(message.type == "note_on" for message in back)


@pytest.mark.parametrize("seconds", [0.5, 6.0])
def test_the_first_note_is_played_at_once_and_the_others_in_time(ports: Memory, seconds: float) -> None:
    """Nobody waits for the pickup of a bar that is silent up to it; nor is what was heard taken back at Ctrl-C."""
    stage = Stage("bach", ear=False)
    ports.now = lambda: stage.seconds
    other = model("bach").stream(seed=5, temperature=1.0, top_p=1.0)
    other.pull(600)
    score = other.history()
    moments = [score.clock().seconds(note.start_ticks) for note in score.notes]
    assert moments[0] > 1
    stage.run(seconds)
    stage.player._stop(stage.seconds)  # as at Ctrl-C
    begun = [start for start, *_ in ports.heard()]
    assert begun[0] < 0.2
    assert begun == pytest.approx([moment - moments[0] + begun[0] for moment in moments[: len(begun)]], abs=0.03)
    assert len(stage.stream.history().notes) >= len(begun)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_all_is_silent_at_ctrl_c_and_at_an_error(ports: Memory, error: type[BaseException]) -> None:
    stage = Stage("bach", ear=False)

    def broken() -> Iterator[Any]:
        for event in stage.stream:
            yield event
            if stage.seconds > 4:
                raise error

    played = pytest.raises(RuntimeError) if error is RuntimeError else nullcontext()
    with played:
        stage.player.play(broken())
    assert any(message.type == "note_on" for message in ports.sent)
    assert not ports.sounding()
    assert {message.channel for message in ports.sent if message.is_cc(123)} == set(range(16))


def test_who_is_terminated_is_silent_too(ports: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    stream = model("bach").stream(seed=5)

    def ended() -> Iterator[Any]:
        for event in stream:
            yield event
            if ports.sounding():
                signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    duet.perform(stream, ended(), Clock(stream.engine.tokenizer.ticks_per_quarter), "Synth")
    assert any(message.type == "note_on" for message in ports.sent)
    assert not ports.sounding()
    assert signal.getsignal(signal.SIGTERM) is before
    assert "timing error" in capsys.readouterr().err


def test_the_command_plays_reports_and_saves(ports: Memory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model("score").checkpoint.save(tmp_path / "score")
    take = tmp_path / "a.take"
    command = [str(tmp_path / "score"), "--seconds", "0.6", "--midi-out", "Synth", "--save", str(take)]
    assert sample.main(command) == 0
    assert "timing error: " in capsys.readouterr().err
    assert Snapshot.load(take).position > 0
    assert not ports.sounding()


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (["--midi-out", "list"], 0, "MIDI output ports: 'Synth A'"),
        (["--midi-in", "list"], 0, "MIDI input ports: 'Keyboard B'"),
        (["checkpoints/bach", "--midi-out", "Organ"], 2, "no MIDI output port is named 'Organ'; MIDI output ports"),
        (["checkpoints/bach", "--midi-out", "Synth", "--midi-in", "Organ"], 2, "ports: 'Keyboard B'"),
        (["checkpoints/bach", "--click"], 2, "need --midi-out"),
        (["checkpoints/shakespeare", "--midi-out", "Synth"], 2, "is for music"),
    ],
)
def test_ports_are_listed_and_wrong_ones_refused_in_one_line(
    ports: Memory, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, word: str
) -> None:
    arguments = [argument.replace("checkpoints", str(ROOT / "checkpoints")) for argument in arguments]
    assert sample.main(arguments) == status
    said_ = "".join(capsys.readouterr())
    assert word in said_
    assert said_.count("\n") == 1


def test_without_rtmidi_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "no_such_midi", None)
    before = mido.backend
    mido.set_backend("no_such_midi")
    try:
        assert sample.main(["--midi-out", "list"]) == 2
    finally:
        mido.set_backend(before)
    assert "pip install python-rtmidi" in capsys.readouterr().err


def test_the_guide_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    guide = (ROOT / "docs" / "duet.md").read_text(encoding="utf-8")
    source = "".join(match["text"] for match in FENCE.finditer(guide) if match["language"] == "python")
    names: dict[str, Any] = {}
    exec(compile(source, "duet.md", "exec"), names)
    assert names["answer"]
    assert names["stream"].snapshot().injected
