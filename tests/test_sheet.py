"""Sheet music while it plays: the same bars as in the whole score, with the times of their notes, whatever is asked."""

from __future__ import annotations

import json
import re
import signal
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from generator.foundation.errors import CarouselError
from generator.music.beats import beats
from generator.music.excerpt import Excerpt, Picture, engrave
from generator.music.score import Bar, Note, Tempo, TimeSignature
from generator.streaming.engine import Model, load
from generator.tokenizers.score import ScoreTokenizer
from generator.web import engraver, live_music, sheet
from generator.web.live_music import LiveMusic
from tests.conftest import four_voices, random_checkpoint, tiny

pytestmark = pytest.mark.usefixtures("no_hurry")


@pytest.fixture(scope="module")
def bach(root: Path) -> tuple[LiveMusic, list[float], list[float], list[Any]]:
    """A take of a minute and a half, its bar lines, the ends of its pieces, and its beats."""
    take = LiveMusic(load(root / "checkpoints" / "bach").stream(seed=64), "bach")
    chunks: list[dict[str, Any]] = []
    while not chunks or chunks[-1]["horizon"] < 90:
        chunks.append(take.pull(len(chunks), len(chunks) * 4.0))
    return take, *([at for chunk in chunks for at in chunk[name]] for name in ("bars", "ends", "beats"))


def heads(svg: str) -> int:
    return len(re.findall(r'class="note"', svg))


def test_a_line_has_the_notes_of_its_bars_at_their_times(bach: Any) -> None:
    """Each onset of the stream between the bar lines lights up something, and nothing else does; ties go on."""
    take, bars, ends, _ = bach
    heard = take.heard(80)
    clock = heard.clock()
    keys = set()
    for first in (0, 4, 8):
        since, until = round(bars[first], 2), round(bars[first + 4], 2)
        assert not [at for at in ends if since < at < until]
        excerpt, begin = take.excerpt(since, until)
        picture = engrave(excerpt, 1000)
        assert picture.voices == [0, 1, 2, 3] and heads(picture.svg) == len(picture.notes) > 20
        ET.fromstring(picture.svg)
        lit = {round(begin + start, 2) for _, start, _ in picture.notes}
        onsets = {round(clock.seconds(note.start_ticks), 2) for note in heard.notes}
        assert {at for at in onsets if since <= at < until} <= lit
        assert all(since - 0.01 <= at < until for at in lit)
        assert ("meterSig" in picture.svg) == (first == 0) == ("Soprano" in picture.svg)
        keys.add(excerpt.whole.key)
    assert len(keys) == 1, "the key signature changes within a piece"


def test_only_the_end_of_a_piece_has_a_final_bar_line(bach: Any) -> None:
    take, bars, ends, _ = bach
    before = max(at for at in bars if at < ends[0])
    wide, narrow = (engrave(take.excerpt(since, until)[0], 1000) for since, until in ((0, bars[1]), (before, ends[0])))

    def bar_lines(svg: str) -> int:
        return max(len(re.findall("<path", part)) for part in svg.split('class="barLine"')[1:])

    assert bar_lines(narrow.svg) > bar_lines(wide.svg)


def test_ids_are_unique_and_pictures_the_same_again(bach: Any) -> None:
    take, bars, *_ = bach
    pictures = [engrave(take.excerpt(bars[first], bars[first + 2])[0], 400) for first in (0, 2, 0)]
    assert pictures[0] == pictures[2]
    ids = [set(re.findall(r'\bid="([^"]+)"', picture.svg)) for picture in pictures]
    assert ids[0] and not ids[0] & ids[1]


def test_a_transposed_sheet(bach: Any) -> None:
    take, bars, *_ = bach
    excerpt, _ = take.excerpt(bars[0], bars[1])
    assert sheet.transposed(excerpt, 0) == excerpt
    higher = sheet.transposed(excerpt, 3)
    assert [note.pitch - 3 for note in higher.score.notes] == [note.pitch for note in excerpt.score.notes]
    assert (higher.whole.key - excerpt.whole.key) % 12 == 3 and higher.whole.key // 12 == excerpt.whole.key // 12
    drums = replace(excerpt.score, voices=tuple(replace(voice, drum=True) for voice in excerpt.score.voices))
    assert sheet.transposed(replace(excerpt, score=drums), 3).score.notes == excerpt.score.notes


def test_what_cannot_be_drawn_is_one_line(bach: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    take, bars, *_ = bach
    for since, until in ((bars[2], bars[2]), (bars[3], bars[1]), (1e8, 1e9)):
        with pytest.raises(CarouselError, match="no bars"):
            take.excerpt(since, until)
    with pytest.raises(CarouselError, match="no bars"):
        LiveMusic(Model(tiny("performance")).stream(seed=1), "a").excerpt(0, 1)
    excerpt, _ = take.excerpt(bars[0], bars[1])
    assert excerpt.score.notes and sheet.sheet(take, 1e8, 1e9, 400, 0)["svg"] == ""
    monkeypatch.setattr(sheet, "MOST_NOTES", 3)
    with pytest.raises(CarouselError, match="more than 3 notes"):
        sheet.sheet(take, bars[0], bars[1], 400, 0)


def test_the_work_for_a_line_does_not_grow_with_the_take(bach: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the present piece is read, and of a very long one its last events."""
    take, bars, ends, _ = bach
    since = max(at for at in bars if at < 80)
    whole, _ = take.excerpt(since, 90)
    read = list(live_music.bars._from_piece((event for _, event in reversed(take._events)), take._ticks(since)))
    assert min(event.start_ticks for event in read if isinstance(event, Note)) >= take._ticks(ends[0]) - 1
    monkeypatch.setattr(live_music.bars, "LONGEST_PIECE", 200)
    short, _ = take.excerpt(since, 90)
    assert short.score.notes == whole.score.notes and short.score.time_signatures == whole.score.time_signatures


def test_an_excerpt_survives_its_way_to_the_process(bach: Any) -> None:
    take, bars, *_ = bach
    excerpt: Excerpt = take.excerpt(bars[2], bars[4])[0]
    again = engraver._excerpt(json.loads(json.dumps(engraver._plain(excerpt))))
    assert engrave(again, 400) == engrave(excerpt, 400)


def test_what_the_process_answers(bach: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    take, bars, *_ = bach
    excerpt: Excerpt = take.excerpt(bars[2], bars[3])[0]
    answers = ['{"svg": "<svg/>", "notes": [["a", 0, 1.5]], "voices": [0]}', '{"error": "too wide"}', ""]
    monkeypatch.setattr(engraver.Engraver, "_answer", lambda self, line: answers.pop(0))
    process = engraver.Engraver()
    assert process.engraved(excerpt, 400) == Picture("<svg/>", [("a", 0, 1.5)], [0])
    for width, words in ((500, "^too wide$"), (600, "could not be drawn; it is tried again")):
        with pytest.raises(CarouselError, match=words):
            process.engraved(excerpt, width)


@pytest.mark.slow
def test_a_process_that_dies_is_started_again(bach: Any) -> None:
    take, bars, *_ = bach
    one, two, three = (take.excerpt(bars[first], bars[first + 1])[0] for first in range(3))
    process = engraver.Engraver()
    assert process.engraved(one, 400) == engrave(one, 400)
    assert process._process
    process._process.send_signal(signal.SIGSTOP)
    engraver.PATIENCE_SECONDS, patience = 0.5, engraver.PATIENCE_SECONDS
    with pytest.raises(CarouselError, match="tried again"):
        process.engraved(two, 400)
    engraver.PATIENCE_SECONDS = patience
    process._process.wait(20)
    assert process.engraved(three, 400) == engrave(three, 400)
    process._process.kill()
    process._process.communicate()


def test_beats_follow_the_bars(bach: Any) -> None:
    """Four in a bar of 4/4; the first of each is on its bar line."""
    _, bars, _, found = bach
    assert [at for at, first in found if first] == bars
    gaps = {round(two[0] - one[0], 2) for one, two in pairwise(found)}
    assert gaps <= {0.83, 0.84}


def test_beats_are_sent_again_with_what_is_drawn_again() -> None:
    tune = replace(four_voices(), tempos=(Tempo(0, 97.0),))
    take = LiveMusic(Model(random_checkpoint(ScoreTokenizer.fit([tune]))).stream(seed=3), "a")
    beat_times = [at for at, _ in take.pull(0, 6.0)["beats"]]
    take.set(temperature=0.5)
    chunk = take.pull(1, 8.0, 3.0)
    again = [at for at, _ in chunk["beats"]]
    assert min(again) >= chunk["from"] - 1e-3 and next(at for at in beat_times if at >= chunk["from"]) == again[0]
    assert LiveMusic(Model(tiny("performance")).stream(seed=1), "a").pull(0, 2.0)["beats"] == []


@pytest.mark.parametrize(
    ("metre", "expected"),
    [((6, 8), [0, 6]), ((3, 8), [0, 2, 4]), ((3, 4), [0, 4, 8]), ((2, 2), [0, 8]), ((9, 8), [0, 6, 12])],
)
def test_beats_of_a_bar(metre: tuple[int, int], expected: list[int]) -> None:
    length = TimeSignature(0, *metre).bar_ticks(4)
    found = list(beats([Bar(0), Bar(length)], [TimeSignature(0, *metre)], 4, 0, length + 1))
    assert found == [*((at, at == 0) for at in expected), (length, True)]
    assert list(beats([Bar(0)], [], 4, 1, 9)) == [(4, False), (8, False)]
    assert list(beats([], [], 4, 0, 9)) == []
