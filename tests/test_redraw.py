"""Bars are drawn again between what stays: the other voices, all before and all after, note for note."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from generator.foundation.errors import CarouselError
from generator.music.score import Bar, Note
from generator.streaming.engine import Model, load
from generator.streaming.redraw import Writer, first_onsets, opening, redraw
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers.score import ScoreTokenizer
from generator.tokenizers.score_vocabulary import BAR, END
from tests.conftest import ROOT, tiny


@cache
def model_of(name: str) -> Model:
    return load(ROOT / "checkpoints" / name) if name != "score" else Model(tiny(name))


def with_bars(name: str, **options: Any) -> tuple[Stream, list[int]]:
    """A stream, and the positions at which the bars open of the longest of its pieces."""
    model = model_of(name)
    stream = model.stream(seed=3, **options)
    stream.pull(700)
    kinds = model.tokenizer.table.kinds  # type: ignore[attr-defined]
    pieces: list[list[int]] = [[]]
    for position, token in enumerate(stream.tokens().tolist()):
        if kinds[token] == END:
            pieces.append([])
        elif kinds[token] == BAR:
            pieces[-1].append(opening(stream, position))
    return stream, sorted(set(max(pieces, key=len)))  # empty bars open together


def events_of(stream: Stream, tokens: list[int], kind: type[Any]) -> list[Any]:
    return [event for event in stream.engine.tokenizer.decoder().feed_all(tokens) if isinstance(event, kind)]


def tick_after(stream: Stream, tokens: list[int]) -> int:
    decoder = stream.engine.tokenizer.decoder()
    decoder.feed_all(tokens)
    return decoder.now_ticks


@pytest.mark.parametrize(
    ("name", "voices"),
    [("score", (1,)), ("score", (0, 3)), ("bach", (0,)), ("bach", (1, 2)), ("bach", (0, 1, 2, 3)), ("folk", (0,))],
)
def test_what_stays_stays_note_for_note(name: str, voices: tuple[int, ...]) -> None:
    stream, bars = with_bars(name)
    before = stream.snapshot()
    start, stop = bars[1], bars[3]
    tokens = stream.tokens().tolist()
    again = redraw(stream, start, stop, voices, 2, 11)
    assert again == redraw(stream, start, stop, voices, 2, 11) and stream.snapshot() == before
    whole = tokens[:start] + again
    assert whole != tokens and again[-len(tokens[stop:]) :] == tokens[stop:]
    assert events_of(stream, whole, Bar) == events_of(stream, tokens, Bar)
    old, new = events_of(stream, tokens, Note), events_of(stream, whole, Note)
    first, last = (tick_after(stream, tokens[: at + 1]) for at in (start, stop))
    for note in {*old} ^ {*new}:
        assert note.voice in voices and first <= note.start_ticks < last, note
    fork = stream.fork()
    fork.rewind(fork.position - start)
    fork.inject(again)
    assert fork.tokens().tolist() == whole
    fork.pull(60)
    origin = Snapshot.from_bytes(fork.snapshot().to_bytes())
    assert stream.engine.replay(origin).tokens() == fork.tokens()  # type: ignore[attr-defined]


def test_the_first_onsets_behind_bars() -> None:
    stream, bars = with_bars("bach")
    tokenizer, tokens = stream.engine.tokenizer, stream.tokens().tolist()
    assert isinstance(tokenizer, ScoreTokenizer)
    first = {voice: 2**62 for voice in range(4)}
    behind = tick_after(stream, tokens[: bars[3] + 1])
    for note in events_of(stream, tokens, Note):
        if note.start_ticks >= behind:
            first[note.voice] = min(first[note.voice], note.start_ticks)
    assert first_onsets(tokenizer, stream, bars[1], bars[3]) == first


def test_the_best_of_several_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each candidate alone is what it is among others, and the likeliest wins, with what follows."""
    stream, bars = with_bars("bach")
    found: dict[int, tuple[float, list[int]]] = {}
    give = Writer.give

    def note(self: Writer, tokens: Any) -> None:
        give(self, tokens)
        found[self._seed] = (self.nats / max(1, self.notes), list(self.tokens))

    monkeypatch.setattr(Writer, "give", note)
    best = redraw(stream, bars[1], bars[3], (1, 2), 3, 20)
    _, tokens = min(found[seed] for seed in (20, 21, 22))
    assert best[: len(tokens)] == tokens and len({nats for nats, _ in found.values()}) == 3
    assert redraw(stream, bars[1], bars[3], (1, 2), 1, min(found, key=lambda seed: found[seed])) == best


def test_the_options_of_the_stream_hold_for_what_is_drawn() -> None:
    """As far as the bars that stay let them: here the soprano's range."""
    stream, bars = with_bars("bach", ranges="Soprano:64-69")
    again = redraw(stream, bars[1], bars[4], (0,), 2, 4)
    notes = events_of(stream, stream.tokens().tolist()[: bars[1]] + again, Note)
    assert {note.pitch for note in notes if note.voice == 0} <= set(range(64, 70))


def test_what_cannot_be_drawn_again_is_refused() -> None:
    stream, bars = with_bars("bach")
    for voices, count in (((), 1), ((4,), 1), ((0,), 0)):
        with pytest.raises(CarouselError, match="nothing to draw again"):
            redraw(stream, bars[1], bars[2], voices, count, 1)
    for start, stop in ((bars[2], bars[1]), (bars[1], bars[1]), (bars[1] + 4, bars[2])):
        with pytest.raises(CarouselError, match="bars of one piece"):
            redraw(stream, start, stop, (0,), 1, 1)
    with pytest.raises(CarouselError, match="knows no bars"):
        redraw(Model(tiny("performance")).stream(seed=1), 0, 4, (0,), 1, 1)
    with pytest.raises(CarouselError, match="the grammar does not allow"):
        stream.fork().inject([stream.engine.tokenizer.end] * 3)
