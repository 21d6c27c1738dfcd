"""A band: a stream of music with bars, and a drummer beside it, in one metre, at one tempo and on one clock.

    lm, kit = generator.load("bach"), generator.load("drums")
    band = generator.Band(lm.stream(seed=7), kit.stream(seed=7, style="funk"))
    for event in band.take(256):
        print(event)
    generator.write(band.history(), "out.mid")

The leader is a stream like any other, and does not notice the drummer. Its position is the band's. Ticks are fine
enough for both. The state of a band is that of its two streams, so its snapshot is the leader's, with the drummer's in
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from generator.foundation.errors import CarouselError
from generator.music.marks import with_landmarks
from generator.music.score import MusicEvent, Score, Voice
from generator.streaming.drummer import CUES, Drummer
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers import instruments_of
from generator.tokenizers.base import Event


class Band:
    """A stream with a drummer. Only one thread at a time may use it. Options are changed with `leader.set` and
    `drums.set`; for all else its two streams are used through it alone."""

    def __init__(self, leader: Stream, drums: Stream, entries: tuple[int, ...] = (0,)) -> None:
        """Let `drums` play beside `leader`: a new stream, or one that was resumed from the same snapshot.

        Args:
            entries: the leader's ticks from which on the drummer plays, rests, plays, and so on.

        Raises:
            CarouselError: `drums` plays no drums, the leader has no bars, or the two do not belong together.
        """
        self.leader, self.drums, self.entries = leader, drums, entries
        self._hear_past()
        self._drummer.check()
        self._followed = self.position

    def __repr__(self) -> str:
        return f"<Band of {self.leader!r} and {self.drums!r}>"

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The leader's voices, then the drums."""
        return (*self.leader.voices, self._drummer.voice)

    @property
    def ticks_per_quarter(self) -> int:
        """The resolution of the band's events."""
        return self._drummer.ticks_per_quarter

    @property
    def position(self) -> int:
        """The number of the leader's tokens so far, its primer's included."""
        return self.leader.position

    @property
    def ended(self) -> bool:
        """Whether the leader has ended."""
        return self.leader.ended

    @property
    def has_bars(self) -> bool:
        """True: a drummer needs them."""
        return True

    @property
    def horizon_ticks(self) -> int:
        """Every event that starts before this tick has been yielded."""
        return max(0, self.leader.horizon_ticks * self._drummer.scale - self._drummer.early_ticks)

    @property
    def now_ticks(self) -> int:
        """The leader's current time."""
        return self.leader.now_ticks * self._drummer.scale

    def step(self, ahead: int = 0) -> list[Event]:
        """Advance the leader by one token, as `Stream.step`; return the events that it completes, and with a bar line
        all hits of the bar that begins there."""
        self._repair()
        events = list(self._with_hits(self._drummer, self.leader.step(ahead)))
        self._followed = self.position
        return events

    def take(self, tokens: int) -> Iterator[Event]:
        """Advance the leader by up to `tokens` tokens, as `Stream.take`.

        Raises:
            CarouselError: the number is negative.
        """
        if tokens < 0:
            raise CarouselError(f"cannot take {tokens} tokens; give 0 or more")
        for _ in range(tokens):
            if self.ended:
                return
            yield from self.step()

    def __iter__(self) -> Iterator[Event]:
        while not self.ended:
            yield from self.step()

    def listen(self, piece: str | Score | Sequence[MusicEvent], voice: str | None = None) -> list[Event]:
        """Let the leader hear a phrase, as `Stream.listen`; the drummer plays to it."""
        self._repair()
        events = list(self._with_hits(self._drummer, self.leader.listen(piece, voice)))
        self._followed = self.position
        return events

    def rewind(self, tokens: int = 0, *, bars: int = 0) -> None:
        """Let both go back, as `Stream.rewind` lets the leader; CarouselErrors as there."""
        self._repair()
        self.leader.rewind(tokens, bars=bars)
        cues = self._drummer.cues - sum(isinstance(event, CUES) for event in self.leader.past())
        if self._drummer.can_go_back(cues):
            self._drummer.back(cues)
            self._followed = self.position
        self._repair()

    def fork(self) -> Band:
        """A new band that goes on from here. This one is unaffected."""
        self._repair()
        return Band(self.leader.fork(), self.drums.fork(), self.entries)

    def past(self) -> Iterator[Event]:
        """Every event since the start, the primer's included. The hits of a bar follow its bar line."""
        self._repair()
        yield from self._with_hits(Drummer(self.drums, self.leader, self.entries), self.leader.past())

    def collect(self, events: Iterable[Event], voices: tuple[Voice, ...] = ()) -> Score:
        """The score of some events of the band; `voices` are the leader's, if others are to play than its own."""
        kept = [event for event in events if not isinstance(event, str)]
        played = (*voices, self.voices[-1]) if voices else self.voices
        return Score.from_events(kept, ticks_per_quarter=self.ticks_per_quarter, voices=played)

    def history(self) -> Score:
        """The events of `past` as a `Score`, which has an origin that is written into music files."""
        origin = self.snapshot().text(instruments=instruments_of(self.leader.engine.tokenizer), landmarks=True)
        return replace(with_landmarks(self.collect(self.past())), origin=origin)

    def snapshot(self) -> Snapshot:
        """The leader's snapshot, with the drummer's in it. Resume both, and make a band of them."""
        self._repair()
        return replace(self.leader.snapshot(), drums=self.drums.snapshot(), entries=self.entries)

    def _repair(self) -> None:
        """Let the drummer catch up or go back, if an interrupt came between the two streams."""
        if self._followed != self.position:
            self._hear_past()
            self._drummer.drop_rest()
            self._followed = self.position

    def _hear_past(self) -> None:
        """Let the drummer play to the leader's past, up to the present."""
        self._drummer = Drummer(self.drums, self.leader, self.entries)
        self._drummer.follow(self.leader.past())

    def _with_hits(self, drummer: Drummer, events: Iterable[Event]) -> Iterator[Event]:
        """Events of the leader in the band's ticks, and after each bar line its hits."""
        for event in events:
            assert not isinstance(event, str)
            yield drummer.scaled(event)
            yield from drummer.follow([event])


Source = Stream | Band
"""What events come from."""
