"""Live takes of music: events are sent in the order of their start, once no earlier one can be added."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from copy import copy
from dataclasses import asdict
from itertools import islice, takewhile
from typing import Any, Self

from generator.cli.takes import piece_of
from generator.foundation.errors import CarouselError
from generator.music.excerpt import Excerpt
from generator.music.keys import SHARPS, likely, read_key
from generator.music.score import (
    DEFAULT_TEMPO,
    Bar,
    Clock,
    E,
    MusicEvent,
    Note,
    Pedal,
    PieceEnd,
    Score,
    Tempo,
    TimeSignature,
)
from generator.streaming.origin import Cut
from generator.streaming.stream import Stream
from generator.tokenizers import with_instruments
from generator.tokenizers.score import ScoreTokenizer
from generator.web import bars
from generator.web.listening import Phrase, heard_by
from generator.web.live import Live

MAX_EVENTS = 100_000
"""A take that grows beyond this many events, about four hours of music, forgets its oldest half."""
SHOWN_SECONDS = 12.0
"""A page shows this much of the music before the opening position."""
BACK_BARS = 8
"""The distance that one goes back in music with bars."""
ROUNDING_SECONDS = 1e-3
"""Positions are rounded for the page; no two notes of one pitch and voice are so near each other."""
KEY_NOTES = 200
"""The key of a piece is estimated from its last notes, at most this many."""
BACK_SECONDS = 15.0
"""The distance that one goes back in music without bars."""


class LiveMusic(Live):
    """A live take of music. Its score begins with the primer, and carries its origin, to be drawn again from."""

    medium = "music"
    ahead = 30.0

    def __init__(self, stream: Stream, name: str, at: float | None = None) -> None:
        self._tokenizer = stream.engine.tokenizer
        self._clock = Clock(self._tokenizer.ticks_per_quarter)
        self._events: list[tuple[int, MusicEvent]] = []
        """(position of its step in tokens, event), in the order in which they were drawn."""
        self._waiting: list[MusicEvent] = []
        """The events that have not been sent yet."""
        self._start_ticks = 0  # earlier events have been forgotten
        self._phrase_ticks = 0  # where the answer to the last phrase begins
        self._begin_seconds = 0.0
        self._piece_keys: dict[int, int] = {}
        super().__init__(stream, name, at)

    def _begin(self, ticks: int) -> None:
        self._begin_seconds = self._clock.seconds(ticks)

    def _remember(self, position: int, events: Iterable[Any]) -> None:
        """Add events to `_events`, and follow their tempos."""
        for event in events:
            self._events.append((position, event))
            if isinstance(event, Tempo):
                self._clock.set(event)

    def _opening_view(self, ticks: int) -> dict[str, Any]:
        since = self._ticks(self._position(ticks) - SHOWN_SECONDS)
        before = [event for _, event in self._events if ended(event, ticks)]
        shown = self._json(event for event in before if event.start_ticks >= since)
        pedals = {event.voice: event for event in before if isinstance(event, Pedal)}
        tempos = [event for event in before if isinstance(event, Tempo)]
        in_force = self._json([*pedals.values(), *tempos[-1:]])  # the present tempo and pedals, however old
        shown |= {name: in_force[name] for name in ("pedals", "tempos")}
        number = sum(isinstance(event, Bar) for event in before) - len(shown["bars"])
        return {"voices": [asdict(voice) for voice in self._tokenizer.voices], "before": shown, "bars": number}

    def _position(self, ticks: float) -> float:
        return self._clock.seconds(ticks) - self._begin_seconds

    def _ticks(self, position: float) -> int:
        return bisect_left(range(self._stream.horizon_ticks), position, key=self._position)

    def _tick_to_go_back_to(self, position: float) -> int:
        here = self._ticks(position)
        lines = [event.start_ticks for _, event in self._events if isinstance(event, Bar) and event.start_ticks <= here]
        return lines[-BACK_BARS:][0] if lines else self._ticks(position - BACK_SECONDS)

    def decisions(self, at: float, pitch: int, voice: int) -> tuple[Stream, dict[str, int]]:
        with self._lock:
            for _, event in reversed(self._events):
                if not isinstance(event, Note) or (event.pitch, event.voice) != (pitch, voice):
                    continue
                if abs(self._position(event.start_ticks) - at) < ROUNDING_SECONDS:
                    return self._stream.fork(), self._trail.decisions(self._stream, event)
        raise CarouselError("this note is no longer here; choose another one")

    def _reaches(self, position: float) -> bool:
        """As in the base class; but the first chunk is drawn up to its first note, past the rests before an upbeat."""
        horizon = self._stream.horizon_ticks
        sounds = (isinstance(event, Note) and event.start_ticks < horizon for event in self._waiting)
        return super()._reaches(position) and (self._sequence > 0 or any(sounds))

    def _add_events(self, position: int, events: list[MusicEvent]) -> None:
        self._remember(position, events)
        self._waiting += events

    def _replace_events(self, step: int, drawn: list[MusicEvent]) -> None:
        events = [(position, event) for position, event in self._events if position < step]
        self._clock, self._events = Clock(self._tokenizer.ticks_per_quarter), []
        self._piece_keys = {}
        for position, event in events:
            self._remember(position, [event])
        self._remember(step, drawn)

    def _listen(self, phrase: Phrase) -> dict[str, Any]:
        begun = self._stream.now_ticks
        before = [event for _, event in self._events if event.start_ticks <= begun]

        def last(kind: type[E]) -> E | None:
            return next((event for event in reversed(before) if isinstance(event, kind)), None)

        tempo, metre, line = last(Tempo), last(TimeSignature), last(Bar)
        quarters_per_minute = tempo.quarters_per_minute if tempo else DEFAULT_TEMPO
        bar, upbeat = 0.0, 0.0  # how long a bar is, and how much of one is over when the phrase begins, in seconds
        if line is not None:
            metre = metre or TimeSignature(0, 4, 4)
            bar = 4 * metre.numerator / metre.denominator * 60 / quarters_per_minute
            upbeat = (phrase.at - self._position(line.start_ticks)) % bar
        stream = self._stream.fork()
        try:
            position, horizon, now = stream.position, stream.horizon_ticks, stream.now_ticks
            events, first = heard_by(stream, phrase, upbeat, quarters_per_minute)
        except CarouselError as error:
            return {"refused": str(error)}
        self._stream = stream
        self._trail.add(position, horizon, now)
        self._add_events(position, events)
        self._send_from(begun)
        self._phrase_ticks = stream.now_ticks
        facts = {"begin": self._position(first), "end": self._position(stream.now_ticks), "bar": bar}
        return {name: round(seconds, 4) for name, seconds in facts.items()}

    def _sent_until(self) -> float:
        return self._position(self._sent_ticks)

    def _send_from(self, ticks: int) -> None:
        self._waiting = [event for _, event in self._events if not ended(event, ticks)]
        self._sent_ticks = ticks

    def _apply_changes(self, heard: float, phrase: Phrase | None) -> dict[str, Any]:
        if replaced := super()._apply_changes(heard, phrase):  # notes that end there may have been longer
            notes = (event for _, event in self._events if isinstance(event, Note))
            self._waiting += [note for note in notes if note.end_ticks == self._sent_ticks]
        return replaced

    def _chunk(self) -> dict[str, Any]:
        since = self._sent_ticks
        until = max(self._ticks(self._position(since) + self.ahead), self._phrase_ticks)
        horizon = min(until, self._drawn_ticks())
        self._sent_ticks = horizon
        known = sorted((event for event in self._waiting if event.start_ticks < horizon), key=lambda e: e.start_ticks)
        self._waiting = [event for event in self._waiting if event.start_ticks >= horizon]
        self._forget()
        has_ended = self._stream.ended and not self._waiting
        view = {**self._json(known), "beats": self._beats(since, horizon), "sharps": self._sharps()}
        return {**view, "horizon": round(self._position(horizon), 4), "ended": has_ended}

    def _sharps(self) -> int:
        """The number of sharps of the key, by which the page spells notes (flats are negative): of the one that the
        options ask for, or else of the likeliest key of what has been drawn of the present piece."""
        asked = self._stream.options.key
        if asked is not None:
            return SHARPS[read_key(asked)]
        drums = {number for number, voice in enumerate(self._tokenizer.voices) if voice.drum}
        piece = takewhile(lambda event: not isinstance(event, PieceEnd), (event for _, event in reversed(self._events)))
        notes = (event for event in piece if isinstance(event, Note) and event.voice not in drums)
        return SHARPS[likely(islice(notes, KEY_NOTES))]

    def _beats(self, since: int, until: int) -> list[list[Any]]:
        """The beats between two ticks, as [position, whether it is the first of its bar]."""
        if not self._tokenizer.bar_lines:
            return []
        latest = (event for _, event in reversed(self._events))
        found = bars.latest_beats(latest, self._tokenizer.ticks_per_quarter, since, until)
        return [[round(self._position(ticks), 4), first] for ticks, first in found]

    def excerpt(self, since: float, until: float) -> tuple[Excerpt, float]:
        """The bars of one piece from the bar line that is nearest to position `since` to the one nearest to `until`,
        and the position at which the excerpt's score begins.

        Raises:
            CarouselError: this music has no bars, or there are none between these positions.
        """
        with self._lock:
            if not isinstance(self._tokenizer, ScoreTokenizer):
                raise CarouselError("this music has no bars; look at the roll")
            latest = (event for _, event in reversed(self._events))
            ticks, horizon = (self._ticks(since), self._ticks(until)), self._stream.horizon_ticks
            found, begin = bars.excerpt(latest, self._tokenizer, *ticks, horizon, self._key_of_piece)
            return found, self._position(begin)

    def _key_of_piece(self, start: int, known: Score) -> int:
        """The key of the piece that begins at a tick, as an index into `KEYS`: the one that the options ask for, or the
        one that was likeliest when this was asked first, so that it does not change on the page."""
        asked = self._stream.options.key
        if asked is not None:
            return read_key(asked)
        if start not in self._piece_keys:
            self._piece_keys = {start: likely(note for note in known.notes if not known.voices[note.voice].drum)}
        return self._piece_keys[start]

    def _json(self, events: Iterable[MusicEvent]) -> dict[str, Any]:
        """Events as a JSON object, their times as positions in seconds."""
        events = list(events)

        def seconds(ticks: int) -> float:
            return round(self._position(ticks), 4)

        def span(note: Note) -> tuple[float, float]:
            start = seconds(note.start_ticks)
            return start, round(seconds(note.end_ticks) - start, 4)

        def starts(kind: type[MusicEvent]) -> list[float]:
            return [seconds(event.start_ticks) for event in events if isinstance(event, kind)]

        return {
            "notes": [
                [*span(note), note.pitch, note.velocity, note.voice] for note in events if isinstance(note, Note)
            ],
            "pedals": [
                [seconds(event.start_ticks), event.down, event.voice] for event in events if isinstance(event, Pedal)
            ],
            "tempos": [
                [seconds(event.start_ticks), event.quarters_per_minute] for event in events if isinstance(event, Tempo)
            ],
            "bars": starts(Bar),
            "ends": starts(PieceEnd),
        }

    def _forget(self) -> None:
        """Forget the older half of the events if they are too many, up to a bar line. The last tempo, metre and pedals
        of that half are kept, because they still apply."""
        if len(self._events) <= MAX_EVENTS:
            return
        half = MAX_EVENTS // 2
        old, new = self._events[:half], self._events[half:]
        last = max(event.start_ticks for _, event in old)
        lines = (event.start_ticks for _, event in new if isinstance(event, Bar) and event.start_ticks > last)
        self._start_ticks = next(lines, last + 1)
        tempos = [entry for entry in old if isinstance(entry[1], Tempo)]  # positions are counted by all of them
        holding = (entry for entry in old if isinstance(entry[1], TimeSignature | Pedal))
        in_force = {(type(event), getattr(event, "voice", 0)): (position, event) for position, event in holding}
        self._events = [*tempos, *in_force.values(), *new]

    def played_by(self, programs: Any) -> Self:
        """This take as a listener hears it who has chosen General MIDI programs, by the names of the voices.

        Raises:
            CarouselError: there is no such voice or program.
        """
        other = copy(self)
        other._tokenizer = with_instruments(self._tokenizer, programs)
        return other

    def _heard(self, position: float) -> Score:
        """The score that `sample --seconds` would write; if a part was forgotten, the rest without its origin."""
        whole = self._stream.ended and position >= self._horizon()
        end = self._stream.horizon_ticks if whole else self._ticks(position)
        events = [event for _, event in self._events if whole or event.start_ticks < end]
        if self._start_ticks:
            score = self._tokenizer.collect(events)
            assert isinstance(score, Score)
            return score.between(self._start_ticks, max(end, score.end_ticks) if whole else end)
        stream = self._stream if whole else self._trail.fork(self._stream, end)[0]  # what came later is not in the file
        piece = piece_of(self._tokenizer, events, stream.snapshot(), None if whole else Cut(end))
        assert isinstance(piece, Score)
        return piece


def ended(event: MusicEvent, ticks: int) -> bool:
    """Whether an event lies before a tick, a note with its whole length."""
    return event.end_ticks <= ticks if isinstance(event, Note) else event.start_ticks < ticks
