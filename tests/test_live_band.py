"""A live take with a drummer: what the page has heard is what its origin draws again, whoever enters and when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import Band, CarouselError, Snapshot
from generator.cli.takes import piece_of
from generator.music import midi
from generator.music.score import Score
from generator.streaming import drummer
from generator.streaming.origin import Origin, read_text
from generator.web import live_music
from generator.web.live_band import ANY, LiveBand
from tests.test_band import band_of, players, resumed
from tests.test_live_changes import Browser

pytestmark = pytest.mark.usefixtures("no_hurry")


def drawn_again(origin: Origin) -> Band:
    leader, drums = players()
    assert origin.drums is not None
    return Band(leader.engine().replay(origin), drums.engine().replay(origin.drums), origin.entries)


def told(band: Band, until: float) -> list[list[Any]]:
    """The notes of a band before a position, as a page is told of them, without their lengths: of a note that sounds
    while the tempo changes, the page has the length that it was to have."""
    score = band.history()
    clock = score.clock()

    def seconds(ticks: int) -> float:
        return round(clock.seconds(ticks), 4)

    notes = [[seconds(note.start_ticks), note.pitch, note.velocity, note.voice] for note in score.notes]
    return sorted(note for note in notes if note[0] < until)


def known(page: Browser) -> list[list[Any]]:
    """The notes that a page has been told, likewise."""
    return sorted([start, *rest] for start, _, *rest in page.notes)


def test_a_drummer_from_the_start() -> None:
    """It is the band that the command plays, from the first bar on; and the page learns of one more voice."""
    leader, drums = players()
    take = LiveBand(leader.stream(seed=3), "a")
    take.drum(drums.engine(), "funk")
    page = Browser(take)
    assert len(take.describe()["voices"]) == 4
    assert page.pull(10, 0)["voices"][-1] == {"name": "Drums", "program": 0, "drum": True, "beside": True}
    assert "voices" not in page.pull(20, 0)
    band = band_of(3)
    while band.position < take._stream.position:
        band.step()
    assert known(page) == told(band, page.horizon)
    assert sum(note[4] == 4 for note in page.notes) > 20


@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_what_is_heard_is_one_take(data: st.DataObject) -> None:
    leader, drums = players()
    take = LiveBand(leader.stream(seed=data.draw(st.integers(0, 9))), "a")
    page, heard = Browser(take), 0.0
    for _ in range(data.draw(st.integers(2, 5))):
        page.pull(heard + data.draw(st.floats(1, 12)), heard)
        heard = data.draw(st.floats(heard, max(heard, page.horizon)))
        if data.draw(st.booleans()):
            take.set(temperature=data.draw(st.sampled_from([0.5, 1.0, 1.5])))
        take.drum(drums.engine(), data.draw(st.sampled_from([None, ANY, "funk", "jazz"])))
        before = [note for note in page.notes if note[0] < heard]
        chunk = page.pull(heard + 6, heard)
        assert chunk.get("from", heard) >= round(heard, 4) - 1e-3
        assert {(note[0], note[2], note[4]) for note in before} <= {(note[0], note[2], note[4]) for note in page.notes}
        if data.draw(st.booleans()):  # a reload of the page, or the way back after a restart
            origin, *_ = read_text(take._taken(take._stream).text())
            if origin.drums is not None:
                band = drawn_again(origin)
                take = LiveBand(band.leader, "a", heard, band.drums, band.entries)
                old, page = page.notes, Browser(take)
                at = page.horizon
                page.pull(heard + 6, heard)
                page.notes = [note for note in old if note[0] < at] + [note for note in page.notes if note[0] >= at]
    if take._drummer is None:
        return
    whole, *_ = read_text(take._taken(take._stream).text())
    assert known(page) == told(drawn_again(whole), page.horizon)
    score = take.heard(heard)
    found, cut, *_ = read_text(score.origin)
    band = drawn_again(found)
    tokenizer = leader.tokenizer
    assert midi.to_bytes(piece_again(band, tokenizer, found, cut)) == midi.to_bytes(score)
    assert Snapshot.from_bytes(take.saved(heard)).drums is not None
    aside = take.aside(heard)
    aside.draw(heard + 3)
    assert aside.heard(heard).notes == score.notes


def piece_again(band: Band, tokenizer: Any, found: Origin, cut: Any) -> Score:
    piece = piece_of(tokenizer, band.past(), found, cut, band=band)
    assert isinstance(piece, Score)
    return piece


def test_a_style_changes_the_next_bar_alone() -> None:
    """The other voices stay as they are, and what has been heard too."""
    leader, drums = players()
    take = LiveBand(leader.stream(seed=5), "a")
    take.drum(drums.engine(), "funk")
    page = Browser(take)
    page.pull(25, 0)
    others = [note for note in page.notes if note[4] < 4]
    take.drum(drums.engine(), "jazz")
    chunk = page.pull(25, 5)
    assert 5 <= chunk["from"] < 15 and "voices" not in chunk
    assert [note for note in sorted(page.notes) if note[4] < 4 and note[0] < 20] == [
        n for n in sorted(others) if n[0] < 20
    ]
    take.drum(drums.engine(), None)
    page.pull(25, 8)
    assert max(note[0] for note in page.notes if note[4] == 4) < 15
    assert take.drum_style is None


def test_a_drummer_remembers_so_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond them it hears the leader's past once more, and plays the same to what follows."""
    expected = list(band_of(6).take(300))
    monkeypatch.setattr(drummer, "MOST_BACK", 5)
    for tokens in (3, 120, 260, 300):
        band = band_of(6)
        list(band.take(300))
        assert len(band._drummer._cues) == 5 < band._drummer.cues
        band.rewind(tokens)
        assert list(band.drums.tokens()) == list(resumed(band.snapshot()).drums.tokens())
        list(band.take(tokens))
        assert list(band.past()) == expected


def test_hits_are_forgotten_with_what_they_were_played_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_music, "MAX_EVENTS", 100)
    leader, drums = players()
    forgetful, other = (LiveBand(leader.stream(seed=3), "a") for _ in range(2))
    monkeypatch.setattr(other, "_forget", lambda: None)
    for take in (forgetful, other):
        take.drum(drums.engine(), "funk")
    for sequence in range(25):
        assert forgetful.pull(sequence, 8.0 * sequence + 8) == other.pull(sequence, 8.0 * sequence + 8)
    heard, everything = forgetful.heard(190.0), other.heard(190.0)
    scale = heard.ticks_per_quarter // leader.tokenizer.ticks_per_quarter
    begun, end = forgetful._start_ticks * scale, forgetful._ticks(190.0) * scale
    assert begun > 0 and heard.notes == everything.between(begun, end).notes
    assert len(forgetful._hits) < len(other._hits) / 2


def test_what_cannot_be() -> None:
    leader, drums = players()
    take = LiveBand(leader.stream(seed=5), "a")
    with pytest.raises(CarouselError, match="polka"):
        take.drum(drums.engine(), "polka")
    take.drum(drums.engine(), ANY)
    Browser(take).pull(10, 0)
    with pytest.raises(CarouselError, match="the drummer plays this"):
        take.decisions(0.0, 36, 4)
    assert take.played_by({"Drums": 3, "Bass": 32})._tokenizer.voices[-1].program == 32
