"""Live takes of music that a drummer may play beside.

The drummer is one more voice. It hears the same events as the browser, a bar at a time, and can enter, leave or change
its style at any bar line; then only its hits from there on are drawn again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from math import ceil
from typing import Any, Self

from generator.foundation.errors import CarouselError
from generator.music.marks import with_landmarks
from generator.music.score import Bar, MusicEvent, Note, Score
from generator.streaming.drummer import CUES, Drummer, can_lead
from generator.streaming.engine import Engine
from generator.streaming.origin import Cut
from generator.streaming.snapshot import Snapshot
from generator.streaming.stream import Stream
from generator.tokenizers import instruments_of
from generator.web.listening import Phrase
from generator.web.live_music import LiveMusic

ANY = ""
"""The style of a drummer who may play any."""


class LiveBand(LiveMusic):
    """A live take of music, with or without a drummer."""

    def __init__(
        self,
        stream: Stream,
        name: str,
        at: float | None = None,
        drums: Stream | None = None,
        entries: tuple[int, ...] = (0,),
    ) -> None:
        """As `Live`; `drums` and `entries` are those of a `Band`.

        Raises:
            CarouselError: the two do not go together.
        """
        self._drummer = None if drums is None else Drummer(drums, stream, entries)
        self._hits: list[tuple[int, Note]] = []
        """(the number of the drummer's cue, hit in the drummer's ticks), in the order in which they were drawn."""
        self._hits_waiting: list[Note] = []
        self._voices_sent = 0
        self.drum_style = drums.options.style or ANY if drums is not None and len(entries) % 2 else None
        """The style that the listener asked for last, `ANY` for no certain one; None for no drummer."""
        self._drum_style_applied = self.drum_style
        self._kit: Engine | None = None
        super().__init__(stream, name, at)
        if self._drummer is not None:
            self._drummer.check()

    @property
    def _early_ticks(self) -> int:
        """How long before its bar line the first hit of a bar may be, in the stream's ticks, rounded up."""
        return ceil(self._drummer.early_ticks / self._drummer.scale) if self._drummer else 0

    @property
    def can_have_drummer(self) -> bool:
        """Whether the stream has bars that one can drum to."""
        return can_lead(self._tokenizer) and self._stream.song is None

    def drum(self, kit: Engine, style: str | None) -> None:
        """Let a drummer of this engine play in a style, or `ANY`, or nobody for None, from the next pull on.

        Raises:
            CarouselError: the engine knows no such style.
        """
        kit.settle(replace(kit.defaults, style=style), ())
        with self._setting:
            if style != self.drum_style:
                self._kit, self.drum_style = kit, style
                self._changes += 1

    # What the drummer plays

    def _follow(self, events: Iterable[MusicEvent]) -> None:
        """Let the drummer hear events of the stream."""
        if self._drummer is None:
            return
        for event in events:
            hits = self._drummer.follow([event])
            self._hits += [(self._drummer.cues, hit) for hit in hits]
            self._hits_waiting = [*self._hits_waiting, *hits]

    def _go_back(self, cues: int) -> None:
        """Let the drummer forget its last cues, and what it played to them."""
        if self._drummer is not None:
            self._drummer.back(cues)
            self._hits = [(cue, hit) for cue, hit in self._hits if cue <= self._drummer.cues]

    def _drummer_at(self, stream: Stream) -> Drummer | None:
        """The drummer as it was when the stream was at the position of this fork of it."""
        if self._drummer is None:
            return None
        drummer, since = self._drummer.fork(), stream.snapshot()
        decoder = self._tokenizer.decoder(since.decoder)
        later = decoder.feed_all(self._stream.tokens()[since.position :].tolist())
        drummer.back(sum(isinstance(event, CUES) for event in later))
        return drummer

    def _apply_changes(self, heard: float, phrase: Phrase | None) -> dict[str, Any]:
        replaced = self._apply_to_stream(heard, phrase)
        if self.drum_style == self._drum_style_applied:
            return replaced
        self._drum_style_applied = self.drum_style
        events = [event for _, event in self._events]
        if self._drummer is None:
            assert self._kit is not None
            self._drummer = Drummer(self._kit.stream(seed=self.options.seed), self._stream, ())
            self._follow(events)
        # Bars change whose first hit, which may be early, can still be replaced.
        now = self._ticks(min(heard, self._sent_until())) + self._early_ticks
        first = next(
            (at for at, event in enumerate(events) if isinstance(event, Bar) and event.start_ticks >= now), None
        )
        later = [] if first is None else [event for event in events[first:] if isinstance(event, CUES)]
        self._go_back(len(later))
        self._conduct(later[0].start_ticks if later else self._next_bar_ticks())
        self._follow(later)
        if not later:
            return replaced
        since = later[0].start_ticks - self._early_ticks
        if since < self._sent_ticks:
            self._send_from(since)
            return {"from": round(self._position(since), 4)} | replaced
        self._hits_waiting = self._hits_since(self._sent_ticks)
        return replaced

    def _apply_to_stream(self, heard: float, phrase: Phrase | None) -> dict[str, Any]:
        """Apply the changes of options, late enough that early hits of bars that are drawn again can be replaced."""
        if self._drummer is None or phrase is not None or heard >= self._horizon():
            return super()._apply_changes(heard, phrase)
        now = self._ticks(min(heard, self._sent_until()))
        replaced = super()._apply_changes(self._position(now + self._early_ticks), None)
        if replaced:
            self._send_from(max(now, self._sent_ticks - self._early_ticks))
            replaced["from"] = round(self._position(self._sent_ticks), 4)
        return replaced

    def _conduct(self, ticks: int) -> None:
        """Let the drummer play what is wanted, from the bar line at a tick on."""
        drummer, style = self._drummer, self._drum_style_applied
        if drummer is None:
            return
        entries = tuple(entry for entry in drummer.entries if entry < ticks)
        drummer.entries = entries if len(entries) % 2 == (style is not None) else (*entries, ticks)
        if style is not None:
            drummer.stream.set(style=style or None)

    def _next_bar_ticks(self) -> int:
        """A tick after the last bar line and not after the next one."""
        return next((event.start_ticks + 1 for _, event in reversed(self._events) if isinstance(event, Bar)), 0)

    # What the browser is told

    def _add_events(self, position: int, events: list[MusicEvent]) -> None:
        super()._add_events(position, events)
        self._follow(events)

    def _replace_events(self, step: int, drawn: list[MusicEvent]) -> None:
        before = [event for position, event in self._events if position >= step and isinstance(event, CUES)]
        super()._replace_events(step, drawn)
        if self._drummer is None:
            return
        again = [event for event in drawn if isinstance(event, CUES)]
        pairs = zip(before, again, strict=False)
        same = next((at for at, (old, new) in enumerate(pairs) if old != new), min(len(before), len(again)))
        self._drummer, self._hits = self._drummer.fork(), self._hits[:]
        self._go_back(len(before) - same)
        self._follow(again[same:])
        self._conduct(self._next_bar_ticks())

    def _forget(self) -> None:
        before = self._start_ticks
        super()._forget()
        if self._drummer is not None and self._start_ticks != before:
            self._hits = [
                entry for entry in self._hits if entry[1].start_ticks >= self._start_ticks * self._drummer.scale
            ]

    def _drawn_ticks(self) -> int:
        ticks = super()._drawn_ticks()
        if self._drummer is None or self._stream.ended:
            return ticks
        return max(0, ticks - self._early_ticks)

    def _hits_since(self, ticks: int) -> list[Note]:
        scale = self._drummer.scale if self._drummer else 1
        return [hit for _, hit in self._hits if hit.start_ticks >= ticks * scale]

    def _send_from(self, ticks: int) -> None:
        super()._send_from(ticks)
        self._hits_waiting = self._hits_since(ticks)

    def _chunk(self) -> dict[str, Any]:
        chunk = super()._chunk()
        if self._drummer is None:
            return chunk
        until = self._sent_ticks * self._drummer.scale
        sent = [hit for hit in self._hits_waiting if hit.start_ticks < until or chunk["ended"]]
        self._hits_waiting = [hit for hit in self._hits_waiting if hit.start_ticks >= until and not chunk["ended"]]
        voices = self._voices()
        told = {} if self._voices_sent == len(voices) else {"voices": voices}
        self._voices_sent = len(voices)
        return {**chunk, "notes": sorted(chunk["notes"] + self._json_hits(sent)), **told}

    def _opening_view(self, ticks: int) -> dict[str, Any]:
        view, voices = super()._opening_view(ticks), self._voices()
        self._voices_sent = len(voices)
        if self._drummer is not None:
            shown = view["before"]["bars"][:1] or [self._position(ticks)]
            scale = self._drummer.scale
            hits = [hit for _, hit in self._hits if hit.start_ticks < ticks * scale]
            hits = [hit for hit in hits if self._position(hit.start_ticks / scale) >= shown[0]]
            view["before"]["notes"] = sorted(view["before"]["notes"] + self._json_hits(hits))
        return {**view, "voices": voices}

    def _voices(self) -> list[dict[str, Any]]:
        """The voices as the page is told of them; the drummer plays beside the stream's own."""
        own = [asdict(voice) for voice in self._tokenizer.voices]
        return own if self._drummer is None else [*own, {**asdict(self._drummer.voice), "beside": True}]

    def _json_hits(self, hits: Iterable[Note]) -> list[list[Any]]:
        scale = self._drummer.scale if self._drummer else 1

        def seconds(ticks: int) -> float:
            return round(self._position(ticks / scale), 4)

        return [
            [start, round(seconds(hit.end_ticks) - start, 4), hit.pitch, hit.velocity, hit.voice]
            for hit in hits
            for start in [seconds(hit.start_ticks)]
        ]

    def decisions(self, at: float, pitch: int, voice: int) -> tuple[Stream, dict[str, int]]:
        if voice == len(self._tokenizer.voices):
            raise CarouselError("the drummer plays this; choose a note of another voice")
        return super().decisions(at, pitch, voice)

    # Files

    def _taken(self, stream: Stream) -> Snapshot:
        drummer = self._drummer_at(stream)
        if drummer is None:
            return super()._taken(stream)
        entries = tuple(entry for entry in drummer.entries if entry <= stream.now_ticks)
        return replace(stream.snapshot(), drums=drummer.stream.snapshot(), entries=entries)

    def _heard(self, position: float) -> Score:
        score, drummer = super()._heard(position), self._drummer
        if drummer is None:
            return score
        whole = self._stream.ended and position >= self._horizon()
        end = self._stream.horizon_ticks if whole else self._ticks(position)
        stream = self._stream if whole else self._trail.fork(self._stream, end)[0]
        at_end = self._drummer_at(stream)
        cues = at_end.cues if at_end else 0
        begun = self._start_ticks * drummer.scale
        hits = [
            replace(hit, start_ticks=hit.start_ticks - begun)
            for cue, hit in self._hits
            if cue <= cues and hit.start_ticks >= begun and (whole or hit.start_ticks < end * drummer.scale)
        ]
        origin = score.origin and self._taken(stream).text(
            None if whole else Cut(end * drummer.scale), instruments_of(self._tokenizer), landmarks=True
        )
        return replace(with_landmarks(drummer.joined(score, hits)), origin=origin)

    def played_by(self, programs: Any) -> Self:
        if isinstance(programs, dict) and self._drummer is not None:
            programs = {name: program for name, program in programs.items() if name != self._drummer.voice.name}
        return super().played_by(programs)
