"""A live take gives its stream away in chunks that fit together, whatever is lost, late or changed on the way."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from generator.cli import takes
from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.music.score import Tempo
from generator.streaming.engine import Model, load
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.score import ScoreTokenizer
from generator.web import live, live_music, live_text, primers
from generator.web.live_music import LiveMusic
from generator.web.live_text import LiveText
from generator.web.visitors import Visitor
from tests.conftest import four_voices, random_checkpoint, tiny
from tests.process import python

TUNE = four_voices()


pytestmark = pytest.mark.usefixtures("no_hurry")


def told(stream: Stream, since_ticks: int = 0) -> dict[str, list[Any]]:
    """What a browser is to know of all that a stream has said before its horizon: times in seconds from `since_ticks`
    on, and of a note its length, pitch, velocity and voice."""
    score = stream.history()
    clock = score.clock()

    def seconds(ticks: int) -> float:
        return round(clock.seconds(ticks) - clock.seconds(since_ticks), 4)

    def known(events: Iterable[Any]) -> list[Any]:
        return [event for event in events if since_ticks <= event.start_ticks < stream.horizon_ticks]

    spans = [(seconds(note.start_ticks), seconds(note.end_ticks), note) for note in known(score.notes)]
    return {
        "notes": sorted([start, round(end - start, 4), n.pitch, n.velocity, n.voice] for start, end, n in spans),
        "pedals": [[seconds(pedal.start_ticks), pedal.down, pedal.voice] for pedal in known(score.pedals)],
        "bars": [seconds(bar.start_ticks) for bar in known(score.bars)],
        "ends": [seconds(end.start_ticks) for end in known(score.piece_ends)],
    }


@pytest.mark.parametrize("kind", ["score", "score at 97", "performance"])
def test_music_arrives_in_order_and_whole(kind: str) -> None:
    """Cut into chunks it is what the stream says in one go: nothing twice, nothing missing, nothing late."""
    brisk = replace(four_voices(), tempos=(Tempo(0, 97.0),))  # seconds with more than four decimals
    model = Model(random_checkpoint(ScoreTokenizer.fit([brisk])) if "97" in kind else tiny(kind))
    take = LiveMusic(model.stream(seed=3), "a")
    sent: dict[str, list[Any]] = {"notes": [], "pedals": [], "bars": [], "ends": []}
    horizon = 0.0
    for sequence in range(12):
        chunk = take.pull(sequence, horizon + 1.5)
        assert chunk["seq"] == sequence + 1
        assert all(horizon - 1e-3 <= note[0] <= chunk["horizon"] for note in chunk["notes"])
        for name, said in sent.items():
            said += chunk[name]
        horizon = chunk["horizon"]
    assert horizon >= 18
    assert sent["notes"] == sorted(sent["notes"], key=lambda note: note[0])
    stream = model.stream(seed=3)
    stream.pull(take._stream.position)
    assert sent | {"notes": sorted(sent["notes"])} == told(stream)
    assert horizon == round(stream.history().clock().seconds(stream.horizon_ticks), 4)
    assert all(
        len(set(part)) > 1 for part in list(zip(*sent["notes"], strict=True))[: 3 if kind != "performance" else 4]
    )
    assert {voice for *_, voice in sent["notes"]} == ({0, 1, 2, 3} if kind != "performance" else {0})
    assert sent["bars"] if kind != "performance" else sent["pedals"]


def test_what_was_heard_is_what_was_sent(music: Model) -> None:
    take = LiveMusic(music.stream(seed=5), "a")
    sent = [note for note in take.pull(0, 6.0)["notes"] if note[0] < 4.0]
    heard = take.heard(4.0)
    clock = heard.clock()
    spans = [(clock.seconds(note.start_ticks), clock.seconds(note.end_ticks), note) for note in heard.notes]
    assert sent and sorted(sent) == sorted(
        [round(start, 4), round(round(end, 4) - round(start, 4), 4), note.pitch, note.velocity, note.voice]
        for start, end, note in spans
    )
    assert not take.heard(0.0).notes


def replayed(path: Path, checkpoint: Path) -> str:
    """What a process of its own says of drawing a file again."""
    done = python("-m", "generator.sample", checkpoint, "--replay", path)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("kind", ["score", "performance"])
def test_what_was_saved_is_drawn_again_to_the_byte(kind: str, tmp_path: Path) -> None:
    """Of a take with a primer, an option changed on the way, and a step back; as MIDI and as a take to go on from."""
    tiny(kind).save(tmp_path / kind)
    model = load(tmp_path / kind)
    take = LiveMusic(model.stream(four_voices(2), seed=3), "a")
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
    again = LiveMusic(model.resume(snapshot), "b")
    heard = other.heard(at + 6)  # cut where it was stopped
    until = heard.length_ticks
    at = again.describe()["at"]
    before = [note for note in again.heard(at).notes if note.start_ticks < until]
    cut = {replace(note, duration_ticks=min(note.end_ticks, until) - note.start_ticks) for note in before}
    assert until and cut >= set(heard.notes)
    again.pull(0, at + 3.0)
    (tmp_path / "b.mid").write_bytes(midi.to_bytes(again.heard(at + 3.0)))
    takes.replay(tmp_path / "b.mid", checkpoint=tmp_path / kind)


def test_a_step_back_leaves_the_end_and_goes_on(text: Model, music: Model) -> None:
    """What was before stays as it was; the listener goes on at the place, and another seed says something else."""
    take = LiveText(text.stream("to be", seed=2), "a")
    typed = take.pull(0, 500)["text"]
    other = take.back(450, seed=5)
    opening = {"at": 250, "voices": [], "primer": "to be", "before": typed[:250]}
    assert other.describe() == {"title": "a, seed 5", "changes": 0, **opening}
    chunk = other.pull(0, 500)
    assert other.heard(400) == "to be" + typed[:250] + chunk["text"][:150] and chunk["text"] != typed[250:500]
    assert other.back(260, seed=1).back(10, seed=1).describe()["at"] == 0
    straight = text.stream("to be", seed=2)
    straight.pull(250)
    straight.set(seed=5)
    assert "".join(map(str, straight.pull(len(chunk["text"])))) == chunk["text"]


def test_a_step_back_in_a_performance_goes_fifteen_seconds() -> None:
    model = Model(tiny("performance"))
    played = LiveMusic(model.stream(seed=3), "a")
    played.pull(0, 40.0)
    assert played.back(37.3, seed=4).describe()["at"] == pytest.approx(22.3, abs=0.5)
    assert played.back(10.0, seed=4).describe()["at"] == 0


def test_a_step_back_in_music_goes_eight_bars(music: Model) -> None:
    """The page shows the last seconds before the place, as they were sent; then comes what the other seed says."""
    tune = LiveMusic(music.stream(seed=3), "a")
    sent = tune.pull(0, 29.0)
    again = tune.back(27.0, seed=4)
    opening = again.describe()
    at, before = opening["at"], opening["before"]
    bars = [bar for bar in sent["bars"] if bar <= 27]
    assert at == pytest.approx(bars[-8], abs=1e-3) and bars[:-8]
    shown = [note for note in sent["notes"] if at - 12 <= note[0] < at]
    assert shown and before["notes"] == [note for note in before["notes"] if note in shown]
    assert sorted(before["notes"]) == sorted(shown)
    assert before["bars"] == [bar for bar in bars[:-8] if bar >= at - 12]
    assert opening["bars"] == len(bars[:-8]) - len(before["bars"])
    assert [voice["name"] for voice in opening["voices"]] == ["Soprano", "Alto", "Tenor", "Bass"]
    straight = music.stream(seed=3)
    place = [bar.start_ticks for bar in tune.heard(27.0001).bars][-8]
    while straight.horizon_ticks < place:
        straight.pull(1)
    straight.set(seed=4)
    chunk = again.pull(0, at + 6)
    straight.pull(again._stream.position - straight.position)
    new = [note for note in told(straight)["notes"] if note[0] >= at - 1e-3]
    assert new and sorted(chunk["notes"]) == new
    assert chunk["notes"] != [note for note in sent["notes"] if at <= note[0] < chunk["horizon"]]
    assert again.heard(at).notes == tune.heard(at).notes


def test_what_nobody_can_obey_changes_nothing(music: Model, text: Model) -> None:
    take = LiveMusic(music.stream(TUNE, seed=3), "a")
    other = LiveMusic(music.stream(TUNE, seed=3), "a")
    horizon = take.pull(0, 2.0)["horizon"]
    other.pull(0, 2.0)
    for foolish in ({"key": "H major"}, {"scale": "dorian"}, {"ranges": "Soprano:0-1"}, {"characters": "a"}):
        with pytest.raises(CarouselError):
            take.set(**foolish)
    assert take.pull(1, horizon + 5) == other.pull(1, horizon + 5)
    take.set(key="primer", voices_at_once=2)
    chunk = take.pull(2, horizon + 10)
    assert chunk["options"]["key"] != "primer" and chunk["options"]["voices_at_once"] == 2
    assert set(chunk["relaxed"]) <= {"voices_at_once", "key"}
    lines = LiveText(text.stream(), "a")
    lines.pull(0, 10)
    lines.set(characters="ab ")
    assert set(lines.pull(1, 300)["text"][10:]) <= set("ab ")


def test_a_lost_answer_is_sent_again(music: Model) -> None:
    take = LiveMusic(music.stream(), "a")
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
    typed = LiveText(text.stream(), "a").pull(0, 1e9)["horizon"]
    assert LiveText.ahead <= typed < LiveText.ahead + live.TOKENS
    played = LiveMusic(music.stream(), "a").pull(0, 1e9)["horizon"]
    assert LiveMusic.ahead <= played <= LiveMusic.ahead + 30


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
    take = LiveMusic(music.stream(tune, seed=1), "a")
    primed = music.stream(tune, seed=1)
    begins = primed.horizon_ticks
    chunk = take.pull(0, 3.0)
    assert chunk["horizon"] >= 3.0
    primed.pull(take._stream.position - primed.position)
    new = [note for note in chunk["notes"] if note[0] >= 0]
    assert new and sorted(new) == told(primed, begins)["notes"]
    assert all(note[0] + note[1] > 0 for note in chunk["notes"])  # a note of the primer may still sound
    assert take.heard(3.0).tempos[0].quarters_per_minute == 96


def test_text_shows_its_primer(text: Model) -> None:
    take = LiveText(text.stream("to be"), "a")
    typed = take.pull(0, 20)["text"]
    assert take.describe()["primer"] == "to be"
    assert take.heard(7) == "to be" + typed[:7]


def test_memory_is_bounded(text: Model, music: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest half is forgotten, at a bar line; the rest is what it was, and chunks go on without a seam."""
    monkeypatch.setattr(live_music, "MAX_EVENTS", 100)
    monkeypatch.setattr(live_text, "MAX_CHARACTERS", 200)
    forgetful, other = (LiveMusic(music.stream(seed=4), "a") for _ in range(2))
    monkeypatch.setattr(other, "_forget", lambda: None)
    for sequence in range(25):
        assert forgetful.pull(sequence, 3.0 * sequence + 3) == other.pull(sequence, 3.0 * sequence + 3)
    back = [take.back(74.0, seed=9).describe() for take in (forgetful, other)]
    assert back[0]["at"] == back[1]["at"] and back[0]["before"]["notes"] == back[1]["before"]["notes"]
    heard, everything = forgetful.heard(70.0), other.heard(70.0)
    assert 0 < len(heard.notes) < len(everything.notes)
    assert heard.notes == everything.between(forgetful._start_ticks, forgetful._ticks(70.0)).notes
    assert heard.bars[0].start_ticks == 0 and heard.time_signatures[0].start_ticks == heard.tempos[0].start_ticks == 0
    take = LiveText(text.stream(seed=4), "a")
    whole = "".join(take.pull(sequence, 50 * sequence + 50)["text"] for sequence in range(20))
    assert len(take.heard(1000)) <= 200 and whole[:1000].endswith(take.heard(1000))


def test_the_pedal_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is remembered from the middle on begins with the pedal as it was."""
    monkeypatch.setattr(live_music, "MAX_EVENTS", 300)
    model = Model(tiny("performance"))
    forgetful, other = (LiveMusic(model.stream(seed=4), "a") for _ in range(2))
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
    take = LiveMusic(model.stream(seed=4), "a")
    for sequence in range(4):
        take.pull(sequence, 30.0 * sequence + 30)
    snapshot = primers.read("a.take", take.saved(100.0), "music")
    assert isinstance(snapshot, Snapshot)
    for other in (take.back(110.0, seed=5), LiveMusic(model.resume(snapshot, seed=5), "b")):
        opening = other.describe()
        [stood] = opening["before"]["pedals"]
        assert stood[0] < opening["at"]
        chunk = other.pull(0, opening["at"] + 30)
        assert chunk["pedals"] and all(at >= opening["at"] - 1e-3 for at, _, _ in chunk["pedals"])
        sent = [stood, *chunk["pedals"]]
        everything = sorted(other._json(event for _, event in other._events)["pedals"])
        assert [pedal for pedal in everything if stood[0] <= pedal[0] < chunk["horizon"]] == sent
