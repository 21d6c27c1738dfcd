"""A live take gives its stream away in chunks that fit together, whatever is lost, late or changed on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from generator import takes
from generator.errors import CarouselError
from generator.music import midi
from generator.music.score import Note, Score, Tempo
from generator.streaming.engine import Model, load
from generator.streaming.snapshot import Snapshot
from generator.tokenizers.score import ScoreTokenizer
from generator.web import instruments, live, live_music, primers
from generator.web.live import LiveText
from generator.web.live_music import LiveMusic
from generator.web.visitors import Visitor
from tests.conftest import ROOT, four_voices, random_checkpoint, tiny

TUNE = four_voices()


pytestmark = pytest.mark.usefixtures("no_hurry")


def test_music_arrives_in_order_and_whole(music: Model) -> None:
    """Cut into chunks it is what the stream says in one go: nothing twice, nothing missing, nothing late."""
    take = LiveMusic(music.stream(seed=3), "a", music.tokenizer)
    notes: list[list[float]] = []
    horizon = 0.0
    for sequence in range(12):
        chunk = take.pull(sequence, horizon + 1.5)
        assert chunk["seq"] == sequence + 1
        assert all(horizon - 1e-3 <= note[0] <= chunk["horizon"] for note in chunk["notes"])
        notes += chunk["notes"]
        horizon = chunk["horizon"]
    assert horizon >= 18
    assert notes == sorted(notes, key=lambda note: note[0])
    stream = music.stream(seed=3)
    events = [event for event in stream.take(take._stream.position) if isinstance(event, Note)]
    expected = [note for note in events if note.start_ticks < stream.horizon_ticks]
    assert sorted(note[2] for note in notes) == sorted(note.pitch for note in expected)


def test_what_was_heard_is_what_was_sent(music: Model) -> None:
    take = LiveMusic(music.stream(seed=5), "a", music.tokenizer)
    sent = take.pull(0, 6.0)["notes"]
    heard = take.heard(4.0)
    clock = heard.clock()
    assert isinstance(heard, Score) and heard.notes
    assert [note.pitch for note in heard.notes] and len(heard.notes) == sum(note[0] < 4.0 for note in sent)
    assert all(clock.seconds(note.start_ticks) < 4.0 for note in heard.notes)
    assert not take.heard(0.0).notes


def replayed(path: Path, checkpoint: Path) -> str:
    """What a process of its own says of drawing a file again."""
    command = [sys.executable, "-m", "generator.sample", checkpoint, "--replay", path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("kind", ["score", "performance"])
def test_what_was_saved_is_drawn_again_to_the_byte(kind: str, tmp_path: Path) -> None:
    """Of a take with a primer, an option changed on the way, and a step back; as MIDI and as a take to go on from."""
    tiny(kind).save(tmp_path / kind)
    model = load(tmp_path / kind)
    take = LiveMusic(model.stream(four_voices(2), seed=3), "a", model.tokenizer)
    take.pull(0, 12.0)
    take.set(temperature=0.6, density=5)
    take.pull(1, 40.0)
    other = take.back(37.3, seed=9)
    at = other.describe()["at"]
    assert 0 < at < 37 and other.title == "a, seed 9"
    other.pull(0, at + 9)
    visitor = Visitor()
    number = visitor.start(other)
    assert visitor.keep(number, at + 6) == []
    [kept] = visitor.kept("music").values()
    for suffix, data in (("mid", midi.to_bytes(kept.heard(at + 6))), ("take", kept.saved(at + 6))):
        assert data == (midi.to_bytes(other.heard(at + 6)) if suffix == "mid" else other.saved(at + 6))
        (tmp_path / f"a.{suffix}").write_bytes(data)
    takes.replay(tmp_path / "a.take", checkpoint=tmp_path / kind)
    if kind == "score":
        assert sha256((tmp_path / "a.mid").read_bytes()).hexdigest() in replayed(tmp_path / "a.mid", tmp_path / kind)
    else:
        takes.replay(tmp_path / "a.mid", checkpoint=tmp_path / kind)
    snapshot = primers.read("a.take", kept.saved(0), "music")
    assert isinstance(snapshot, Snapshot) and len(snapshot.timeline) > 1
    again = LiveMusic(model.resume(snapshot), "b", model.tokenizer)
    heard = other.heard(at + 6)  # cut where it was stopped
    until = heard.length_ticks
    before = [note for note in again.heard(0).notes if note.start_ticks < until]
    cut = {replace(note, duration_ticks=min(note.end_ticks, until) - note.start_ticks) for note in before}
    assert until and cut >= set(heard.notes)
    again.pull(0, 3.0)
    (tmp_path / "b.mid").write_bytes(midi.to_bytes(again.heard(3.0)))
    takes.replay(tmp_path / "b.mid", checkpoint=tmp_path / kind)


def test_a_step_back_leaves_the_end_and_goes_on(text: Model, music: Model) -> None:
    """What was before stays as it was; the listener goes on at the place, and another seed says something else."""
    take = LiveText(text.stream("to be", seed=2), "a", "to be")
    typed = take.pull(0, 500)["text"]
    other = take.back(450, seed=5)
    assert other.describe() == {"title": "a, seed 5", "at": 250, "voices": [], "primer": "to be", "before": typed[:250]}
    chunk = other.pull(0, 500)
    assert other.heard(400) == "to be" + typed[:250] + chunk["text"][:150] and chunk["text"] != typed[250:500]
    assert other.back(260, seed=1).back(10, seed=1).describe()["at"] == 0
    tune = LiveMusic(music.stream(seed=3), "a", music.tokenizer)
    sent = tune.pull(0, 29.0)["notes"]
    again = tune.back(27.0, seed=4)
    at = again.describe()["at"]
    bars = [bar.start_ticks for bar in again.heard(at + 1e-6).bars]
    assert 9 <= at <= 27 and again.describe()["before"]["notes"] and len(bars) >= 2
    begins = again.pull(0, at + 2)["notes"]
    assert all(note[0] >= at - 1e-3 for note in begins)
    assert [note for note in sent if note[0] < at - 1e-3] == [
        note for note in sent if note[0] < at - 1e-3 and note[2] in {n.pitch for n in again.heard(at).notes}
    ]


def test_what_nobody_can_obey_changes_nothing(music: Model, text: Model) -> None:
    take = LiveMusic(music.stream(TUNE, seed=3), "a", music.tokenizer)
    horizon = take.pull(0, 2.0)["horizon"]
    for foolish in ({"key": "H major"}, {"scale": "dorian"}, {"ranges": "Soprano:0-1"}, {"characters": "a"}):
        with pytest.raises(CarouselError):
            take.set(**foolish)
    take.set(key="primer", voices_at_once=2)
    chunk = take.pull(1, horizon + 5)
    assert chunk["options"]["key"] != "primer" and chunk["options"]["voices_at_once"] == 2
    assert set(chunk["yielded"]) <= {"voices_at_once", "key"}
    lines = LiveText(text.stream(), "a")
    lines.pull(0, 10)
    lines.set(characters="ab ")
    assert set(lines.pull(1, 300)["text"][10:]) <= set("ab ")


def test_a_lost_answer_is_sent_again(music: Model) -> None:
    take = LiveMusic(music.stream(), "a", music.tokenizer)
    first = take.pull(0, 2.0)
    assert take.pull(0, 9.0) == first
    assert take.pull(1, 4.0)["seq"] == 2
    for have in (0, 3, 77):
        with pytest.raises(CarouselError, match="press Start"):
            take.pull(have, 4.0)


def test_pulls_at_once_are_serialised(text: Model) -> None:
    """Two pulls with the same number get the same chunk: one draws it, the other waits and is sent it again."""
    take = LiveText(text.stream(seed=2), "a")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: take.pull(0, 300), range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]["text"]) == answers[0]["horizon"] >= 300


def test_an_option_holds_from_the_next_pull_on(text: Model) -> None:
    stream = text.stream(seed=2, temperature=1.0)
    take = LiveText(stream, "a")
    take.pull(0, 50)
    position = stream.position
    take.set(temperature=0.25, top_p=0.5)
    options = take.pull(1, 100)["options"]
    assert (options["temperature"], options["top_p"]) == (0.25, 0.5)
    timeline = stream.snapshot().timeline
    assert [(at, options.temperature) for at, options in timeline] == [(0, 1.0), (position, 0.25)]


def test_nobody_makes_a_stream_run_ahead(text: Model, music: Model) -> None:
    assert LiveText(text.stream(), "a").pull(0, 1e9)["horizon"] <= LiveText.ahead + live.TOKENS
    assert LiveMusic(music.stream(), "a", music.tokenizer).pull(0, 1e9)["horizon"] <= LiveMusic.ahead + 30


def test_a_stream_that_stops_says_so(text: Model) -> None:
    take = LiveText(text.stream(at_end="stop"), "a")
    chunk = take.pull(0, 4000)
    while not chunk["ended"]:
        chunk = take.pull(chunk["seq"], chunk["horizon"] + 4000)
    assert take.pull(chunk["seq"], chunk["horizon"] + 10)["text"] == ""


def test_music_goes_on_where_its_primer_ends() -> None:
    """Only what follows the primer is heard, and the tempo of the primer still holds."""
    tune = replace(TUNE, tempos=(Tempo(0, 96.0),))
    music = Model(random_checkpoint(ScoreTokenizer.fit([tune])))
    take = LiveMusic(music.stream(tune, seed=1), "a", music.tokenizer)
    chunk = take.pull(0, 3.0)
    assert chunk["horizon"] >= 3.0
    assert all(note[0] >= 0 for note in chunk["notes"])
    assert take.heard(3.0).tempos[0].quarters_per_minute == 96


def test_text_shows_its_primer(text: Model) -> None:
    take = LiveText(text.stream("to be"), "a", "to be")
    typed = take.pull(0, 20)["text"]
    assert take.describe()["primer"] == "to be"
    assert take.heard(7) == "to be" + typed[:7]


def test_memory_is_bounded(text: Model, music: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest half is forgotten, at a bar line; the rest is what it was, and chunks go on without a seam."""
    monkeypatch.setattr(live_music, "MAX_EVENTS", 100)
    monkeypatch.setattr(live, "MAX_CHARACTERS", 200)
    forgetful, other = (LiveMusic(music.stream(seed=4), "a", music.tokenizer) for _ in range(2))
    monkeypatch.setattr(other, "_forget", lambda: None)
    for sequence in range(25):
        assert forgetful.pull(sequence, 3.0 * sequence + 3) == other.pull(sequence, 3.0 * sequence + 3)
    heard, everything = forgetful.heard(70.0), other.heard(70.0)
    assert 0 < len(heard.notes) < len(everything.notes)
    assert [note.pitch for note in heard.notes] == [note.pitch for note in everything.notes[-len(heard.notes) :]]
    assert heard.bars[0].start_ticks == 0 and heard.time_signatures[0].start_ticks == heard.tempos[0].start_ticks == 0
    take = LiveText(text.stream(seed=4), "a")
    whole = "".join(take.pull(sequence, 50 * sequence + 50)["text"] for sequence in range(20))
    assert len(take.heard(1000)) <= 200 and whole[:1000].endswith(take.heard(1000))


def test_the_pedal_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is remembered from the middle on begins with the pedal as it was."""
    monkeypatch.setattr(live_music, "MAX_EVENTS", 300)
    model = Model(tiny("performance"))
    forgetful, other = (LiveMusic(model.stream(seed=4), "a", model.tokenizer) for _ in range(2))
    monkeypatch.setattr(other, "_forget", lambda: None)
    held = []
    for sequence in range(12):
        for take in (forgetful, other):
            take.pull(sequence, 30.0 * sequence + 30)
        everything, since = other.heard(1e6), forgetful._start_ticks
        pedals = forgetful.heard(1e6).pedals
        assert pedals == everything.between(since, 10**9).pedals
        held.append(bool(pedals) and pedals[0].start_ticks == 0)
    assert forgetful._start_ticks > 0 and any(held)


def test_a_step_leaves_the_pedal_as_it_was() -> None:
    """Back, and gone on from a take: the browser learns how the pedal stood, however long ago, then of every change."""
    model = Model(tiny("performance"))
    take = LiveMusic(model.stream(seed=4), "a", model.tokenizer)
    for sequence in range(4):
        take.pull(sequence, 30.0 * sequence + 30)
    snapshot = primers.read("a.take", take.saved(100.0), "music")
    assert isinstance(snapshot, Snapshot)
    for other in (take.back(110.0, seed=5), LiveMusic(model.resume(snapshot, seed=5), "b", model.tokenizer)):
        opening = other.describe()
        [stood] = opening["before"]["pedals"]
        assert stood[0] < opening["at"]
        chunk = other.pull(0, opening["at"] + 30)
        assert chunk["pedals"] and all(at >= opening["at"] - 1e-3 for at, _, _ in chunk["pedals"])
        sent = [stood, *chunk["pedals"]]
        everything = sorted(other._json(event for _, event in other._events)["pedals"])
        assert [pedal for pedal in everything if stood[0] <= pedal[0] < chunk["horizon"]] == sent


def test_an_instrument_is_a_list_of_zones_and_their_samples() -> None:
    data = instruments.pack(19, False)
    size = int.from_bytes(data[:4], "little")
    zones = json.loads(data[4 : 4 + size])
    samples = np.frombuffer(data[4 + size :], "<i2")
    assert size % 2 == 0 and zones and len(samples)
    for zone in zones:
        assert zone["offset"] % 2 == 0 and zone["offset"] // 2 + zone["frames"] <= len(samples)
        assert set(zone["volume"]) == {"delay", "attack", "hold", "decay", "sustain", "release"}
    assert instruments.pack(0, True) != instruments.pack(0, False)
    with pytest.raises(CarouselError, match="no program"):
        instruments.pack(128, False)


@pytest.mark.parametrize(
    ("name", "data", "medium"),
    [
        ("a.mid", b"", "music"),
        ("a.mid", b"MThd\0\0\0\6\0\1\0\0\1\xe0", "music"),
        ("a.mid", b"garbage" * 50, "music"),
        ("a.musicxml", b"<score-partwise><part>", "music"),
        ("a.abc", b"\xff\xfe nothing", "music"),
        ("a.krn", b"", "music"),
        ("a.txt", b"hello", "music"),
        ("a.mid", b"MThd", "text"),
        ("a.txt", b"", "text"),
        ("a.txt", b"\xff\xfe\xfd\x80", "text"),
        ("../../etc/passwd", b"root", "text"),
        ("a.take", b"", "music"),
        ("a.take", b"\xff" * 100, "text"),
    ],
)
def test_a_broken_primer_is_refused_in_one_line(name: str, data: bytes, medium: str) -> None:
    with pytest.raises(CarouselError) as caught:
        primers.read(name, data, medium)
    assert "\n" not in str(caught.value) and name in str(caught.value) and "/tmp" not in str(caught.value)


def test_a_take_that_takes_too_long_is_refused(text: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = text.stream()
    for temperature in (0.9, 0.8, 0.7):
        stream.pull(4)
        stream.set(temperature=temperature)
    data = stream.snapshot().to_bytes()
    for limit, words in (("MAX_PAST", "12 tokens; .* 3 at most"), ("MAX_CHANGES", "4 changes; .* 3 at most")):
        assert isinstance(primers.read("a.take", data, "text"), Snapshot)
        with monkeypatch.context() as patched, pytest.raises(CarouselError, match=rf"^a\.take: a take of {words}"):
            patched.setattr(primers, limit, 3)
            primers.read("a.take", data, "text")


def test_only_the_last_part_of_a_primer_counts(tmp_path: Path) -> None:
    assert primers.read("a.txt", "naïve\r\n".encode(), "text") == "naïve\n"
    assert primers.last_part("x" * 5000) == "x" * primers.MAX_CHARACTERS
    long = Score(12, TUNE.voices, tuple(Note(12 * beat, 12, 60) for beat in range(1000)))
    part = primers.last_part(long)
    assert isinstance(part, Score)
    assert primers.MAX_NOTES <= len(part.notes) < primers.MAX_NOTES + 4 and part.notes[0].start_ticks == 0
    assert primers.last_part(TUNE) == TUNE
