"""What a visitor plays on a page is heard by the take behind the playhead, and stays in it, to the byte."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.errors import CarouselError
from generator.music import midi
from generator.streaming.engine import Model
from generator.streaming.origin import read_text
from generator.web import routes
from generator.web.listening import MAX_MESSAGES, MAX_SECONDS, begin_with_phrase, read
from generator.web.live_music import LiveMusic
from generator.web.live_text import LiveText
from tests.conftest import tiny
from tests.test_live_changes import Browser

pytestmark = pytest.mark.usefixtures("no_hurry")


def played(at: float, *pitches: int, gap: float = 0.5, voice: str = "") -> dict[str, Any]:
    """A phrase as a page sends it: notes one after another."""
    messages = [
        [[number * gap, 0x90, pitch, 90], [(number + 0.9) * gap, 0x80, pitch, 0]]
        for number, pitch in enumerate(pitches)
    ]
    return {"at": at, "voice": voice, "messages": [row for pair in messages for row in pair]}


def test_the_softest_note_begins_a_phrase() -> None:
    phrase = played(0.0, 60)
    phrase["messages"][0][3] = 1
    assert read(phrase).messages[0][1].velocity == 1
    phrase["messages"][0][3] = 0
    with pytest.raises(CarouselError, match="begins with a note"):
        read(phrase)


class Player(Browser):
    """A page whose visitor plays."""

    def play(self, at: float, *pitches: int, **more: Any) -> dict[str, Any]:
        phrase = read(played(at, *pitches, **more))
        chunk: dict[str, Any] = self.take.pull(self.sequence, at, at, phrase)
        self.take.pull, pull = lambda *_: chunk, self.take.pull
        self.pull(at, at)  # as any other chunk
        self.take.pull = pull
        return chunk


@pytest.fixture(scope="module", params=("score", "performance"))
def model(request: pytest.FixtureRequest) -> Model:
    return Model(tiny(request.param))


@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_a_take_with_phrases_is_one_stream(model: Model, data: st.DataObject) -> None:
    """Whatever is played, changed and gone back to, and when: the page has what the stream says that is drawn again
    from the take's origin, and the take at any position is drawn again to the byte."""
    page = Player(LiveMusic(model.stream(seed=data.draw(st.integers(0, 99))), "a"))
    heard = 0.0
    for _ in range(data.draw(st.integers(1, 2))):
        page.pull(heard + data.draw(st.floats(1, 12)), heard)
        heard = data.draw(st.floats(heard, max(heard, page.horizon)))
        page.take.set(temperature=data.draw(st.sampled_from([0.7, 1.0])))
        pitches = data.draw(st.lists(st.sampled_from([48, 50, 53, 65, 68, 72, 76]), min_size=1, max_size=9))
        chunk = page.play(heard, *pitches)
        assert round(heard, 3) - 1e-3 <= chunk["from"] <= chunk["phrase"]["begin"] < chunk["phrase"]["end"]
        heard = data.draw(st.floats(heard, page.horizon))
    whole = page.take._stream.snapshot()
    assert len(whole.injected) >= 1
    replay = model.engine().replay(read_text(whole.text())[0])
    assert replay.snapshot() == whole
    known = [note for note in replay.history().notes if note.start_ticks < replay.horizon_ticks]
    clock = replay.history().clock()
    said = {(round(clock.seconds(note.start_ticks), 4), note.pitch, note.voice) for note in known}
    assert sorted(said) == sorted((note[0], note[2], note[4]) for note in page.notes)
    lines = [bar.start_ticks for bar in replay.history().bars]
    assert page.bars == [round(clock.seconds(line), 4) for line in lines if line < replay.horizon_ticks]
    position = data.draw(st.floats(0, page.horizon))
    again = LiveMusic(model.engine().replay(read_text(whole.text())[0]), "a", position)
    cut = page.take.snapshot(position)
    assert again.snapshot(position) == cut == model.engine().replay(read_text(cut.text())[0]).snapshot()
    assert midi.to_bytes(again.heard(position)) == midi.to_bytes(page.take.heard(position))
    assert again.saved(page.horizon) == page.take.saved(page.horizon)


def test_the_answer_begins_at_a_bar_line_after_the_phrase(music: Model) -> None:
    """A phrase that begins a beat after a bar line does so in the stream too; there a bar has two seconds."""
    page = Player(LiveMusic(music.stream(seed=5), "a"))
    page.pull(12.0, 0.0)
    line = page.bars[2]
    chunk = page.play(line + 0.5, 72, 74, 76, voice="Soprano")
    phrase = chunk["phrase"]
    assert len(read_text(chunk["origin"])[0].injected) == 1, "the page can have it drawn again"
    assert phrase["bar"] == 2.0
    assert (phrase["begin"] - line) % 2 == 0.5 and (phrase["end"] - line) % 2 == 0
    heard = [note for note in page.notes if phrase["begin"] <= note[0] < phrase["end"]]
    assert [(note[2], note[4]) for note in sorted(heard)] == [(72, 0), (74, 0), (76, 0)]
    assert page.horizon >= phrase["end"] + 1, "the answer comes with it"


def test_a_lost_answer_to_a_phrase_is_sent_again(music: Model) -> None:
    take = LiveMusic(music.stream(seed=5), "a")
    take.pull(0, 8.0)
    phrase = read(played(3.0, 72, 74))
    first = take.pull(1, 4.0, 3.0, phrase)
    assert take.pull(1, 4.0, 3.0, phrase) is first
    assert len(take._stream.snapshot().injected) == 1


def test_what_cannot_be_heard_is_said_and_the_take_goes_on(music: Model, text: Model) -> None:
    take = LiveMusic(music.stream(seed=5), "a")
    take.pull(0, 8.0)
    chunk = take.pull(1, 9.0, 3.0, read(played(3.0, 72, voice="Ophicleide")))
    assert "no voice 'Ophicleide'" in chunk["phrase"]["refused"] and chunk["horizon"] >= 9
    assert (
        "generates text" in LiveText(text.stream(seed=2), "a").pull(0, 9, 0, read(played(0, 72)))["phrase"]["refused"]
    )


def test_a_phrase_is_read() -> None:
    phrase = read(played(1.5, 60, 64, voice="Alto"))
    assert (phrase.at, phrase.voice, len(phrase.messages)) == (1.5, "Alto", 4)
    assert [(note.pitch, note.velocity) for note in phrase.score().notes] == [(60, 90), (64, 90)]


def test_a_phrase_can_be_taken_home_and_be_a_beginning(music: Model) -> None:
    request = {"phrase": played(0, 72, 74)}
    assert [note.pitch for note in midi.read(bytes(routes.phrase(request).body)).notes] == [72, 74]
    stream, plain = music.stream(seed=5), music.stream(seed=5)
    begin_with_phrase(stream, request)
    begin_with_phrase(plain, 1234567890)
    assert [note.pitch for note in stream.history().notes] == [72, 74] and plain.position == 0
    assert LiveMusic(stream, "a").describe()["at"] == 2.0, "the answer is heard from the bar line on"


ON = [0, 0x90, 60, 90]
STRANGE: list[Any] = [
    *(None, [], {}, "phrase", {"at": 0, "voice": ""}, {"at": 0, "voice": 1, "messages": [ON]}),
    *({"at": at, "voice": "", "messages": [ON]} for at in (-1, math.nan, math.inf, True, "0", None)),
    *(
        {"at": 0, "voice": "", "messages": messages}
        for messages in (
            *(
                [],
                [[]],
                [[0]],
                [ON, None],
                [[0, 0x80, 60, 0]],
                [[0, 0x90, 60, 0]],
                [[0, 0x90, 60, 300]],
                [[1, *ON[1:]]],
            ),
            *([ON, [1, 0xB0, 7, 100]], [ON, [1, 0xF8]], [ON, [1, 0xF0, 1]], [ON, [2, *ON[1:]], [1, *ON[1:]]]),
            *(
                [ON] * (MAX_MESSAGES + 1),
                [ON, [MAX_SECONDS + 1, 0x80, 60, 0]],
                [ON, [0, 1.5, 60, 0]],
                [ON, [0, -1, 2, 3]],
            ),
            *([ON, [0, "144", 60, 0]], {"a": 1}, "on", [[0, 10**30]], [["0", 0x90, 60, 1]], [ON, [0, 2**70]]),
        )
    ),
]


@pytest.mark.parametrize("value", STRANGE, ids=range(len(STRANGE)))
def test_a_strange_phrase_is_refused_in_one_line(value: Any) -> None:
    with pytest.raises(CarouselError, match=r"^[^\n]*phrase[^\n]*; [^\n]+$"):
        read(value)
