"""A drummer: a stream of drums that plays a bar for each bar of a leader, in its metre and at its tempo.

The drummer hears the leader's metres, tempos, bar lines and ends of pieces, and nothing else. At a bar line it draws
the whole bar. It begins a new piece of its own with each of the leader's, and where the metre, the tempo or the style
that it should play changes: it ends its piece with an injected token, and the next one obeys the changed options. So
both are in the timeline of its stream, which is drawn again like any other.

A metre that the drummer does not know is played in one that it knows (`DrumsTokenizer.metre_for`): a bar of 12/8 as two
of 6/8, a bar of 2/4 as the first half of one of 4/4. A bar has at least one hit. Where the model would leave one empty,
its first sixteenth is injected, since a piece cannot end with an empty bar.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, lcm
from typing import NamedTuple

from generator.foundation.errors import CarouselError
from generator.music.score import (
    DEFAULT_TEMPO,
    Bar,
    MusicEvent,
    Note,
    PieceEnd,
    Score,
    Tempo,
    TimeSignature,
    style_name,
)
from generator.streaming.stream import Stream
from generator.streaming.violations import nearest_tempo
from generator.tokenizers.base import Event, Tokenizer
from generator.tokenizers.drums import DrumsTokenizer
from generator.tokenizers.drums_grammar import EARLIEST, POSITION, STEP_TICKS, steps_of

CUES = (Bar, PieceEnd, Tempo, TimeSignature)
"""The events that a drummer hears."""
MOST_BACK = 2**15
"""How many of them a drummer can go back: more than there are in the tokens that the app goes back at most."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What the next bar is played to: the leader's metre and tempo, and whether the drummer begins a piece."""

    metre: tuple[int, int] = (4, 4)
    tempo: float = DEFAULT_TEMPO
    begins: bool = True


class Cue(NamedTuple):
    """Where the drummer was before it heard an event."""

    position: int
    """The position in its stream, in tokens."""
    beat: Beat


class DrumBar(NamedTuple):
    """A bar that the drummer has played."""

    position: int
    """The position in its stream before the bar, in tokens."""
    start_ticks: int
    hits: list[Note]


def can_lead(tokenizer: Tokenizer) -> bool:
    """Whether music in these tokens has bars that one can drum to."""
    return len(tokenizer.bar_lines) > 0 and not isinstance(tokenizer, DrumsTokenizer)


class Drummer:
    """Follows a leader. Its hits are in ticks of which `scale` make one of the leader's."""

    def __init__(self, stream: Stream, leader: Stream, entries: tuple[int, ...] = (0,)) -> None:
        """Follow a leader from its start. Of what `stream` has played already, the leader's past comes first.

        Args:
            stream: the drummer's own; its past, if it has one, is what it played to the leader's past.
            entries: the leader's ticks from which on the drummer plays, rests, plays, and so on.

        Raises:
            CarouselError: `stream` plays no drums, or the leader has no bars, or a song.
        """
        tokenizer, leading = stream.engine.tokenizer, leader.engine.tokenizer
        if not isinstance(tokenizer, DrumsTokenizer):
            raise CarouselError(f"a checkpoint of kind {tokenizer.kind} cannot drum; take one of kind drums")
        if not can_lead(leading):
            raise CarouselError(f"a drummer follows the bars of written music; {leading.kind} has none for it")
        if leader.song is not None:
            raise CarouselError("a song goes on in its own tracks; leave the drummer out")
        self.stream, self.entries = stream, entries
        self._tokenizer = tokenizer
        self.ticks_per_quarter = lcm(leading.ticks_per_quarter, tokenizer.ticks_per_quarter)
        self.scale = self.ticks_per_quarter // leading.ticks_per_quarter
        self._hit_scale = self.ticks_per_quarter // tokenizer.ticks_per_quarter
        self.early_ticks = -EARLIEST * self._hit_scale
        """How long before its bar line the first hit of a bar may start."""
        self.voice, self._number = tokenizer.voices[0], len(leader.voices)
        self._beat = Beat()
        self._cues: deque[Cue] = deque(maxlen=MOST_BACK)
        self.cues = 0
        """How many of the leader's events were heard that a drummer plays to."""
        self._recorded = self._bars()
        """The bars that the stream has played, and that are still to be played again."""

    def check(self) -> None:
        """Check that the leader's past was as long as the drummer's; CarouselError if it was not."""
        if self._recorded:
            raise CarouselError("the drummer has played more bars than there are; this take was damaged or edited")

    def drop_rest(self) -> None:
        """Take back the bars that the stream has played beyond what was heard of the leader."""
        if self._recorded:
            self.stream.rewind(self.stream.position - self._recorded[0].position)
            self._recorded.clear()

    def follow(self, events: Iterable[Event]) -> list[Note]:
        """Hear the leader's next events; returns the hits of the bars that begin among them."""
        hits: list[Note] = []
        for event in events:
            if not isinstance(event, CUES):
                continue
            position = self._recorded[0].position if self._recorded else self.stream.position
            self._cues.append(Cue(position, self._beat))
            self.cues += 1
            if isinstance(event, TimeSignature):
                self._beat = replace(self._beat, metre=(event.numerator, event.denominator))
            elif isinstance(event, Tempo):
                self._beat = replace(self._beat, tempo=event.quarters_per_minute)
            elif isinstance(event, PieceEnd):
                self._beat = replace(self._beat, begins=True)
            elif bisect_right(self.entries, event.start_ticks) % 2:
                hits += self._play(event.start_ticks * self.scale)
        return hits

    def can_go_back(self, cues: int) -> bool:
        """Whether the drummer still knows where it was so many of the events ago."""
        return cues <= len(self._cues)

    def back(self, cues: int) -> None:
        """Forget the last so many of the events that were heard, and what was played to them; see `can_go_back`."""
        if cues:
            cue = [self._cues.pop() for _ in range(cues)][-1]
            self.cues -= cues
            self.stream.rewind(self.stream.position - cue.position)
            self._beat = cue.beat

    def fork(self) -> Drummer:
        """Another drummer who goes on from here; this one does not notice."""
        other = copy(self)
        other.stream, other._cues = self.stream.fork(), self._cues.copy()
        return other

    def scaled(self, event: MusicEvent) -> MusicEvent:
        """An event of the leader in the ticks of the hits."""
        start = event.start_ticks * self.scale
        if isinstance(event, Note):
            return replace(event, start_ticks=start, duration_ticks=event.duration_ticks * self.scale)
        return replace(event, start_ticks=start)

    def joined(self, score: Score, hits: Iterable[Note]) -> Score:
        """The leader's score with hits in it, in ticks that are fine enough for both."""
        events = (score.notes, score.time_signatures, score.tempos, score.pedals, score.bars, score.piece_ends)
        joined = Score.from_events(
            [*(self.scaled(event) for kind in events for event in kind), *hits],
            ticks_per_quarter=self.ticks_per_quarter,
            voices=(*score.voices, self.voice),
        )
        return replace(joined, title=score.title, length_ticks=score.length_ticks * self.scale)

    def _play(self, start_ticks: int) -> Iterator[Note]:
        """The hits of the leader's bar that starts at this tick."""
        metre = self._tokenizer.metre_for(self._beat.metre)
        steps, length = steps_of(metre), 16 * Fraction(*self._beat.metre)
        for number in range(ceil(length / steps)):
            bar = self._recorded.popleft() if self._recorded else self._drawn(metre)
            self._beat = replace(self._beat, begins=False)
            for hit in bar.hits:
                ticks = hit.start_ticks - bar.start_ticks + number * steps * STEP_TICKS
                if (ticks - EARLIEST) // STEP_TICKS < length:
                    yield replace(hit, start_ticks=start_ticks + ticks * self._hit_scale, voice=self._number)

    def _drawn(self, metre: tuple[int, int]) -> DrumBar:
        """Draw the next bar, in a metre of the vocabulary. If there is a reason, first begin a new piece."""
        stream, tokenizer, begun = self.stream, self._tokenizer, self.stream.position
        wanted = "{}/{}".format(*metre), float(nearest_tempo(tokenizer.table.tempos, self._beat.tempo))
        changed = wanted != (stream.options.metre, stream.options.tempo)
        if begun and (self._beat.begins or changed or not self._is_between_bars() or not self._has_style()):
            stream.choose(tokenizer.end)
        stream.set(metre=wanted[0], tempo=wanted[1], at_end="never")
        start, hits = -1, list[Note]()
        while not (hits and self._is_between_bars()):
            if start >= 0 and not hits and self._is_between_bars():
                events = stream.choose(tokenizer.table.first[POSITION])
            else:
                events = stream.step()
            hits += [event for event in events if isinstance(event, Note)]
            start = next((event.start_ticks for event in events if isinstance(event, Bar)), start)
        return DrumBar(begun, start, hits)

    def _is_between_bars(self) -> bool:
        """Whether the next token begins another bar. No piece ends by itself."""
        return self.stream.peek() in self._tokenizer.bar_lines

    def _has_style(self) -> bool:
        """Whether the piece has the style that the options ask for, if they do; to be called between two bars."""
        asked, named = self.stream.options.style, self.stream.peek() - self._tokenizer.bar_lines.start
        return not asked or (named > 0 and self._tokenizer.styles[named - 1] == style_name(asked))

    def _bars(self) -> deque[DrumBar]:
        """The bars that the stream has played. A bar that was interrupted is taken back."""
        stream, decoder, primed = self.stream, self._tokenizer.decoder(), len(self.stream.snapshot().primer)
        begun, opens, bars = primed, True, deque[DrumBar]()
        for position, token in enumerate(stream.tokens()):
            begins = token == self._tokenizer.end or token in self._tokenizer.bar_lines
            if begins and not opens and position >= primed:
                begun, opens = position, True
            for event in decoder.feed(token):
                if isinstance(event, Bar) and position >= primed:
                    bars.append(DrumBar(begun, event.start_ticks, []))
                    opens = False
                elif isinstance(event, Note) and bars:
                    bars[-1].hits.append(event)
        was_changed = stream.snapshot().timeline[-1][0] == stream.position  # so another token may come than before
        if bars and not opens and not (bars[-1].hits and (was_changed or self._is_between_bars())):
            bars.pop()
            opens = True
        if opens:
            stream.rewind(stream.position - begun)
        return bars
