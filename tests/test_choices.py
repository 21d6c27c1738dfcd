"""In a live take one sees what else could have come, and goes on from another choice; nothing of the past is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generator.cli import takes
from generator.foundation.errors import CarouselError
from generator.streaming.engine import Model, load
from generator.streaming.origin import read_text
from generator.streaming.snapshot import Snapshot
from generator.web import live_text, trail
from generator.web.live_music import LiveMusic
from generator.web.live_text import LiveText
from tests.conftest import ROOT, four_voices, tiny

pytestmark = pytest.mark.usefixtures("no_hurry")


def notes_before(take: Any, position: float) -> list[Any]:
    return [note for note in take.heard(position).notes if note.end_ticks < take._ticks(position)]


@pytest.mark.parametrize("kind", ["score", "performance", "frames"])
def test_another_note_can_stand_there(kind: str, tmp_path: Path) -> None:
    """The note that was chosen is there, what was before it stays, and the take is drawn again with it to the byte."""
    tiny(kind).save(tmp_path / kind)
    model = load(tmp_path / kind)
    take = LiveMusic(model.stream(four_voices(2), seed=3), "a")
    sent = take.pull(0, 20.0)
    at, _, pitch, _, voice = next(note for note in sent["notes"] if note[0] > 8)
    stream, decisions = take.decisions(at, pitch, voice)
    name, position = next(iter(decisions.items()))
    assert name == ("Pitch" if kind == "score" else "Note") and {*decisions} <= {
        *("Pitch", "Length", "Voice", "Note", "Loudness")
    }
    choices = stream.alternatives(position)
    [came] = [choice for choice in choices if choice.came]
    other = next(choice for choice in choices if not choice.came)
    assert came.words[0] in "ABCDEFG" and other.words
    branch = take.choose(position, other.token, at - 2)
    opening = branch.describe()
    assert opening["at"] == pytest.approx(at - 2, abs=0.3)
    assert notes_before(branch, at - 0.1) == notes_before(take, at - 0.1)
    chunk = branch.pull(0, at + 5)
    assert branch._stream.tokens()[position] == other.token and chunk["notes"]
    if kind == "score":
        again, decisions = branch.decisions(at, int(chunk_pitch(chunk, at, voice)), voice)
        assert next(one for one in again.alternatives(decisions["Pitch"]) if one.came).token == other.token
    origin, *_ = read_text(chunk["origin"])
    assert model.engine(origin.backend).replay(origin).tokens() == branch._stream.tokens()
    (tmp_path / "a.take").write_bytes(branch.saved(at + 4))
    takes.replay(tmp_path / "a.take", checkpoint=tmp_path / kind)
    resumed = model.resume(Snapshot.load(tmp_path / "a.take"))
    resumed.pull(branch._stream.position - resumed.position)
    assert resumed.tokens() == branch._stream.tokens()


def chunk_pitch(chunk: dict[str, Any], at: float, voice: int) -> Any:
    return next(note[2] for note in chunk["notes"] if abs(note[0] - at) < 2e-3 and note[4] == voice)


def test_a_choice_stays_whatever_follows(music: Model, text: Model) -> None:
    """At every moment near it the past has the choice: for one who keeps, who changes an option, who chooses again."""
    take = LiveMusic(music.stream(seed=3), "a")
    sent = take.pull(0, 20.0)
    at, _, pitch, _, voice = next(note for note in sent["notes"] if note[0] > 8)
    stream, decisions = take.decisions(at, pitch, voice)
    position = decisions["Length"]
    token = next(one.token for one in stream.alternatives(position) if not one.came)
    branch = take.choose(position, token, at)
    branch.pull(0, at + 10)
    for later in (0.01, 0.3, 0.7, 1.5, 4.0):
        snapshot = branch.snapshot(at + later)
        tokens = music.resume(snapshot).tokens()
        assert tokens == branch._stream.tokens()[: len(tokens)] and tokens[position] == token
    branch.set(temperature=0.5)
    branch.pull(1, at + 10, heard=at + 0.2)
    assert branch._stream.tokens()[position] == token

    lines = LiveText(text.stream("to be", seed=2), "a")
    typed = lines.pull(0, 400)["text"]
    for index in (100, 103, 101):  # within one step of the trail
        stream, decisions = lines.decisions(index, 0, 0)
        other = next(one for one in stream.alternatives(decisions["Character"], 40) if one.words == "z")
        lines = lines.choose(decisions["Character"], other.token, index)
        assert lines.describe()["at"] == index and lines.pull(0, 400)["text"].startswith("z")
    assert lines.heard(102) == "to be" + typed[:100] + "z" + "z"[:1]
    with pytest.raises(CarouselError, match="nothing was drawn here yet"):
        lines.decisions(10_000, 0, 0)


def test_what_cannot_be_chosen_is_said(music: Model, text: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "LENGTH", 4)
    take = LiveMusic(music.stream(four_voices(2), seed=3), "a")
    sent = take.pull(0, 25.0)
    at, _, pitch, _, voice = next(note for note in sent["notes"] if note[0] > 0)
    with pytest.raises(CarouselError, match="choose something later"):
        take.decisions(at, pitch, voice)
    with pytest.raises(CarouselError, match="no longer here"):
        take.decisions(at + 0.01, pitch, voice)
    lines = LiveText(text.stream(seed=2), "a")
    lines.pull(0, 200)
    with pytest.raises(CarouselError, match="choose something later"):
        lines.decisions(3, 0, 0)
    for position in (0, 60, 10**9):
        with pytest.raises(CarouselError, match="choose something later"):
            take.choose(position, 0, 0.0)
    with pytest.raises(CarouselError, match="cannot come here"):
        take.choose(take._stream.position, 10**6, 0.0)


def test_surprises_are_those_of_the_draws(text: Model) -> None:
    lines = LiveText(text.stream("to be", seed=2), "a")
    lines.pull(0, 300)
    found = lines.surprises(20, 60)
    assert found == [round(draw.surprise, 3) for draw in lines._stream.draws(25, 65)] and len({*found}) > 10
    assert lines.surprises(20, 20) == []
    for since, until in ((9, 3), (0, 10**6), (0, live_text.MOST_SURPRISES + 1)):
        with pytest.raises(CarouselError, match="ask for at most"):
            lines.surprises(since, until)


def test_a_take_aside_begins_where_it_is_asked_to(music: Model, text: Model) -> None:
    """Nothing beyond is drawn before somebody asks for it."""
    for take, position in ((LiveMusic(music.stream(seed=3), "a"), 8.0), (LiveText(text.stream(seed=3), "a"), 100)):
        take.pull(0, 2 * position)
        aside = take.aside(position)
        assert aside.describe()["at"] == pytest.approx(position, abs=0.5)
        assert aside._stream.position < take._stream.position


def test_bars_are_drawn_again_between_what_stays(tmp_path: Path) -> None:
    """The other voices and what follows stay in their places, and the take is drawn again to the byte."""
    take = LiveMusic(load(ROOT / "checkpoints" / "bach").stream(seed=7), "bach")
    sent = take.pull(0, 28.0)
    lines = [at for at in sent["bars"] if at > 2]
    since, until = lines[1], lines[3]
    branch = take.redraw(since, until, [1, 2], 2, 5, since - 2)
    assert branch.describe()["at"] == pytest.approx(since - 2, abs=0.3)
    old, new = ({*each.heard(26.0).notes} for each in (take, branch))
    changed = old ^ new
    assert changed and {note.voice for note in changed} <= {1, 2}
    assert all(take._ticks(since - 1e-3) <= note.start_ticks < take._ticks(until - 1e-3) for note in changed)
    again = branch.redraw(since, until, [0], 1, 6, since)  # and the same bars once more
    (tmp_path / "a.take").write_bytes(again.saved(27.0))
    takes.replay(tmp_path / "a.take", checkpoint=ROOT / "checkpoints" / "bach")
    chunk = again.pull(0, 40.0)
    origin, *_ = read_text(chunk["origin"])
    assert again._stream.engine.replay(origin).tokens() == again._stream.tokens()  # type: ignore[attr-defined]
    for voices, bars, words in (([], (since, until), "nothing to draw"), ([0], (until, since), "bars of one piece")):
        with pytest.raises(CarouselError, match=words):
            take.redraw(*bars, voices, 1, 1, since)
